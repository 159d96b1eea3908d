//! Random valid functions.
//!
//! Every value that is made is NaN-agnostic: which NaN an operation gives is not determined, so
//! floats are stored to cells of their own, and their bits are looked at only after a NaN has been
//! replaced. Loops count down, and divisors are not zero, so nearly every program ends normally.

mod calls;
mod control;
mod operations;
mod scalars;
mod statements;

use crate::data::{INTS, TABLE};
use crate::{KEEP, Rng};
use nopal_ir::{
    AbiParam, BuilderContext, CallConv, ExternalName, Function, FunctionBuilder, MemFlags,
    Signature, SourceLoc, StackSlot, StackSlotData, Type, Value, Variable,
};

/// What the functions of a module are like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Statements of the first function, about.
    size: usize,
    /// Values made at the start and used at the end.
    pressure: usize,
    /// Percentages.
    control: usize,
    calls: usize,
    hooks: usize,
    floats: usize,
    /// Whether blocks are connected at random instead of being nested.
    tangled: bool,
    /// Number of functions besides the first.
    callees: usize,
    /// Whether the builder simplifies what it is given.
    simplify: bool,
    everything: bool,
}

impl Shape {
    /// The shape that belongs to a seed.
    fn random(rng: &mut Rng, largest: usize) -> Shape {
        let sizes = [3, 6, 12, 25, 50, 100, 200, 500, 1500];
        let size = rng.pick(&sizes).min(largest);
        Shape {
            size,
            pressure: rng.pick(&[0, 0, 0, 5, 15, 40, 80]).min(2 * size),
            control: rng.pick(&[0, 8, 15, 25]),
            calls: rng.pick(&[0, 0, 3, 8]),
            hooks: rng.pick(&[0, 0, 0, 3, 8]),
            floats: rng.pick(&[0, 20, 40, 80]),
            tangled: rng.chance(15),
            callees: rng.below(4),
            simplify: rng.chance(25),
            everything: true,
        }
    }
}

/// The types of the values of generated functions.
pub const TYPES: [Type; 6] = [
    Type::I8,
    Type::I16,
    Type::I32,
    Type::I64,
    Type::F32,
    Type::F64,
];

/// The types of the parameters of `%observe`.
pub const OBSERVED: [Type; 4] = [Type::I64, Type::I32, Type::F64, Type::F32];

/// What modules are generated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most statements the first function is made of, about; the others are smaller.
    pub largest: usize,
    /// Whether there are calls of `%hook` and `%observe`.
    pub hooks: bool,
    /// Whether there are operations that Cranelift 0.135 does not compile for x86-64.
    pub everything: bool,
}

impl Default for Options {
    /// Functions of up to 60 statements, with hooks and everything.
    fn default() -> Self {
        Options {
            largest: 60,
            hooks: true,
            everything: true,
        }
    }
}

/// The module that belongs to a seed. Function 0 takes the address of the data and returns nothing.
pub fn generate(seed: u64, options: &Options) -> Vec<Function> {
    let mut rng = Rng::new(seed);
    let mut shape = Shape::random(&mut rng, options.largest);
    shape.everything = options.everything;
    if !options.hooks {
        shape.hooks = 0;
    }
    let mut sigs = vec![entry_signature()];
    for _ in 0..shape.callees {
        let mut sig = signature(&mut rng);
        let like = sigs.iter().find(|s| s.call_conv == CallConv::Tail);
        if let Some(like) = like.filter(|_| sig.call_conv == CallConv::Tail && rng.chance(80)) {
            // One may end with a call of the other.
            sig.returns.clone_from(&like.returns);
        }
        sigs.push(sig);
    }
    (0..sigs.len())
        .map(|i| function(&mut rng, i, &sigs, shape))
        .collect()
}

fn entry_signature() -> Signature {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.push(AbiParam::new(Type::I64));
    sig
}

