//! A reference interpreter: the meaning of the IR, one instruction at a time.
//!
//! It works on the very memory the compiled code works on, so that addresses agree.

use super::exec::{DATA_SIZE, HookEntry};
use super::ops;
use nopal_ir::{
    Block, BlockCall, EntityRef, ExternalName, Function, Inst, InstData, MemFlags, Opcode,
    Signature, TrapCode, Type, Value,
};

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Return,
    Trap(TrapCode),
    /// The interpreter gave up.
    OutOfFuel,
    /// The program accesses memory that does not exist.
    Invalid,
}

/// Why execution of a function ended early.
enum Stop {
    Trap(TrapCode),
    OutOfFuel,
    Invalid,
}

/// The interpreter of a module.
pub struct Interp<'a> {
    pub funcs: &'a [Function],
    /// The address of each function.
    pub addresses: &'a [u64],
    /// The start of the [`DATA_SIZE`] bytes of data.
    pub data: *mut u8,
    /// Steps left.
    pub fuel: u64,
    /// What hooks saw.
    pub log: Vec<HookEntry>,
    /// The stack slots of all active functions.
    slots: Vec<(u64, Box<[u128]>)>,
    depth: u32,
}

struct Frame<'a> {
    func: &'a Function,
    values: Vec<u64>,
    /// The address of each stack slot.
    slots: Vec<u64>,
}

impl Frame<'_> {
    fn get(&self, v: Value) -> u64 {
        self.values[self.func.resolve(v).index()]
    }
}

impl<'a> Interp<'a> {
    pub fn new(funcs: &'a [Function], addresses: &'a [u64], data: *mut u8, fuel: u64) -> Self {
        Interp {
            funcs,
            addresses,
            data,
            fuel,
            log: Vec::new(),
            slots: Vec::new(),
            depth: 0,
        }
    }

    /// Call function 0 with the address of the data.
    pub fn run(&mut self) -> Outcome {
        match self.call(0, &[self.data as u64]) {
            Ok(_) => Outcome::Return,
            Err(Stop::Trap(code)) => Outcome::Trap(code),
            Err(Stop::OutOfFuel) => Outcome::OutOfFuel,
            Err(Stop::Invalid) => Outcome::Invalid,
        }
    }

    fn call(&mut self, index: usize, args: &[u64]) -> Result<Vec<u64>, Stop> {
        let func = &self.funcs[index];
        let mut frame = Frame {
            func,
            values: vec![0; func.num_values()],
            slots: Vec::new(),
        };
        let outer = self.slots.len();
        for slot in func.stack_slots() {
            let mut memory = vec![0u128; slot.size.div_ceil(16) as usize + 1].into_boxed_slice();
            let at = memory.as_mut_ptr() as u64;
            self.slots.push((at, memory));
            frame.slots.push(at);
        }
        let mut block = func.layout()[0];
        for (p, &a) in func.block_params(block).zip(args) {
            frame.values[p.index()] = ops::mask(func.value_type(p), a);
        }
        self.depth += 1;
        let result = loop {
            match self.block(&mut frame, block)? {
                Next::Block(to) => block = to,
                Next::Return(values) => break values,
            }
        };
        self.depth -= 1;
        self.slots.truncate(outer);
        Ok(result)
    }

    fn block(&mut self, frame: &mut Frame<'a>, block: Block) -> Result<Next, Stop> {
        let func = frame.func;
        for inst in func.block_insts(block) {
            if self.fuel == 0 || self.depth > 100 {
                return Err(Stop::OutOfFuel);
            }
            self.fuel -= 1;
            if let Some(next) = self.inst(frame, inst)? {
                return Ok(next);
            }
        }
        unreachable!("a block ends with a terminator")
    }

