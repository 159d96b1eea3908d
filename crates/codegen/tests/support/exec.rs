//! Running compiled code in memory of its own, with hooks that record what they see.

use nopal_codegen::CompiledCode;
use nopal_filetest::exec::{Ended, Module, Runner};
use nopal_fuzzgen::{HookEntry, OBSERVED, Outcome, data};
use nopal_ir::Function;
use std::rc::Rc;
use std::time::Duration;

/// CPU time that code may take. The interpreter has done the same in less.
const TIME_LIMIT: Duration = Duration::from_millis(200);

/// Memory for code and data.
pub struct Memory {
    runner: Rc<Runner>,
}

impl Memory {
    pub fn new() -> Memory {
        let runner = Runner::new(data::SIZE, TIME_LIMIT, &OBSERVED);
        Memory {
            runner: Rc::new(runner.expect("a machine on which code can be made")),
        }
    }

    /// The address of the data.
    pub fn address(&self) -> u64 {
        self.runner.address()
    }

    /// The data as it is now.
    pub fn snapshot(&self) -> Vec<u8> {
        self.runner.bytes(data::SIZE)
    }

    pub fn restore(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), data::SIZE);
        self.runner.set_bytes(bytes);
    }

    /// Load a module, its sites off.
    pub fn load(&self, funcs: &[Function], code: &[CompiledCode]) -> Loaded {
        let module = self.runner.load(funcs, code.to_vec());
        Loaded {
            runner: self.runner.clone(),
            module: module.unwrap_or_else(|e| panic!("{e}")),
        }
    }
}

/// A module in executable memory.
pub struct Loaded {
    runner: Rc<Runner>,
    module: Module,
}

impl Loaded {
    /// The address of each function.
    pub fn addresses(&self) -> &[u64] {
        self.module.entries()
    }

    /// Switch all sites.
    pub fn switch(&self, on: bool) {
        let switched = self.runner.switch(&self.module, on);
        switched.unwrap_or_else(|e| panic!("{e}"));
    }

    /// Call function 0 with the address of the data; what hooks saw comes with the outcome.
    pub fn run(&self) -> Result<(Outcome, Vec<HookEntry>), String> {
        // SAFETY: the code has been compiled for this signature. What it does to memory is what is
        // being tested.
        let (ended, seen) = unsafe { self.runner.run(&self.module) }?;
        let outcome = match ended {
            Ended::Returned => Outcome::Return,
            Ended::Trapped(code) => Outcome::Trap(code),
        };
        let entry = |s: nopal_filetest::exec::Seen| HookEntry {
            site: s.site,
            args: s.args,
            observed: s.observed,
        };
        Ok((outcome, seen.into_iter().map(entry).collect()))
    }
}
