//! Modules made up for measuring how compile time grows.
//!
//! They are valid, the same every time, and never run. What they are made of is roughly what compiled C and Rust is made of: assignments
//! of expressions a few operators deep, loads and stores, calls, conditions, loops, early exits and switches, nested.

use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Ieee64,
    InstructionSink, MemArg, MemArgTarget, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) functions: u32,
    /// Bytes of each function's body, to within a statement.
    pub(crate) body_bytes: usize,
    /// Locals of each function, its two parameters not counted.
    pub(crate) locals: u32,
}

/// Parameters of every function, which are of type `i32`.
const PARAMS: u32 = 2;

/// How deep statements are nested.
const MAX_NESTING: u32 = 5;

/// The module of this shape.
pub(crate) fn module(shape: Shape) -> Vec<u8> {
    let mut types = TypeSection::new();
    let ty = types.len();
    types
        .ty()
        .function([ValType::I32; PARAMS as usize], [ValType::I32]);
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    for index in 0..shape.functions {
        functions.function(ty);
        code.function(&function(shape, index));
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("f", ExportKind::Func, 0);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&memories)
        .section(&exports)
        .section(&code);
    module.finish()
}

fn function(shape: Shape, index: u32) -> Function {
    let locals = Locals::new(shape.locals);
    let mut body = Body {
        code: Function::new(locals.declarations()),
        random: Random::new(index),
        locals,
        shape,
        nesting: 0,
    };
    while body.code.byte_len() < shape.body_bytes {
        body.statement();
    }
    body.code.instructions().local_get(0).end();
    body.code
}

/// The locals by type: half are `i32`, a quarter each `i64` and `f64`, at least one of each.
#[derive(Debug, Clone, Copy)]
struct Locals {
    i32: u32,
    i64: u32,
    f64: u32,
}

impl Locals {
    fn new(count: u32) -> Locals {
        let quarter = (count / 4).max(1);
        Locals {
            i32: count.saturating_sub(2 * quarter).max(1),
            i64: quarter,
            f64: quarter,
        }
    }

    fn declarations(self) -> [(u32, ValType); 3] {
        [
            (self.i32, ValType::I32),
            (self.i64, ValType::I64),
            (self.f64, ValType::F64),
        ]
    }

    /// The first local of a type, and how many there are. Parameters count as `i32`.
    fn range(self, ty: ValType) -> (u32, u32) {
        match ty {
            ValType::I64 => (PARAMS + self.i32, self.i64),
            ValType::F64 => (PARAMS + self.i32 + self.i64, self.f64),
            _ => (0, PARAMS + self.i32),
        }
    }
}

/// A function body under construction.
struct Body {
    code: Function,
    random: Random,
    locals: Locals,
    shape: Shape,
    nesting: u32,
}

