//! Function types of an engine: equal types have one id.

use crate::FuncType;
use nopal_live::Code;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

/// A function type of an engine.
#[derive(Debug)]
pub(crate) struct FuncTypeEntry {
    id: u32,
    ty: FuncType,
    /// The trampolines, once they are needed.
    pub(crate) enter: OnceLock<Code>,
    pub(crate) exit: OnceLock<Code>,
}

impl FuncTypeEntry {
    /// What compiled code compares.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn ty(&self) -> &FuncType {
        &self.ty
    }
}

/// All function types of an engine. They stay as long as the engine.
#[derive(Debug, Default)]
pub(crate) struct TypeRegistry(RwLock<Types>);

#[derive(Debug, Default)]
struct Types {
    ids: HashMap<FuncType, u32>,
    entries: Vec<Arc<FuncTypeEntry>>,
}

impl TypeRegistry {
    /// The entry of a type, a new one if there is none.
    pub(crate) fn intern(&self, ty: &FuncType) -> Arc<FuncTypeEntry> {
        if let Some(entry) = self.read().find(ty) {
            return entry;
        }
        let mut types = self.0.write().unwrap_or_else(|err| err.into_inner());
        if let Some(entry) = types.find(ty) {
            return entry;
        }
        let id = types.entries.len() as u32;
        let entry = Arc::new(FuncTypeEntry {
            id,
            ty: ty.clone(),
            enter: OnceLock::new(),
            exit: OnceLock::new(),
        });
        types.ids.insert(ty.clone(), id);
        types.entries.push(entry.clone());
        entry
    }

    /// The entry with this id.
    pub(crate) fn get(&self, id: u32) -> Arc<FuncTypeEntry> {
        self.read().entries[id as usize].clone()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Types> {
        // Entries are added whole, so a panic elsewhere leaves no damage.
        self.0.read().unwrap_or_else(|err| err.into_inner())
    }
}

impl Types {
    fn find(&self, ty: &FuncType) -> Option<Arc<FuncTypeEntry>> {
        let id = *self.ids.get(ty)?;
        Some(self.entries[id as usize].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValType::{F64, I32};

    #[test]
    fn equal_types_are_one() {
        let types = TypeRegistry::default();
        let a = types.intern(&FuncType::new([I32], [F64]));
        let b = types.intern(&FuncType::new([I32], []));
        let c = types.intern(&FuncType::new([I32], [F64]));
        assert_eq!((a.id(), b.id(), c.id()), (0, 1, 0));
        assert_eq!(types.get(1).ty(), b.ty());
    }
}
