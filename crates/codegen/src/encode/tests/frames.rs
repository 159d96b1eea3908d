//! Prologues, epilogues, and what is where between them.

use super::{Program, disassemble, listing};
use crate::buffer::EncodeError;
use crate::isa::x64::frame::stack_slot_offsets;
use crate::isa::x64::inst::{Base, Inst, Mem, Size};
use crate::isa::x64::regs::{R12, R15, RAX, RBX};
use crate::selected::Frame;
use crate::{CompiledCode, PReg, RegSet};
use iced_x86::{FlowControl, Mnemonic, Register};
use nopal_ir::{StackSlotData, TrapCode};

fn returning(frame: Frame) -> CompiledCode {
    let mut p = Program::with_frame(frame);
    let entry = p.label();
    p.chunk(entry, &[Inst::Ret]);
    p.encode()
}

fn saved() -> RegSet {
    RegSet::from_slice(&[RBX, R12, R15])
}

#[test]
fn a_frame_without_content_is_a_frame_pointer() {
    let out = returning(Frame::default());
    assert_eq!(
        listing(&out.code),
        ["push %rbp", "mov %rsp,%rbp", "pop %rbp", "ret"]
    );
    assert_eq!(out.frame_size, 16);
    let calls = returning(Frame {
        has_calls: true,
        ..Frame::default()
    });
    assert_eq!(calls.code, out.code);
}

#[test]
fn saved_registers_are_restored_in_reverse() {
    let out = returning(Frame {
        saved: saved(),
        ..Frame::default()
    });
    let body = [
        "push %rbx",
        "push %r12",
        "push %r15",
        "pop %r15",
        "pop %r12",
        "pop %rbx",
    ];
    assert_eq!(listing(&out.code)[2..8], body);
    assert_eq!(out.frame_size, 16 + 24);
    // A call needs another 8 bytes.
    let out = returning(Frame {
        saved: saved(),
        has_calls: true,
        ..Frame::default()
    });
    assert_eq!(
        listing(&out.code)[5..7],
        ["push %rax", "lea -0x18(%rbp),%rsp"]
    );
    assert_eq!(out.frame_size, 16 + 32);
}

#[test]
fn room_is_aligned_if_there_are_calls() {
    let spills = |num_cells, has_calls| Frame {
        num_cells,
        has_calls,
        ..Frame::default()
    };
    let sub = |frame| listing(&returning(frame).code)[2].clone();
    assert_eq!(sub(spills(1, false)), "push %rax");
    assert_eq!(sub(spills(1, true)), "sub $0x10,%rsp");
    assert_eq!(sub(spills(3, false)), "sub $0x18,%rsp");
    assert_eq!(sub(spills(3, true)), "sub $0x20,%rsp");
    let out = returning(spills(3, true));
    assert_eq!(
        listing(&out.code)[3..],
        ["mov %rbp,%rsp", "pop %rbp", "ret"]
    );
    assert_eq!(out.frame_size, 16 + 32);
}

#[test]
fn everything_has_its_place() {
    // 3 saved registers, 2 cells, 20 bytes of slots, 24 bytes of arguments.
    let frame = Frame {
        saved: saved(),
        spill_cells: vec![1, 0, 1],
        num_cells: 2,
        stack_slots: 20,
        outgoing: 24,
        popped: 0,
        has_calls: true,
    };
    let mut p = Program::with_frame(frame);
    let entry = p.label();
    let load = |mem| Inst::LoadZx {
        from: Size::S64,
        dst: RAX,
        mem,
    };
    let slot = |disp| Mem {
        disp,
        base: Base::StackSlots,
        index: None,
    };
    let mems = [
        Mem::spill(0),
        Mem::spill(1),
        Mem::spill(2),
        slot(0),
        slot(16),
    ];
    let mut insts: Vec<Inst> = mems.into_iter().map(load).collect();
    insts.push(Inst::Ret);
    p.chunk(entry, &insts);
    let out = p.encode();
    // 24 + 16 + 20 is 60, so the slots begin 64 bytes below; 88 bytes rounded up are 96.
    let lines = listing(&out.code);
    assert_eq!(lines[5], "sub $0x48,%rsp");
    let offsets = ["-0x28", "-0x20", "-0x28", "-0x40", "-0x30"];
    assert_eq!(
        lines[6..11],
        offsets.map(|at| format!("mov {at}(%rbp),%rax"))
    );
    assert_eq!(out.frame_size, 16 + 96);
}

