//! A reference interpreter: the meaning of the IR, one instruction at a time.

use crate::{ops, wide};
use nopal_ir::{
    Block, BlockCall, EntityRef, ExternalName, Function, Inst, InstData, MemFlags, Opcode,
    Signature, TrapCode, Type, Value,
};

/// What a hook sees at a site; `%observe` is a hook too, at site `u32::MAX`.
#[derive(Clone, PartialEq, Debug)]
pub struct HookEntry {
    /// The number of the site.
    pub site: u32,
    /// Types and bits of the arguments.
    pub args: Vec<(Type, u64)>,
    /// Types and bits of the observed values.
    pub observed: Vec<(Type, u64)>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It returned.
    Return,
    /// It trapped.
    Trap(TrapCode),
    /// The interpreter gave up.
    OutOfFuel,
    /// The program accesses memory that does not exist.
    Invalid,
}

/// A run of a program.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// What hooks saw, all sites being on.
    pub log: Vec<HookEntry>,
}

/// The memory a program works on.
pub struct Memory<'a> {
    /// The address the program knows it by.
    pub address: u64,
    /// Its contents.
    pub bytes: &'a mut [u8],
}

/// Call function 0 of a module with the address of `memory`.
///
/// `addresses` are those of the functions, as far as they are called indirectly. The interpreter
/// gives up after `fuel` instructions.
pub fn interpret(funcs: &[Function], addresses: &[u64], memory: Memory<'_>, fuel: u64) -> Run {
    let data = memory.address;
    let mut interp = Interp {
        funcs,
        addresses,
        memory,
        fuel,
        log: Vec::new(),
        slots: Vec::new(),
        slots_end: SLOTS,
        depth: 0,
    };
    let outcome = match interp.call(0, &[data.into()]) {
        Ok(_) => Outcome::Return,
        Err(Stop::Trap(code)) => Outcome::Trap(code),
        Err(Stop::OutOfFuel) => Outcome::OutOfFuel,
        Err(Stop::Invalid) => Outcome::Invalid,
    };
    Run {
        outcome,
        log: interp.log,
    }
}

/// Where stack slots are: in the half of the address space that no process has.
const SLOTS: u64 = 1 << 62;

/// Why execution of a function ended early.
enum Stop {
    Trap(TrapCode),
    OutOfFuel,
    Invalid,
}

/// The interpreter of a module.
struct Interp<'a> {
    funcs: &'a [Function],
    addresses: &'a [u64],
    memory: Memory<'a>,
    /// Steps left.
    fuel: u64,
    log: Vec<HookEntry>,
    /// Address and content of the stack slots of all active functions.
    slots: Vec<(u64, Box<[u8]>)>,
    slots_end: u64,
    depth: u32,
}

struct Frame<'a> {
    func: &'a Function,
    values: Vec<u128>,
    /// The address of each stack slot.
    slots: Vec<u64>,
}

impl Frame<'_> {
    fn get(&self, v: Value) -> u128 {
        self.values[self.func.resolve(v).index()]
    }

    /// A value that is not wider than 64 bits.
    fn word(&self, v: Value) -> u64 {
        self.get(v) as u64
    }
}

