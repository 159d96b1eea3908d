//! Names of functions as a person reads them.

use nopal_wasm::{FunctionInfo, Module};
use std::borrow::Cow;

/// The readable form of a name: that of the source for one mangled by Rust, else the name itself.
///
/// ```
/// use nopal_instrument::demangle;
/// assert_eq!(demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
/// assert_eq!(demangle("main"), "main");
/// ```
pub fn demangle(name: &str) -> Cow<'_, str> {
    match rustc_demangle::try_demangle(name) {
        Ok(demangled) => Cow::Owned(format!("{demangled:#}")),
        Err(_) => Cow::Borrowed(name),
    }
}

/// The name to show for a function: demangled, or one that it is exported under, or `#INDEX`.
pub fn display_name(func: FunctionInfo<'_>) -> Cow<'_, str> {
    match func.name().or_else(|| func.export_names().next()) {
        Some(name) => demangle(name),
        None => Cow::Owned(format!("#{}", func.index())),
    }
}

/// The names to show for the functions a module defines, found by index.
#[derive(Clone, Debug)]
pub struct FunctionNames {
    first: u32,
    names: Vec<Box<str>>,
}

impl FunctionNames {
    /// The names of a module's functions.
    pub fn new(module: &Module) -> FunctionNames {
        let mut functions = module.functions().peekable();
        FunctionNames {
            first: functions.peek().map_or(0, FunctionInfo::index),
            names: functions.map(|func| display_name(func).into()).collect(),
        }
    }

    /// The name of function `index`; none if the module does not define it.
    pub fn get(&self, index: u32) -> Option<&str> {
        let at = index.checked_sub(self.first)?;
        self.names.get(at as usize).map(|name| &**name)
    }
}
