//! Patch sites in code that [Cranelift](cranelift_codegen) compiled.
//!
//! A call to a function that was imported as `patchable` becomes a site. Cranelift emits the calls, and
//! says how to overwrite them with NOPs; from these [`Compiled`] makes code with all sites off, to be
//! published as any other. Where the calls led to, a [`CodeHook`](crate::CodeHook) of that address
//! leads again.
//!
//! Hooks keep all registers, so that a callee of the calling convention `preserve_all` is what costs the
//! surrounding code least; any other works, too.

use cranelift_codegen::{Final, FinalizedMachReloc, MachBufferFinalized};

use crate::{Error, Result, SiteDefect, SiteDesc};

/// What there is to publish of a compiled function.
#[derive(Debug)]
pub struct Compiled<'b> {
    /// The code, with NOPs for the patchable calls; relocations are to be applied to it.
    pub bytes: Vec<u8>,
    /// The sites, for [`publish`](crate::Allocation::publish).
    pub sites: Vec<SiteDesc>,
    /// The relocations, except for those of patchable calls, which are gone.
    pub relocs: Vec<&'b FinalizedMachReloc>,
}

impl<'b> Compiled<'b> {
    /// Takes the code of a function apart.
    ///
    /// # Errors
    /// [`Error::BadSite`] if a patchable call has a length that no site has, or that cannot be filled
    /// with NOPs.
    pub fn new(buffer: &'b MachBufferFinalized<Final>) -> Result<Compiled<'b>> {
        let mut bytes = buffer.data().to_vec();
        let mut sites = Vec::new();
        for (index, call) in buffer.patchable_call_sites().enumerate() {
            let bad = |defect| Error::BadSite {
                index,
                ret_offset: call.ret_addr,
                defect,
            };
            let len = u8::try_from(call.len).map_err(|_| bad(SiteDefect::Length))?;
            let end = call.ret_addr as usize;
            let start = end.checked_sub(usize::from(len));
            let region = start.and_then(|start| bytes.get_mut(start..end));
            let region = region.ok_or_else(|| bad(SiteDefect::OutOfRange))?;
            if !fill(region, &buffer.nop_units) {
                return Err(bad(SiteDefect::Length));
            }
            let ret_offset = call.ret_addr;
            sites.push(SiteDesc { ret_offset, len });
        }
        sites.sort_by_key(|site| site.ret_offset);
        let kept = |reloc: &&FinalizedMachReloc| {
            let after = sites.partition_point(|site| site.ret_offset <= reloc.offset);
            let site = sites.get(after);
            site.is_none_or(|site| reloc.offset + u32::from(site.len) < site.ret_offset)
        };
        let relocs = buffer.relocs().iter().filter(kept).collect();
        Ok(Compiled {
            relocs,
            bytes,
            sites,
        })
    }
}

/// Fills a region with NOPs, the longest that fit first; false if they do not come out even.
fn fill(region: &mut [u8], nop_units: &[Vec<u8>]) -> bool {
    let mut done = 0;
    // They are sorted by length.
    for unit in nop_units.iter().rev().filter(|unit| !unit.is_empty()) {
        while let Some(part) = region.get_mut(done..done + unit.len()) {
            part.copy_from_slice(unit);
            done += unit.len();
        }
    }
    done == region.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_nops_come_first() {
        let units = [vec![1], vec![5, 5, 5]];
        let mut region = [0; 8];
        assert!(fill(&mut region, &units));
        assert_eq!(region, [5, 5, 5, 5, 5, 5, 1, 1]);
        assert!(!fill(&mut [0; 4], &units[1..]));
        assert!(!fill(&mut [0; 1], &[vec![]]));
        assert!(fill(&mut [], &[]));
    }
}
