//! What there is between a site and its stub where every call reaches every stub: nothing.

use super::{Head, current};

/// Bytes in a site.
pub(crate) const SITE_LENS: &[usize] = &[current::SITE_LEN];

/// Whether the broadcast that follows stores does all that caches need.
pub(crate) const BROADCAST_CLEARS_CACHE: bool =
    cfg!(any(target_arch = "x86_64", target_arch = "s390x"));

/// Bytes of an island: there are none.
pub(crate) const ISLAND_SIZE: usize = 0;

/// How a site reaches its island.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {}

/// The link of a site at one offset of the range to the island at another.
pub(crate) fn link(_site: usize, _island: usize) -> Link {
    Link {}
}

/// How far a site may be from its island.
pub(crate) fn reach(_len: u8) -> usize {
    usize::MAX
}

impl Link {
    /// Offsets from the start of the site between which something is written to change it.
    #[inline]
    pub(crate) fn extent(self) -> (isize, isize) {
        (0, current::SITE_LEN as isize)
    }
}

/// Islands that will run at an address.
pub(crate) fn write_islands(_at: usize, _count: usize) -> Vec<u8> {
    Vec::new()
}

/// # Safety
/// None is needed here.
pub(crate) unsafe fn write_link(_site: *mut u8, _len: u8, _link: Link) {}

/// # Safety
/// As for `current::write_head`.
#[inline]
pub(crate) unsafe fn write_head(site: *mut u8, _link: Link, head: Head, _base: usize) {
    // SAFETY: the caller's promise.
    unsafe { current::write_head(site, head) };
}

/// # Safety
/// As for `current::read_tail`.
#[inline]
pub(crate) unsafe fn read_tail(site: *const u8, _link: Link, _base: usize) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { current::read_tail(site) }
}