/// Follow a prologue up to the first instruction of the body, and give what is touched, from the
/// caller's stack pointer before the call.
fn touched(out: &CompiledCode) -> (Vec<i64>, i64) {
    let insts = disassemble(&out.code);
    let (mut rsp, mut r11, mut zero) = (-8i64, 0i64, false);
    let mut touched = vec![rsp];
    let mut next = 0;
    loop {
        let inst = &insts[next];
        next += 1;
        match inst.mnemonic() {
            Mnemonic::Push => {
                rsp -= 8;
                touched.push(rsp);
            }
            Mnemonic::Mov if inst.op0_register() == Register::RBP => {}
            Mnemonic::Mov if inst.op0_register() == Register::R11D => {
                r11 = inst.immediate(1) as i64;
            }
            Mnemonic::Sub if inst.op0_register() == Register::RSP => {
                rsp -= inst.immediate(1) as i64;
            }
            Mnemonic::Sub if inst.op0_register() == Register::R11D => {
                r11 -= inst.immediate(1) as i64;
                zero = r11 == 0;
            }
            Mnemonic::Test => {
                assert_eq!(inst.memory_base(), Register::RSP);
                touched.push(rsp + inst.memory_displacement64() as i64);
                let trap = out.traps.iter().find(|t| u64::from(t.offset) == inst.ip());
                assert_eq!(trap.expect("a trap").code, TrapCode::STACK_OVERFLOW);
            }
            Mnemonic::Jne => {
                assert_eq!(inst.flow_control(), FlowControl::ConditionalBranch);
                if !zero {
                    let target = inst.near_branch_target();
                    next = insts
                        .iter()
                        .position(|i| i.ip() == target)
                        .expect("an instruction");
                }
            }
            _ => return (touched, rsp),
        }
    }
}

#[test]
fn large_frames_touch_every_page() {
    let sizes = [
        0,
        8,
        4072,
        4080,
        4088,
        4096,
        4104,
        8176,
        8192,
        16384,
        20472,
        20480,
        20488,
        1 << 20,
    ];
    for (size, has_calls) in sizes.into_iter().flat_map(|n| [(n, false), (n, true)]) {
        let out = returning(Frame {
            stack_slots: size,
            has_calls,
            ..Frame::default()
        });
        let (touched, rsp) = touched(&out);
        assert_eq!(-rsp, i64::from(out.frame_size), "{size}");
        assert!(out.frame_size >= size + 16 && out.frame_size < size + 48);
        // The next thing that is touched for certain is where a call pushes.
        let mut last = 0;
        for place in touched.into_iter().chain([rsp - 8]) {
            assert!(
                place < last && last - place <= 4096,
                "{size}: from {last} to {place}"
            );
            last = place;
        }
        assert!(out.code.len() < 64);
    }
}

#[test]
fn frames_too_large_are_refused() {
    let frame = Frame {
        stack_slots: u32::MAX,
        outgoing: u32::MAX,
        ..Frame::default()
    };
    let mut p = Program::with_frame(frame);
    let entry = p.label();
    p.chunk(entry, &[Inst::Ret]);
    assert_eq!(p.try_encode().map(|_| ()), Err(EncodeError::FrameTooLarge));
}

#[test]
fn stack_slots_are_aligned_in_their_area() {
    let slot = |size, align_shift| StackSlotData { size, align_shift };
    let slots = [slot(1, 0), slot(8, 3), slot(2, 0), slot(3, 1), slot(16, 4)];
    let mut offsets = vec![99];
    assert_eq!(stack_slot_offsets(&slots, &mut offsets), Ok(48));
    assert_eq!(offsets, [99, 0, 8, 16, 18, 32]);
    let mut offsets = Vec::new();
    let aligned = stack_slot_offsets(&[slot(1, 5)], &mut offsets);
    // 16 bytes to find the alignment in.
    assert_eq!(aligned, Ok(17));
    let large = stack_slot_offsets(&[slot(u32::MAX, 0)], &mut offsets);
    assert_eq!(large, Err(EncodeError::FrameTooLarge));
}

#[test]
fn slots_are_copied_by_way_of_a_register_or_the_stack() {
    let copied = |via: Option<PReg>, single: bool| {
        let mut p = Program::with_frame(Frame {
            spill_cells: vec![0, 1],
            num_cells: 2,
            ..Frame::default()
        });
        let entry = p.label();
        let copy = Inst::CopySlot {
            dst: 1,
            src: 0,
            via,
            single,
        };
        p.chunk(entry, &[copy, Inst::Ret]);
        let code = listing(&p.encode().code);
        [code[3].clone(), code[4].clone()]
    };
    let expected = [
        (Some(RAX), false, "mov F,%rax", "mov %rax,T"),
        (Some(RAX), true, "mov F,%eax", "mov %rax,T"),
        (
            Some(PReg::float(3)),
            false,
            "movsd F,%xmm3",
            "movsd %xmm3,T",
        ),
        (Some(PReg::float(3)), true, "movss F,%xmm3", "movsd %xmm3,T"),
        (None, false, "pushq F", "popq T"),
        (None, true, "pushq F", "popq T"),
    ];
    for (via, single, first, second) in expected {
        let expected = [
            first.replace('F', "-8(%rbp)"),
            second.replace('T', "-0x10(%rbp)"),
        ];
        assert_eq!(copied(via, single), expected);
    }
}
