//! From the body of a Wasm function to IR, validating it on the way.
//!
//! [`visit`] takes the instructions from the decoder, has each one validated and hands it to the
//! method of [`Translator`] with the same name. These are grouped by what a reader looks for:
//! [`control`], [`call`], [`memory`], [`table`], [`variable`], [`numeric`].
//!
//! The translator relies on validation: operands exist and have the right types, indices are in range.

mod bulk;
mod call;
mod control;
mod memory;
mod numeric;
mod refs;
mod site;
mod stack;
mod state;
mod table;
mod variable;
mod visit;

use crate::error::{Error, Result};
use crate::module_info::ModuleInfo;
use crate::parse::{FunctionBodyData, refuse, val_type};
use crate::sites::{SiteKind, Sites};
pub(crate) use call::signature;
use nopal_ir::{
    BuilderContext, ExternalName, Function, FunctionBuilder, SourceLoc, Type, Value, Variable,
};
use state::State;
use visit::ValidateAndTranslate;
use wasmparser::{BinaryReader, FuncValidator, FuncValidatorAllocations, ValidatorResources};

/// Namespace of the names of Wasm functions; the index is that of the function.
pub(crate) const NAMESPACE_FUNC: u32 = 0;
/// Namespace of the callees of patch sites; the index is the position in [`SiteKind::ALL`].
pub(crate) const NAMESPACE_SITE: u32 = 1;

/// How many operands of calls and branches a function may have. More take longer to compile than
/// any real program would want to wait.
const MAX_OPERANDS: u64 = 1 << 26;

/// Translates one function after the other, reusing its memory.
#[derive(Default)]
pub(crate) struct FunctionTranslator {
    validator: FuncValidatorAllocations,
    builder: BuilderContext,
    state: State,
}

impl FunctionTranslator {
    /// Fail if a function of a module is invalid, as translating it would.
    pub(crate) fn validate(&mut self, data: FunctionBodyData<'_>) -> Result<()> {
        let start = data.body.range().start;
        let allocations = std::mem::take(&mut self.validator);
        let mut validator = data.validate.into_validator(allocations);
        let result = validator.validate(&data.body);
        self.validator = validator.into_allocations();
        result.map_err(|err| refuse(&err, data.body.as_bytes(), start))
    }

    /// Validate a function of a module and translate it into `func`, which is emptied first.
    ///
    /// Fails if the function is invalid, uses an unsupported feature, or is too complex; `func`
    /// is of no use then.
    pub(crate) fn translate(
        &mut self,
        info: &ModuleInfo,
        data: FunctionBodyData<'_>,
        sites: Sites,
        func: &mut Function,
    ) -> Result<()> {
        let start = data.body.range().start;
        let ty = info.func_type(data.index);
        func.clear();
        func.name = ExternalName::User {
            namespace: NAMESPACE_FUNC,
            index: data.index,
        };
        func.base_srcloc = start as u32;
        call::set_signature(&mut func.signature, ty);

        let mut validator = data
            .validate
            .into_validator(std::mem::take(&mut self.validator));
        let mut reader = data.body.get_binary_reader();
        reader.set_features(*validator.features());
        let mut translator = Translator {
            b: FunctionBuilder::new(func, &mut self.builder),
            info,
            state: &mut self.state,
            sites,
            vmctx: Value::from_u32(0),
            memory_base: None,
            reachable: true,
            budget: MAX_OPERANDS as i64,
            locals: 0,
            offset: start as u32,
        };
        translator.begin(data.index);
        let result = translator
            .locals(&mut validator, &mut reader)
            .and_then(|()| translator.body(&mut validator, &mut reader));
        if result.is_ok() {
            translator.b.finalize();
        }
        self.validator = validator.into_allocations();
        result.map_err(|stop| match stop {
            Stop::Invalid(err) => refuse(&err, data.body.as_bytes(), start),
            Stop::Other(err) => err,
        })
    }
}

/// Why the translation of a function ends early.
enum Stop {
    Invalid(wasmparser::Error),
    Other(Error),
}

impl From<wasmparser::Error> for Stop {
    #[cold]
    fn from(err: wasmparser::Error) -> Self {
        Stop::Invalid(err)
    }
}

impl From<Error> for Stop {
    #[cold]
    fn from(err: Error) -> Self {
        Stop::Other(err)
    }
}

/// The translation of one function.
struct Translator<'a> {
    b: FunctionBuilder<'a>,
    info: &'a ModuleInfo,
    state: &'a mut State,
    sites: Sites,
    /// The pointer to the instance's context.
    vmctx: Value,
    /// The address of byte 0 of the memory, if there is one.
    memory_base: Option<Value>,
    /// Whether the instruction being translated can be executed. If not, only the nesting of
    /// blocks is followed.
    reachable: bool,
    /// How many more operands of calls and branches there may be.
    budget: i64,
    /// Number of locals, parameters included.
    locals: u32,
    /// Where the instruction being translated is in the module.
    offset: u32,
}

impl Translator<'_> {
    /// Everything that precedes the first instruction.
    fn begin(&mut self, index: u32) {
        self.state.begin_function(self.info);
        self.b.set_simplify(true);
        self.b.set_srcloc(SourceLoc::new(self.offset));
        let entry = self.b.create_block();
        self.b.append_block_params_for_function_params(entry);
        self.b.switch_to_block(entry);
        self.vmctx = self.b.block_param(entry, 0);

        let params = self.info.func_type(index).params();
        let args = &mut self.state.args;
        args.clear();
        for (i, param) in params.iter().enumerate() {
            let value = self.b.block_param(entry, i + 1);
            let var = self.b.declare_var(param.ir());
            self.b.def_var(var, value);
            args.push(value);
        }
        self.locals = params.len() as u32;
        if self.sites.entries {
            self.site(SiteKind::Entry);
        }
        self.load_memory_base();
        self.begin_function_frame(index);
    }

    /// Declare the locals. They are zero until something is assigned to them, as the builder has it.
    fn locals(
        &mut self,
        validator: &mut FuncValidator<ValidatorResources>,
        reader: &mut BinaryReader<'_>,
    ) -> Result<(), Stop> {
        for _ in 0..reader.read_var_u32()? {
            let offset = reader.original_position();
            let count = reader.read()?;
            let ty = reader.read()?;
            validator.define_locals(offset, count, ty)?;
            let ty = val_type(ty, offset)?.ir();
            for _ in 0..count {
                self.b.declare_var(ty);
            }
            self.locals += count;
        }
        Ok(())
    }

    fn body(
        &mut self,
        validator: &mut FuncValidator<ValidatorResources>,
        reader: &mut BinaryReader<'_>,
    ) -> Result<(), Stop> {
        while !reader.eof() {
            let offset = reader.original_position();
            self.offset = offset as u32;
            self.b.set_srcloc(SourceLoc::new(self.offset));
            reader.visit_operator(&mut ValidateAndTranslate {
                validator,
                translator: self,
                offset,
            })??;
            if self.budget < 0 {
                let what = format!(
                    "function {} has too many operands of calls and branches",
                    validator.index()
                );
                return Err(Error::limit(what).into());
            }
        }
        reader.finish_expression(&validator.visitor(reader.original_position()))?;
        Ok(())
    }

    /// Account for `n` operands.
    #[inline]
    fn spend(&mut self, n: usize) {
        self.budget -= n as i64;
    }

    fn local(index: u32) -> Variable {
        Variable::from_u32(index)
    }

    fn iconst_i64(&mut self, n: i64) -> Value {
        self.b.iconst(Type::I64, n)
    }
}
