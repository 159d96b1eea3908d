//! Branches that may lead around a site.

use super::sites::site;
use super::{PROLOGUE, Program, check_bypasses};
use crate::encode::Encode;
use crate::isa::x64::inst::{Cc, Inst};
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
    let [entry, head, alias, bound, cold] = [(); 5].map(|()| p.label());
    p.selected.labels[alias.index()] = head;
    let inst = site(&mut p);
    let bind = Inst::Bind { label: bound };
    p.chunk(entry, &[bind, inst, jcc(bound), jmp(cold)]);
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
fn forward_branches_and_those_to_other_places_are_not_listed() {
    let mut p = Program::new();
    let [entry, head, inside, end] = [(); 4].map(|()| p.label());
    // Forward.
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
