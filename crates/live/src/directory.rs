//! From a site id to what is known about the site. Used under the space's lock.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bypass::Bypasses;
use crate::isa::{self, Link};
use crate::slots::{HookId, MAX_HOOK, NO_HOOK, SlotList};
use crate::{Error, Result, SiteId};

/// Which hook's stub the tail of a site names, as far as that is known, and whether its head calls it: one word, so
/// that sites in a row which are alike are soon found.
///
/// Hook ids are not used again, so that the id of a gone hook does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aim(u32);

impl Aim {
    /// Off, and nobody knows what the tail names.
    pub(crate) const UNKNOWN: Aim = Aim(0);

    /// It calls a hook, which is not `NO_HOOK`.
    #[inline]
    pub(crate) fn on(hook: HookId) -> Aim {
        debug_assert!(hook <= MAX_HOOK);
        Aim(hook << 1 | 1)
    }

    /// It calls none, and would call `hook` if only its head were changed; `NO_HOOK` if that is not known.
    #[inline]
    pub(crate) fn off(hook: HookId) -> Aim {
        Aim(hook << 1)
    }

    #[inline]
    pub(crate) fn is_on(self) -> bool {
        self.0 & 1 != 0
    }

    /// The hook it calls, or `NO_HOOK` while it is off.
    #[inline]
    pub(crate) fn hook(self) -> HookId {
        if self.is_on() { self.0 >> 1 } else { NO_HOOK }
    }
}

/// What commits go through, site by site: as little as there can be.
#[derive(Clone, Debug)]
pub(crate) struct SiteRecord {
    /// Offset of its end in the code range.
    pub(crate) end: u32,
    pub(crate) aim: Aim,
    pub(crate) link: Link,
}

impl SiteRecord {
    pub(crate) fn new(end: u32, link: Link) -> SiteRecord {
        SiteRecord {
            end,
            aim: Aim::UNKNOWN,
            link,
        }
    }

    /// Offset of what is changed in it: its first byte, or its word.
    #[inline]
    pub(crate) fn start(&self) -> u32 {
        self.end - isa::SITE_LEN as u32
    }
}

/// What else is known about a site.
#[derive(Clone, Debug, Default)]
pub(crate) struct SiteDetails {
    /// The stubs made for it.
    pub(crate) slots: SlotList,
    /// One more than its position in the plan being made; 0 outside of commits.
    pub(crate) planned: u32,
}

/// Where a site's record is; valid as long as its code is published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    code: u32,
    index: u32,
}

impl Place {
    /// The place `count` sites further on in the same code.
    #[inline]
    pub(crate) fn after(self, count: u32) -> Place {
        Place {
            index: self.index + count,
            ..self
        }
    }

    /// The positions in their code of the site at the place and those after it, `count` in all.
    pub(crate) fn sites(self, count: u32) -> Range<u32> {
        self.index..self.index.saturating_add(count)
    }
}

/// The sites of a code.
pub(crate) struct CodeRecord {
    /// Id of the first of them.
    first: u32,
    pub(crate) sites: Box<[SiteRecord]>,
    /// As many.
    pub(crate) details: Box<[SiteDetails]>,
    pub(crate) bypasses: Bypasses,
}

/// All sites of published code.
#[derive(Default)]
pub(crate) struct Directory {
    codes: Vec<Option<CodeRecord>>,
    vacant: Vec<u32>,
    /// First id of each code to its position in `codes`.
    by_first: BTreeMap<u32, u32>,
    next_id: u32,
    /// The code of the last successful search: searches mostly stay in one.
    last: u32,
}

impl Directory {
    /// Takes `count` consecutive ids, never to be taken again.
    pub(crate) fn take_ids(&mut self, count: usize) -> Result<u32> {
        let first = self.next_id;
        let count = u32::try_from(count).map_err(|_| Error::TooManySites)?;
        self.next_id = first.checked_add(count).ok_or(Error::TooManySites)?;
        Ok(first)
    }

