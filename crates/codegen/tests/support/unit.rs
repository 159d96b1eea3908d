//! Small functions that read a few cells, compute, and write a few.

use super::exec::{Loaded, Memory};
use nopal_codegen::{Context, Target, X64Features};
use nopal_fuzzgen::{Outcome, interpret};
use nopal_ir::{
    AbiParam, BuilderContext, CallConv, ExternalName, Function, FunctionBuilder, MemFlags,
    Signature, Type, Value, verify,
};

/// Where the inputs are in the data.
pub const INPUTS: i32 = 0;
/// Where the results are.
pub const RESULTS: i32 = 1024;
/// Where the addresses of the functions are.
pub const ADDRESSES: i32 = 2048;

/// This machine, and one that has no optional features.
pub fn targets() -> [Target; 2] {
    [
        Target::host().expect("a machine with a back end"),
        Target::x64(X64Features::default()),
    ]
}

/// Build a function of the address of the data.
pub fn entry(build: impl FnOnce(&mut FunctionBuilder<'_>, Value)) -> Function {
    let mut sig = Signature::new(CallConv::SystemV);
    sig.params.push(AbiParam::new(Type::I64));
    function(0, sig, |b, params| build(b, params[0]))
}

/// Build function `u0:index`.
pub fn function(
    index: u32,
    sig: Signature,
    build: impl FnOnce(&mut FunctionBuilder<'_>, &[Value]),
) -> Function {
    let namespace = 0;
    let mut func = Function::new(ExternalName::User { namespace, index }, sig);
    let mut ctx = BuilderContext::new();
    let mut b = FunctionBuilder::new(&mut func, &mut ctx);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let params: Vec<Value> = b.block_params(block).collect();
    build(&mut b, &params);
    if !b.is_filled() {
        b.return_(&[]);
    }
    b.seal_all_blocks();
    b.finalize();
    func
}

/// Read input `n`.
pub fn input(b: &mut FunctionBuilder<'_>, data: Value, n: i32, ty: Type) -> Value {
    b.load(ty, MemFlags::trusted(), data, INPUTS + 8 * n)
}

/// Write result `n`.
pub fn output(b: &mut FunctionBuilder<'_>, data: Value, n: i32, v: Value) {
    b.store(MemFlags::trusted(), v, data, RESULTS + 8 * n);
}

/// Compiles and loads modules.
pub struct Unit {
    memory: Memory,
    context: Context,
    target: Target,
}

impl Unit {
    pub fn new(target: Target) -> Unit {
        Unit {
            memory: Memory::new(),
            context: Context::new(),
            target,
        }
    }

    /// Compile and load a module whose function 0 is an [`entry`].
    pub fn load(&mut self, funcs: &[Function]) -> Program<'_> {
        let mut code = Vec::new();
        for func in funcs {
            if let Err(errors) = verify(func) {
                panic!("{}\n{func}", errors[0]);
            }
            let result = self.context.compile(func, &self.target);
            code.push(result.unwrap_or_else(|e| panic!("{e}\n{func}")).clone());
        }
        let loaded = self.memory.load(funcs, &code);
        loaded.switch(true);
        Program {
            memory: &self.memory,
            loaded,
            funcs: funcs.to_vec(),
        }
    }
}

/// A loaded module.
pub struct Program<'a> {
    memory: &'a Memory,
    pub loaded: Loaded,
    funcs: Vec<Function>,
}

impl Program<'_> {
    fn prepare(&self, inputs: &[u64]) {
        let mut data = vec![0xaa; self.memory.snapshot().len()];
        let mut put = |at: i32, x: u64| {
            data[at as usize..at as usize + 8].copy_from_slice(&x.to_le_bytes());
        };
        for (n, &x) in inputs.iter().enumerate() {
            put(INPUTS + 8 * n as i32, x);
        }
        for n in 0..128 {
            put(RESULTS + 8 * n, 0);
        }
        for (n, &a) in self.loaded.addresses().iter().enumerate() {
            put(ADDRESSES + 8 * n as i32, a);
        }
        self.memory.restore(&data);
    }

    fn results(&self) -> Vec<u64> {
        let data = self.memory.snapshot();
        let cells = data[RESULTS as usize..RESULTS as usize + 128 * 8].chunks(8);
        cells
            .map(|c| u64::from_le_bytes(c.try_into().expect("8 bytes")))
            .collect()
    }

    /// Run the code; result 0 on from 128 of them.
    pub fn run(&self, inputs: &[u64]) -> (Outcome, Vec<u64>) {
        self.prepare(inputs);
        let (outcome, _) = self
            .loaded
            .run()
            .unwrap_or_else(|e| panic!("{e}\n{}", self.funcs[0]));
        (outcome, self.results())
    }

    /// Run the code and the interpreter; both must do the same to the data. Gives the results.
    pub fn agree(&self, inputs: &[u64]) -> (Outcome, Vec<u64>) {
        self.prepare(inputs);
        let addresses = self.loaded.addresses();
        let mut want_data = self.memory.snapshot();
        let memory = nopal_fuzzgen::Memory {
            address: self.memory.address(),
            bytes: &mut want_data,
        };
        let run = interpret(&self.funcs, addresses, memory, 1_000_000);
        let (want, want_log) = (run.outcome, run.log);
        self.prepare(inputs);
        let (got, got_log) = self
            .loaded
            .run()
            .unwrap_or_else(|e| panic!("{e}\n{}", self.funcs[0]));
        assert_eq!(want, got, "inputs {inputs:x?}\n{}", self.funcs[0]);
        assert_eq!(want_log, got_log, "inputs {inputs:x?}\n{}", self.funcs[0]);
        assert!(
            want_data == self.memory.snapshot(),
            "inputs {inputs:x?}\n{}",
            self.funcs[0]
        );
        (got, self.results())
    }
}