/// A signature whose first parameter is the address of the data.
fn signature(rng: &mut Rng) -> Signature {
    let conv = rng.pick(&[CallConv::SystemV, CallConv::Fast, CallConv::Tail]);
    let mut sig = Signature::new(conv);
    sig.params.push(AbiParam::new(Type::I64));
    let most = rng.pick(&[2, 6, 22]);
    for _ in 0..rng.below(most) {
        sig.params.push(AbiParam::new(rng.pick(&TYPES)));
    }
    let most = rng.pick(&[1, 2, 3, 8]);
    for _ in 0..rng.below(most + 1) {
        sig.returns.push(AbiParam::new(rng.pick(&TYPES)));
    }
    sig
}

/// Where a loop goes on and ends.
struct Loop {
    header: nopal_ir::Block,
    exit: nopal_ir::Block,
    header_types: Vec<Type>,
    exit_types: Vec<Type>,
    /// Counts down; the first parameter of the header.
    counter: Value,
    /// What is available after the loop: the least that was at any exit.
    at_exit: [usize; 6],
}

/// A function being generated.
struct Body<'a, 'b> {
    rng: &'b mut Rng,
    b: FunctionBuilder<'a>,
    shape: Shape,
    /// This function's number.
    index: usize,
    sigs: &'b [Signature],
    /// The address of the data.
    data: Value,
    /// Values that dominate the current point, by type, latest last.
    available: [Vec<Value>; 6],
    variables: Vec<(Variable, Type)>,
    slots: Vec<(StackSlot, u32)>,
    loops: Vec<Loop>,
    /// Statements left.
    budget: i64,
    depth: usize,
    sites: u32,
}

fn class(ty: Type) -> usize {
    TYPES
        .iter()
        .position(|&t| t == ty)
        .expect("a value has one of these types")
}

fn function(rng: &mut Rng, index: usize, sigs: &[Signature], shape: Shape) -> Function {
    let namespace = 0;
    let name = ExternalName::User {
        namespace,
        index: index as u32,
    };
    let mut func = Function::new(name, sigs[index].clone());
    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    b.set_simplify(shape.simplify);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params: Vec<Value> = b.block_params(entry).collect();
    let size = if index == 0 {
        shape.size
    } else {
        shape.size.min(15)
    };
    let mut body = Body {
        rng,
        b,
        shape,
        index,
        sigs,
        data: params[0],
        available: [const { Vec::new() }; 6],
        variables: Vec::new(),
        slots: Vec::new(),
        loops: Vec::new(),
        budget: size as i64,
        depth: 0,
        sites: 0,
    };
    for &p in &params[1..] {
        body.push(p);
    }
    body.whole();
    body.b.seal_all_blocks();
    body.b.finalize();
    func
}

impl Body<'_, '_> {
    fn whole(&mut self) {
        if self.rng.chance(20) {
            self.make_slots();
        }
        for _ in 0..self.rng.below(4) {
            let ty = self.any_type();
            let variable = self.b.declare_var(ty);
            if self.rng.chance(80) {
                let v = self.value(ty);
                self.b.def_var(variable, v);
            }
            self.variables.push((variable, ty));
        }
        let mut early = Vec::new();
        for _ in 0..self.shape.pressure {
            let ty = self.any_type();
            early.push(if self.rng.chance(60) {
                self.load(ty)
            } else {
                self.operation(ty)
            });
        }
        if self.shape.tangled {
            self.tangle();
        } else {
            self.statements();
        }
        while let Some(v) = early.pop() {
            if self.rng.chance(80) {
                self.sink(v);
            }
            if early.len() > 1 && self.rng.chance(50) {
                let n = self.rng.below(early.len());
                let last = early.len() - 1;
                early.swap(n, last);
            }
        }
        self.ending();
    }

    /// Make what is left observable, and return.
    fn ending(&mut self) {
        for _ in 0..1 + self.rng.below(5) {
            let ty = self.any_type();
            let v = self.value(ty);
            self.sink(v);
        }
        self.return_here();
    }

    fn return_here(&mut self) {
        if self.tail_call() {
            return;
        }
        let returns = self.sigs[self.index].returns.clone();
        let values: Vec<Value> = returns.iter().map(|r| self.value(r.ty)).collect();
        self.b.return_(&values);
    }

