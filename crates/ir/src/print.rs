//! Functions as text: CLIF as Cranelift's reader takes it.
//!
//! Two attributes are our own, at the end of calls of patchable functions: `site=7`, a number of
//! the front end's, and `observe=[v1, v2]`, values to be found at the site. `{:#}` leaves them out.
//! A value that is an alias is written as the value it stands for. A reference that leads nowhere is
//! written all the same, so that a malformed function can be looked at.

mod immediates;
mod inst;

use crate::{
    AliasRegion, Block, DebugTag, EntityRef, ExtFunc, Function, GlobalValueData, Inst, MemFlags,
    StackSlot, StackSlotData, Type,
};
use core::fmt::{self, Display, Formatter, Result};
use immediates::{Bytes, Imm64, Offset32};
pub(crate) use immediates::{Ieee16, Ieee32, Ieee64, Ieee128};
use inst::DisplayInst;

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "function {}{} {{", self.name, self.signature)?;
        let mut first = !write_preamble(self, f)?;
        let located = self
            .layout()
            .iter()
            .flat_map(|&b| self.block_insts(b))
            .any(|i| !self.srcloc(i).is_none());
        let width = if located || self.has_debug_tags() {
            8
        } else {
            0
        };
        for &block in self.layout() {
            if !std::mem::take(&mut first) {
                writeln!(f)?;
            }
            write_block_header(self, block, f)?;
            for inst in self.block_insts(block) {
                let prefix = self.inst_prefix(inst);
                write!(f, "    {prefix:width$}")?;
                DisplayInst { func: self, inst }.fmt(f)?;
                writeln!(f)?;
            }
        }
        writeln!(f, "}}")
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Display::fmt(self, f)
    }
}

impl Function {
    /// An instruction as text, without its tags and its source location.
    pub fn display_inst(&self, inst: Inst) -> impl Display + '_ {
        DisplayInst { func: self, inst }
    }

    /// The tags and the source location of an instruction, with a space after what there is.
    fn inst_prefix(&self, inst: Inst) -> String {
        let mut prefix = String::new();
        let tags: Vec<_> = self
            .debug_tags(inst)
            .iter()
            .map(DebugTag::to_string)
            .collect();
        if !tags.is_empty() {
            prefix = format!("<{}> ", tags.join(", "));
        }
        let loc = self.srcloc(inst);
        if !loc.is_none() {
            prefix += &format!("@{:04x} ", loc.bits());
        }
        prefix
    }

    /// A type as it is written in this function: a dynamic one by the number of its declaration.
    fn display_type(&self, ty: Type) -> String {
        let declared = self
            .dynamic_types()
            .iter()
            .position(|dt| ty.is_dynamic() && dt.base.to_dynamic() == Some(ty));
        match declared {
            Some(n) => format!("dt{n}"),
            None => ty.to_string(),
        }
    }
}

/// Memory flags and a region, each preceded by a space.
struct Access(MemFlags, Option<AliasRegion>);

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.0)?;
        match self.1 {
            Some(region) => write!(f, " {region}"),
            None => Ok(()),
        }
    }
}

impl Display for GlobalValueData {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match *self {
            GlobalValueData::VMContext => f.write_str("vmctx"),
            GlobalValueData::Load {
                base,
                offset,
                ty,
                flags,
                region,
            } => {
                let access = Access(flags, region);
                write!(f, "load.{ty}{access} {base}{}", Offset32(offset))
            }
            GlobalValueData::IaddImm { base, offset, ty } => {
                write!(f, "iadd_imm.{ty} {base}, {}", Imm64(offset))
            }
            GlobalValueData::Symbol {
                ref name,
                offset,
                colocated,
                tls,
            } => {
                let colocated = if colocated { "colocated " } else { "" };
                let tls = if tls { "tls " } else { "" };
                write!(f, "symbol {colocated}{tls}{name}")?;
                match offset {
                    0 => Ok(()),
                    1.. => write!(f, "+{}", Imm64(offset)),
                    // Cranelift's reader takes `u0:1-8` as one number after the colon.
                    _ => write!(f, " {}", Imm64(offset)),
                }
            }
            GlobalValueData::DynScaleTargetConst { vector } => {
                write!(f, "dyn_scale_target_const.{vector}")
            }
        }
    }
}

