//! The code space: address range, index and state in one.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use crate::bypass::{Route, Way};
use crate::code::Allocation;
use crate::counter::{Counter, CounterBlock};
use crate::index::{CodeInfo, SiteIndex};
use crate::lock::{Guard, Lock};
use crate::memory::{Range, Region, Writing};
use crate::os::{ForkGuard, PerCpu, signal};
use crate::patch::Patch;
use crate::slots::{Block, Slot, StubKind};
use crate::state::State;
use crate::trap::Registration;
use crate::{
    Counters, Error, MemoryMode, Protocol, Result, SiteDesc, SiteId, SpaceConfig, VectorState, isa,
};

/// Executable memory for one engine: a reserved range from which code is allocated, with the stubs
/// its sites call beside it.
///
/// No mapping of a code byte allows both writing and execution; see [`MemoryMode`].
/// A forked child does not inherit the code: its copy of the space refuses changes with
/// [`Error::Forked`].
pub struct CodeSpace {
    region: ManuallyDrop<Region>,
    index: Arc<SiteIndex>,
    /// `Some` until dropped.
    registration: ManuallyDrop<Registration>,
    state: Lock<State>,
    protocol: Protocol,
    vector_state: VectorState,
    /// How count stubs count per CPU, if they do.
    per_cpu: Option<PerCpu>,
    fork_guard: ForkGuard,
}

