//! The compiler: a function in, code and metadata out.

use crate::analyze::Analysis;
use crate::buffer::{EncodeError, EncodeScratch};
use crate::isa::x64::{self, X64, X64Features};
use crate::selected::Selected;
use crate::{CompiledCode, encode, select};
use core::fmt;
use nopal_ir::Function;

/// Why a function cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodegenError {
    /// The target has no rule for something; the text names it.
    Unsupported(String),
    /// The code, the frame or an offset exceeds a limit; the text names it.
    TooLarge(String),
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Unsupported(what) => write!(f, "not supported: {what}"),
            CodegenError::TooLarge(what) => f.write_str(what),
        }
    }
}

impl core::error::Error for CodegenError {}

impl From<EncodeError> for CodegenError {
    fn from(e: EncodeError) -> Self {
        CodegenError::TooLarge(e.to_string())
    }
}

/// Why code for a machine cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError(String);

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for TargetError {}

/// A machine to make code for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    isa: TargetIsa,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum TargetIsa {
    X64(X64Features),
}

impl Target {
    /// x86-64 with SSE4.1 and the given features.
    pub fn x64(features: X64Features) -> Target {
        Target {
            isa: TargetIsa::X64(features),
        }
    }

    /// Byte strings that do nothing, by ascending length. Filling the bytes of a patch site with the
    /// longest that fit disables it, for those who know nothing of the instruction set; nobody may
    /// execute the code meanwhile.
    pub fn nop_units(&self) -> &'static [&'static [u8]] {
        match self.isa {
            TargetIsa::X64(_) => x64::NOP_UNITS,
        }
    }

    /// The machine this runs on.
    ///
    /// # Errors
    ///
    /// If the compiler has no back end for it, or it lacks SSE4.1.
    #[cfg(target_arch = "x86_64")]
    pub fn host() -> Result<Target, TargetError> {
        use std::arch::is_x86_feature_detected as has;
        if !has!("sse4.1") {
            return Err(TargetError("this CPU lacks SSE4.1".into()));
        }
        Ok(Target::x64(X64Features {
            avx: has!("avx"),
            bmi2: has!("bmi2"),
            lzcnt: has!("lzcnt"),
            bmi1: has!("bmi1"),
            popcnt: has!("popcnt"),
        }))
    }

    /// The machine this runs on.
    ///
    /// # Errors
    ///
    /// If the compiler has no back end for it, or it lacks SSE4.1.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn host() -> Result<Target, TargetError> {
        Err(TargetError(format!(
            "there is no back end for {}",
            std::env::consts::ARCH
        )))
    }
}

/// The memory the compiler works in, reused from function to function.
#[derive(Default)]
pub struct Context {
    analysis: Analysis,
    select: select::Scratch,
    x64: Selected<x64::inst::Inst>,
    encode: EncodeScratch,
    code: CompiledCode,
}

impl Context {
    /// A context that has not compiled anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Compile `func`, which must pass the verifier, for `target`.
    ///
    /// The same function gives the same bytes, whatever was compiled before.
    ///
    /// # Errors
    ///
    /// If the function needs something the target does not have, or exceeds a limit. The context
    /// remains usable.
    pub fn compile(
        &mut self,
        func: &Function,
        target: &Target,
    ) -> Result<&CompiledCode, CodegenError> {
        self.code.clear();
        self.analysis.run(func);
        match target.isa {
            TargetIsa::X64(features) => {
                select::select::<X64>(
                    func,
                    &self.analysis,
                    features,
                    &mut self.x64,
                    &mut self.select,
                )?;
                encode::encode(&self.x64, func, &mut self.code, &mut self.encode)?;
            }
        }
        Ok(&self.code)
    }
}