impl Display for StackSlotData {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "explicit_slot {}", self.size)?;
        if self.align_shift != 0 {
            write!(f, ", align = {}", 1u128 << self.align_shift.min(127))?;
        }
        Ok(())
    }
}

impl Display for ExtFunc {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let colocated = if self.colocated { "colocated " } else { "" };
        let patchable = if self.patchable { "patchable " } else { "" };
        write!(f, "{colocated}{patchable}{} {}", self.name, self.signature)
    }
}

/// Whether there was anything to write.
fn write_preamble(
    func: &Function,
    f: &mut Formatter<'_>,
) -> core::result::Result<bool, fmt::Error> {
    let mut any = false;
    let mut line = |name: &str, n: Option<usize>, data: &dyn Display| {
        any = true;
        match n {
            Some(n) => writeln!(f, "    {name}{n} = {data}"),
            None => writeln!(f, "    {name} = {data}"),
        }
    };
    for (n, slot) in func.stack_slots().iter().enumerate() {
        match func.stack_slot_key(StackSlot::new(n)) {
            Some(key) => line("ss", Some(n), &format_args!("{slot}, key = {key}"))?,
            None => line("ss", Some(n), slot)?,
        }
    }
    for (n, region) in func.alias_regions().iter().enumerate() {
        // There is no way to write a quote between quotes.
        let (id, text) = (region.user_id, region.description.replace('"', "'"));
        line("region", Some(n), &format_args!("{id} \"{text}\""))?;
    }
    for (n, global) in func.global_values().iter().enumerate() {
        line("gv", Some(n), global)?;
    }
    for (n, ty) in func.dynamic_types().iter().enumerate() {
        line("dt", Some(n), &format_args!("{}*{}", ty.base, ty.scale))?;
    }
    for (n, slot) in func.dynamic_stack_slots().iter().enumerate() {
        line(
            "dss",
            Some(n),
            &format_args!("explicit_dynamic_slot {}", slot.ty),
        )?;
    }
    for (n, sig) in func.sigs().iter().enumerate() {
        line("sig", Some(n), sig)?;
    }
    for (n, callee) in func.ext_funcs().iter().enumerate() {
        line("fn", Some(n), callee)?;
    }
    for (n, constant) in func.constants().iter().enumerate() {
        line("const", Some(n), &Bytes(constant))?;
    }
    if let Some(limit) = func.stack_limit {
        line("stack_limit", None, &limit)?;
    }
    Ok(any)
}

fn write_block_header(func: &Function, block: Block, f: &mut Formatter<'_>) -> Result {
    write!(f, "{block}")?;
    let data = func.block(block);
    let params = func.lists.get_list(data.params).into_iter().flatten();
    let params = params.map(|v| (v, func.get_value(v).map_or(Type::INVALID, |(ty, _)| ty)));
    write_list(f, "(", params, ")", |f, (v, ty)| {
        write!(f, "{v}: {}", func.display_type(ty))
    })?;
    let cold = if data.cold { " cold" } else { "" };
    writeln!(f, "{cold}:")
}

/// `open`, the items with commas between them, `close`; nothing if there are no items.
fn write_list<T>(
    f: &mut Formatter<'_>,
    open: &str,
    items: impl Iterator<Item = T>,
    close: &str,
    mut write: impl FnMut(&mut Formatter<'_>, T) -> Result,
) -> Result {
    let mut any = false;
    for item in items {
        f.write_str(if any { ", " } else { open })?;
        write(f, item)?;
        any = true;
    }
    f.write_str(if any { close } else { "" })
}
