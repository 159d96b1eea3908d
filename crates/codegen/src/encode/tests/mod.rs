//! Whole functions, encoded for x86-64 and read back with a disassembler.

mod branches;
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
    text(
        &Decoder::with_ip(
            64,
            &code.code[offset as usize..],
            offset.into(),
            DecoderOptions::NONE,
        )
        .decode(),
    )
}

/// The bytes of the prologue and of the epilogue without frame: `push rbp; mov rbp, rsp`, and
/// `pop rbp; ret`.
const PROLOGUE: usize = 4;
const EPILOGUE: usize = 2;
