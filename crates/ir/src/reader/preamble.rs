//! Declarations before the first block.

use super::error::{Result, error};
use super::function::{FunctionReader, read_signature};
use super::lexer::numbered;
use crate::verify::Entity;
use crate::{
    AliasRegionData, ConstantData, DynamicStackSlotData, DynamicTypeData, ExtFunc, GlobalValue,
    GlobalValueData, MemFlags, Signature, StackSlotData, Type,
};
use std::collections::{BTreeMap, HashSet};

/// Declarations of one kind by number, each with the byte where it begins.
type Decls<T> = BTreeMap<u32, (usize, T)>;

/// Declarations as they are written; they refer to each other by number.
#[derive(Default)]
struct Written {
    slots: Decls<(StackSlotData, Option<u64>)>,
    dynamic_slots: Decls<Ref>,
    dynamic_types: Decls<(Type, Ref)>,
    globals: Decls<Global>,
    sigs: Decls<(Signature, bool)>,
    /// The number a signature written with a function gets: one more than the highest so far.
    next_sig: u32,
    funcs: Decls<(ExtFunc, SigOf)>,
    constants: Decls<ConstantData>,
    regions: Decls<AliasRegionData>,
    limit: Option<Ref>,
}

/// A global value, and the numbers of the one it is based on and of its region.
struct Global {
    data: GlobalValueData,
    base: Option<Ref>,
    region: Option<Ref>,
}

/// A number and the byte where it is written.
type Ref = (usize, u32);

enum SigOf {
    Declared(Ref),
    /// The number, the signature, and whether it is the convention `patchable`.
    Own(u32, Signature, bool),
}

/// Add a declaration that must be the first with its number.
fn declare<T>(map: &mut Decls<T>, at: usize, name: &str, n: u32, data: T) -> Result<()> {
    match map.insert(n, (at, data)) {
        None => Ok(()),
        Some(_) => error(at, format!("`{name}` is declared already")),
    }
}