    /// Enters the sites of a code, whose ids count up from `first`, and the branches that lead around them.
    pub(crate) fn insert(&mut self, first: u32, sites: Box<[SiteRecord]>, bypasses: Bypasses) {
        if sites.is_empty() {
            return;
        }
        let record = Some(CodeRecord {
            first,
            details: vec![SiteDetails::default(); sites.len()].into(),
            sites,
            bypasses,
        });
        let position = match self.vacant.pop() {
            Some(position) => {
                self.codes[position as usize] = record;
                position
            }
            None => {
                self.codes.push(record);
                self.codes.len() as u32 - 1
            }
        };
        self.by_first.insert(first, position);
    }

    /// Removes the sites of a code: `count` of them, from the id `first` on. None if there are none.
    pub(crate) fn remove(&mut self, first: u32, count: usize) -> Option<CodeRecord> {
        // Without sites, `first` is that of the next code that has some.
        if count == 0 {
            return None;
        }
        let position = self.by_first.remove(&first)?;
        self.vacant.push(position);
        self.codes[position as usize].take()
    }

    /// Finds a site.
    #[inline]
    pub(crate) fn locate(&mut self, site: SiteId) -> Option<Place> {
        let id = site.index();
        if let Some(place) = self.place_in(self.last, id) {
            return Some(place);
        }
        let (_, &code) = self.by_first.range(..=id).next_back()?;
        let place = self.place_in(code, id)?;
        self.last = code;
        Some(place)
    }

    #[inline]
    fn place_in(&self, code: u32, id: u32) -> Option<Place> {
        let record = self.codes.get(code as usize)?.as_ref()?;
        let index = id.checked_sub(record.first)?;
        ((index as usize) < record.sites.len()).then_some(Place { code, index })
    }

    /// The code in which a place is, and the position of the place in it.
    #[inline]
    pub(crate) fn code_mut(&mut self, place: Place) -> Option<(&mut CodeRecord, usize)> {
        let code = self.codes.get_mut(place.code as usize)?.as_mut()?;
        Some((code, place.index as usize))
    }

    /// The record at a place and those after it in the same code, `count` at most.
    #[inline]
    pub(crate) fn run(&self, place: Place, count: u32) -> &[SiteRecord] {
        let code = self.codes.get(place.code as usize);
        let sites = code.and_then(Option::as_ref).map(|code| &*code.sites);
        part(sites.unwrap_or_default(), place, count)
    }

    /// [`run`](Self::run), to be changed.
    #[inline]
    pub(crate) fn run_mut(&mut self, place: Place, count: u32) -> &mut [SiteRecord] {
        match self.code_mut(place) {
            Some((code, _)) => part_mut(&mut code.sites, place, count),
            None => &mut [],
        }
    }

    /// [`run`](Self::run), and what else is known about the same sites.
    pub(crate) fn row_mut(
        &mut self,
        place: Place,
        count: u32,
    ) -> (&[SiteRecord], &mut [SiteDetails]) {
        match self.code_mut(place) {
            Some((code, _)) => (
                part(&code.sites, place, count),
                part_mut(&mut code.details, place, count),
            ),
            None => (&[], &mut []),
        }
    }

    /// What else is known about those of [`run`](Self::run).
    pub(crate) fn details_mut(&mut self, place: Place, count: u32) -> &mut [SiteDetails] {
        match self.code_mut(place) {
            Some((code, _)) => part_mut(&mut code.details, place, count),
            None => &mut [],
        }
    }

    /// The record at a place; the code must still be published.
    #[inline]
    pub(crate) fn get(&self, place: Place) -> Option<&SiteRecord> {
        self.run(place, 1).first()
    }

    /// The stubs of the site at a place; the code must still be published.
    pub(crate) fn slots_mut(&mut self, place: Place) -> Option<&mut SlotList> {
        let details = self.details_mut(place, 1).first_mut()?;
        Some(&mut details.slots)
    }

