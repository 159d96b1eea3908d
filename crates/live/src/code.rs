//! Ranges of the space and the code in them.

use std::fmt;
use std::sync::Arc;

use crate::bypass::{Bypass, Bypasses};
use crate::directory::SiteRecord;
use crate::islands::Islands;
use crate::memory::Range;
use crate::site;
use crate::slots::{NO_HOOK, SlotList};
use crate::{CodeSpace, Error, Result, SiteDesc, SiteId};

/// A range that goes back to its space when dropped.
pub(crate) struct OwnedRange {
    space: Arc<CodeSpace>,
    range: Range,
}

impl OwnedRange {
    pub(crate) fn new(space: Arc<CodeSpace>, range: Range) -> OwnedRange {
        OwnedRange { space, range }
    }
}

impl Drop for OwnedRange {
    fn drop(&mut self) {
        if !self.space.is_forked() {
            self.space.lock().ranges.free(self.range);
        }
    }
}

/// Room for code whose address is known but which holds none yet. Dropping it gives the room back.
pub struct Allocation {
    owned: OwnedRange,
    len: usize,
    tag: usize,
}

impl Allocation {
    pub(crate) fn new(space: Arc<CodeSpace>, range: Range) -> Allocation {
        Allocation {
            len: range.bytes(),
            owned: OwnedRange::new(space, range),
            tag: 0,
        }
    }

    /// The address the code will be executed at.
    pub fn addr(&self) -> usize {
        self.owned.space.base() + self.owned.range.offset()
    }

    /// Bytes of room: what was asked for, rounded up.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no room at all, which is never the case.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Attaches a word of the caller's to the code, to be found again with
    /// [`CodeSpace::code_at`], also from signal handlers.
    #[must_use]
    pub fn tag(mut self, tag: usize) -> Allocation {
        self.tag = tag;
        self
    }

    /// Puts code in place and makes it ready to run: `bytes`, relocated for
    /// [`addr`](Self::addr), with the given sites in ascending order, all of them off.
    ///
    /// # Errors
    /// The bytes are too long ([`Error::TooLong`]), a site is wrong ([`Error::BadSite`]), no site ids are
    /// left, the process is a forked child, the system refuses memory, or the code could not be made
    /// visible to all threads ([`Error::Coherence`]). The room is then given back.
    pub fn publish(self, bytes: &[u8], sites: &[SiteDesc]) -> Result<Code> {
        self.publish_with(bytes, sites, &[])
    }

    /// As [`publish`](Self::publish), with branches in ascending order that lead around sites as long as these are
    /// off.
    ///
    /// # Errors
    /// Also if a branch is wrong ([`Error::BadBypass`]).
    pub fn publish_with(
        self,
        bytes: &[u8],
        sites: &[SiteDesc],
        bypasses: &[Bypass],
    ) -> Result<Code> {
        let Allocation { owned, len, tag } = self;
        if bytes.len() > len {
            return Err(Error::TooLong {
                len: bytes.len(),
                allocated: len,
            });
        }
        site::check(bytes, sites)?;
        let space = &owned.space;
        space.check_not_forked()?;
        let islands = Islands::new(space, owned.range, sites)?;
        let first = space.lock().directory.take_ids(sites.len())?;
        let offset = owned.range.offset();
        // Both parts of the sum are below the size of the range, which is below 2 GiB.
        let records: Box<[SiteRecord]> = sites
            .iter()
            .zip(&islands.links)
            .map(|(site, &link)| SiteRecord::new(offset as u32 + site.ret_offset, link))
            .collect();
        let bypasses = Bypasses::new(bytes, offset as u32, sites, bypasses)?;
        space.write_code(owned.range, bytes, sites, &islands.links, bypasses.routes())?;
        space.index().insert(offset, bytes.len(), tag, sites, first);
        // SAFETY: the routes stay where they are until the code is dropped, which takes it out of the
        // index first.
        unsafe { space.index().insert_routes(offset, bypasses.routes()) };
        space.lock().directory.insert(first, records, bypasses);
        Ok(Code {
            len: bytes.len(),
            first,
            sites: sites.len() as u32,
            islands: islands.owned,
            owned,
        })
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allocation")
            .field("addr", &format_args!("{:#x}", self.addr()))
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Published code. It keeps its space alive, and gives its range back when dropped.
///
/// **Nobody may be executing the code when it is dropped**, nor have a return address into it:
/// whoever calls into the code (which is unsafe) sees to that, for example by holding an
/// `Arc<Code>` around every call.
pub struct Code {
    len: usize,
    first: u32,
    sites: u32,
    islands: Option<OwnedRange>,
    owned: OwnedRange,
}

impl Code {
    /// Address of the first byte.
    pub fn base(&self) -> usize {
        self.owned.space.base() + self.owned.range.offset()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The id of the `i`-th site, in the order of the descriptions.
    pub fn site(&self, i: usize) -> Option<SiteId> {
        (i < self.site_count()).then(|| SiteId::from_index(self.first + i as u32))
    }

    /// The ids of all sites, in the order of the descriptions.
    pub fn sites(&self) -> impl ExactSizeIterator<Item = SiteId> + Clone + use<> {
        let first = self.first;
        // A range of usize has an exact size, one of u32 has not; sites fit both.
        (0..self.sites as usize).map(move |i| SiteId::from_index(first + i as u32))
    }

    /// How many sites there are.
    pub fn site_count(&self) -> usize {
        self.sites as usize
    }

    /// The space that holds the code.
    pub fn space(&self) -> &Arc<CodeSpace> {
        &self.owned.space
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("base", &format_args!("{:#x}", self.base()))
            .field("len", &self.len)
            .field("sites", &self.sites)
            .finish_non_exhaustive()
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let space = &self.owned.space;
        if space.is_forked() {
            return;
        }
        space.index().remove(self.owned.range.offset(), self.len);
        let mut guard = space.lock();
        let state = &mut *guard;
        if let Some(code) = state.directory.remove(self.first, self.site_count()) {
            for (site, details) in code.sites.iter().zip(&code.details) {
                state.hooks.move_sites(site.aim.hook(), NO_HOOK, 1);
                if details.slots != SlotList::default() {
                    state.slots.detach_all(details.slots);
                }
            }
        }
        drop(guard);
        let ranges = self.islands.iter().chain([&self.owned]);
        ranges.for_each(|owned| space.fill_with_traps(owned.range));
    }
}
