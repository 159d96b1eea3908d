//! Branches that may lead around a site.

use super::sites::site;
use super::{PROLOGUE, Program, check_bypasses, decode, listing};
use crate::encode::Encode;
use crate::isa::x64::inst::{Cc, Inst, Size};
use crate::isa::x64::regs::{RAX, RCX};
use crate::label::Label;
use crate::{Bypass, CompiledCode};

/// A loop that begins with a site, has `inside` more bytes and ends with `branch`. What follows the site is at an offset of 32.
fn looping(inside: usize, branch: impl Fn(Label) -> Inst) -> CompiledCode {
    let mut p = Program::new();
    let [entry, head, end] = [p.label(), p.label(), p.label()];
    p.chunk(entry, &[Inst::Int3]);
    let mut insts = vec![site(&mut p)];
    insts.resize(1 + inside, Inst::Int3);
    insts.push(branch(head));
    p.chunk(head, &insts);
    p.loop_header(1);
    p.chunk(end, &[Inst::Ret]);
    let out = p.encode();
    check_bypasses(&out);
    assert_eq!(out.patch_sites[0].ret_addr, 32);
    out
}

fn jcc(target: Label) -> Inst {
    Inst::Jcc { cc: Cc::Ne, target }
}

fn jmp(target: Label) -> Inst {
    Inst::Jmp { target }
}

#[test]
fn short_branches_are_always_listed() {
    for (branch, opcode) in [(jcc as fn(Label) -> Inst, 0x75), (jmp, 0xeb)] {
        // The site and the branch take 7 of 128 bytes.
        for inside in 0..=121 {
            let out = looping(inside, branch);
            let at = 32 + inside;
            let displacement = -(7 + inside as i32) as u8;
            assert_eq!(out.code[at..at + 2], [opcode, displacement]);
            let bypass = Bypass {
                branch: at as u32,
                around: 32,
                ret_addr: 32,
            };
            assert_eq!(out.bypasses, [bypass]);
        }
    }
}

#[test]
fn long_branches_are_listed_unless_the_sum_carries() {
    for (branch, opcode, len) in [(jcc as fn(Label) -> Inst, 0x0f, 6), (jmp, 0xe9, 5)] {
        let mut unlisted = 0;
        for inside in 122..122 + 512 {
            let out = looping(inside, branch);
            let at = 32 + inside;
            assert_eq!(out.code[at], opcode);
            let displacement = -((5 + inside + len) as i32);
            // All bytes but the lowest stay.
            let is_listed = displacement >> 8 == (displacement + 5) >> 8;
            assert_eq!(out.bypasses.len(), usize::from(is_listed), "{inside}");
            assert!(out.bypasses.iter().all(|b| b.branch == at as u32));
            unlisted += usize::from(!is_listed);
        }
        assert_eq!(unlisted, 2 * 5);
    }
}

#[test]
fn every_branch_back_to_a_site_is_listed() {
    let mut p = Program::new();
    let [entry, head, alias, cold] = [(); 4].map(|()| p.label());
    p.selected.labels[alias.index()] = head;
    let inst = site(&mut p);
    p.chunk(entry, &[inst, jcc(entry), jmp(cold)]);
    let inst = site(&mut p);
    p.chunk(head, &[inst, Inst::Int3, jcc(alias), jcc(head), Inst::Ret]);
    p.loop_header(1);
    p.chunk(cold, &[Inst::Int3, jmp(head)]);
    let out = p.encode();
    check_bypasses(&out);
    // A site and its branch follow the prologue. The other ends at 32; then come int3, two short branches, the epilogue
    // with `ret`, int3.
    let branches: Vec<u32> = out.bypasses.iter().map(|b| b.branch).collect();
    assert_eq!(branches, [9, 33, 35, 40]);
}

#[test]
fn branches_forward_are_listed() {
    for inside in [0, 100, 300] {
        let mut p = Program::new();
        let [entry, end] = [p.label(), p.label()];
        let mut insts = vec![jcc(end)];
        insts.resize(1 + inside, Inst::Int3);
        p.chunk(entry, &insts);
        let inst = site(&mut p);
        p.chunk(end, &[inst, Inst::Ret]);
        let out = p.encode();
        check_bypasses(&out);
        let bypass = Bypass {
            branch: PROLOGUE as u32,
            around: out.patch_sites[0].ret_addr,
            ret_addr: out.patch_sites[0].ret_addr,
        };
        assert_eq!(out.bypasses, [bypass], "{inside}");
    }
}

