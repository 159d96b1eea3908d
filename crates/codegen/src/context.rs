//! The compiler: a function in, code and metadata out.

use crate::analyze::Analysis;
use crate::buffer::{EncodeError, EncodeScratch};
use crate::isa::x64::{self, X64, X64Features, X64Flags};
use crate::legalize::{self, Legalizer, Machine};
use crate::selected::Selected;
use crate::{CompiledCode, encode, select, supported};
use core::fmt;
use nopal_ir::{Function, Signature};

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
    /// x86-64 with the given features.
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

    /// Whether functions with this signature get the address of an area for their results in the register
    /// of the first integer parameter, and that parameter in the next.
    pub fn has_result_area(&self, sig: &Signature) -> bool {
        match self.isa {
            TargetIsa::X64(_) => select::needs_ret_area::<X64>(sig),
        }
    }

    /// The machine this runs on.
    ///
    /// # Errors
    ///
    /// If the compiler has no back end for it.
    #[cfg(target_arch = "x86_64")]
    pub fn host() -> Result<Target, TargetError> {
        use std::arch::is_x86_feature_detected as has;
        Ok(Target::x64(X64Features {
            sse41: has!("sse4.1"),
            avx: has!("avx"),
            fma: has!("fma"),
            bmi2: has!("bmi2"),
            lzcnt: has!("lzcnt"),
            bmi1: has!("bmi1"),
            popcnt: has!("popcnt"),
            cmpxchg16b: has!("cmpxchg16b"),
        }))
    }

    /// The machine this runs on.
    ///
    /// # Errors
    ///
    /// If the compiler has no back end for it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn host() -> Result<Target, TargetError> {
        Err(TargetError(format!(
            "there is no back end for {}",
            std::env::consts::ARCH
        )))
    }
}

/// What can be chosen independently of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Settings {
    /// Set a register aside for `get_pinned_reg` and `set_pinned_reg`: `r15` on x86-64. Functions
    /// compiled with it and without it do not preserve it for each other.
    pub enable_pinned_reg: bool,
}

/// A part of the work of [`Context::compile`], in the order in which it is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Rewriting what the machine does not have, and analysis.
    Analyze,
    /// Selecting instructions and their registers.
    Select,
    /// Encoding, with everything that goes with the code.
    Encode,
}

/// The memory the compiler works in, reused from function to function.
#[derive(Default)]
pub struct Context {
    /// Settings for the functions to come.
    pub settings: Settings,
    legalizer: Legalizer,
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
        self.compile_observed(func, target, |_| ())
    }

    /// As [`Context::compile`], and calls `done` at the end of each phase, so that phases can be measured.
    ///
    /// ```
    /// # use nopal_codegen::{CodegenError, Context, Phase, Target, X64Features};
    /// # use nopal_ir::{BuilderContext, CallConv, ExternalName, Function, FunctionBuilder, Signature};
    /// # let name = ExternalName::User { namespace: 0, index: 0 };
    /// # let mut func = Function::new(name, Signature::new(CallConv::Fast));
    /// # let mut memory = BuilderContext::new();
    /// # let mut b = FunctionBuilder::new(&mut func, &mut memory);
    /// # let entry = b.create_block();
    /// # b.switch_to_block(entry);
    /// # b.seal_all_blocks();
    /// # b.return_(&[]);
    /// # b.finalize();
    /// let mut phases = Vec::new();
    /// let target = Target::x64(X64Features::default());
    /// Context::new().compile_observed(&func, &target, |phase| phases.push(phase))?;
    /// assert_eq!(phases, [Phase::Analyze, Phase::Select, Phase::Encode]);
    /// # Ok::<(), CodegenError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Context::compile`].
    pub fn compile_observed(
        &mut self,
        func: &Function,
        target: &Target,
        mut done: impl FnMut(Phase),
    ) -> Result<&CompiledCode, CodegenError> {
        self.code.clear();
        supported::check(func)?;
        let machine = match target.isa {
            TargetIsa::X64(features) => Machine {
                fma: features.fma,
                cas_16: features.cmpxchg16b,
            },
        };
        let func = if legalize::needed(func, machine)? {
            self.analysis.find_order(func);
            self.legalizer.run(func, &self.analysis.order, machine)?;
            &self.legalizer.out
        } else {
            func
        };
        self.analysis.run(func);
        done(Phase::Analyze);
        match target.isa {
            TargetIsa::X64(features) => {
                let flags = X64Flags {
                    cpu: features,
                    pinned_reg: self.settings.enable_pinned_reg,
                };
                select::select::<X64>(
                    func,
                    &self.analysis,
                    flags,
                    &mut self.x64,
                    &mut self.select,
                )?;
                done(Phase::Select);
                encode::encode(&mut self.x64, func, &mut self.code, &mut self.encode)?;
                done(Phase::Encode);
            }
        }
        Ok(&self.code)
    }
}
