//! Patch sites: their bytes, their place and what is recorded.

use super::{PROLOGUE, Program, at, listing};
use crate::encode::Encode;
use crate::isa::x64::inst::{Cc, Inst};
use crate::isa::x64::regs::{R12, RBX};
use crate::selected::{Frame, SelectedLoc, SelectedSite};
use crate::{CompiledCode, ObservedValue, PatchableCallSite, RegSet, ValueLoc};
use nopal_ir::{EntityRef, FuncRef, SourceLoc, Type};

pub(super) fn site(p: &mut Program) -> Inst {
    let end = p.selected.observed.len() as u32;
    p.selected.sites.push(SelectedSite {
        callee: FuncRef::new(1),
        site: 77,
        srcloc: SourceLoc::new(5),
        observed: end..end,
    });
    Inst::PatchSite {
        site: p.selected.sites.len() as u32 - 1,
    }
}

/// Every site is an instruction that does nothing, within 32 bytes.
fn check(out: &CompiledCode) {
    for site in &out.patch_sites {
        let start = site.ret_addr - u32::from(site.len);
        assert_eq!(site.len, 5);
        assert_eq!(at(out, start), "cmp $0,%eax");
        assert_eq!(start / 32, (site.ret_addr - 1) / 32, "a site at {start}");
    }
    super::check_bypasses(out);
}

#[test]
fn a_site_is_recorded_with_what_is_observed() {
    let frame = Frame {
        saved: RegSet::from_slice(&[RBX, R12]),
        spill_cells: vec![3, 0],
        num_cells: 4,
        ..Frame::default()
    };
    let mut p = Program::with_frame(frame);
    let entry = p.label();
    p.selected.observed = vec![(Type::I8, SelectedLoc::Const(9))];
    let inst = site(&mut p);
    let locs = [
        (Type::I64, SelectedLoc::Reg(RBX), ValueLoc::Reg(RBX)),
        (Type::F64, SelectedLoc::Spill(0), ValueLoc::Frame(-48)),
        (Type::I32, SelectedLoc::Spill(1), ValueLoc::Frame(-24)),
        (Type::I64, SelectedLoc::Frame(16), ValueLoc::Frame(16)),
        (Type::F32, SelectedLoc::Const(7), ValueLoc::Const(7)),
    ];
    p.selected
        .observed
        .extend(locs.map(|(ty, loc, _)| (ty, loc)));
    p.selected.sites[0].observed = 1..6;
    p.chunk(entry, &[inst, Inst::Ret]);
    let out = p.encode();
    check(&out);
    let [site] = out.patch_sites[..] else {
        panic!("one site")
    };
    let (ret_addr, len) = (site.ret_addr, 5);
    let expected = PatchableCallSite {
        ret_addr,
        len,
        site: 77,
        callee: 1,
        srcloc: 5,
        observed: (0, 5),
    };
    assert_eq!(site, expected);
    assert_eq!(
        out.value_map(&site),
        locs.map(|(ty, _, loc)| ObservedValue { ty, loc })
    );
}

#[test]
fn sites_do_not_cross_32_bytes() {
    for before in 0..80 {
        let mut p = Program::new();
        let entry = p.label();
        let mut insts = vec![Inst::Int3; before];
        insts.push(site(&mut p));
        insts.push(site(&mut p));
        insts.push(Inst::Ret);
        p.chunk(entry, &insts);
        let out = p.encode();
        assert_eq!(out.patch_sites.len(), 2);
        check(&out);
    }
}

/// A loop whose head begins with `inside` bytes and a site, after `before` bytes and a jump or not.
fn looping(before: usize, inside: usize, jump: bool) -> (CompiledCode, u32) {
    let mut p = Program::new();
    let [entry, head, end] = [p.label(), p.label(), p.label()];
    let mut insts = vec![Inst::Int3; before];
    if jump {
        insts.push(Inst::Jmp { target: end });
    }
    p.chunk(entry, &insts);
    let mut insts = vec![Inst::Int3; inside];
    insts.push(site(&mut p));
    insts.push(Inst::Jcc {
        cc: Cc::Ne,
        target: head,
    });
    p.chunk(head, &insts);
    p.loop_header(1);
    p.chunk(end, &[Inst::Ret]);
    let out = p.encode();
    check(&out);
    let decoded = super::disassemble(&out.code);
    let latch = decoded
        .iter()
        .find(|i| i.is_jcc_short_or_near())
        .expect("the latch");
    let target = latch.near_branch_target() as u32;
    (out, target)
}

#[test]
fn padding_is_not_in_loops() {
    for before in 0..32 {
        for inside in 0..7 {
            for jump in [false, true] {
                let (out, head) = looping(before, inside, jump);
                let site = out.patch_sites[0].ret_addr - 5;
                assert_eq!(site, head + inside as u32, "the loop has no padding");
                let size = PROLOGUE + before + if jump { 2 } else { 0 };
                let alignment = Inst::LOOP_ALIGNMENT as usize;
                let head = head as usize;
                if inside == 0 {
                    // What follows the site is aligned.
                    assert_eq!(head + 5, (size + 5).next_multiple_of(alignment));
                } else {
                    let aligned = size.next_multiple_of(alignment);
                    assert!((aligned..aligned + 5).contains(&head));
                }
                assert_eq!(out.bypasses.len(), usize::from(inside == 0));
            }
        }
    }
}

#[test]
fn padding_is_one_nop() {
    // The prologue and 24 bytes end at 28, and 4 bytes are left.
    let mut p = Program::new();
    let [entry, end] = [p.label(), p.label()];
    p.chunk(entry, &[Inst::Int3; 24]);
    let inst = site(&mut p);
    p.chunk(end, &[inst, Inst::Ret]);
    let out = p.encode();
    assert_eq!(listing(&out.code)[26..28], ["nopl (%rax)", "cmp $0,%eax"]);
    assert_eq!(out.code[28..32], [0x0f, 0x1f, 0x40, 0x00]);
}

#[test]
fn a_jump_over_padding_is_omitted() {
    let mut p = Program::new();
    let [entry, end] = [p.label(), p.label()];
    let mut insts = vec![Inst::Int3; 24];
    insts.push(Inst::Jmp { target: end });
    p.chunk(entry, &insts);
    let inst = site(&mut p);
    p.chunk(end, &[inst, Inst::Ret]);
    let out = p.encode();
    assert_eq!(out.code[28..33], [0x0f, 0x1f, 0x40, 0x00, 0x3d]);
}
