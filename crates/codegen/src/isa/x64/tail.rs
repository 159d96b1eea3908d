//! Calls in place of the calling function.

use super::abi::X64;
use super::inst::{Inst, Mem, Size};
use super::regs::{R11, RAX, RBP, RSP};
use crate::select::{Selector, TailCall};

/// Leave the frame and go to the callee. The stack arguments have been brought to the stack pointer;
/// they go to where this function's own are, so that their end stays where it is. As their destination
/// is above their source, the last goes first.
///
/// No argument comes in `rax`, and it is not preserved.
pub(super) fn tail_call(cx: &mut Selector<'_, X64>, call: TailCall) {
    match call.callee {
        None => cx.emit(Inst::JmpR { target: R11 }),
        Some(callee) if cx.func.ext_func(callee).colocated => {
            let func = callee.as_u32();
            cx.emit(Inst::JmpFunc { func });
        }
        Some(callee) => {
            cx.emit(Inst::JmpR { target: R11 });
            cx.emit(Inst::FuncAddr {
                dst: R11,
                func: callee.as_u32(),
            });
        }
    }
    // The arguments begin this far above `rbp`.
    let at = 16 + call.incoming as i32 - call.outgoing as i32;
    if call.incoming == call.outgoing {
        cx.emit(Inst::Leave);
        return copy_arguments(cx, call.outgoing, 0, at);
    }
    // The return address and the caller's `rbp` may be in the way of arguments, and so may saved
    // registers.
    cx.emit(Inst::MovRR {
        size: Size::S64,
        dst: RBP,
        src: RAX,
    });
    cx.emit(Inst::Lea {
        size: Size::S64,
        dst: RSP,
        mem: Mem::base(RBP, at - 8),
    });
    cx.emit(Inst::Pop { dst: RAX });
    cx.emit(Inst::PopM {
        mem: Mem::base(RBP, at - 8),
    });
    copy_arguments(cx, call.outgoing, 16, at);
    cx.emit(Inst::PushM {
        mem: Mem::base(RBP, 8),
    });
    cx.emit(Inst::PushM {
        mem: Mem::base(RBP, 0),
    });
    cx.emit(Inst::RestoreSaved);
}

/// Copy `bytes` from `from` above the stack pointer to `to` above the frame pointer, the last first.
fn copy_arguments(cx: &mut Selector<'_, X64>, bytes: u32, from: i32, to: i32) {
    for at in (0..bytes as i32).step_by(8) {
        cx.emit(Inst::StoreMR {
            size: Size::S64,
            mem: Mem::base(RBP, to + at),
            src: RAX,
        });
        cx.emit(Inst::LoadZx {
            from: Size::S64,
            dst: RAX,
            mem: Mem::base(RSP, from + at),
        });
    }
}