#[test]
fn branches_to_other_places_are_not_listed() {
    let mut p = Program::new();
    let [entry, head, inside, end] = [(); 4].map(|()| p.label());
    p.chunk(entry, &[jcc(head), Inst::Int3]);
    // Something is before the site.
    let first = site(&mut p);
    p.chunk(head, &[Inst::Int3, first, jcc(head)]);
    // The label is that of a place behind the site, or on its own.
    let second = site(&mut p);
    let bind = Inst::Bind { label: inside };
    p.chunk(end, &[second, bind, Inst::Int3, jcc(inside), Inst::Ret]);
    let out = p.encode();
    assert_eq!(out.patch_sites.len(), 2);
    assert_eq!(out.bypasses, []);
}

/// A loop of `inside` bytes with `moves` instructions of three bytes on its backward edge, entered by a jump.
fn latched(moves: usize, inside: usize, innermost: bool) -> CompiledCode {
    let mut p = Program::new();
    let [entry, latch, head, end] = [(); 4].map(|()| p.label());
    p.chunk(entry, &[jmp(head)]);
    let step = Inst::MovRR {
        size: Size::S64,
        dst: RAX,
        src: RCX,
    };
    p.chunk(latch, &vec![step; moves]);
    p.selected.chunks[1].latch = true;
    p.selected.chunks[1].loop_header = innermost;
    let mut insts = vec![site(&mut p)];
    insts.resize(1 + inside, Inst::Int3);
    insts.push(jcc(latch));
    p.chunk(head, &insts);
    p.chunk(end, &[Inst::Ret]);
    let out = p.encode();
    check_bypasses(&out);
    out
}

#[test]
fn moves_of_backward_edges_are_there_twice() {
    let out = latched(1, 2, false);
    let expected = [
        "jmp", "mov", "cmp", "jmp", "mov", "int3", "int3", "jne", "pop", "ret",
    ];
    let start = PROLOGUE as u32;
    let seen = listing(&out.code[PROLOGUE..]);
    let names = seen.iter().map(|line| line.split(' ').next().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), expected);
    // jmp, 2 bytes; mov, 3; the site; jmp, 2; mov; two bytes.
    assert_eq!(out.patch_sites[0].ret_addr, start + 10);
    let bypass = |branch, around| Bypass {
        branch: start + branch,
        around: start + around,
        ret_addr: start + 10,
    };
    assert_eq!(out.bypasses, [bypass(0, 15), bypass(17, 12)]);
    // Both jumps over moves lead to what follows them.
    let target = |offset| decode(&out.code, start + offset).near_branch_target() as u32;
    assert_eq!(
        [target(0), target(10), target(17)],
        [5, 15, 2].map(|n| start + n)
    );
}

#[test]
fn any_number_of_moves_may_be_there_twice() {
    for moves in (0..100).step_by(3) {
        for inside in [1, 40, 120, 300] {
            for innermost in [false, true] {
                let out = latched(moves, inside, innermost);
                let ret_addr = out.patch_sites[0].ret_addr;
                let back = out.bypasses.iter().find(|b| b.branch > ret_addr);
                // A sum may carry; a byte has room for 80 moves.
                assert!(back.is_some() || moves > 0, "{moves} {inside}");
                if let Some(back) = back
                    && innermost
                {
                    assert!(back.around.is_multiple_of(Inst::LOOP_ALIGNMENT));
                }
                if moves * 3 + 7 < 128 && inside < 40 {
                    assert!(back.is_some());
                }
            }
        }
    }
}

#[test]
fn the_loop_proper_is_aligned() {
    let alignment = Inst::LOOP_ALIGNMENT as usize;
    for before in 0..2 * alignment {
        let mut p = Program::new();
        let [entry, head, end] = [p.label(), p.label(), p.label()];
        p.chunk(entry, &vec![Inst::Int3; before]);
        let inst = site(&mut p);
        p.chunk(head, &[inst, Inst::Int3, jcc(head)]);
        p.loop_header(1);
        p.chunk(end, &[Inst::Ret]);
        let out = p.encode();
        check_bypasses(&out);
        let expected = (PROLOGUE + before + 5).next_multiple_of(alignment);
        assert_eq!(out.bypasses[0].ret_addr as usize, expected);
    }
}
