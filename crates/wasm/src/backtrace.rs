//! Walking the guest's frames.
//!
//! Compiled code keeps frame pointers, so a walk needs no unwind tables. Frames are noted as
//! offsets in published code, which is all that is safe in a signal handler, and turned into
//! functions and positions afterwards.

use crate::activation::Activation;
use crate::arch;
use crate::code_tables::CodeTables;
use crate::trap::Frame;
use std::ptr;

/// The most frames that are kept.
const MAX_FRAMES: usize = 64;

#[derive(Clone, Copy, Debug)]
struct RawFrame {
    tables: *const CodeTables,
    /// Of the trapping instruction, or the one a call returns to.
    offset: u32,
    is_call: bool,
}

/// The innermost frames of the guest and the number of all.
#[derive(Debug)]
pub(crate) struct RawBacktrace {
    frames: [RawFrame; MAX_FRAMES],
    depth: usize,
}

impl RawBacktrace {
    pub(crate) const fn new() -> Self {
        let none = RawFrame {
            tables: ptr::null(),
            offset: 0,
            is_call: false,
        };
        RawBacktrace {
            frames: [none; MAX_FRAMES],
            depth: 0,
        }
    }

    /// Note the frames of a guest that called the host at `exit` (address and frame pointer).
    ///
    /// # Safety
    /// `activation` is null or the innermost activation of this thread, whose guest that is.
    pub(crate) unsafe fn capture(
        &mut self,
        exit: Option<(usize, usize)>,
        activation: *const Activation,
    ) {
        self.depth = 0;
        if let Some((pc, fp)) = exit {
            // SAFETY: as the caller says.
            unsafe { self.walk(pc, fp, activation) }
        }
    }

    /// Note the frames of a guest that a signal stopped. Async-signal-safe.
    ///
    /// # Safety
    /// `activation` is the innermost activation of this thread, whose guest's code the signal
    /// stopped.
    pub(crate) unsafe fn capture_stopped(
        &mut self,
        stopped: &arch::Stopped<'_>,
        activation: *const Activation,
    ) {
        self.depth = 0;
        // SAFETY: the activation is live; the instruction belongs to guest code or a trampoline,
        // all of which have the same prologue.
        unsafe {
            let Some(code) = (*(*activation).space).code_at(stopped.pc()) else {
                return;
            };
            let offset = (stopped.pc() - code.base) as u32;
            let tables = CodeTables::from_tag(code.tag);
            self.push(tables, offset, false);
            let is_entry = match tables {
                Some(tables) => tables.is_function_start(offset),
                None => offset == 0,
            };
            let (pc, fp) = if is_entry {
                (stopped.return_address_at_entry(), stopped.fp())
            } else {
                arch::caller(stopped.fp())
            };
            self.walk(pc, fp, activation);
        }
    }

    /// # Safety
    /// `pc` is a return address in the frame with frame pointer `fp`, of the guest of
    /// `activation`, which is the innermost of this thread.
    unsafe fn walk(&mut self, mut pc: usize, mut fp: usize, mut activation: *const Activation) {
        // SAFETY: frames of guest code and trampolines form a chain up to the frame of
        // `arch::enter`, whose return address is not in the code space.
        unsafe {
            while let Some(current) = activation.as_ref() {
                // A call can be the last instruction of the code.
                while let Some(code) = (*current.space).code_at(pc.wrapping_sub(1)) {
                    let offset = (pc - code.base) as u32;
                    self.push(CodeTables::from_tag(code.tag), offset, true);
                    (pc, fp) = arch::caller(fp);
                }
                (pc, fp) = current.outer_exit;
                activation = current.outer;
            }
        }
    }

    /// Trampolines have no tables and are left out.
    fn push(&mut self, tables: Option<&CodeTables>, offset: u32, is_call: bool) {
        let Some(tables) = tables else { return };
        if let Some(frame) = self.frames.get_mut(self.depth) {
            *frame = RawFrame {
                tables,
                offset,
                is_call,
            };
        }
        self.depth += 1;
    }

    /// The frames kept, innermost first, and the number of all.
    ///
    /// # Safety
    /// The code of the frames has not been freed.
    pub(crate) unsafe fn resolve(&self) -> (Vec<Frame>, usize) {
        let kept = &self.frames[..self.depth.min(MAX_FRAMES)];
        let frames = kept
            .iter()
            // SAFETY: the tables live as long as the code.
            .filter_map(|frame| unsafe { (*frame.tables).frame(frame.offset, frame.is_call) })
            .collect();
        (frames, self.depth)
    }
}
