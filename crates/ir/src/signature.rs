//! Function signatures.

use crate::Type;
use core::fmt;

/// How arguments and results travel and which registers a call preserves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallConv {
    /// The compiler's own choice; the same as the platform's C convention for now.
    Fast,
    /// A callee can be called in place of its caller, whatever their signatures.
    Tail,
    /// System V AMD64, AAPCS64 and their likes: the C convention of Unix systems.
    SystemV,
    /// The C convention of Windows on x86-64.
    WindowsFastcall,
    /// The C convention of Apple systems on AArch64.
    AppleAarch64,
    /// That of calls that probe the stack.
    Probestack,
    /// That of code from a baseline compiler.
    Winch,
    /// Arguments as in C; the callee preserves every register and returns nothing.
    PreserveAll,
}

impl CallConv {
    /// Every convention, in declaration order.
    pub const ALL: [CallConv; 8] = [
        CallConv::Fast,
        CallConv::Tail,
        CallConv::SystemV,
        CallConv::WindowsFastcall,
        CallConv::AppleAarch64,
        CallConv::Probestack,
        CallConv::Winch,
        CallConv::PreserveAll,
    ];

    /// The convention's name in the text format.
    pub const fn name(self) -> &'static str {
        match self {
            CallConv::Fast => "fast",
            CallConv::Tail => "tail",
            CallConv::SystemV => "system_v",
            CallConv::WindowsFastcall => "windows_fastcall",
            CallConv::AppleAarch64 => "apple_aarch64",
            CallConv::Probestack => "probestack",
            CallConv::Winch => "winch",
            CallConv::PreserveAll => "preserve_all",
        }
    }

    /// The convention with this name.
    pub fn from_name(name: &str) -> Option<CallConv> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    /// Whether a function of this convention can call another one in its own place.
    pub const fn supports_tail_calls(self) -> bool {
        matches!(self, CallConv::Tail)
    }

    /// Whether a call of a function of this convention can have handlers.
    pub const fn supports_exceptions(self) -> bool {
        matches!(
            self,
            CallConv::Tail
                | CallConv::SystemV
                | CallConv::AppleAarch64
                | CallConv::Winch
                | CallConv::PreserveAll
        )
    }

    /// The types of what a handler is given when a function of this convention throws.
    pub const fn exception_payload(self) -> &'static [Type] {
        match self {
            CallConv::Tail | CallConv::SystemV | CallConv::AppleAarch64 | CallConv::PreserveAll => {
                &[Type::I64, Type::I64]
            }
            _ => &[],
        }
    }
}

impl fmt::Display for CallConv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the caller or callee does to the upper bits of a narrow integer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArgumentExtension {
    /// They are undefined.
    None,
    /// They are zero.
    Uext,
    /// They repeat the sign.
    Sext,
}

/// The special role of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArgumentPurpose {
    /// An ordinary parameter.
    Normal,
    /// The pointer to the instance's context.
    VMContext,
    /// The pointer to where the caller wants the results.
    StructReturn,
    /// The pointer to a structure of this many bytes, which is passed by copying it to the stack.
    StructArgument(u32),
}

/// One parameter or result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AbiParam {
    /// Its type.
    pub ty: Type,
    /// Its role.
    pub purpose: ArgumentPurpose,
    /// What its upper bits are.
    pub extension: ArgumentExtension,
}

impl AbiParam {
    /// An ordinary parameter without extension.
    pub const fn new(ty: Type) -> Self {
        Self {
            ty,
            purpose: ArgumentPurpose::Normal,
            extension: ArgumentExtension::None,
        }
    }

    /// A parameter with a special role.
    pub const fn special(ty: Type, purpose: ArgumentPurpose) -> Self {
        Self {
            ty,
            purpose,
            extension: ArgumentExtension::None,
        }
    }
}

impl fmt::Display for AbiParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ty)?;
        match self.extension {
            ArgumentExtension::None => {}
            ArgumentExtension::Uext => f.write_str(" uext")?,
            ArgumentExtension::Sext => f.write_str(" sext")?,
        }
        match self.purpose {
            ArgumentPurpose::Normal => Ok(()),
            ArgumentPurpose::VMContext => f.write_str(" vmctx"),
            ArgumentPurpose::StructReturn => f.write_str(" sret"),
            ArgumentPurpose::StructArgument(size) => write!(f, " sarg({size})"),
        }
    }
}

/// Parameters, results and convention of a function.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Signature {
    /// Parameters in order.
    pub params: Vec<AbiParam>,
    /// Results in order.
    pub returns: Vec<AbiParam>,
    /// The calling convention.
    pub call_conv: CallConv,
}

impl Signature {
    /// A signature without parameters or results.
    pub const fn new(call_conv: CallConv) -> Self {
        Self {
            params: Vec::new(),
            returns: Vec::new(),
            call_conv,
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, params: &[AbiParam]| {
            for (i, p) in params.iter().enumerate() {
                write!(f, "{}{p}", if i == 0 { "" } else { ", " })?;
            }
            Ok(())
        };
        f.write_str("(")?;
        list(f, &self.params)?;
        f.write_str(")")?;
        if !self.returns.is_empty() {
            f.write_str(" -> ")?;
            list(f, &self.returns)?;
        }
        write!(f, " {}", self.call_conv)
    }
}
