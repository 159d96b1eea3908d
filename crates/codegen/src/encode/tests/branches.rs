//! The forms of branches.

use super::{EPILOGUE, PROLOGUE, Program, at, disassemble, listing};
use crate::isa::x64::inst::{Cc, Inst};
use iced_x86::{FlowControl, Mnemonic};
use nopal_ir::{SourceLoc, TrapCode};

/// A branch over `distance` bytes; gives its size.
fn forward(branch: impl Fn(crate::label::Label) -> Inst, distance: usize) -> usize {
    let mut p = Program::new();
    let [entry, middle, end] = [p.label(), p.label(), p.label()];
    p.chunk(entry, &[branch(end)]);
    p.chunk(middle, &vec![Inst::Int3; distance]);
    p.chunk(end, &[Inst::Ret]);
    let code = p.encode().code;
    let branch = disassemble(&code)[2];
    let size = branch.len();
    assert_eq!(
        branch.near_branch_target() as usize,
        PROLOGUE + size + distance
    );
    assert_eq!(code.len(), PROLOGUE + size + distance + EPILOGUE);
    size
}

#[test]
fn forward_branches_are_short_up_to_127_bytes() {
    let jcc = |target| Inst::Jcc { cc: Cc::L, target };
    let jmp = |target| Inst::Jmp { target };
    assert_eq!([0, 1, 127, 128].map(|n| forward(jcc, n)), [2, 2, 2, 6]);
    assert_eq!([1, 127, 128, 1000].map(|n| forward(jmp, n)), [2, 2, 5, 5]);
}

/// A branch back over `distance` bytes besides itself; gives its size.
fn backward(branch: impl Fn(crate::label::Label) -> Inst, distance: usize) -> usize {
    let mut p = Program::new();
    let [entry, head, end] = [p.label(), p.label(), p.label()];
    p.chunk(entry, &[Inst::Int3]);
    let mut insts = vec![Inst::Int3; distance];
    insts.push(branch(head));
    p.chunk(head, &insts);
    p.chunk(end, &[Inst::Ret]);
    let code = p.encode().code;
    let branch = disassemble(&code)[3 + distance];
    assert_eq!(branch.near_branch_target() as usize, PROLOGUE + 1);
    branch.len()
}

#[test]
fn backward_branches_are_short_down_to_128_bytes() {
    let jcc = |target| Inst::Jcc { cc: Cc::G, target };
    let jmp = |target| Inst::Jmp { target };
    assert_eq!([0, 126, 127].map(|n| backward(jcc, n)), [2, 2, 6]);
    assert_eq!([0, 126, 127].map(|n| backward(jmp, n)), [2, 2, 5]);
}

#[test]
fn branches_that_shrink_let_others_shrink() {
    // Each branch is within reach only if all those it leads over are short.
    let mut p = Program::new();
    let labels: Vec<_> = (0..40).map(|_| p.label()).collect();
    let end = p.label();
    for &label in &labels {
        p.chunk(
            label,
            &[
                Inst::Int3,
                Inst::Jcc {
                    cc: Cc::E,
                    target: end,
                },
            ],
        );
    }
    p.chunk(end, &[Inst::Ret]);
    let code = p.encode().code;
    let sizes = disassemble(&code)
        .iter()
        .filter(|i| i.flow_control() == FlowControl::ConditionalBranch)
        .fold((0, 0), |(short, long), i| match i.len() {
            2 => (short + 1, long),
            _ => (short, long + 1),
        });
    // 127 bytes hold 42 times 3 bytes, so 43 branches reach, all of them.
    assert_eq!(sizes, (40, 0));
}

#[test]
fn conditions_are_encoded_in_both_forms() {
    use Mnemonic::*;
    let expected = [
        (Cc::O, Jo),
        (Cc::No, Jno),
        (Cc::B, Jb),
        (Cc::Ae, Jae),
        (Cc::E, Je),
        (Cc::Ne, Jne),
        (Cc::Be, Jbe),
        (Cc::A, Ja),
        (Cc::S, Js),
        (Cc::Ns, Jns),
        (Cc::P, Jp),
        (Cc::Np, Jnp),
        (Cc::L, Jl),
        (Cc::Ge, Jge),
        (Cc::Le, Jle),
        (Cc::G, Jg),
    ];
    for (distance, size) in [(0, 2), (1000, 6)] {
        for (cc, mnemonic) in expected {
            let mut p = Program::new();
            let [entry, end] = [p.label(), p.label()];
            let mut insts = vec![Inst::Jcc { cc, target: end }];
            insts.resize(1 + distance, Inst::Int3);
            p.chunk(entry, &insts);
            p.chunk(end, &[Inst::Ret]);
            let jcc = disassemble(&p.encode().code)[2];
            assert_eq!((jcc.mnemonic(), jcc.len()), (mnemonic, size));
        }
    }
}

