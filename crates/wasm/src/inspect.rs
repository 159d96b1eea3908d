//! Looking at what a module is translated to.

use crate::error::Result;
use crate::parse::{FunctionBodyData, Parsed, parse};
use crate::sites::Sites;
use crate::translate::{FunctionTranslator, NAMESPACE_FUNC};
use crate::types::FuncType;
use nopal_ir::{CallConv, ExternalName, Function, Signature};
use std::ops::Range;
use wasmparser::FuncToValidate;

/// A module whose functions can be translated to IR one by one, without compiling any.
///
/// ```
/// let wasm = wat::parse_str("(module (func (export \"f\") (result i32) i32.const 7))")?;
/// let inspector = nopal_wasm::Inspector::new(&wasm)?;
/// let func = inspector.ir(0, nopal_wasm::Sites::NONE)?.expect("function 0 is defined");
/// assert_eq!(func.signature.returns.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Inspector<'a> {
    parsed: Parsed<'a>,
}

impl<'a> Inspector<'a> {
    /// Parse a module in the binary format. Function bodies are not looked at.
    ///
    /// Fails if the rest of the module is malformed, invalid, or uses what is not supported.
    pub fn new(wasm: &'a [u8]) -> Result<Self> {
        let parsed = parse(wasm)?;
        Ok(Inspector { parsed })
    }

    /// The indices of the functions the module defines: those after its imported functions.
    pub fn defined_functions(&self) -> Range<u32> {
        let info = &self.parsed.info;
        info.counts.imported_funcs..info.funcs.len() as u32
    }

    /// The name of a function in the module's name section.
    pub fn function_name(&self, index: u32) -> Option<&str> {
        self.parsed.info.func_name(index)
    }

    /// The type of a function; none if there is no such function.
    pub fn function_type(&self, index: u32) -> Option<&FuncType> {
        let info = &self.parsed.info;
        let ty = *info.funcs.get(index as usize)?;
        Some(&info.types[ty as usize])
    }

    /// The IR of function `index` (imports counted) with the given patch sites; none if the module
    /// does not define such a function.
    ///
    /// Fails if the function is invalid or uses what is not supported.
    pub fn ir(&self, index: u32, sites: Sites) -> Result<Option<Function>> {
        let first = self.defined_functions().start;
        let body = index
            .checked_sub(first)
            .and_then(|defined| self.parsed.bodies.get(defined as usize));
        let Some(data) = body else {
            return Ok(None);
        };
        let mut func = empty_function();
        let mut translator = FunctionTranslator::default();
        translator.translate(&self.parsed.info, same(data), sites, &mut func)?;
        Ok(Some(func))
    }

    /// Give `each` the IR of every function the module defines, by ascending index. All are
    /// translated in the same memory, as they are when the module is compiled.
    ///
    /// ```
    /// # use nopal_wasm::{Inspector, Sites};
    /// let wasm = wat::parse_str("(module (func (param i32)) (func (result i32) i32.const 7))")?;
    /// let inspector = Inspector::new(&wasm)?;
    /// let mut all = Vec::new();
    /// inspector.for_each_ir(Sites::ALL, |func| all.push(func.to_string()))?;
    /// let second = inspector.ir(1, Sites::ALL)?.map(|func| func.to_string());
    /// assert_eq!((all.len(), all.last()), (2, second.as_ref()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Fails at the first function that is invalid or uses what is not supported.
    pub fn for_each_ir(&self, sites: Sites, mut each: impl FnMut(&Function)) -> Result<()> {
        let mut func = empty_function();
        let mut translator = FunctionTranslator::default();
        for data in &self.parsed.bodies {
            translator.translate(&self.parsed.info, same(data), sites, &mut func)?;
            each(&func);
        }
        Ok(())
    }
}

/// What a translation overwrites.
fn empty_function() -> Function {
    let name = ExternalName::User {
        namespace: NAMESPACE_FUNC,
        index: 0,
    };
    Function::new(name, Signature::new(CallConv::Fast))
}

/// `data` for one translation, which uses it up.
fn same<'a>(data: &FunctionBodyData<'a>) -> FunctionBodyData<'a> {
    FunctionBodyData {
        index: data.index,
        body: data.body.clone(),
        validate: FuncToValidate {
            resources: data.validate.resources.clone(),
            ..data.validate
        },
    }
}
