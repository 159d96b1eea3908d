//! Numbers: each instruction is one of the IR, which has the semantics of Wasm.

use super::Translator;
use nopal_ir::{FloatCC, IntCC, Type};
use wasmparser::{Ieee32, Ieee64};

impl Translator<'_> {
    pub(super) fn visit_i32_const(&mut self, value: i32) {
        let value = self.b.iconst(Type::I32, value.into());
        self.push(value);
    }

    pub(super) fn visit_i64_const(&mut self, value: i64) {
        let value = self.iconst_i64(value);
        self.push(value);
    }

    pub(super) fn visit_f32_const(&mut self, value: Ieee32) {
        let value = self.b.f32const(value.bits());
        self.push(value);
    }

    pub(super) fn visit_f64_const(&mut self, value: Ieee64) {
        let value = self.b.f64const(value.bits());
        self.push(value);
    }

    pub(super) fn visit_i32_eqz(&mut self) {
        self.eqz();
    }

    pub(super) fn visit_i64_eqz(&mut self) {
        self.eqz();
    }

    fn eqz(&mut self) {
        let value = self.pop_condition();
        let ty = self.b.func.value_type(value);
        let zero = self.b.iconst(ty, 0);
        let is_zero = self.b.icmp(IntCC::Equal, value, zero);
        self.push_bool(is_zero);
    }

    pub(super) fn visit_i64_extend_i32_u(&mut self) {
        let value = self.pop_condition();
        let value = self.b.uextend(Type::I64, value);
        self.push(value);
    }
}

/// One operand, one result.
macro_rules! unary {
    ($($visit:ident => $method:ident;)*) => {
        impl Translator<'_> {
            $(pub(super) fn $visit(&mut self) {
                let x = self.pop();
                let value = self.b.$method(x);
                self.push(value);
            })*
        }
    };
}

unary! {
    visit_i32_clz => clz;
    visit_i32_ctz => ctz;
    visit_i32_popcnt => popcnt;
    visit_i64_clz => clz;
    visit_i64_ctz => ctz;
    visit_i64_popcnt => popcnt;
    visit_f32_abs => fabs;
    visit_f32_neg => fneg;
    visit_f32_ceil => ceil;
    visit_f32_floor => floor;
    visit_f32_trunc => trunc;
    visit_f32_nearest => nearest;
    visit_f32_sqrt => sqrt;
    visit_f64_abs => fabs;
    visit_f64_neg => fneg;
    visit_f64_ceil => ceil;
    visit_f64_floor => floor;
    visit_f64_trunc => trunc;
    visit_f64_nearest => nearest;
    visit_f64_sqrt => sqrt;
}

/// Two operands, one result.
macro_rules! binary {
    ($($visit:ident => $method:ident;)*) => {
        impl Translator<'_> {
            $(pub(super) fn $visit(&mut self) {
                let y = self.pop();
                let x = self.pop();
                let value = self.b.$method(x, y);
                self.push(value);
            })*
        }
    };
}

binary! {
    visit_i32_add => iadd;
    visit_i32_sub => isub;
    visit_i32_mul => imul;
    visit_i32_div_s => sdiv;
    visit_i32_div_u => udiv;
    visit_i32_rem_s => srem;
    visit_i32_rem_u => urem;
    visit_i32_and => band;
    visit_i32_or => bor;
    visit_i32_xor => bxor;
    visit_i32_shl => ishl;
    visit_i32_shr_s => sshr;
    visit_i32_shr_u => ushr;
    visit_i32_rotl => rotl;
    visit_i32_rotr => rotr;
    visit_i64_add => iadd;
    visit_i64_sub => isub;
    visit_i64_mul => imul;
    visit_i64_div_s => sdiv;
    visit_i64_div_u => udiv;
    visit_i64_rem_s => srem;
    visit_i64_rem_u => urem;
    visit_i64_and => band;
    visit_i64_or => bor;
    visit_i64_xor => bxor;
    visit_i64_shl => ishl;
    visit_i64_shr_s => sshr;
    visit_i64_shr_u => ushr;
    visit_i64_rotl => rotl;
    visit_i64_rotr => rotr;
    visit_f32_add => fadd;
    visit_f32_sub => fsub;
    visit_f32_mul => fmul;
    visit_f32_div => fdiv;
    visit_f32_min => fmin;
    visit_f32_max => fmax;
    visit_f32_copysign => fcopysign;
    visit_f64_add => fadd;
    visit_f64_sub => fsub;
    visit_f64_mul => fmul;
    visit_f64_div => fdiv;
    visit_f64_min => fmin;
    visit_f64_max => fmax;
    visit_f64_copysign => fcopysign;
}

/// Two operands, 0 or 1.
macro_rules! compare {
    ($($visit:ident => $method:ident $cond:expr;)*) => {
        impl Translator<'_> {
            $(pub(super) fn $visit(&mut self) {
                let y = self.pop();
                let x = self.pop();
                let value = self.b.$method($cond, x, y);
                self.push_bool(value);
            })*
        }
    };
}