    /// The branches that lead around sites of the code in which a place is, if there are some.
    #[inline]
    pub(crate) fn bypasses(&self, place: Place) -> Option<&Bypasses> {
        let code = self.codes.get(place.code as usize)?.as_ref()?;
        (!code.bypasses.routes().is_empty()).then_some(&code.bypasses)
    }

    /// The sites that call `hook`.
    pub(crate) fn sites_calling(&self, hook: HookId) -> Vec<SiteId> {
        let codes = self.codes.iter().flatten();
        codes
            .flat_map(|code| (code.first..).zip(code.sites.iter()))
            .filter(|(_, site)| site.aim == Aim::on(hook))
            .map(|(id, _)| SiteId::from_index(id))
            .collect()
    }
}

/// What belongs to the site at a place, and to those after it, `count` at most, in a list for the sites of its code.
#[inline]
fn part<T>(all: &[T], place: Place, count: u32) -> &[T] {
    let from = all.get(place.index as usize..).unwrap_or_default();
    &from[..from.len().min(count as usize)]
}

#[inline]
fn part_mut<T>(all: &mut [T], place: Place, count: u32) -> &mut [T] {
    let from = all.get_mut(place.index as usize..).unwrap_or_default();
    let count = from.len().min(count as usize);
    &mut from[..count]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(directory: &mut Directory, first: u32, count: usize) -> usize {
        directory
            .remove(first, count)
            .map_or(0, |code| code.sites.len())
    }

    fn records(count: u32) -> Box<[SiteRecord]> {
        (0..count)
            .map(|end| SiteRecord::new(end, Link::default()))
            .collect()
    }

    fn end_of(directory: &mut Directory, id: u32) -> Option<u32> {
        let place = directory.locate(SiteId::from_index(id))?;
        directory.get(place).map(|record| record.end)
    }

    #[test]
    fn finds_sites_of_several_codes() {
        let mut directory = Directory::default();
        for count in [3, 0, 5] {
            let first = directory.take_ids(count).unwrap();
            directory.insert(first, records(count as u32), Bypasses::default());
        }
        let found: Vec<Option<u32>> = (0..9).map(|id| end_of(&mut directory, id)).collect();
        let expected = [0, 1, 2, 0, 1, 2, 3, 4].map(Some);
        assert_eq!(found[..8], expected);
        assert_eq!(found[8], None);
    }

    #[test]
    fn ids_are_not_used_again() {
        let mut directory = Directory::default();
        let first = directory.take_ids(4).unwrap();
        directory.insert(first, records(4), Bypasses::default());
        assert_eq!(removed(&mut directory, first, 4), 4);
        assert_eq!(end_of(&mut directory, 0), None);
        let second = directory.take_ids(4).unwrap();
        assert_eq!(second, 4);
        directory.insert(second, records(4), Bypasses::default());
        assert_eq!(end_of(&mut directory, 0), None);
        assert_eq!(end_of(&mut directory, 7), Some(3));
    }

    #[test]
    fn codes_without_sites_share_their_first_id_with_others() {
        let mut directory = Directory::default();
        for count in [0, 2, 0] {
            let first = directory.take_ids(count).unwrap();
            directory.insert(first, records(count as u32), Bypasses::default());
        }
        assert_eq!(removed(&mut directory, 0, 0), 0);
        assert_eq!(end_of(&mut directory, 1), Some(1));
        assert_eq!(removed(&mut directory, 2, 0), 0);
        assert_eq!(removed(&mut directory, 0, 2), 2);
    }

    #[test]
    fn ids_run_out_with_an_error() {
        let mut directory = Directory::default();
        directory.take_ids(u32::MAX as usize).unwrap();
        assert!(matches!(directory.take_ids(1), Err(Error::TooManySites)));
        assert!(matches!(
            directory.take_ids(usize::MAX),
            Err(Error::TooManySites)
        ));
    }
}