    fn inst(&mut self, frame: &mut Frame<'a>, inst: Inst) -> Result<Option<Next>, Stop> {
        let func = frame.func;
        let data = *func.inst(inst);
        let take = |frame: &mut Frame<'a>, edge: BlockCall| {
            let to = func.block_call(edge).block;
            let args: Vec<u64> = func.block_call_args(edge).map(|a| frame.get(a)).collect();
            for (p, a) in func.block_params(to).zip(args) {
                frame.values[p.index()] = a;
            }
            Some(Next::Block(to))
        };
        Ok(match data {
            InstData::Jump { dest, .. } => take(frame, dest),
            InstData::Brif { arg, dests, .. } => {
                let taken = usize::from(frame.get(arg) == 0);
                take(frame, dests[taken])
            }
            InstData::BranchTable { arg, table, .. } => {
                let table = func.jump_table(table);
                let index = frame.get(arg) as usize;
                take(frame, *table.table.get(index).unwrap_or(&table.default))
            }
            InstData::MultiAry { args, .. } => Some(Next::Return(
                func.lists.iter(args).map(|a| frame.get(a)).collect(),
            )),
            InstData::Trap { code, .. } => return Err(Stop::Trap(code)),
            InstData::CondTrap { opcode, arg, code } => {
                if (frame.get(arg) == 0) == (opcode == Opcode::Trapz) {
                    return Err(Stop::Trap(code));
                }
                None
            }
            InstData::Call { .. } | InstData::CallIndirect { .. } => {
                let results = self.call_inst(frame, &data)?;
                for (v, r) in func.inst_results(inst).zip(results) {
                    frame.values[v.index()] = ops::mask(func.value_type(v), r);
                }
                None
            }
            InstData::Store { .. } => {
                self.store(frame, &data)?;
                None
            }
            _ => {
                let v = func.first_result(inst);
                frame.values[v.index()] = self.value(frame, &data, func.value_type(v))?;
                None
            }
        })
    }

    /// The result of an instruction that has exactly one.
    fn value(&mut self, frame: &Frame<'a>, data: &InstData, ty: Type) -> Result<u64, Stop> {
        let func = frame.func;
        let result = match *data {
            InstData::UnaryImm { imm, .. } => Ok(ops::mask(ty, imm as u64)),
            InstData::UnaryIeee32 { bits, .. } => Ok(bits.into()),
            InstData::UnaryIeee64 { bits, .. } => Ok(bits),
            InstData::Unary { opcode, arg } => {
                ops::unary(opcode, func.value_type(arg), ty, frame.get(arg))
            }
            InstData::Binary { opcode, args } => {
                let [x, y] = args.map(|a| frame.get(a));
                ops::binary(opcode, func.value_type(args[0]), x, y)
            }
            InstData::Ternary { args, .. } => {
                let [c, x, y] = args.map(|a| frame.get(a));
                Ok(if c != 0 { x } else { y })
            }
            InstData::IntCompare { cond, args, .. } => {
                let [x, y] = args.map(|a| frame.get(a));
                Ok(ops::icmp(cond, func.value_type(args[0]), x, y).into())
            }
            InstData::FloatCompare { cond, args, .. } => {
                let [x, y] = args.map(|a| frame.get(a));
                Ok(ops::fcmp(cond, func.value_type(args[0]), x, y).into())
            }
            InstData::StackAddr { slot, offset, .. } => {
                Ok(frame.slots[slot.index()].wrapping_add(offset as u64))
            }
            InstData::Load {
                opcode,
                flags,
                arg,
                offset,
            } => {
                let at = frame.get(arg).wrapping_add(offset as u64);
                return self.load(opcode, flags, at, ty);
            }
            _ => unreachable!("{} has no single result", data.opcode()),
        };
        result.map_err(Stop::Trap)
    }

    /// A pointer to `size` bytes at `at`.
    fn access(&self, flags: MemFlags, at: u64, size: u64) -> Result<*mut u8, Stop> {
        if at < 4096 {
            // Nothing is mapped there.
            return Err(flags.trap_code().map_or(Stop::Invalid, Stop::Trap));
        }
        let within = |start: u64, len: u64| at >= start && at - start + size <= len;
        let known = within(self.data as u64, DATA_SIZE as u64)
            || self
                .slots
                .iter()
                .any(|(start, memory)| within(*start, 16 * memory.len() as u64));
        match known {
            true => Ok(at as *mut u8),
            false => Err(Stop::Invalid),
        }
    }

    fn load(&self, opcode: Opcode, flags: MemFlags, at: u64, ty: Type) -> Result<u64, Stop> {
        let (size, signed) = match opcode {
            Opcode::Uload8 => (1, false),
            Opcode::Sload8 => (1, true),
            Opcode::Uload16 => (2, false),
            Opcode::Sload16 => (2, true),
            Opcode::Uload32 => (4, false),
            Opcode::Sload32 => (4, true),
            _ => (ty.bytes(), false),
        };
        let from = self.access(flags, at, size.into())?;
        let mut bytes = [0; 8];
        // SAFETY: `access` has checked that the bytes are in memory that is ours.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), size as usize) };
        let x = u64::from_le_bytes(bytes);
        let narrow = Type::int(8 * size).expect("a power of two");
        Ok(ops::mask(
            ty,
            if signed {
                ops::signed(narrow, x) as u64
            } else {
                x
            },
        ))
    }

    fn store(&mut self, frame: &Frame<'a>, data: &InstData) -> Result<(), Stop> {
        let InstData::Store {
            opcode,
            flags,
            args: [x, addr],
            offset,
        } = *data
        else {
            unreachable!("not a store")
        };
        let size = match opcode {
            Opcode::Istore8 => 1,
            Opcode::Istore16 => 2,
            Opcode::Istore32 => 4,
            _ => frame.func.value_type(x).bytes(),
        };
        let at = frame.get(addr).wrapping_add(offset as u64);
        let to = self.access(flags, at, size.into())?;
        let bytes = frame.get(x).to_le_bytes();
        // SAFETY: `access` has checked that the bytes are in memory that is ours.
        unsafe { bytes.as_ptr().copy_to_nonoverlapping(to, size as usize) };
        Ok(())
    }

    fn call_inst(&mut self, frame: &Frame<'a>, data: &InstData) -> Result<Vec<u64>, Stop> {
        let func = frame.func;
        match *data {
            InstData::Call {
                func: callee,
                args,
                attrs,
                ..
            } => {
                let ext = func.ext_func(callee);
                let args: Vec<u64> = func.lists.iter(args).map(|a| frame.get(a)).collect();
                if ext.patchable {
                    let sig = func.sig(ext.signature);
                    let attr = attrs.expand().map(|a| func.site_attr(a));
                    let observed = attr.map(|attr| {
                        let values = func.lists.iter(attr.observe);
                        values.map(|v| (func.value_type(v), frame.get(v))).collect()
                    });
                    self.log.push(HookEntry {
                        site: attr.map_or(u32::MAX, |a| a.site),
                        args: typed(sig, &args),
                        observed: observed.unwrap_or_default(),
                    });
                    return Ok(Vec::new());
                }
                match ext.name {
                    ExternalName::User { index, .. } => self.call(index as usize, &args),
                    ExternalName::Named(ref name) if &**name == "observe" => {
                        self.log.push(HookEntry {
                            site: u32::MAX,
                            args: typed(func.sig(ext.signature), &args),
                            observed: Vec::new(),
                        });
                        Ok(Vec::new())
                    }
                    ExternalName::Named(_) => Ok(clobber(&args)),
                }
            }
            InstData::CallIndirect { args, .. } => {
                let mut args = func.lists.iter(args).map(|a| frame.get(a));
                let callee = args.next().expect("the callee comes first");
                let args: Vec<u64> = args.collect();
                let index = self.addresses.iter().position(|&a| a == callee);
                self.call(index.ok_or(Stop::Invalid)?, &args)
            }
            _ => unreachable!("not a call"),
        }
    }
}

/// Where execution goes on.
enum Next {
    Block(Block),
    Return(Vec<u64>),
}

fn typed(sig: &Signature, args: &[u64]) -> Vec<(Type, u64)> {
    sig.params
        .iter()
        .map(|p| p.ty)
        .zip(args.iter().copied())
        .collect()
}

/// What the external function `%clobber` returns for `(i64, i32, f64, f32)`.
pub fn clobber(args: &[u64]) -> Vec<u64> {
    vec![args[0].wrapping_add(1), args[1], args[2], args[3]]
}