impl Body {
    fn sink(&mut self) -> InstructionSink<'_> {
        self.code.instructions()
    }

    fn statement(&mut self) {
        let nest = self.nesting < MAX_NESTING;
        match self.random.below(100) {
            0..40 => self.assign(ValType::I32),
            40..50 => self.assign(ValType::I64),
            50..58 => self.assign(ValType::F64),
            58..70 => self.store(),
            70..78 => self.call(),
            78..88 if nest => self.condition(),
            88..93 if nest => self.repetition(),
            93..97 if nest => self.early_exit(),
            97..100 if nest => self.switch(),
            _ => self.assign(ValType::I32),
        }
    }

    fn statements(&mut self) {
        self.nesting += 1;
        for _ in 0..1 + self.random.below(4) {
            self.statement();
        }
        self.nesting -= 1;
    }

    fn assign(&mut self, ty: ValType) {
        self.expression(ty, 3);
        let local = self.local(ty);
        self.sink().local_set(local);
    }

    fn store(&mut self) {
        self.expression(ValType::I32, 1);
        self.expression(ValType::I32, 2);
        let access = self.access(2);
        self.sink().i32_store(access);
    }

    fn call(&mut self) {
        self.expression(ValType::I32, 1);
        self.expression(ValType::I32, 1);
        let callee = self.random.below(self.shape.functions);
        let local = self.local(ValType::I32);
        self.sink().call(callee).local_set(local);
    }

    fn condition(&mut self) {
        self.expression(ValType::I32, 2);
        self.sink().if_(BlockType::Empty);
        self.statements();
        if self.random.below(2) == 0 {
            self.sink().else_();
            self.statements();
        }
        self.sink().end();
    }

    /// A loop that counts a local down.
    fn repetition(&mut self) {
        let counter = self.local(ValType::I32);
        self.sink().loop_(BlockType::Empty);
        self.statements();
        self.sink()
            .local_get(counter)
            .i32_const(1)
            .i32_sub()
            .local_tee(counter)
            .br_if(0)
            .end();
    }

    fn early_exit(&mut self) {
        self.sink().block(BlockType::Empty);
        self.statements();
        self.expression(ValType::I32, 2);
        self.sink().br_if(0);
        self.statements();
        self.sink().end();
    }

    /// Three cases that fall through to the next, and a default.
    fn switch(&mut self) {
        for _ in 0..4 {
            self.sink().block(BlockType::Empty);
        }
        self.expression(ValType::I32, 1);
        self.sink().br_table([0, 1, 2], 3).end();
        for _ in 0..3 {
            self.statements();
            self.sink().end();
        }
    }

    fn expression(&mut self, ty: ValType, depth: u32) {
        if depth == 0 || self.random.below(4) == 0 {
            return self.leaf(ty);
        }
        match ty {
            ValType::I64 => self.expression_i64(depth - 1),
            ValType::F64 => self.expression_f64(depth - 1),
            _ => self.expression_i32(depth - 1),
        }
    }

    fn leaf(&mut self, ty: ValType) {
        if self.random.below(4) > 0 {
            let local = self.local(ty);
            self.sink().local_get(local);
            return;
        }
        let number = self.random.below(1000);
        match ty {
            ValType::I64 => self.sink().i64_const(i64::from(number)),
            ValType::F64 => self.sink().f64_const(Ieee64::from(f64::from(number))),
            _ => self.sink().i32_const(number.cast_signed()),
        };
    }

    fn expression_i32(&mut self, depth: u32) {
        let choice = self.random.below(12);
        match choice {
            0 | 1 => {
                self.expression(ValType::I32, depth);
                let access = self.access(2);
                self.sink().i32_load(access);
            }
            2 => {
                self.expression(ValType::I32, depth);
                let access = self.access(0);
                self.sink().i32_load8_u(access);
            }
            3 => {
                self.expression(ValType::I64, depth);
                self.sink().i32_wrap_i64();
            }
            4 => {
                self.expression(ValType::F64, depth);
                self.expression(ValType::F64, depth);
                self.sink().f64_lt();
            }
            _ => {
                self.expression(ValType::I32, depth);
                self.expression(ValType::I32, depth);
                let mut sink = self.sink();
                match choice {
                    5 => sink.i32_sub(),
                    6 => sink.i32_and(),
                    7 => sink.i32_shl(),
                    8 => sink.i32_lt_s(),
                    9 => sink.i32_mul(),
                    _ => sink.i32_add(),
                };
            }
        }
    }

    fn expression_i64(&mut self, depth: u32) {
        match self.random.below(5) {
            0 => {
                self.expression(ValType::I32, depth);
                self.sink().i64_extend_i32_u();
            }
            1 => {
                self.expression(ValType::I32, depth);
                let access = self.access(3);
                self.sink().i64_load(access);
            }
            choice => {
                self.expression(ValType::I64, depth);
                self.expression(ValType::I64, depth);
                let mut sink = self.sink();
                match choice {
                    2 => sink.i64_xor(),
                    3 => sink.i64_shr_u(),
                    _ => sink.i64_add(),
                };
            }
        }
    }

    fn expression_f64(&mut self, depth: u32) {
        match self.random.below(5) {
            0 => {
                self.expression(ValType::I32, depth);
                self.sink().f64_convert_i32_s();
            }
            1 => {
                self.expression(ValType::I32, depth);
                let access = self.access(3);
                self.sink().f64_load(access);
            }
            choice => {
                self.expression(ValType::F64, depth);
                self.expression(ValType::F64, depth);
                let mut sink = self.sink();
                match choice {
                    2 => sink.f64_mul(),
                    3 => sink.f64_sub(),
                    _ => sink.f64_add(),
                };
            }
        }
    }

    /// A local of type `ty`: mostly one of a few that belong to this part of the function, at times any.
    fn local(&mut self, ty: ValType) -> u32 {
        const NEAR: u32 = 8;
        let (first, count) = self.locals.range(ty);
        if count <= NEAR || self.random.below(8) == 0 {
            return first + self.random.below(count);
        }
        let written = self.code.byte_len().min(self.shape.body_bytes) as u64;
        let here = u64::from(count - NEAR) * written / self.shape.body_bytes.max(1) as u64;
        // No more than `count`, which is a `u32`.
        first + here as u32 + self.random.below(NEAR)
    }

    fn access(&mut self, align: u32) -> MemArg {
        MemArg {
            offset: u64::from(self.random.below(64)) * 8,
            align,
            target: MemArgTarget::Memory(0),
            ordering: None,
        }
    }
}

/// Marsaglia's xorshift generator with Vigna's multiplier.
struct Random(u64);

impl Random {
    fn new(seed: u32) -> Random {
        let mut random = Random((u64::from(seed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Near seeds begin with near numbers.
        for _ in 0..4 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_lengths(wasm: &[u8]) -> Vec<usize> {
        let bodies = wasmparser::Parser::new(0)
            .parse_all(wasm)
            .filter_map(|payload| match payload.unwrap() {
                wasmparser::Payload::CodeSectionEntry(body) => Some(body.as_bytes().len()),
                _ => None,
            });
        bodies.collect()
    }

    #[test]
    fn modules_are_valid_and_of_the_size_asked_for() {
        for (functions, body_bytes, locals) in [(50, 300, 10), (1, 4096, 0), (1, 100_000, 400)] {
            let wasm = module(Shape {
                functions,
                body_bytes,
                locals,
            });
            wasmparser::validate(&wasm).unwrap();
            let lengths = body_lengths(&wasm);
            assert_eq!(lengths.len(), functions as usize);
            let mean = lengths.iter().sum::<usize>() / lengths.len();
            assert!(
                (body_bytes..body_bytes + 1000).contains(&mean),
                "{mean} of {body_bytes}"
            );
        }
    }

    #[test]
    fn a_shape_has_one_module_and_its_functions_differ() {
        let shape = Shape {
            functions: 3,
            body_bytes: 500,
            locals: 12,
        };
        let wasm = module(shape);
        assert_eq!(wasm, module(shape));
        let lengths = body_lengths(&wasm);
        assert!(
            lengths.windows(2).any(|pair| pair[0] != pair[1]),
            "{lengths:?}"
        );
    }
}
