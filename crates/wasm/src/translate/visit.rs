//! From the decoder to the validator and on to the translator.

use super::{Stop, Translator};
use crate::error::Error;
use wasmparser::{
    BrTable, FrameKind, FrameStack, FuncValidator, ValidatorResources, VisitOperator,
};

/// Takes one instruction from the decoder.
pub(super) struct ValidateAndTranslate<'v, 't, 'a> {
    pub(super) validator: &'v mut FuncValidator<ValidatorResources>,
    pub(super) translator: &'t mut Translator<'a>,
    /// Where the instruction is in the module.
    pub(super) offset: u64,
}

/// A method for every instruction.
macro_rules! define_visitor {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(define_visitor!(@one $proposal $op $visit ($($($arg: $argty),*)?));)*
    };

    // Followed in unreachable code too.
    (@one mvp Block $visit:ident ($arg:ident: $ty:ty)) => { define_visitor!(@always $visit ($arg: $ty)); };
    (@one mvp Loop $visit:ident ($arg:ident: $ty:ty)) => { define_visitor!(@always $visit ($arg: $ty)); };
    (@one mvp If $visit:ident ($arg:ident: $ty:ty)) => { define_visitor!(@always $visit ($arg: $ty)); };
    (@one mvp Else $visit:ident ()) => { define_visitor!(@always $visit ()); };
    (@one mvp End $visit:ident ()) => { define_visitor!(@always $visit ()); };

    // Written by hand below.
    (@one mvp BrTable $visit:ident $args:tt) => {};

    // Never valid: the decoder gives the form with one type another name.
    (@one reference_types TypedSelectMulti $visit:ident $args:tt) => {
        define_visitor!(@refused reference_types $visit $args);
    };

    (@one mvp $op:ident $visit:ident $args:tt) => { define_visitor!(@reachable $visit $args); };
    (@one sign_extension $op:ident $visit:ident $args:tt) => { define_visitor!(@reachable $visit $args); };
    (@one saturating_float_to_int $op:ident $visit:ident $args:tt) => { define_visitor!(@reachable $visit $args); };
    (@one bulk_memory $op:ident $visit:ident $args:tt) => { define_visitor!(@reachable $visit $args); };
    (@one reference_types $op:ident $visit:ident $args:tt) => { define_visitor!(@reachable $visit $args); };

    (@one $proposal:ident $op:ident $visit:ident $args:tt) => {
        define_visitor!(@refused $proposal $visit $args);
    };

    // The validator refuses these first.
    (@refused $proposal:ident $visit:ident ($($arg:ident: $argty:ty),*)) => {
        #[cold]
        fn $visit(&mut self $(, $arg: $argty)*) -> Self::Output {
            self.validator.visitor(self.offset).$visit($($arg),*)?;
            Err(Error::unsupported(self.offset, stringify!($proposal)).into())
        }
    };

    (@always $visit:ident ($($arg:ident: $argty:ty),*)) => {
        #[inline]
        fn $visit(&mut self $(, $arg: $argty)*) -> Self::Output {
            self.validator.visitor(self.offset).$visit($($arg),*)?;
            self.translator.$visit($($arg),*);
            Ok(())
        }
    };
    (@reachable $visit:ident ($($arg:ident: $argty:ty),*)) => {
        #[inline]
        fn $visit(&mut self $(, $arg: $argty)*) -> Self::Output {
            self.validator.visitor(self.offset).$visit($($arg),*)?;
            if self.translator.reachable {
                self.translator.$visit($($arg),*);
            }
            Ok(())
        }
    };
}

impl FrameStack for ValidateAndTranslate<'_, '_, '_> {
    #[inline]
    fn current_frame(&self) -> Option<FrameKind> {
        Some(self.validator.get_control_frame(0)?.kind)
    }
}

impl<'w> VisitOperator<'w> for ValidateAndTranslate<'_, '_, '_> {
    type Output = Result<(), Stop>;

    wasmparser::for_each_visit_operator!(define_visitor);

    fn visit_br_table(&mut self, targets: BrTable<'w>) -> Self::Output {
        let mut visitor = self.validator.visitor(self.offset);
        visitor.visit_br_table(targets.clone())?;
        drop(visitor);
        if self.translator.reachable {
            self.translator.visit_br_table(&targets)?;
        }
        Ok(())
    }
}
