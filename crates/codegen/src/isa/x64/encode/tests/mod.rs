//! Instructions compared with what a disassembler makes of them.

mod expect;
mod generate;
mod shortest;

use super::plain;
use crate::buffer::{Buffer, EncodeScratch, Piece};
use crate::encode::{Encode, Measure, encode};
use crate::isa::x64::effects::{Effects, effects};
use crate::isa::x64::frame::FrameLayout;
use crate::isa::x64::inst::{Base, BitCount, FAlu, Inst, Mem};
use crate::isa::x64::regs::RBP;
use crate::selected::{Chunk, Constant, Frame, Selected};
use crate::{CompiledCode, PReg, RegSet};
use expect::{Operand, meanings};
use iced_x86::{
    Decoder, DecoderOptions, Formatter, GasFormatter, Instruction, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register,
};
use nopal_ir::{CallConv, ExternalName, Function, Signature};

/// The frame instructions are encoded with: spill slot 1 is close to `rbp`, slot 0 far away.
pub(super) fn frame() -> Frame {
    Frame {
        spill_cells: vec![100, 1],
        num_cells: 101,
        stack_slots: 32,
        ..Frame::default()
    }
}

/// Where [`frame`] has slot 0, slot 1 and the stack slots, from `rbp`.
pub(super) const SPILL_0: i64 = -808;
pub(super) const SPILL_1: i64 = -16;
pub(super) const SLOTS: i64 = -848;

fn encode_alone(inst: &Inst, frame: &FrameLayout<'_>) -> Vec<u8> {
    let mut out = CompiledCode::default();
    let mut scratch = EncodeScratch::default();
    let mut buffer = Buffer::new(&mut out, &mut scratch, 64);
    plain(inst, frame, &mut buffer);
    buffer.finish().expect("no error");
    out.code
}

fn decode(inst: &Inst, bytes: &[u8]) -> Instruction {
    let decoded = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).decode();
    assert!(
        !decoded.is_invalid(),
        "{inst:?}: {bytes:02x?} is no instruction"
    );
    assert_eq!(
        decoded.len(),
        bytes.len(),
        "{inst:?}: {bytes:02x?} is more than {}",
        text(&decoded)
    );
    decoded
}

fn text(decoded: &Instruction) -> String {
    let mut text = String::new();
    GasFormatter::new().format(decoded, &mut text);
    text
}

/// The operands as the disassembler has them.
fn operands(decoded: &Instruction) -> Vec<Operand> {
    let operand = |n| match decoded.op_kind(n) {
        OpKind::Register => Operand::Reg(decoded.op_register(n)),
        OpKind::Memory => {
            let mut address = expect::Address::new(decoded.memory_displacement64() as i64);
            address.add(decoded.memory_base(), 1);
            address.add(decoded.memory_index(), decoded.memory_index_scale());
            Operand::Mem {
                address,
                bytes: decoded.memory_size().size(),
            }
        }
        kind => {
            let value = decoded.immediate(n);
            Operand::Imm(match kind {
                OpKind::Immediate8 => (value as i8).into(),
                OpKind::Immediate16 => (value as i16).into(),
                OpKind::Immediate32 => (value as i32).into(),
                _ => value as i64,
            })
        }
    };
    (0..decoded.op_count()).map(operand).collect()
}

#[test]
fn instructions_decode_to_what_they_mean() {
    let frame = frame();
    let layout = Inst::layout(&frame).expect("a small frame");
    let mut count = 0;
    generate::each(&mut |inst| {
        let bytes = encode_alone(&inst, &layout);
        let decoded = decode(&inst, &bytes);
        let operands = operands(&decoded);
        let meanings = meanings(&inst);
        let found = meanings.iter().any(|m| m.is(decoded.mnemonic(), &operands));
        assert!(
            found,
            "{inst:?} is {}, {operands:x?}, not {meanings:x?}",
            text(&decoded)
        );
        assert_eq!(decoded.has_lock_prefix(), expect::locked(&inst), "{inst:?}");
        count += 1;
    });
    assert!(count > 100_000, "only {count} instructions");
}

#[test]
fn instructions_are_measured_as_written() {
    let frame = frame();
    let layout = Inst::layout(&frame).expect("a small frame");
    generate::each(&mut |inst| {
        let bytes = encode_alone(&inst, &layout);
        let mut piece = Piece::default();
        let measure = inst.measure(&layout, &mut piece);
        assert_eq!(measure, Measure::Size(bytes.len() as u32), "{inst:?}");
        if piece.is_closed() {
            assert_eq!(piece.bytes(), bytes, "{inst:?}");
        }
    });
}