impl CodeSpace {
    /// Reserves a range of address space and prepares the process for changing code in it.
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::Unsupported`] if the configuration cannot be honoured; the system
    /// refuses the memory or forbids executable mappings ([`Error::Memory`], [`Error::NoCodeMemory`]), or
    /// the handler that one mapping needs ([`Error::SignalHandler`]); there is no broadcast, which
    /// publishing and patching need ([`Error::Coherence`]).
    pub fn new(config: &SpaceConfig) -> Result<Arc<CodeSpace>> {
        nopal_icache::register()?;
        let region = config.region()?;
        if region.mode() == MemoryMode::Single {
            signal::FAULT.install()?;
        }
        let index = Arc::new(SiteIndex::new(region.base(), region.code_len())?);
        index.cover(region.code_committed())?;
        Ok(Arc::new(CodeSpace {
            state: Lock::new(State::new(region.code_len())),
            registration: ManuallyDrop::new(Registration::new(
                Arc::clone(&index),
                Arc::clone(region.gate()),
            )),
            index,
            region: ManuallyDrop::new(region),
            protocol: config.chosen_protocol(),
            vector_state: config.chosen_vector_state(),
            per_cpu: config.chosen_counters()?,
            fork_guard: ForkGuard::new()?,
        }))
    }

    /// Takes room for `len` bytes of code, at an address that is known from now on.
    ///
    /// `align` is a power of two of at most 4096; code is always aligned to 64 bytes at least.
    ///
    /// # Errors
    /// [`Error::CodeSpaceFull`], [`Error::BadAlignment`], [`Error::Forked`], or the system has no memory.
    pub fn allocate(self: &Arc<Self>, len: usize, align: usize) -> Result<Allocation> {
        if !align.is_power_of_two() || align > 4096 {
            return Err(Error::BadAlignment(align));
        }
        self.check_not_forked()?;
        let range = self.allocate_range(&mut self.lock(), len, align)?;
        Ok(Allocation::new(Arc::clone(self), range))
    }

    /// Starts a patch: a list of changes to sites that take effect together on
    /// [`commit`](Patch::commit).
    pub fn patch(&self) -> Patch<'_> {
        Patch::new(self)
    }

    /// Whether `addr` lies in the part of the range that can hold code. Async-signal-safe.
    pub fn contains(&self, addr: usize) -> bool {
        self.index.offset(addr).is_some()
    }

    /// The site that ends at `ret_addr`, the address a call in it returns to. Constant time,
    /// async-signal-safe.
    pub fn site_at(&self, ret_addr: usize) -> Option<SiteId> {
        self.index.site_ending_at(ret_addr)
    }

    /// The published code that holds `addr`. Constant time, async-signal-safe. If that code is being
    /// dropped meanwhile, the answer may be about code published in its place.
    pub fn code_at(&self, addr: usize) -> Option<CodeInfo> {
        self.index.code_at(addr)
    }

    /// The site that called a stub, for a thread that faulted on its stack there, in code of this space
    /// that was not published: the site's return address, and the frame pointer there. None if the thread
    /// is elsewhere. With this, whoever handles the fault can take the thread to be at the site, its hook
    /// not called. Constant time, async-signal-safe. Only on x86-64, where sites push their return address.
    ///
    /// # Safety
    /// A thread of this process was stopped by a fault at `pc`; `sp` and `fp` are its stack and frame
    /// pointers.
    #[cfg(target_arch = "x86_64")]
    pub unsafe fn faulted_in_stub(
        &self,
        pc: usize,
        sp: usize,
        fp: usize,
    ) -> Option<(usize, usize)> {
        if !self.contains(pc) || self.code_at(pc).is_some() {
            return None;
        }
        // SAFETY: what is executed in the space and was not published is a stub.
        let site = unsafe { isa::interrupted_site(pc, sp, fp)? };
        self.site_at(site.0).map(|_| site)
    }

    /// Where a site ends: the address a call in it returns to. Takes the space's lock.
    pub fn site_addr(&self, site: SiteId) -> Option<usize> {
        let mut state = self.lock();
        let place = state.directory.locate(site)?;
        let end = state.directory.get(place)?.end;
        Some(self.region.base() + end as usize)
    }

    /// Whether a site calls a hook. Takes the space's lock.
    pub fn is_enabled(&self, site: SiteId) -> Option<bool> {
        let mut state = self.lock();
        let place = state.directory.locate(site)?;
        Some(state.directory.get(place)?.aim.is_on())
    }

    /// The protocol commits use unless told otherwise.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How code is written.
    pub fn memory_mode(&self) -> MemoryMode {
        self.region.mode()
    }

    /// The vector registers that call hooks preserve.
    pub fn vector_state(&self) -> VectorState {
        self.vector_state
    }

    /// Where count hooks count.
    pub fn counters(&self) -> Counters {
        match self.per_cpu {
            Some(_) => Counters::PerCpu,
            None => Counters::Shared,
        }
    }

    /// Address of the range.
    pub fn base(&self) -> usize {
        self.region.base()
    }

    /// Bytes of address space in the range.
    pub fn reserved(&self) -> usize {
        self.region.len()
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn index(&self) -> &Arc<SiteIndex> {
        &self.index
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.fork_guard.is_forked()
    }

    pub(crate) fn check_not_forked(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Error::Forked);
        }
        Ok(())
    }

    /// Takes room for code anywhere.
    pub(crate) fn allocate_code(&self, len: usize) -> Result<Range> {
        self.allocate_range(&mut self.lock(), len, 64)
    }

    /// Takes room for code that starts at one of some offsets; None if there is none.
    pub(crate) fn allocate_code_at(
        &self,
        len: usize,
        starts: std::ops::Range<usize>,
    ) -> Result<Option<Range>> {
        let mut guard = self.lock();
        let range = guard.ranges.allocate_at(len, starts);
        range
            .map(|range| self.commit(&mut guard, range))
            .transpose()
    }

    fn allocate_range(&self, state: &mut State, len: usize, align: usize) -> Result<Range> {
        let range = state.ranges.allocate(len, align);
        self.commit(state, range.ok_or(Error::CodeSpaceFull(len))?)
    }

    /// Sees to it that there is memory in a range that was just taken.
    fn commit(&self, state: &mut State, range: Range) -> Result<Range> {
        let committed = self
            .region
            .commit_code(range.offset() + range.bytes())
            .and_then(|()| self.index.cover(self.region.code_committed()));
        if let Err(error) = committed {
            state.ranges.free(range);
            return Err(error);
        }
        Ok(range)
    }

    /// Writes `bytes` at the start of a range that nobody executes, fills the rest with traps, and
    /// makes it visible to all threads.
    ///
    /// The sites in it, which `bytes` may have in any form, are off, and branches lead around them.
    pub(crate) fn write_code(
        &self,
        range: Range,
        bytes: &[u8],
        sites: &[SiteDesc],
        links: &[isa::Link],
        routes: &[Route],
    ) -> Result<()> {
        debug_assert!(bytes.len() <= range.bytes());
        let writing = self.open(range)?;
        let target = writing.view().wrapping_add(range.offset());
        // SAFETY: the range is committed and open, and its owner, who calls, is the only one to write
        // to it; `bytes` is not longer than it.
        unsafe {
            target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            let rest = range.bytes() - bytes.len();
            target.add(bytes.len()).write_bytes(isa::FILL, rest);
        }
        for (site, &link) in sites.iter().zip(links) {
            let start = site.ret_offset as usize - isa::SITE_LEN;
            // SAFETY: as above; the descriptions were checked against `bytes`.
            unsafe {
                isa::write_link(target.add(start), site.len, link);
                isa::write_head(target.add(start), link, isa::Head::Off, self.region.base());
            }
        }
        for route in routes {
            let branch = writing.view().wrapping_add(route.branch as usize);
            // SAFETY: as above; the branch was read from `bytes`.
            unsafe { route.kind.write_route(branch, route.target(Way::Around)) };
        }
        let executed_at = (self.region.base() + range.offset()) as *const c_void;
        // SAFETY: the range is committed, hence mapped and readable.
        unsafe { nopal_icache::clear_cache(executed_at, range.bytes())? };
        writing.finish()?;
        if range.recycled {
            // Threads may have fetched what was here before.
            nopal_icache::sync_core_mt()?;
        } else {
            nopal_icache::pipeline_flush_mt()?;
        }
        Ok(())
    }

    fn open(&self, range: Range) -> Result<Writing<'_>> {
        let start = range.offset();
        self.region.write(|| start..start + range.bytes())
    }

    /// Fills a range that nobody executes with traps, so that a stray jump is noticed. If the system
    /// does not let it be written, what was there stays, which nobody may execute either.
    pub(crate) fn fill_with_traps(&self, range: Range) {
        let Ok(writing) = self.open(range) else {
            return;
        };
        let target = writing.view().wrapping_add(range.offset());
        // SAFETY: the range is committed and open, and its owner, who calls, is the only one to write
        // to it.
        unsafe { target.write_bytes(isa::FILL, range.bytes()) };
    }

    /// Makes another block of stubs.
    pub(crate) fn add_block(&self, state: &mut State, kind: StubKind) -> Result<()> {
        let shared_word = match kind {
            StubKind::Call => isa::entry_point(self.vector_state)?,
            StubKind::Count | StubKind::Once | StubKind::Code => 0,
        };
        let data = state.data_used;
        let data_end = data + kind.block_data_size();
        self.region.commit_data(data_end)?;
        let per_cpu = match kind {
            StubKind::Count => self.per_cpu,
            StubKind::Once | StubKind::Call | StubKind::Code => PerCpu::get(),
        };
        let counters = match kind.counters() {
            0 => None,
            _ => Some(CounterBlock::new(kind, per_cpu)?),
        };
        let len = isa::block_size(kind);
        let range = self.allocate_range(state, len, 64)?;
        let shared = self.region.data(data + kind.shared_offset());
        // SAFETY: the block's data was just committed and belongs to nobody else; the shared word
        // follows the per-stub data, whose size is a multiple of eight.
        unsafe { shared.cast::<usize>().write(shared_word) };
        let bytes = isa::write_stubs(
            kind,
            self.region.base() + range.offset(),
            isa::BlockData {
                own: self.region.data(data) as usize,
                shared: shared as usize,
                counters: counters.as_ref().map_or(0, CounterBlock::address),
                per_cpu,
            },
        );
        if let Err(error) = self.write_code(range, &bytes, &[], &[], &[]) {
            state.ranges.free(range);
            return Err(error);
        }
        state.data_used = data_end.next_multiple_of(64);
        state.slots.add_block(Block {
            kind,
            code: range.offset(),
            data,
            counters: state.counters.len(),
        });
        state.counters.extend(counters);
        Ok(())
    }

    /// A counter of a count or call stub.
    pub(crate) fn counter(&self, state: &State, slot: Slot, word: usize) -> Counter {
        let block = state.slots.block(slot);
        state.counters[block.counters].counter(slot.position(), word)
    }
}

impl Drop for CodeSpace {
    fn drop(&mut self) {
        if self.is_forked() {
            // Not inherited: the addresses may hold something else. The registration is leaked, as
            // its removal could wait for a thread that only the parent has.
            self.region.abandon();
        } else {
            // SAFETY: dropped once, here, and not used afterwards. It comes before the memory it
            // points into.
            unsafe { ManuallyDrop::drop(&mut self.registration) };
        }
        // SAFETY: dropped once, here, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.region) };
    }
}

impl std::fmt::Debug for CodeSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeSpace")
            .field("base", &format_args!("{:#x}", self.base()))
            .field("reserved", &self.reserved())
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
