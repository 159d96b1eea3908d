//! Calls, traps in line, constants and jump tables.

use super::{PROLOGUE, Program, at, disassemble, function, listing};
use crate::buffer::{EncodeError, EncodeScratch};
use crate::isa::x64::inst::{Alu, Base, FLogic, FSize, Inst, Mem, Size};
use crate::isa::x64::regs::{R12, R13, RAX, RBX, RCX, XMM1};
use crate::selected::Constant;
use crate::{CallSite, CompiledCode, PReg, Reloc, RelocKind, Trap};
use nopal_ir::{ExternalName, SourceLoc, TrapCode};

#[test]
fn calls_have_relocations_and_return_addresses() {
    let mut p = Program::new();
    let entry = p.label();
    let srcloc = SourceLoc::new(5);
    p.chunk(
        entry,
        &[
            Inst::Call { func: 1, srcloc },
            Inst::CallR {
                target: R12,
                srcloc: SourceLoc::NONE,
            },
            Inst::FuncAddr { dst: R13, func: 0 },
            Inst::Ret,
        ],
    );
    let out = p.encode();
    let lines = listing(&out.code);
    assert_eq!(lines[2..5], ["call 9", "call *%r12", "movabs $0,%r13"]);
    let named = ExternalName::Named("callee".into());
    let numbered = ExternalName::User {
        namespace: 0,
        index: 7,
    };
    assert_eq!(
        out.relocs,
        [
            Reloc {
                offset: 5,
                kind: RelocKind::X64CallPcRel4,
                target: named,
                addend: -4
            },
            Reloc {
                offset: 14,
                kind: RelocKind::Abs8,
                target: numbered,
                addend: 0
            },
        ]
    );
    assert_eq!(
        out.call_sites,
        [
            CallSite {
                ret_addr: 9,
                srcloc: 5
            },
            CallSite {
                ret_addr: 12,
                srcloc: u32::MAX
            }
        ]
    );
}

#[test]
fn traps_in_line_are_at_their_instruction() {
    let mut p = Program::new();
    let entry = p.label();
    let mem = Mem::base(RBX, 8);
    let srcloc = SourceLoc::new(3);
    let code = TrapCode::HEAP_OUT_OF_BOUNDS;
    p.chunk(
        entry,
        &[
            Inst::Int3,
            Inst::MayTrap { code, srcloc },
            Inst::LoadZx {
                from: Size::S32,
                dst: RAX,
                mem,
            },
            Inst::Ud2 {
                code: TrapCode::INTEGER_DIVISION_BY_ZERO,
                srcloc,
            },
        ],
    );
    let out = p.encode();
    let offset = PROLOGUE as u32 + 1;
    assert_eq!(
        out.traps,
        [
            Trap {
                offset,
                code,
                srcloc: 3
            },
            Trap {
                offset: offset + 3,
                code: TrapCode::INTEGER_DIVISION_BY_ZERO,
                srcloc: 3
            },
        ]
    );
    assert_eq!(at(&out, offset), "mov 8(%rbx),%eax");
    assert_eq!(at(&out, offset + 3), "ud2");
}

fn constant(size: u8, fill: u8) -> Constant {
    let mut bytes = [0; 16];
    bytes[..size.into()].fill(fill);
    Constant { bytes, size }
}

#[test]
fn constants_are_aligned_and_placed_once() {
    let mut p = Program::new();
    p.selected.constants = vec![
        constant(4, 1),
        constant(16, 2),
        constant(8, 3),
        constant(4, 1),
        constant(8, 1),
    ];
    let entry = p.label();
    let load = |size, n| Inst::FLoad {
        size,
        dst: XMM1,
        mem: Mem::constant(n),
    };
    let insts = [
        load(FSize::F32, 0),
        Inst::FLogicRM {
            op: FLogic::And,
            dst: XMM1,
            mem: Mem::constant(1),
        },
        load(FSize::F64, 2),
        load(FSize::F32, 3),
        load(FSize::F64, 4),
        // Immediates follow the displacement.
        Inst::AluMI {
            op: Alu::Cmp,
            size: Size::S32,
            mem: Mem::constant(0),
            imm: 1,
        },
        Inst::AluMI {
            op: Alu::Test,
            size: Size::S16,
            mem: Mem::constant(0),
            imm: 1,
        },
        Inst::AluMI {
            op: Alu::Cmp,
            size: Size::S64,
            mem: Mem::constant(2),
            imm: 1000,
        },
        Inst::Ret,
    ];
    p.chunk(entry, &insts);
    let out = p.encode();
    let numbers = [0, 1, 2, 3, 4, 0, 0, 2];
    let decoded = disassemble(&out.code);
    let mut places = [0; 5];
    for (inst, n) in decoded[2..].iter().zip(numbers) {
        let place = inst.ip_rel_memory_address() as usize;
        let constant = p.selected.constants[n];
        let size = usize::from(constant.size);
        assert_eq!(
            out.code[place..place + size],
            constant.bytes[..size],
            "constant {n}"
        );
        assert_eq!(place % size, 0);
        places[n] = place;
    }
    assert_eq!(places[0], places[3]);
    assert_eq!(out.code.len(), places[1] + 16 + 8 + 8 + 4);
    assert!(out.alignment.is_multiple_of(16));
}