#[test]
fn every_instruction_finds_its_constant() {
    let func = Function::new(
        ExternalName::Named("f".into()),
        Signature::new(CallConv::SystemV),
    );
    let mut selected = Selected::new();
    let entry = selected.new_label();
    let constant = Constant {
        bytes: *b"just 16 bytes...",
        size: 16,
    };
    selected.constants.push(constant);
    let mut scratch = EncodeScratch::default();
    let mut out = CompiledCode::default();
    let mut count = 0;
    generate::with_memory(Mem::constant(0), &mut |inst| {
        out.clear();
        selected.insts = vec![Inst::Ret, inst];
        selected.chunks = vec![Chunk {
            label: entry,
            insts: 0..2,
            loop_header: false,
            latch: false,
        }];
        encode(&mut selected, &func, &mut out, &mut scratch).expect("a small function");
        let mut decoder = Decoder::with_ip(64, &out.code, 0, DecoderOptions::NONE);
        let decoded = decoder.iter().nth(2).expect("the instruction");
        assert!(decoded.is_ip_rel_memory_operand(), "{inst:?}");
        let place = decoded.ip_rel_memory_address() as usize;
        assert_eq!(out.code[place..], constant.bytes, "{inst:?}");
        count += 1;
    });
    assert!(count > 500, "only {count} instructions");
}

/// The effects the disassembler knows of.
fn known_effects(factory: &mut InstructionInfoFactory, decoded: &Instruction) -> Effects {
    let mut effects = Effects {
        writes_flags: decoded.rflags_modified() != 0,
        reads_flags: decoded.rflags_read() != 0,
        ..Effects::default()
    };
    for used in factory.info(decoded).used_registers() {
        let Some(r) = register(used.register()) else {
            continue;
        };
        use OpAccess::*;
        let (reads, writes) = match used.access() {
            Read | CondRead => (true, false),
            Write => (false, true),
            // What is written on a condition is kept without it.
            ReadWrite | ReadCondWrite | CondWrite => (true, true),
            None | NoMemAccess => (false, false),
        };
        if reads {
            effects.reads.insert(r);
        }
        if writes {
            effects.writes.insert(r);
        }
    }
    effects
}

fn register(r: Register) -> Option<PReg> {
    if r.is_gpr() {
        Some(PReg::int(r.full_register().number() as u8))
    } else if r.is_vector_register() {
        Some(PReg::float(r.number() as u8))
    } else {
        None
    }
}

/// The registers [`effects`] leaves out of `reads`: what is only read for the part not written,
/// what `bsf` and `bsr` may keep, and the base of the frame.
fn uncounted_reads(inst: &Inst) -> RegSet {
    let kept = match *inst {
        Inst::FAluRR {
            op: FAlu::Sqrt,
            dst,
            src,
            ..
        }
        | Inst::Round { dst, src, .. }
        | Inst::CvtIntToF { dst, src, .. }
        | Inst::CvtFToF { dst, src, .. }
        | Inst::BitCountRR {
            op: BitCount::Bsf | BitCount::Bsr,
            dst,
            src,
            ..
        } => RegSet::of(dst).without(src),
        Inst::FAluRM {
            op: FAlu::Sqrt,
            dst,
            ..
        } => RegSet::of(dst),
        Inst::FAluRRR {
            op: FAlu::Sqrt,
            a,
            b,
            ..
        } => RegSet::of(a).without(b),
        Inst::FAluRRM {
            op: FAlu::Sqrt, a, ..
        } => RegSet::of(a),
        _ => RegSet::EMPTY,
    };
    let framed = generate::memory(inst).is_some_and(|mem| {
        let indexed = mem.index.is_some_and(|index| index.reg() == RBP);
        matches!(mem.base, Base::Spill | Base::StackSlots) && !indexed
    });
    if framed { kept.with(RBP) } else { kept }
}

#[test]
fn effects_are_those_the_disassembler_knows() {
    let frame = frame();
    let layout = Inst::layout(&frame).expect("a small frame");
    let mut factory = InstructionInfoFactory::new();
    generate::each(&mut |inst| {
        match inst {
            // What a call does is a matter of conventions.
            Inst::CallR { .. } => return,
            // To the disassembler, one of them is a `nop`.
            Inst::Xchg { a, b } if a == b => return,
            _ => {}
        }
        let decoded = decode(&inst, &encode_alone(&inst, &layout));
        let mut known = known_effects(&mut factory, &decoded);
        known.reads = known.reads.minus(uncounted_reads(&inst));
        assert_eq!(effects(&inst), known, "{inst:?} {}", text(&decoded));
    });
}

#[test]
fn padding_is_as_few_nops_as_possible() {
    for len in 0..20 {
        let mut out = CompiledCode::default();
        let mut scratch = EncodeScratch::default();
        let mut buffer = Buffer::new(&mut out, &mut scratch, 64);
        Inst::pad(&mut buffer, len);
        buffer.finish().expect("no error");
        let decoder = Decoder::with_ip(64, &out.code, 0, DecoderOptions::NONE);
        let nops: Vec<Instruction> = decoder.into_iter().collect();
        assert!(nops.iter().all(|i| i.mnemonic() == Mnemonic::Nop), "{len}");
        assert_eq!(out.code.len(), len as usize);
        assert_eq!(nops.len(), len.div_ceil(8) as usize);
    }
}