    fn make_slots(&mut self) {
        for _ in 0..1 + self.rng.below(3) {
            let size = 16 + 8 * self.rng.below(6) as u32;
            let align_shift = self.rng.below(5) as u8;
            let slot = self
                .b
                .func
                .create_stack_slot(StackSlotData { size, align_shift });
            self.slots.push((slot, size));
            // Its content is not determined until it is stored to.
            self.b.set_srcloc(SourceLoc::new(KEEP));
            let zero = self.b.iconst(Type::I64, 0);
            for at in (0..size).step_by(8) {
                let addr = self.b.stack_addr(Type::I64, slot, at as i32);
                self.b.store(MemFlags::trusted(), zero, addr, 0);
            }
            self.b.set_srcloc(SourceLoc::NONE);
        }
    }

    fn any_type(&mut self) -> Type {
        if self.rng.chance(self.shape.floats) {
            self.rng.pick(&[Type::F32, Type::F64])
        } else {
            self.int_type()
        }
    }

    fn int_type(&mut self) -> Type {
        self.rng.pick(&[
            Type::I8,
            Type::I16,
            Type::I32,
            Type::I32,
            Type::I32,
            Type::I64,
            Type::I64,
            Type::I64,
        ])
    }

    /// `v` is available from here on.
    fn push(&mut self, v: Value) {
        let ty = self.b.func.value_type(v);
        self.available[class(ty)].push(v);
    }

    fn marks(&self) -> [usize; 6] {
        std::array::from_fn(|i| self.available[i].len())
    }

    /// What has become available since `marks` is no longer.
    fn forget(&mut self, marks: [usize; 6]) {
        for (list, &n) in self.available.iter_mut().zip(&marks) {
            list.truncate(n);
        }
        for l in &mut self.loops {
            for (at_exit, &n) in l.at_exit.iter_mut().zip(&marks) {
                *at_exit = n.min(*at_exit);
            }
        }
    }

    /// Some value of a type: one that exists, a constant, or a new one.
    fn value(&mut self, ty: Type) -> Value {
        let known = self.available[class(ty)].len();
        match self.rng.below(20) {
            0..=2 => self.constant(ty),
            3..=5 if self.budget > 0 => {
                self.budget -= 1;
                self.operation(ty)
            }
            6 => self.read_variable(ty),
            7..=12 if known > 0 => {
                let back = self.rng.below(known.min(4));
                self.available[class(ty)][known - 1 - back]
            }
            _ if known > 0 => {
                let n = self.rng.below(known);
                self.available[class(ty)][n]
            }
            _ => self.load(ty),
        }
    }

    fn read_variable(&mut self, ty: Type) -> Value {
        let of_type: Vec<_> = self.variables.iter().filter(|v| v.1 == ty).collect();
        if of_type.is_empty() {
            return self.constant(ty);
        }
        let variable = self.rng.pick(&of_type).0;
        self.b.use_var(variable)
    }

    fn constant(&mut self, ty: Type) -> Value {
        match ty {
            Type::F32 => {
                let bits = self.rng.f32_bits();
                self.b.f32const(bits)
            }
            Type::F64 => {
                let bits = self.rng.f64_bits();
                self.b.f64const(bits)
            }
            _ => {
                let imm = self.rng.int(ty.bits());
                let v = self.b.iconst(ty, imm);
                if self.rng.chance(30) {
                    self.push(v);
                }
                v
            }
        }
    }

    /// Flags of an access that is valid.
    fn flags(&mut self) -> MemFlags {
        if self.rng.chance(50) {
            MemFlags::new()
        } else {
            MemFlags::trusted()
        }
    }

    /// The address of a function of this module.
    fn function_address(&mut self, index: usize) -> Value {
        let flags = MemFlags::trusted().with_readonly();
        let offset = (TABLE + 8 * index) as i32;
        self.b.load(Type::I64, flags, self.data, offset)
    }

    /// An offset of `size` bytes of integers.
    fn int_offset(&mut self, size: u32) -> i32 {
        let cell = self.rng.below(16) * 8;
        let within = if self.rng.chance(20) {
            self.rng.below(8)
        } else {
            self.rng.below(8 / size as usize) * size as usize
        };
        (INTS + cell + within) as i32
    }
}