/// The targets of a table at `table`, which has `count` of them.
fn table_targets(out: &CompiledCode, table: usize, count: usize) -> Vec<usize> {
    (0..count)
        .map(|n| {
            let place = table + 4 * n;
            let bytes = out.code[place..place + 4].try_into().expect("4 bytes");
            (table as i64 + i64::from(i32::from_le_bytes(bytes))) as usize
        })
        .collect()
}

#[test]
fn jump_tables_lead_to_their_targets() {
    for tmp in (0..16).filter(|&n| n != 4).map(PReg::int) {
        let mut p = Program::new();
        let [entry, a, b, alias] = [(); 4].map(|()| p.label());
        p.selected.labels[alias.index()] = b;
        p.selected.jump_table_labels = vec![a, b, a, alias, entry];
        p.selected.jump_tables = vec![0..2, 2..5];
        let index = if tmp == RCX { RBX } else { RCX };
        p.chunk(
            entry,
            &[Inst::JmpTable {
                index,
                tmp,
                table: 0,
            }],
        );
        p.chunk(
            a,
            &[Inst::JmpTable {
                index,
                tmp,
                table: 1,
            }],
        );
        p.chunk(b, &[Inst::Ret]);
        let out = p.encode();
        let decoded = disassemble(&out.code);
        let lines = listing(&out.code);
        let (first, second) = (&decoded[2], &decoded[6]);
        let operands = |line: &str| line.split_once(' ').expect("operands").1.to_owned();
        let t = operands(&lines[2])
            .rsplit(',')
            .next()
            .expect("lea's result")
            .to_owned();
        let i = if index == RCX { "%rcx" } else { "%rbx" };
        assert_eq!(lines[3], format!("movslq ({t},{i},4),{i}"));
        assert_eq!(lines[4], format!("add {i},{t}"));
        assert_eq!(lines[5], format!("jmp *{t}"));

        let (a, b) = (second.ip() as usize, decoded[10].ip() as usize);
        let first = first.ip_rel_memory_address() as usize;
        let second = second.ip_rel_memory_address() as usize;
        assert_eq!(table_targets(&out, first, 2), [a, b]);
        assert_eq!(table_targets(&out, second, 3), [a, b, PROLOGUE]);
        assert_eq!(
            (first % 4, second, out.code.len()),
            (0, first + 8, first + 20)
        );
    }
}

#[test]
fn memory_is_used_again() {
    let mut p = Program::new();
    p.selected.constants = vec![constant(8, 9)];
    let [entry, end] = [p.label(), p.label()];
    let srcloc = SourceLoc::new(1);
    let code = TrapCode::STACK_OVERFLOW;
    let mem = Mem::constant(0);
    p.chunk(
        entry,
        &[
            Inst::FLoad {
                size: FSize::F64,
                dst: XMM1,
                mem,
            },
            Inst::TrapIf {
                cc: crate::isa::x64::inst::Cc::E,
                code,
                srcloc,
            },
            Inst::Call { func: 0, srcloc },
            Inst::Jmp { target: end },
        ],
    );
    p.chunk(end, &[Inst::Ret]);
    let fresh = p.encode();
    let mut out = CompiledCode::default();
    let mut scratch = EncodeScratch::default();
    for _ in 0..3 {
        out.clear();
        super::encode(&mut p.selected, &function(), &mut out, &mut scratch).expect("encodes");
        assert_eq!(format!("{out:?}"), format!("{fresh:?}"));
    }
}

#[test]
fn an_offset_out_of_the_frame_is_an_error() {
    let mut p = Program::new();
    p.selected.frame.stack_slots = 16;
    let entry = p.label();
    let mem = Mem {
        disp: i32::MIN,
        base: Base::StackSlots,
        index: None,
    };
    p.chunk(
        entry,
        &[
            Inst::Lea {
                size: Size::S64,
                dst: RAX,
                mem,
            },
            Inst::Ret,
        ],
    );
    assert_eq!(p.try_encode().map(|_| ()), Err(EncodeError::FrameOffset));
}
