//! Rewriting functions for machines whose registers have 64 bits: an `i128` becomes two `i64`, the
//! low half first, and a multiply-add becomes a call where the machine has none.
//!
//! Functions without such values are compiled as they are; all they pay is a look at the types of
//! their values. Signatures stay: what assigns registers and stack cells takes an `i128` for two
//! values. After rewriting, `i128` values only remain between an `iconcat` and the atomic operation
//! right below it, whose two results are halves.

mod arithmetic;
mod atomic;
mod build;
mod control;
mod shift;
mod wide;

use crate::context::CodegenError;
use nopal_ir::{
    Block, EntityRef, FuncRef, Function, Inst, InstData, Opcode, SourceLoc, Type, Value,
};

/// No value.
const NONE: Value = Value::from_u32(u32::MAX);

/// The low and the high half of an `i128`.
type Pair = [Value; 2];

/// What a machine can do by itself.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    /// Multiply and add, rounding once.
    pub(crate) fma: bool,
    /// Compare and swap 16 bytes.
    pub(crate) cas_16: bool,
}

/// Whether `func` must be rewritten before it can be compiled for `machine`.
///
/// # Errors
///
/// If it has values that no register can hold.
pub(crate) fn needed(func: &Function, machine: Machine) -> Result<bool, CodegenError> {
    // Which types there are, a bit for each.
    let mut types = [0u64; 4];
    for n in 0..func.num_values() {
        let raw = func.value_type(Value::new(n)).raw();
        types[usize::from(raw >> 6)] |= 1 << (raw & 63);
    }
    let mut needed = false;
    let present = types.into_iter().enumerate().flat_map(|(word, mut bits)| {
        core::iter::from_fn(move || {
            let bit = (bits != 0).then(|| bits.trailing_zeros())?;
            bits &= bits - 1;
            Some(Type::from_raw(64 * word as u8 + bit as u8))
        })
    });
    for ty in present {
        if ty.is_vector() || matches!(ty, Type::F16 | Type::F128) {
            let kind = if ty.is_vector() {
                "vector type"
            } else {
                "type"
            };
            return Err(CodegenError::Unsupported(format!("{kind} {ty}")));
        }
        needed |= ty == Type::I128;
    }
    let fused = |inst| func.opcode(inst) == Opcode::Fma;
    Ok(needed || !machine.fma && (0..func.num_insts()).map(Inst::new).any(fused))
}

/// The rewritten function, and memory that is used again.
pub(crate) struct Legalizer {
    /// The function as rewritten.
    pub(crate) out: Function,
    /// For each value of the function, what it has become: one value, or two.
    map: Vec<Pair>,
}

impl Default for Legalizer {
    fn default() -> Self {
        use nopal_ir::{CallConv, ExternalName, Signature};
        let name = ExternalName::Named("".into());
        Self {
            out: Function::new(name, Signature::new(CallConv::Fast)),
            map: Vec::new(),
        }
    }
}

impl Legalizer {
    /// Rewrite `func`, whose blocks are walked in `order`: each value's definition before its uses.
    ///
    /// # Errors
    ///
    /// If it holds an operation on `i128` that has no rule, or that `machine` cannot do.
    pub(crate) fn run(
        &mut self,
        func: &Function,
        order: &[Block],
        machine: Machine,
    ) -> Result<(), CodegenError> {
        self.out.clear();
        self.map.clear();
        self.map.resize(func.num_values(), [NONE; 2]);
        let mut walk = Walk {
            func,
            out: &mut self.out,
            map: &mut self.map,
            machine,
            loc: SourceLoc::NONE,
            fma: [None; 2],
            tables: 0,
        };
        walk.preamble();
        walk.blocks();
        for &block in order {
            walk.out.begin_block(block);
            for inst in func.block_insts(block) {
                walk.loc = func.srcloc(inst);
                walk.inst(inst)?;
            }
        }
        Ok(())
    }
}