impl<'a> Interp<'a> {
    fn call(&mut self, index: usize, args: &[u128]) -> Result<Vec<u128>, Stop> {
        let func = &self.funcs[index];
        let mut frame = Frame {
            func,
            values: vec![0; func.num_values()],
            slots: Vec::new(),
        };
        let outer = self.slots.len();
        for slot in func.stack_slots() {
            let align = 1u64 << slot.align_shift.min(12);
            let at = self.slots_end.next_multiple_of(align.max(16));
            self.slots_end = at + u64::from(slot.size) + 16;
            let bytes = vec![0; slot.size as usize].into_boxed_slice();
            self.slots.push((at, bytes));
            frame.slots.push(at);
        }
        let mut block = func.layout()[0];
        for (p, &a) in func.block_params(block).zip(args) {
            frame.values[p.index()] = wide::mask(func.value_type(p), a);
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
        self.slots_end = self.slots.last().map_or(SLOTS, |s| s.0 + s.1.len() as u64);
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
            let args: Vec<u128> = func.block_call_args(edge).map(|a| frame.get(a)).collect();
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
                let index = frame.word(arg) as usize;
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
                if data.opcode().is_terminator() {
                    return Ok(Some(Next::Return(results)));
                }
                for (v, r) in func.inst_results(inst).zip(results) {
                    frame.values[v.index()] = wide::mask(func.value_type(v), r);
                }
                None
            }
            InstData::Store { .. } => {
                self.store(frame, &data)?;
                None
            }
            InstData::StoreNoOffset { flags, args, .. } => {
                let (ty, at) = (func.value_type(args[0]), frame.word(args[1]));
                self.write(flags, at, ty, frame.get(args[0]))?;
                None
            }
            InstData::NullAry { .. } => None,
            _ if func.inst_results(inst).len() == 2 => {
                let mut args = Vec::new();
                func.for_each_operand(inst, |v| args.push(v));
                let ty = func.value_type(args[0]);
                let values: Vec<u128> = args.iter().map(|&a| frame.get(a)).collect();
                let (x, y) = match data.opcode() {
                    Opcode::Isplit => (wide::mask(Type::I64, values[0]), values[0] >> 64),
                    opcode => wide::overflow(opcode, ty, &values),
                };
                for (v, x) in func.inst_results(inst).zip([x, y]) {
                    frame.values[v.index()] = x;
                }
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
    fn value(&mut self, frame: &Frame<'a>, data: &InstData, ty: Type) -> Result<u128, Stop> {
        let func = frame.func;
        let result = match *data {
            InstData::UnaryImm { imm, .. } => wide::mask(ty, i128::from(imm) as u128),
            InstData::UnaryIeee32 { bits, .. } => bits.into(),
            InstData::UnaryIeee64 { bits, .. } => bits.into(),
            InstData::Unary { opcode, arg } => {
                let (from, x) = (func.value_type(arg), frame.get(arg));
                if from == Type::I128 || ty == Type::I128 {
                    return Ok(wide::unary(opcode, from, ty, x));
                }
                let result = ops::unary(opcode, from, ty, x as u64);
                result.map_err(Stop::Trap)?.into()
            }
            InstData::Binary { opcode, args } => {
                let (from, [x, y]) = (func.value_type(args[0]), args.map(|a| frame.get(a)));
                match opcode {
                    Opcode::Iconcat => x | y << 64,
                    _ if from == Type::I128 => wide::binary(opcode, x, y),
                    _ => {
                        let result = ops::binary(opcode, from, x as u64, y as u64);
                        result.map_err(Stop::Trap)?.into()
                    }
                }
            }
            InstData::Ternary { opcode, args } => {
                let [c, x, y] = args.map(|a| frame.get(a));
                match opcode {
                    Opcode::Bitselect => (c & x) | (!c & y),
                    Opcode::Fma => ops::fma(ty, [c, x, y].map(|a| a as u64)).into(),
                    _ if c != 0 => x,
                    _ => y,
                }
            }
            InstData::IntCompare { cond, args, .. } => {
                let [x, y] = args.map(|a| frame.get(a));
                wide::icmp(cond, func.value_type(args[0]), x, y).into()
            }
            InstData::IntAddTrap { args, code, .. } => {
                let [x, y] = args.map(|a| frame.get(a));
                let sum = x + y;
                if sum != wide::mask(ty, sum) {
                    return Err(Stop::Trap(code));
                }
                sum
            }
            InstData::FuncAddr { func: callee, .. } => match func.ext_func(callee).name {
                ExternalName::User { index, .. } => self.addresses[index as usize].into(),
                ref name => unreachable!("the address of {name} is not generated"),
            },
            InstData::FloatCompare { cond, args, .. } => {
                let [x, y] = args.map(|a| frame.word(a));
                ops::fcmp(cond, func.value_type(args[0]), x, y).into()
            }
            InstData::StackAddr { slot, offset, .. } => {
                frame.slots[slot.index()].wrapping_add(offset as u64).into()
            }
            InstData::Load {
                opcode,
                flags,
                arg,
                offset,
            } => {
                let at = frame.word(arg).wrapping_add(offset as u64);
                return self.load(opcode, flags, at, ty);
            }
            InstData::LoadNoOffset { flags, arg, .. } => self.read(flags, frame.word(arg), ty)?,
            InstData::AtomicRmw {
                op, flags, args, ..
            } => {
                let (at, x) = (frame.word(args[0]), frame.word(args[1]));
                let old = self.read(flags, at, ty)?;
                let new = ops::atomic(op, ty, old as u64, x);
                self.write(flags, at, ty, new.into())?;
                old
            }
            InstData::AtomicCas { flags, args, .. } => {
                let at = frame.word(args[0]);
                let old = self.read(flags, at, ty)?;
                if old == frame.get(args[1]) {
                    self.write(flags, at, ty, frame.get(args[2]))?;
                }
                old
            }
            _ => unreachable!("{} is not generated", data.opcode()),
        };
        Ok(result)
    }

    /// A value of type `ty` at `at`.
    fn read(&mut self, flags: MemFlags, at: u64, ty: Type) -> Result<u128, Stop> {
        let from = self.access(flags, at, ty.bytes() as usize)?;
        let mut bytes = [0; 16];
        bytes[..from.len()].copy_from_slice(from);
        Ok(u128::from_le_bytes(bytes))
    }

    /// Write a value of type `ty` at `at`.
    fn write(&mut self, flags: MemFlags, at: u64, ty: Type, x: u128) -> Result<(), Stop> {
        let size = ty.bytes() as usize;
        let to = self.access(flags, at, size)?;
        to.copy_from_slice(&x.to_le_bytes()[..size]);
        Ok(())
    }

    /// The `size` bytes at `at`.
    fn access(&mut self, flags: MemFlags, at: u64, size: usize) -> Result<&mut [u8], Stop> {
        if at < 4096 {
            // Nothing is mapped there.
            return Err(flags.trap_code().map_or(Stop::Invalid, Stop::Trap));
        }
        let slots = self.slots.iter_mut().map(|(at, bytes)| (*at, &mut **bytes));
        let data = (self.memory.address, &mut *self.memory.bytes);
        for (start, bytes) in std::iter::once(data).chain(slots) {
            let from = at.wrapping_sub(start) as usize;
            if at >= start && from < bytes.len() && size <= bytes.len() - from {
                return Ok(&mut bytes[from..from + size]);
            }
        }
        Err(Stop::Invalid)
    }

    fn load(&mut self, opcode: Opcode, flags: MemFlags, at: u64, ty: Type) -> Result<u128, Stop> {
        let (narrow, signed) = match opcode {
            Opcode::Uload8 => (Type::I8, false),
            Opcode::Sload8 => (Type::I8, true),
            Opcode::Uload16 => (Type::I16, false),
            Opcode::Sload16 => (Type::I16, true),
            Opcode::Uload32 => (Type::I32, false),
            Opcode::Sload32 => (Type::I32, true),
            _ => (ty, false),
        };
        let x = self.read(flags, at, narrow)?;
        Ok(match signed {
            true => wide::mask(ty, wide::signed(narrow, x) as u128),
            false => x,
        })
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
        let ty = match opcode {
            Opcode::Istore8 => Type::I8,
            Opcode::Istore16 => Type::I16,
            Opcode::Istore32 => Type::I32,
            _ => frame.func.value_type(x),
        };
        let at = frame.word(addr).wrapping_add(offset as u64);
        self.write(flags, at, ty, frame.get(x))
    }

    fn call_inst(&mut self, frame: &Frame<'a>, data: &InstData) -> Result<Vec<u128>, Stop> {
        let func = frame.func;
        match *data {
            InstData::Call {
                func: callee,
                args,
                attrs,
                ..
            } => {
                let ext = func.ext_func(callee);
                let args: Vec<u128> = func.lists.iter(args).map(|a| frame.get(a)).collect();
                if ext.patchable {
                    let sig = func.sig(ext.signature);
                    let attr = attrs.expand().map(|a| func.site_attr(a));
                    let observed = attr.map(|attr| {
                        let values = func.lists.iter(attr.observe);
                        values
                            .map(|v| (func.value_type(v), frame.word(v)))
                            .collect()
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
                let args: Vec<u128> = args.collect();
                let index = self.addresses.iter().position(|&a| u128::from(a) == callee);
                self.call(index.ok_or(Stop::Invalid)?, &args)
            }
            _ => unreachable!("not a call"),
        }
    }
}

/// Where execution goes on.
enum Next {
    Block(Block),
    Return(Vec<u128>),
}

fn typed(sig: &Signature, args: &[u128]) -> Vec<(Type, u64)> {
    sig.params
        .iter()
        .map(|p| p.ty)
        .zip(args.iter().map(|&a| a as u64))
        .collect()
}

/// What the external function `%clobber` returns for `(i64, i32, f64, f32)`.
fn clobber(args: &[u128]) -> Vec<u128> {
    vec![args[0].wrapping_add(1), args[1], args[2], args[3]]
}