#[test]
fn a_jump_to_what_follows_is_omitted() {
    let mut p = Program::new();
    let [entry, empty, next] = [p.label(), p.label(), p.label()];
    let bound = p.label();
    p.chunk(entry, &[Inst::Int3, Inst::Jmp { target: bound }]);
    // Nothing in this chunk has bytes, the jump included.
    p.chunk(empty, &[Inst::Jmp { target: next }]);
    p.chunk(next, &[Inst::Bind { label: bound }, Inst::Ret]);
    let code = p.encode().code;
    assert_eq!(
        listing(&code),
        ["push %rbp", "mov %rsp,%rbp", "int3", "pop %rbp", "ret"]
    );
}

#[test]
fn a_jump_to_itself_stays() {
    let mut p = Program::new();
    let entry = p.label();
    p.chunk(entry, &[Inst::Jmp { target: entry }]);
    let code = p.encode().code;
    assert_eq!(code[PROLOGUE..], [0xeb, 0xfe]);
}

#[test]
fn labels_stand_for_others() {
    let mut p = Program::new();
    let [entry, middle, end, alias, alias2] = [(); 5].map(|()| p.label());
    p.selected.labels[alias.index()] = end;
    p.selected.labels[alias2.index()] = alias;
    p.chunk(
        entry,
        &[Inst::Jcc {
            cc: Cc::S,
            target: alias2,
        }],
    );
    p.chunk(middle, &[Inst::Int3, Inst::Jmp { target: alias }]);
    p.chunk(end, &[Inst::Ret]);
    let code = p.encode().code;
    assert_eq!(code[PROLOGUE..], [0x78, 0x01, 0xcc, 0x5d, 0xc3]);
}

#[test]
fn traps_are_out_of_line_and_shared_if_alike() {
    let code = |n| TrapCode::user(n).expect("a user code");
    let trap_if = |cc, n, loc| Inst::TrapIf {
        cc,
        code: code(n),
        srcloc: SourceLoc::new(loc),
    };
    let mut p = Program::new();
    let entry = p.label();
    let mut insts = vec![trap_if(Cc::E, 1, 10), trap_if(Cc::Ne, 2, 10)];
    insts.extend([trap_if(Cc::A, 1, 10), trap_if(Cc::B, 1, 11), Inst::Ret]);
    p.chunk(entry, &insts);
    let out = p.encode();
    let branches = &disassemble(&out.code)[2..6];
    // The last branch has the first trap; the first shares that of the third.
    let end = (PROLOGUE + 4 * 2 + EPILOGUE) as u64;
    let targets: Vec<u64> = branches.iter().map(|b| b.near_branch_target()).collect();
    assert_eq!(targets, [end + 2, end + 4, end + 2, end]);
    let traps: Vec<_> = out
        .traps
        .iter()
        .map(|t| (t.offset, t.code, t.srcloc))
        .collect();
    let end = end as u32;
    assert_eq!(
        traps,
        [
            (end, code(1), 11),
            (end + 2, code(1), 10),
            (end + 4, code(2), 10)
        ]
    );
    for trap in &out.traps {
        assert_eq!(at(&out, trap.offset), "ud2");
    }
}

#[test]
fn far_traps_take_the_long_form() {
    let trap_if = Inst::TrapIf {
        cc: Cc::O,
        code: TrapCode::INTEGER_OVERFLOW,
        srcloc: SourceLoc::NONE,
    };
    for (distance, size) in [(125, 2), (126, 6)] {
        let mut p = Program::new();
        let entry = p.label();
        let mut insts = vec![trap_if];
        insts.resize(1 + distance, Inst::Int3);
        insts.push(Inst::Ret);
        p.chunk(entry, &insts);
        let out = p.encode();
        let branch = disassemble(&out.code)[2];
        assert_eq!(branch.len(), size);
        assert_eq!(branch.near_branch_target(), out.traps[0].offset.into());
        assert_eq!(out.traps[0].srcloc, u32::MAX);
    }
}
