//! Finding the imports of modules by name.

use crate::context::{AsContext, AsContextMut, Caller};
use crate::externs::Extern;
use crate::func::{Func, dynamic_host_func};
use crate::instance::Instance;
use crate::instantiate::{Import, instantiate};
use crate::into_func::IntoFunc;
use crate::module::Module;
use crate::store::StoreId;
use crate::values::Val;
use crate::{Engine, Error, FuncType, Result};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// What modules can import, by name.
///
/// Host functions defined here can be used with any store of the same engine and host type;
/// what is given with a store only with that.
pub struct Linker<T> {
    engine: Engine,
    /// By module, then by name.
    modules: HashMap<Box<str>, HashMap<Box<str>, Definition>>,
    shadowing: bool,
    data: PhantomData<fn(T)>,
}

#[derive(Clone)]
struct Definition {
    item: Import,
    /// The store an [`Import::Extern`] belongs to.
    store: Option<StoreId>,
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            modules: self.modules.clone(),
            shadowing: self.shadowing,
            data: PhantomData,
        }
    }
}

impl<T: 'static> Linker<T> {
    /// A linker without definitions.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker {
            engine: engine.clone(),
            modules: HashMap::new(),
            shadowing: false,
            data: PhantomData,
        }
    }

    /// The engine it was created for.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a definition may replace one of the same name; it is an error otherwise.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.shadowing = allow;
        self
    }

    /// Define a host function whose type follows from a closure's.
    pub fn func_wrap<P, R>(
        &mut self,
        module: &str,
        name: &str,
        body: impl IntoFunc<T, P, R>,
    ) -> Result<&mut Self> {
        let func = body.into_host_func(&self.engine);
        self.insert(module, name, Import::Host(Arc::new(func)), None)
    }

    /// Define a host function of a type that is known at run time only.
    ///
    /// `body` gets the arguments, which are of the type's parameters, and stores as many results.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        body: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let func = dynamic_host_func(&self.engine, &ty, body);
        self.insert(module, name, Import::Host(Arc::new(func)), None)
    }

    /// Define something of a store.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let store = store.as_context().0.opaque.id();
        self.insert(module, name, Import::Extern(item.into()), Some(store))
    }

    /// Define all exports of an instance under a module name.
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self> {
        for (name, item) in instance.exports(&mut store) {
            self.define(&store, module, &name, item)?;
        }
        Ok(self)
    }

    fn insert(
        &mut self,
        module: &str,
        name: &str,
        item: Import,
        store: Option<StoreId>,
    ) -> Result<&mut Self> {
        let names = self.modules.entry(module.into()).or_default();
        let old = names.insert(name.into(), Definition { item, store });
        if let Some(old) = old
            && !self.shadowing
        {
            names.insert(name.into(), old);
            let message = format!("`{module}::{name}` is defined already");
            return Err(Error::link(message));
        }
        Ok(self)
    }

    /// What is defined under a name, as something of `store`.
    ///
    /// None if there is nothing, or it belongs to another store.
    pub fn get(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
    ) -> Option<Extern> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let definition = self.modules.get(module)?.get(name)?;
        match &definition.item {
            Import::Extern(item) => (definition.store == Some(store.id())).then_some(*item),
            Import::Host(func) => {
                let func = Func::from_host_func(store, func.clone()).ok()?;
                Some(func.into())
            }
        }
    }

    /// Make an instance of a module with the imports it names.
    ///
    /// Fails if one is missing, belongs to another store or is of another type than the module
    /// expects, or if the instance's segments or start function trap.
    pub fn instantiate(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let id = store.opaque().id();
        let imports = module.info().imports.iter().map(|import| {
            let (from, name) = (&import.module, &import.name);
            let found = self.modules.get(from).and_then(|names| names.get(name));
            match found {
                Some(Definition {
                    store: Some(of), ..
                }) if *of != id => Err(Error::link(format!(
                    "`{from}::{name}` belongs to another store"
                ))),
                Some(definition) => Ok(definition.item.clone()),
                None => {
                    let expected = module.info().extern_type(import.index);
                    Err(Error::link(format!(
                        "unknown import `{from}::{name}`: {expected}"
                    )))
                }
            }
        });
        let imports = imports.collect::<Result<Vec<_>>>()?;
        instantiate(&mut store, module, imports)
    }
}

impl<T> std::fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self
            .modules
            .iter()
            .flat_map(|(module, names)| names.keys().map(move |name| format!("{module}::{name}")));
        f.debug_set().entries(names).finish()
    }
}