/// The walk over one function.
struct Walk<'a> {
    func: &'a Function,
    out: &'a mut Function,
    map: &'a mut Vec<Pair>,
    machine: Machine,
    /// The source location of the current instruction.
    loc: SourceLoc,
    /// The functions that multiply and add, `f32` and `f64`.
    fma: [Option<FuncRef>; 2],
    /// Number of exception tables so far.
    tables: usize,
}

impl Walk<'_> {
    /// All that instructions refer to by number, in the same order.
    fn preamble(&mut self) {
        let (func, out) = (self.func, &mut *self.out);
        out.name = func.name.clone();
        out.signature = func.signature.clone();
        out.base_srcloc = func.base_srcloc;
        out.stack_limit = func.stack_limit;
        for sig in func.sigs() {
            out.import_signature(sig.clone());
        }
        for callee in func.ext_funcs() {
            out.import_function(callee.clone());
        }
        for &slot in func.stack_slots() {
            out.create_stack_slot(slot);
        }
        for global in func.global_values() {
            out.create_global_value(global.clone());
        }
    }

    /// All blocks with their parameters.
    fn blocks(&mut self) {
        for n in 0..self.func.num_blocks() {
            let block = self.out.create_block();
            debug_assert_eq!(block, Block::new(n));
            if self.func.block(block).cold {
                self.out.set_cold(block);
            }
            for p in self.func.block_params(block) {
                let ty = self.func.value_type(p);
                self.map[p.index()] = if ty == Type::I128 {
                    [(); 2].map(|()| self.out.append_block_param(block, Type::I64))
                } else {
                    [self.out.append_block_param(block, ty), NONE]
                };
            }
        }
    }

    /// What a value of up to 64 bits has become.
    fn value(&self, v: Value) -> Value {
        self.map[self.func.resolve(v).index()][0]
    }

    /// The halves of an `i128`.
    fn pair(&self, v: Value) -> Pair {
        self.map[self.func.resolve(v).index()]
    }

    fn ty(&self, v: Value) -> Type {
        self.func.value_type(v)
    }

    fn is_wide(&self, v: Value) -> bool {
        self.ty(v) == Type::I128
    }

    /// What a list of values has become.
    fn values(&self, list: impl Iterator<Item = Value>) -> Vec<Value> {
        let mut out = Vec::new();
        for v in list {
            let [lo, hi] = self.pair(v);
            out.push(lo);
            if self.is_wide(v) {
                out.push(hi);
            }
        }
        out
    }

    /// What a result of the current instruction has become.
    fn define(&mut self, v: Value, value: Value) {
        self.map[v.index()] = [value, NONE];
    }

    /// The halves of a result.
    fn define_pair(&mut self, v: Value, pair: Pair) {
        self.map[v.index()] = pair;
    }

    /// Results of the new instruction for all results of the old one.
    fn take_results(&mut self, old: Inst, new: Inst) {
        for v in self.func.inst_results(old) {
            self.map[v.index()] = match self.func.value_type(v) {
                Type::I128 => [(); 2].map(|()| self.out.push_result(new, Type::I64)),
                ty => [self.out.push_result(new, ty), NONE],
            };
        }
    }

    fn inst(&mut self, inst: Inst) -> Result<(), CodegenError> {
        let data = *self.func.inst(inst);
        let opcode = data.opcode();
        if opcode.is_call() || opcode.is_terminator() {
            return self.control(inst, data);
        }
        if opcode == Opcode::Fma && !self.machine.fma {
            return self.multiply_add(inst, data);
        }
        let wide = data.value_operands().iter().any(|&v| self.is_wide(v))
            || self.func.inst_results(inst).any(|v| self.is_wide(v));
        if wide {
            return self.wide(inst, data);
        }
        self.copy(inst, data);
        Ok(())
    }

    /// An instruction that stays what it is.
    fn copy(&mut self, inst: Inst, mut data: InstData) {
        for v in data.value_operands_mut() {
            *v = self.value(*v);
        }
        let new = self.out.push_inst(data, self.loc);
        self.take_results(inst, new);
    }
}
