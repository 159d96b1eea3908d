//! Values and functions as the user writes and reads them.

use nopal_wasm::{ExternType, FuncType, Module, Val, ValType};
use std::ffi::OsString;

/// The most names in a list within a message.
const MAX_NAMES: usize = 8;

/// The type of an exported function.
pub(crate) fn exported_function(module: &Module, name: &str) -> Option<FuncType> {
    module.exports().find_map(|export| match export.ty {
        ExternType::Func(ty) if export.name == name => Some(ty),
        _ => None,
    })
}

/// The names of the exported functions, to be shown; empty if there are none.
pub(crate) fn exported_functions(module: &Module) -> String {
    let names: Vec<String> = module
        .exports()
        .filter(|export| matches!(export.ty, ExternType::Func(_)))
        .map(|export| format!("`{}`", export.name))
        .collect();
    let mut list = names[..names.len().min(MAX_NAMES)].join(", ");
    if names.len() > MAX_NAMES {
        list += &format!(" and {} more", names.len() - MAX_NAMES);
    }
    list
}

/// Arguments for a function of this type. The message continues a sentence on the function.
pub(crate) fn parse_all(args: &[OsString], ty: &FuncType) -> Result<Vec<Val>, String> {
    if args.len() != ty.params().len() {
        return Err(format!(
            "has type {ty} and takes {} arguments, not {}",
            ty.params().len(),
            args.len()
        ));
    }
    let parsed = args.iter().zip(ty.params()).enumerate();
    parsed
        .map(|(at, (arg, &ty))| {
            let text = arg.to_string_lossy();
            parse(&text, ty).ok_or_else(|| {
                let number = at + 1;
                format!("takes an {ty} as argument {number}, which `{text}` is not")
            })
        })
        .collect()
}

fn parse(text: &str, ty: ValType) -> Option<Val> {
    Some(match ty {
        // Both signed and unsigned numbers fit.
        ValType::I32 => {
            let n = parse_integer(text)?;
            let n = i32::try_from(n).or_else(|_| u32::try_from(n).map(|n| n as i32));
            Val::I32(n.ok()?)
        }
        ValType::I64 => {
            let n = parse_integer(text)?;
            let n = i64::try_from(n).or_else(|_| u64::try_from(n).map(|n| n as i64));
            Val::I64(n.ok()?)
        }
        ValType::F32 => Val::F32(text.parse::<f32>().ok()?.to_bits()),
        ValType::F64 => Val::F64(text.parse::<f64>().ok()?.to_bits()),
        ValType::FuncRef => (text == "null").then_some(Val::FuncRef(None))?,
        ValType::ExternRef => (text == "null").then_some(Val::ExternRef(None))?,
    })
}

fn parse_integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse::<u64>(),
    };
    let magnitude = i128::from(magnitude.ok()?);
    Some(if negative { -magnitude } else { magnitude })
}

/// A value as the user reads it.
pub(crate) fn print(value: &Val) -> String {
    match value {
        Val::I32(n) => n.to_string(),
        Val::I64(n) => n.to_string(),
        Val::F32(bits) => f32::from_bits(*bits).to_string(),
        Val::F64(bits) => f64::from_bits(*bits).to_string(),
        Val::FuncRef(None) | Val::ExternRef(None) => "null".into(),
        Val::FuncRef(Some(_)) => "funcref".into(),
        Val::ExternRef(Some(_)) => "externref".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_may_be_signed_or_unsigned() {
        let i32 = |text| parse(text, ValType::I32).and_then(|value| value.i32());
        assert_eq!(i32("-2147483648"), Some(i32::MIN));
        assert_eq!(i32("4294967295"), Some(-1));
        assert_eq!(i32("0xffffffff"), Some(-1));
        assert_eq!(i32("-0x10"), Some(-16));
        for bad in ["4294967296", "-2147483649", "", "-", "x", "1.5", "--1"] {
            assert_eq!(i32(bad), None, "{bad}");
        }
        let i64 = |text| parse(text, ValType::I64).and_then(|value| value.i64());
        assert_eq!(i64("18446744073709551615"), Some(-1));
        assert_eq!(i64("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(i64("-9223372036854775809"), None);
    }

    #[test]
    fn values_print_as_they_are_read() {
        for (text, ty) in [
            ("-5", ValType::I32),
            ("1.5", ValType::F32),
            ("inf", ValType::F64),
            ("NaN", ValType::F64),
            ("null", ValType::ExternRef),
        ] {
            assert_eq!(print(&parse(text, ty).unwrap()), text);
        }
    }

    #[test]
    fn wrong_arguments_are_named() {
        let ty = FuncType::new([ValType::I32, ValType::F64], []);
        let parse = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            parse_all(&args, &ty).unwrap_err()
        };
        assert_eq!(
            parse(&["1"]),
            "has type (i32, f64) -> () and takes 2 arguments, not 1"
        );
        assert_eq!(
            parse(&["1", "x"]),
            "takes an f64 as argument 2, which `x` is not"
        );
    }
}
