//! What the translator keeps from function to function.

use super::control::Frame;
use super::stack::Stack;
use crate::builtins::Builtin;
use crate::module_info::ModuleInfo;
use nopal_ir::{FuncRef, SigRef, Value};

/// Memory that is reused, and what has been imported into the function being built.
#[derive(Default)]
pub(super) struct State {
    /// The operands.
    pub(super) stack: Stack,
    /// The blocks around the current instruction, the function's own first.
    pub(super) frames: Vec<Frame>,
    /// Operands of the instruction being built.
    pub(super) args: Vec<Value>,
    /// The callee for each function of the module.
    pub(super) callees: Imported<FuncRef>,
    /// The signature for each type of the module.
    pub(super) sigs: Imported<SigRef>,
    /// The signature of each builtin.
    pub(super) builtin_sigs: Imported<SigRef>,
    /// The callee of each kind of site.
    pub(super) site_callees: [Option<FuncRef>; 3],
}

impl State {
    pub(super) fn begin_function(&mut self, info: &ModuleInfo) {
        self.stack.clear();
        self.frames.clear();
        self.callees.reset(info.funcs.len());
        self.sigs.reset(info.types.len());
        self.builtin_sigs.reset(Builtin::ALL.len());
        self.site_callees = [None; 3];
    }
}

/// An entity of the function being built for each number, once there is one. Emptied in constant
/// time.
pub(super) struct Imported<T> {
    entries: Vec<(u32, Option<T>)>,
    /// Entries with another epoch are out of date.
    epoch: u32,
}

impl<T> Default for Imported<T> {
    fn default() -> Self {
        Imported {
            entries: Vec::new(),
            epoch: 0,
        }
    }
}

impl<T: Copy> Imported<T> {
    fn reset(&mut self, len: usize) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.entries.clear();
            self.epoch = 1;
        }
        if self.entries.len() < len {
            self.entries.resize(len, (0, None));
        }
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<T> {
        let (epoch, entity) = self.entries[index as usize];
        if epoch == self.epoch { entity } else { None }
    }

    pub(super) fn set(&mut self, index: u32, entity: T) {
        self.entries[index as usize] = (self.epoch, Some(entity));
    }
}
