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

/// The tables up to this length become a chain of comparisons.
const SHORT: usize = 3;

pub(crate) fn table_branch(
    cx: &mut Cx<'_>,
    index: Value,
    table: &[Label],
    default: Label,
    [copy, temp]: [PReg; 2],
) {
    if table.len() <= SHORT {
        return short_table(cx, index, table, default);
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
    let from = cx.use_reg(index);
    cx.emit(Inst::MovRR {
        size: Size::S32,
        dst: copy,
        src: from,
    });
    cx.emit(Inst::Jcc {
        cc: Cc::Ae,
        target: default,
    });
    let imm = table.len() as i32;
    cx.emit(Inst::AluRI {
        op: Alu::Cmp,
        size: Size::S32,
        dst: from,
        imm,
    });
}

fn short_table(cx: &mut Cx<'_>, index: Value, table: &[Label], default: Label) {
    cx.emit(Inst::Jmp { target: default });
    let r = cx.use_reg(index);
    for (i, &target) in table.iter().enumerate().rev() {
        cx.emit(Inst::Jcc { cc: Cc::E, target });
        cx.emit(Inst::AluRI {
            op: Alu::Cmp,
            size: Size::S32,
            dst: r,
            imm: i as i32,
        });
    }
}
