//! Whole functions, encoded for x86-64 and read back with a disassembler.

mod branches;
mod bypasses;
mod data;
mod frames;
mod random;
mod sites;

use super::encode;
use crate::CompiledCode;
use crate::buffer::{EncodeError, EncodeScratch};
use crate::isa::x64::inst::Inst;
use crate::label::Label;
use crate::selected::{Chunk, Frame, Selected};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Instruction};
use nopal_ir::{CallConv, ExtFunc, ExternalName, Function, Signature};

/// Writes a selected function from the top down.
struct Program {
    selected: Selected<Inst>,
}

impl Program {
    /// The chunk at `number` is the header of an innermost loop.
    fn loop_header(&mut self, number: usize) {
        self.selected.chunks[number].loop_header = true;
    }

    /// A function without frame.
    fn new() -> Program {
        Program::with_frame(Frame::default())
    }

    fn with_frame(frame: Frame) -> Program {
        let mut selected = Selected::new();
        selected.frame = frame;
        Program { selected }
    }

    fn label(&mut self) -> Label {
        self.selected.new_label()
    }

    /// A chunk with its instructions in code order.
    fn chunk(&mut self, label: Label, insts: &[Inst]) {
        let start = self.selected.insts.len() as u32;
        self.selected.insts.extend(insts.iter().rev());
        let end = self.selected.insts.len() as u32;
        self.selected.chunks.push(Chunk {
            label,
            insts: start..end,
            loop_header: false,
            latch: false,
        });
    }

    fn try_encode(&mut self) -> Result<CompiledCode, EncodeError> {
        let mut out = CompiledCode::default();
        let mut scratch = EncodeScratch::default();
        encode(&mut self.selected, &function(), &mut out, &mut scratch)?;
        Ok(out)
    }

    fn encode(&mut self) -> CompiledCode {
        self.try_encode().expect("the function can be encoded")
    }
}

/// A function with two external functions, `u0:7` and `%callee`.
fn function() -> Function {
    let name = ExternalName::User {
        namespace: 0,
        index: 0,
    };
    let mut func = Function::new(name, Signature::new(CallConv::SystemV));
    let signature = func.import_signature(Signature::new(CallConv::SystemV));
    let callees = [
        ExternalName::User {
            namespace: 0,
            index: 7,
        },
        ExternalName::Named("callee".into()),
    ];
    for name in callees {
        func.import_function(ExtFunc {
            name,
            signature,
            colocated: true,
            patchable: false,
        });
    }
    func
}

/// The instructions of `code`.
fn disassemble(code: &[u8]) -> Vec<Instruction> {
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE)
        .into_iter()
        .collect()
}

/// The instruction at `offset` of `code`.
fn decode(code: &[u8], offset: u32) -> Instruction {
    let rest = &code[offset as usize..];
    Decoder::with_ip(64, rest, offset.into(), DecoderOptions::NONE).decode()
}

/// Every bypass is a branch to a site, or moves in front of it, and one around it once the lowest byte of its
/// displacement is another one.
fn check_bypasses(out: &CompiledCode) {
    assert!(out.bypasses.is_sorted_by(|a, b| a.branch < b.branch));
    for bypass in &out.bypasses {
        let site = out
            .patch_sites
            .iter()
            .find(|s| s.ret_addr == bypass.ret_addr)
            .expect("a site");
        let target = |code: &[u8]| {
            let branch = decode(code, bypass.branch);
            assert!(branch.is_jmp_short_or_near() || branch.is_jcc_short_or_near());
            (branch.len(), branch.near_branch_target() as u32)
        };
        let (len, through) = target(&out.code);
        // The same moves are in front of the site and where the branch leads instead.
        let start = site.ret_addr - u32::from(site.len);
        let moves = &out.code[through as usize..start as usize];
        let instead = &out.code[bypass.around as usize..][..moves.len()];
        assert_eq!(moves, instead);
        let mut around = out.code.clone();
        let displacement = if len == 2 { 1 } else { 4 };
        let lowest = &mut around[bypass.branch as usize + len - displacement];
        *lowest = lowest.wrapping_add((bypass.around - through) as u8);
        assert_eq!(target(&around), (len, bypass.around));
    }
}

/// The text of an instruction.
fn text(inst: &Instruction) -> String {
    let mut formatter = GasFormatter::new();
    formatter.options_mut().set_rip_relative_addresses(false);
    formatter.options_mut().set_branch_leading_zeros(false);
    let mut text = String::new();
    formatter.format(inst, &mut text);
    text
}

/// The text of `code`, an instruction a line.
fn listing(code: &[u8]) -> Vec<String> {
    disassemble(code).iter().map(text).collect()
}

/// The instruction at `offset`.
fn at(code: &CompiledCode, offset: u32) -> String {
    text(&decode(&code.code, offset))
}

/// The bytes of the prologue and of the epilogue without frame: `push rbp; mov rbp, rsp`, and
/// `pop rbp; ret`.
const PROLOGUE: usize = 4;
const EPILOGUE: usize = 2;
