//! The output of selection and input of encoding: machine instructions with physical registers.

use crate::checker::Noted;
use crate::label::Label;
use crate::{PReg, RegSet};
use core::ops::Range;
use nopal_ir::{FuncRef, SourceLoc, Type};

/// A selected function. `I` is the instruction type of the target.
#[derive(Debug)]
pub(crate) struct Selected<I> {
    /// All instructions. Selection walks upwards, so each chunk's are stored last first.
    pub(crate) insts: Vec<I>,
    /// Straight pieces of code in the order in which they are laid out. The first is the entry;
    /// the prologue precedes it.
    pub(crate) chunks: Vec<Chunk>,
    /// For each label, the label it stands for: itself, or one that is bound.
    pub(crate) labels: Vec<Label>,
    /// Constants to be loaded from memory.
    pub(crate) constants: Vec<Constant>,
    /// Targets of each table jump, one label per index.
    pub(crate) jump_tables: Vec<Range<u32>>,
    /// The labels `jump_tables` refers to.
    pub(crate) jump_table_labels: Vec<Label>,
    /// Patch sites, numbered as in the instruction.
    pub(crate) sites: Vec<SelectedSite>,
    /// Observed values, referred to by `sites`.
    pub(crate) observed: Vec<(Type, SelectedLoc)>,
    /// What the handlers of each call with handlers are, in [`Selected::handlers`].
    pub(crate) try_calls: Vec<Range<u32>>,
    /// The handlers `try_calls` refers to.
    pub(crate) handlers: Vec<SelectedHandler>,
    /// The frame.
    pub(crate) frame: Frame,
    /// What the walk means, for the checker; upwards.
    pub(crate) notes: Vec<Noted>,
}

/// A straight piece of code: a block or the code on an edge.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Bound at its start.
    pub(crate) label: Label,
    /// Its instructions in [`Selected::insts`], last first.
    pub(crate) insts: Range<u32>,
    /// Whether it is the header of an innermost loop.
    pub(crate) loop_header: bool,
    /// Whether it is the moves of backward edges, right above the block they lead to.
    pub(crate) latch: bool,
}

/// A constant in the pool after the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Constant {
    /// The bytes; only the first `size` are used.
    pub(crate) bytes: [u8; 16],
    /// 4, 8 or 16; also the alignment.
    pub(crate) size: u8,
}

/// A patch site.
#[derive(Clone, Debug)]
pub(crate) struct SelectedSite {
    pub(crate) callee: FuncRef,
    /// The number the front end attached, `u32::MAX` if none.
    pub(crate) site: u32,
    pub(crate) srcloc: SourceLoc,
    /// Range in [`Selected::observed`].
    pub(crate) observed: Range<u32>,
}

/// An entry of what is looked at when a call throws.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SelectedHandler {
    /// Where what has this tag leads.
    Tag(u32, Label),
    /// Where everything leads.
    Default(Label),
    /// Where tags are looked up from here on.
    Context(SelectedLoc),
}

/// Where a value is, while spill slots have no offset yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SelectedLoc {
    Reg(PReg),
    /// A spill slot.
    Spill(u32),
    /// An incoming stack argument: bytes from the frame pointer.
    Frame(i32),
    Const(u64),
}

/// What the frame holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// Callee-saved registers that are written.
    pub(crate) saved: RegSet,
    /// For each spill slot, which 8-byte cell of the frame it occupies.
    pub(crate) spill_cells: Vec<u32>,
    /// Number of cells.
    pub(crate) num_cells: u32,
    /// Bytes of explicit stack slots.
    pub(crate) stack_slots: u32,
    /// Bytes of outgoing stack arguments, at the stack pointer during calls.
    pub(crate) outgoing: u32,
    /// Bytes of incoming stack arguments that the function takes off the stack.
    pub(crate) popped: u32,
    /// Whether there is any call or patch site, so that the stack pointer must be aligned.
    pub(crate) has_calls: bool,
}

impl<I> Selected<I> {
    pub(crate) fn new() -> Self {
        Self {
            insts: Vec::new(),
            chunks: Vec::new(),
            labels: Vec::new(),
            constants: Vec::new(),
            jump_tables: Vec::new(),
            jump_table_labels: Vec::new(),
            sites: Vec::new(),
            observed: Vec::new(),
            try_calls: Vec::new(),
            handlers: Vec::new(),
            frame: Frame::default(),
            notes: Vec::new(),
        }
    }

    /// Empty all tables, keeping their memory.
    pub(crate) fn clear(&mut self) {
        self.insts.clear();
        self.chunks.clear();
        self.labels.clear();
        self.constants.clear();
        self.jump_tables.clear();
        self.jump_table_labels.clear();
        self.sites.clear();
        self.observed.clear();
        self.try_calls.clear();
        self.handlers.clear();
        self.notes.clear();
        let cells = core::mem::take(&mut self.frame.spill_cells);
        self.frame = Frame::default();
        self.frame.spill_cells = cells;
        self.frame.spill_cells.clear();
    }

    /// A label that is not bound yet.
    pub(crate) fn new_label(&mut self) -> Label {
        let label = Label::new(self.labels.len());
        self.labels.push(label);
        label
    }

    /// The label that is bound where `label` points.
    #[inline]
    pub(crate) fn resolve(&self, mut label: Label) -> Label {
        while self.labels[label.index()] != label {
            label = self.labels[label.index()];
        }
        label
    }

    /// The number of a constant in the pool, added if it is not there.
    pub(crate) fn constant(&mut self, constant: Constant) -> u32 {
        // Pools are tiny; the most recent entries are the likely ones.
        let recent = self.constants.len().saturating_sub(16);
        if let Some(at) = self.constants[recent..].iter().position(|&c| c == constant) {
            return (recent + at) as u32;
        }
        self.constants.push(constant);
        self.constants.len() as u32 - 1
    }
}

/// Make room for `more` in a table that is one of the largest: it grows by a quarter, not twofold.
#[inline]
pub(crate) fn reserve<T>(table: &mut Vec<T>, more: usize) {
    if table.capacity() - table.len() < more {
        table.reserve_exact(more.max(table.len() / 4).max(16));
    }
}

impl<I> Default for Selected<I> {
    fn default() -> Self {
        Self::new()
    }
}
