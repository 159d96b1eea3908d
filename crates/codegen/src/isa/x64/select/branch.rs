//! Conditional and table branches, conditional traps.

use super::Cx;
use super::cond::{self, Flags};
use crate::PReg;
use crate::isa::x64::inst::{Alu, Cc, Inst, Size};
use crate::label::Label;
use crate::select::CondBranch;
use nopal_ir::{TrapCode, Value};

pub(crate) fn cond_branch(cx: &mut Cx<'_>, branch: CondBranch) {
    let cond = cond::plan(cx, branch.cond);
    let flags = if branch.invert {
        cond.flags.invert()
    } else {
        cond.flags
    };
    cond::jump_if(cx, flags, branch.target);
    cond::compare(cx, cond);
}

pub(super) fn cond_trap(cx: &mut Cx<'_>, v: Value, code: TrapCode, if_zero: bool) {
    let cond = cond::plan(cx, v);
    let srcloc = cx.srcloc();
    let flags = if if_zero {
        cond.flags.invert()
    } else {
        cond.flags
    };
    match flags {
        Flags::One(cc) => cx.emit(Inst::TrapIf { cc, code, srcloc }),
        Flags::Or(a, b) => {
            cx.emit(Inst::TrapIf {
                cc: b,
                code,
                srcloc,
            });
            cx.emit(Inst::TrapIf {
                cc: a,
                code,
                srcloc,
            });
        }
        Flags::And(a, b) => {
            let skip = cx.out.new_label();
            cx.emit(Inst::Bind { label: skip });
            cx.emit(Inst::TrapIf {
                cc: b,
                code,
                srcloc,
            });
            cx.emit(Inst::Jcc {
                cc: a.invert(),
                target: skip,
            });
        }
    }
    cond::compare(cx, cond);
}

/// Tables up to this length become a chain of comparisons.
const SHORT: usize = 3;

/// The index is brought to a register of its own above the first branch: nothing may stand between
/// the branches that one of their targets would miss.
pub(crate) fn table_branch(
    cx: &mut Cx<'_>,
    index: Value,
    table: &[Label],
    default: Label,
    [copy, temp]: [PReg; 2],
) {
    let tied = cx.tie(copy, index);
    let size = Size::S32;
    if table.len() <= SHORT {
        cx.emit(Inst::Jmp { target: default });
        for (i, &target) in table.iter().enumerate().rev() {
            cx.emit(Inst::Jcc { cc: Cc::E, target });
            cx.emit(Inst::AluRI {
                op: Alu::Cmp,
                size,
                dst: copy,
                imm: i as i32,
            });
        }
        return cx.finish_tie(tied);
    }
    let start = cx.out.jump_table_labels.len() as u32;
    cx.out.jump_table_labels.extend_from_slice(table);
    cx.out.jump_tables.push(start..start + table.len() as u32);
    let number = cx.out.jump_tables.len() as u32 - 1;
    cx.emit(Inst::JmpTable {
        index: copy,
        tmp: temp,
        table: number,
    });
    cx.emit(Inst::Jcc {
        cc: Cc::Ae,
        target: default,
    });
    cx.emit(Inst::AluRI {
        op: Alu::Cmp,
        size,
        dst: copy,
        imm: table.len() as i32,
    });
    cx.finish_tie(tied);
}
