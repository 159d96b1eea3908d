//! From the parser's types to this crate's.

use crate::error::Error;
use crate::types::{FuncType, GlobalType, MemoryType, RefType, TableType, ValType};

/// A value type; an error names the feature of one that is not supported.
pub(crate) fn val_type(ty: wasmparser::ValType, offset: u64) -> Result<ValType, Error> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => return Err(Error::unsupported(offset, "simd")),
        wasmparser::ValType::Ref(ty) => ref_type(ty, offset)?.into(),
    })
}

fn ref_type(ty: wasmparser::RefType, offset: u64) -> Result<RefType, Error> {
    if ty == wasmparser::RefType::FUNCREF {
        Ok(RefType::Func)
    } else if ty == wasmparser::RefType::EXTERNREF {
        Ok(RefType::Extern)
    } else {
        Err(Error::unsupported(
            offset,
            format!("references of type {ty}"),
        ))
    }
}

pub(super) fn func_type(ty: &wasmparser::FuncType, offset: u64) -> Result<FuncType, Error> {
    let types = |types: &[wasmparser::ValType]| {
        types
            .iter()
            .map(|&ty| val_type(ty, offset))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(FuncType::new(types(ty.params())?, types(ty.results())?))
}

fn limit(n: u64, offset: u64) -> Result<u32, Error> {
    u32::try_from(n).map_err(|_| Error::unsupported(offset, "memory64"))
}

pub(super) fn table_type(ty: wasmparser::TableType, offset: u64) -> Result<TableType, Error> {
    let max = ty.maximum.map(|n| limit(n, offset)).transpose()?;
    Ok(TableType::new(
        ref_type(ty.element_type, offset)?,
        limit(ty.initial, offset)?,
        max,
    ))
}

pub(super) fn memory_type(ty: wasmparser::MemoryType, offset: u64) -> Result<MemoryType, Error> {
    let max = ty.maximum.map(|n| limit(n, offset)).transpose()?;
    Ok(MemoryType::new(limit(ty.initial, offset)?, max))
}

pub(super) fn global_type(ty: wasmparser::GlobalType, offset: u64) -> Result<GlobalType, Error> {
    Ok(GlobalType::new(
        val_type(ty.content_type, offset)?,
        ty.mutable,
    ))
}