compare! {
    visit_i32_eq => icmp IntCC::Equal;
    visit_i32_ne => icmp IntCC::NotEqual;
    visit_i32_lt_s => icmp IntCC::SignedLessThan;
    visit_i32_lt_u => icmp IntCC::UnsignedLessThan;
    visit_i32_gt_s => icmp IntCC::SignedGreaterThan;
    visit_i32_gt_u => icmp IntCC::UnsignedGreaterThan;
    visit_i32_le_s => icmp IntCC::SignedLessThanOrEqual;
    visit_i32_le_u => icmp IntCC::UnsignedLessThanOrEqual;
    visit_i32_ge_s => icmp IntCC::SignedGreaterThanOrEqual;
    visit_i32_ge_u => icmp IntCC::UnsignedGreaterThanOrEqual;
    visit_i64_eq => icmp IntCC::Equal;
    visit_i64_ne => icmp IntCC::NotEqual;
    visit_i64_lt_s => icmp IntCC::SignedLessThan;
    visit_i64_lt_u => icmp IntCC::UnsignedLessThan;
    visit_i64_gt_s => icmp IntCC::SignedGreaterThan;
    visit_i64_gt_u => icmp IntCC::UnsignedGreaterThan;
    visit_i64_le_s => icmp IntCC::SignedLessThanOrEqual;
    visit_i64_le_u => icmp IntCC::UnsignedLessThanOrEqual;
    visit_i64_ge_s => icmp IntCC::SignedGreaterThanOrEqual;
    visit_i64_ge_u => icmp IntCC::UnsignedGreaterThanOrEqual;
    visit_f32_eq => fcmp FloatCC::Equal;
    visit_f32_ne => fcmp FloatCC::NotEqual;
    visit_f32_lt => fcmp FloatCC::LessThan;
    visit_f32_gt => fcmp FloatCC::GreaterThan;
    visit_f32_le => fcmp FloatCC::LessThanOrEqual;
    visit_f32_ge => fcmp FloatCC::GreaterThanOrEqual;
    visit_f64_eq => fcmp FloatCC::Equal;
    visit_f64_ne => fcmp FloatCC::NotEqual;
    visit_f64_lt => fcmp FloatCC::LessThan;
    visit_f64_gt => fcmp FloatCC::GreaterThan;
    visit_f64_le => fcmp FloatCC::LessThanOrEqual;
    visit_f64_ge => fcmp FloatCC::GreaterThanOrEqual;
}

/// One operand, a result of another type.
macro_rules! convert {
    ($($visit:ident => $method:ident $ty:ident;)*) => {
        impl Translator<'_> {
            $(pub(super) fn $visit(&mut self) {
                let x = self.pop();
                let value = self.b.$method(Type::$ty, x);
                self.push(value);
            })*
        }
    };
}

convert! {
    visit_i32_wrap_i64 => ireduce I32;
    visit_i64_extend_i32_s => sextend I64;
    visit_i32_trunc_f32_s => fcvt_to_sint I32;
    visit_i32_trunc_f32_u => fcvt_to_uint I32;
    visit_i32_trunc_f64_s => fcvt_to_sint I32;
    visit_i32_trunc_f64_u => fcvt_to_uint I32;
    visit_i64_trunc_f32_s => fcvt_to_sint I64;
    visit_i64_trunc_f32_u => fcvt_to_uint I64;
    visit_i64_trunc_f64_s => fcvt_to_sint I64;
    visit_i64_trunc_f64_u => fcvt_to_uint I64;
    visit_i32_trunc_sat_f32_s => fcvt_to_sint_sat I32;
    visit_i32_trunc_sat_f32_u => fcvt_to_uint_sat I32;
    visit_i32_trunc_sat_f64_s => fcvt_to_sint_sat I32;
    visit_i32_trunc_sat_f64_u => fcvt_to_uint_sat I32;
    visit_i64_trunc_sat_f32_s => fcvt_to_sint_sat I64;
    visit_i64_trunc_sat_f32_u => fcvt_to_uint_sat I64;
    visit_i64_trunc_sat_f64_s => fcvt_to_sint_sat I64;
    visit_i64_trunc_sat_f64_u => fcvt_to_uint_sat I64;
    visit_f32_convert_i32_s => fcvt_from_sint F32;
    visit_f32_convert_i32_u => fcvt_from_uint F32;
    visit_f32_convert_i64_s => fcvt_from_sint F32;
    visit_f32_convert_i64_u => fcvt_from_uint F32;
    visit_f64_convert_i32_s => fcvt_from_sint F64;
    visit_f64_convert_i32_u => fcvt_from_uint F64;
    visit_f64_convert_i64_s => fcvt_from_sint F64;
    visit_f64_convert_i64_u => fcvt_from_uint F64;
    visit_f32_demote_f64 => fdemote F32;
    visit_f64_promote_f32 => fpromote F64;
    visit_i32_reinterpret_f32 => bitcast I32;
    visit_i64_reinterpret_f64 => bitcast I64;
    visit_f32_reinterpret_i32 => bitcast F32;
    visit_f64_reinterpret_i64 => bitcast F64;
}

/// The low bits of an integer, extended with their sign.
macro_rules! sign_extend {
    ($($visit:ident => $from:ident $ty:ident;)*) => {
        impl Translator<'_> {
            $(pub(super) fn $visit(&mut self) {
                let x = self.pop();
                let low = self.b.ireduce(Type::$from, x);
                let value = self.b.sextend(Type::$ty, low);
                self.push(value);
            })*
        }
    };
}

sign_extend! {
    visit_i32_extend8_s => I8 I32;
    visit_i32_extend16_s => I16 I32;
    visit_i64_extend8_s => I8 I64;
    visit_i64_extend16_s => I16 I64;
    visit_i64_extend32_s => I32 I64;
}