impl FunctionReader<'_> {
    /// All declarations.
    pub(super) fn read_preamble(&mut self) -> Result<()> {
        let mut written = Written::default();
        while self.read_declaration(&mut written)? {}
        self.define_data(&written);
        self.define_globals(std::mem::take(&mut written.globals))?;
        self.define_dynamic(&written)?;
        self.define_functions(written.sigs, written.funcs)?;
        if let Some((at, n)) = written.limit {
            let limit = Self::find(at, &self.declared.globals, "gv", n)?;
            self.func.stack_limit = Some(limit);
        }
        Ok(())
    }

    /// Whether there was one.
    fn read_declaration(&mut self, written: &mut Written) -> Result<bool> {
        let at = self.cur.start();
        let Some(name) = self.cur.peek_word() else {
            return Ok(false);
        };
        if name == "stack_limit" {
            self.cur.advance();
            self.cur.sign("=")?;
            let limit = self.reference("gv", "a global value")?;
            if written.limit.replace(limit).is_some() {
                return error(at, "`stack_limit` is declared already");
            }
            return Ok(true);
        }
        let Some((prefix, n)) = numbered(name) else {
            return Ok(false);
        };
        if !matches!(
            prefix,
            "ss" | "dss" | "dt" | "gv" | "sig" | "fn" | "const" | "region"
        ) {
            return Ok(false);
        }
        self.cur.advance();
        self.cur.sign("=")?;
        match prefix {
            "ss" => {
                let data = self.stack_slot()?;
                declare(&mut written.slots, at, name, n, data)?;
            }
            "dss" => {
                if !self.cur.optional_word("explicit_dynamic_slot") {
                    self.cur.expected::<()>("`explicit_dynamic_slot`")?;
                }
                let ty = self.reference("dt", "a dynamic type")?;
                declare(&mut written.dynamic_slots, at, name, n, ty)?;
            }
            "dt" => {
                let base = self.vector_type()?;
                self.cur.sign("*")?;
                let scale = self.reference("gv", "a global value")?;
                declare(&mut written.dynamic_types, at, name, n, (base, scale))?;
            }
            "gv" => {
                let data = self.global_value()?;
                declare(&mut written.globals, at, name, n, data)?;
            }
            "sig" => {
                let sig = read_signature(&mut self.cur, self.default_conv)?;
                declare(&mut written.sigs, at, name, n, sig)?;
                written.next_sig = written.next_sig.max(n.saturating_add(1));
            }
            "fn" => {
                let data = self.ext_func(&mut written.next_sig)?;
                declare(&mut written.funcs, at, name, n, data)?;
            }
            "const" => {
                let data = self.constant_data()?;
                declare(&mut written.constants, at, name, n, data)?;
            }
            _ => {
                let user_id = self.cur.unsigned(32, "the number of a region")? as u32;
                let description = self.cur.string()?.into();
                let data = AliasRegionData {
                    user_id,
                    description,
                };
                declare(&mut written.regions, at, name, n, data)?;
            }
        }
        Ok(true)
    }

    fn reference(&mut self, prefix: &str, what: &str) -> Result<Ref> {
        let at = self.cur.start();
        Ok((at, self.cur.numbered(prefix, what)?))
    }

    fn vector_type(&mut self) -> Result<Type> {
        let fixed = |name: &str| Type::from_name(name).filter(|t| t.is_vector() && !t.is_dynamic());
        self.cur.named("a fixed vector type", fixed)
    }

    /// `explicit_slot 8, align = 4, key = 1`, after the equals sign.
    fn stack_slot(&mut self) -> Result<(StackSlotData, Option<u64>)> {
        if !self.cur.optional_word("explicit_slot") {
            return self.cur.expected("`explicit_slot`");
        }
        let size = self.cur.unsigned(32, "a size in bytes")? as u32;
        let (mut align_shift, mut key) = (0, None);
        while self.cur.optional(",") {
            if self.cur.optional_word("align") {
                self.cur.sign("=")?;
                let at = self.cur.start();
                let align = self.cur.unsigned(32, "an alignment in bytes")? as u32;
                if !align.is_power_of_two() {
                    return error(at, "an alignment is a power of two");
                }
                align_shift = align.trailing_zeros() as u8;
            } else if self.cur.optional_word("key") {
                self.cur.sign("=")?;
                key = Some(self.cur.unsigned(64, "a key")?);
            } else {
                return self.cur.expected("`align` or `key`");
            }
        }
        Ok((StackSlotData { size, align_shift }, key))
    }

    /// What a global value is, after the equals sign.
    fn global_value(&mut self) -> Result<Global> {
        let unknown = GlobalValue::from_u32(0);
        let start = self.cur.start();
        let kind = self.cur.word("a kind of global value")?;
        let data = match kind {
            "vmctx" => GlobalValueData::VMContext,
            "load" => {
                self.cur.sign(".")?;
                let ty = self.cur.ty()?;
                let (flags, region) = self.mem_flags(MemFlags::new())?;
                let base = self.reference("gv", "a global value")?;
                let data = GlobalValueData::Load {
                    base: unknown,
                    offset: self.cur.optional_offset(32)? as i32,
                    ty,
                    flags,
                    region: None,
                };
                let base = Some(base);
                return Ok(Global { data, base, region });
            }
            "iadd_imm" => {
                self.cur.sign(".")?;
                let ty = self.cur.ty()?;
                let base = self.reference("gv", "a global value")?;
                self.cur.sign(",")?;
                let offset = self.cur.imm64("a number")?;
                let data = GlobalValueData::IaddImm {
                    base: unknown,
                    offset,
                    ty,
                };
                let (base, region) = (Some(base), None);
                return Ok(Global { data, base, region });
            }
            "symbol" => GlobalValueData::Symbol {
                colocated: self.cur.optional_word("colocated"),
                tls: self.cur.optional_word("tls"),
                name: self.cur.name()?,
                offset: self.cur.optional_offset(64)?,
            },
            "dyn_scale_target_const" => {
                self.cur.sign(".")?;
                let vector = self.vector_type()?;
                GlobalValueData::DynScaleTargetConst { vector }
            }
            _ => {
                let message = format!("`{kind}` is not a kind of global value");
                return error(start, message);
            }
        };
        Ok(Global {
            data,
            base: None,
            region: None,
        })
    }

    /// `colocated patchable %f sig0`, after the equals sign.
    fn ext_func(&mut self, next_sig: &mut u32) -> Result<(ExtFunc, SigOf)> {
        let colocated = self.cur.optional_word("colocated");
        let patchable = self.cur.optional_word("patchable");
        let name = self.cur.name()?;
        let sig = match self.cur.looking_at("(") {
            true => {
                let (sig, patchable) = read_signature(&mut self.cur, self.default_conv)?;
                let n = *next_sig;
                *next_sig = n.saturating_add(1);
                SigOf::Own(n, sig, patchable)
            }
            false => SigOf::Declared(self.reference("sig", "a signature, `(…)` or")?),
        };
        let data = ExtFunc {
            name,
            signature: crate::SigRef::from_u32(0),
            colocated,
            patchable,
        };
        Ok((data, sig))
    }

    fn constant_data(&mut self) -> Result<ConstantData> {
        let data = match self.cur.peek_word() {
            Some(_) => {
                let ty = self.cur.ty()?;
                self.cur.data(ty)?
            }
            None => self.cur.bytes()?,
        };
        Ok(data.into())
    }

    fn place(&mut self, entity: Entity, at: usize) {
        self.places.declared.push((entity, at as u32));
    }

    fn define_data(&mut self, written: &Written) {
        for (&n, &(at, (data, key))) in &written.slots {
            let slot = self.func.create_stack_slot(data);
            if let Some(key) = key {
                self.func.set_stack_slot_key(slot, key);
            }
            self.declared.slots.insert(n, slot);
            self.place(Entity::StackSlot(slot), at);
        }
        for (&n, (at, data)) in &written.regions {
            let region = self.func.create_alias_region(data.clone());
            self.declared.regions.insert(n, region);
            self.place(Entity::AliasRegion(region), *at);
        }
        for (&n, (_, data)) in &written.constants {
            let constant = self.func.create_constant(data.clone());
            self.declared.constants.insert(n, constant);
        }
    }

    fn define_globals(&mut self, globals: Decls<Global>) -> Result<()> {
        for (index, &n) in globals.keys().enumerate() {
            let gv = GlobalValue::from_u32(index as u32);
            self.declared.globals.insert(n, gv);
        }
        for (at, global) in globals.into_values() {
            let Global {
                mut data,
                base: on,
                region: in_region,
            } = global;
            if let (
                GlobalValueData::Load { base, .. } | GlobalValueData::IaddImm { base, .. },
                Some((at, n)),
            ) = (&mut data, on)
            {
                *base = Self::find(at, &self.declared.globals, "gv", n)?;
            }
            if let (GlobalValueData::Load { region, .. }, Some((at, n))) = (&mut data, in_region) {
                *region = Some(Self::find(at, &self.declared.regions, "region", n)?);
            }
            let gv = self.func.create_global_value(data);
            self.place(Entity::GlobalValue(gv), at);
        }
        Ok(())
    }

    fn define_dynamic(&mut self, written: &Written) -> Result<()> {
        for (&n, &(at, (base, (scale_at, scale)))) in &written.dynamic_types {
            let scale = Self::find(scale_at, &self.declared.globals, "gv", scale)?;
            let ty = self
                .func
                .create_dynamic_type(DynamicTypeData { base, scale });
            self.declared.dynamic_types.insert(n, ty);
            self.place(Entity::DynamicType(ty), at);
        }
        for (&n, &(at, (type_at, ty))) in &written.dynamic_slots {
            let ty = Self::find(type_at, &self.declared.dynamic_types, "dt", ty)?;
            let slot = self
                .func
                .create_dynamic_stack_slot(DynamicStackSlotData { ty });
            self.declared.dynamic_slots.insert(n, slot);
            self.place(Entity::DynamicStackSlot(slot), at);
        }
        Ok(())
    }

    fn define_functions(
        &mut self,
        sigs: Decls<(Signature, bool)>,
        funcs: Decls<(ExtFunc, SigOf)>,
    ) -> Result<()> {
        let mut patchable_sigs = HashSet::new();
        for (n, (at, (sig, patchable))) in sigs {
            let sig = self.func.import_signature(sig);
            self.declared.sigs.insert(n, sig);
            self.place(Entity::Signature(sig), at);
            if patchable {
                patchable_sigs.insert(sig);
            }
        }
        // In the order of the text, so that their numbers are those they have by then.
        let mut own: Vec<_> = funcs
            .iter()
            .filter_map(|(&func, (at, (_, sig)))| match sig {
                SigOf::Own(n, sig, patchable) => Some((*n, func, *at, sig, *patchable)),
                SigOf::Declared(_) => None,
            })
            .collect();
        own.sort_unstable_by_key(|o| o.0);
        let mut own_of = BTreeMap::new();
        for (n, func, at, sig, patchable) in own {
            let sig = self.func.import_signature(sig.clone());
            self.declared.sigs.entry(n).or_insert(sig);
            self.place(Entity::Signature(sig), at);
            if patchable {
                patchable_sigs.insert(sig);
            }
            own_of.insert(func, sig);
        }
        for (n, (at, (mut data, sig))) in funcs {
            data.signature = match sig {
                SigOf::Declared((at, n)) => Self::find(at, &self.declared.sigs, "sig", n)?,
                SigOf::Own(..) => own_of[&n],
            };
            data.patchable |= patchable_sigs.contains(&data.signature);
            let callee = self.func.import_function(data);
            self.declared.funcs.insert(n, callee);
            self.place(Entity::Callee(callee), at);
        }
        Ok(())
    }
}
