//! From a site id to what is known about the site. Used under the space's lock.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bypass::Bypasses;
use crate::isa::Link;
use crate::slots::{HookId, NO_HOOK, SlotList};
use crate::{Error, Result, SiteId};

/// A site's state.
#[derive(Clone, Debug)]
pub(crate) struct SiteRecord {
    /// Offset of its end in the code range.
    pub(crate) end: u32,
    pub(crate) link: Link,
    /// The hook it calls, or `NO_HOOK` while it is off.
    pub(crate) hook: HookId,
    /// The hook whose stub its tail names, and would call if only its head were changed; `NO_HOOK` if
    /// that is not known. Hook ids are not used again, so that the id of a gone hook does no harm.
    pub(crate) reaches: HookId,
    /// The stubs made for it.
    pub(crate) slots: SlotList,
    /// One more than its position in the plan being made; 0 outside of commits.
    pub(crate) planned: u32,
}

impl SiteRecord {
    pub(crate) fn new(end: u32, link: Link) -> SiteRecord {
        SiteRecord {
            end,
            link,
            hook: NO_HOOK,
            reaches: NO_HOOK,
            slots: SlotList::default(),
            planned: 0,
        }
    }
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

struct CodeRecord {
    first: u32,
    sites: Box<[SiteRecord]>,
    bypasses: Bypasses,
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

    /// Removes the sites of a code: `count` of them, from the id `first` on.
    pub(crate) fn remove(&mut self, first: u32, count: usize) -> Box<[SiteRecord]> {
        // Without sites, `first` is that of the next code that has some.
        if count == 0 {
            return Box::default();
        }
        let position = self.by_first.remove(&first);
        let record = position.and_then(|position| {
            self.vacant.push(position);
            self.codes[position as usize].take()
        });
        record.map(|record| record.sites).unwrap_or_default()
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

    /// The record at a place and those after it in the same code, `count` at most.
    #[inline]
    pub(crate) fn run_mut(&mut self, place: Place, count: u32) -> &mut [SiteRecord] {
        let Some(Some(code)) = self.codes.get_mut(place.code as usize) else {
            return &mut [];
        };
        let from = code.sites.get_mut(place.index as usize..);
        let from = from.unwrap_or_default();
        let count = from.len().min(count as usize);
        &mut from[..count]
    }

    /// The record at a place; the code must still be published.
    #[inline]
    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut SiteRecord> {
        let code = self.codes.get_mut(place.code as usize)?.as_mut()?;
        code.sites.get_mut(place.index as usize)
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
            .filter(|(_, site)| site.hook == hook)
            .map(|(id, _)| SiteId::from_index(id))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(count: u32) -> Box<[SiteRecord]> {
        (0..count)
            .map(|end| SiteRecord::new(end, Link::default()))
            .collect()
    }

    fn end_of(directory: &mut Directory, id: u32) -> Option<u32> {
        let place = directory.locate(SiteId::from_index(id))?;
        directory.get_mut(place).map(|record| record.end)
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
        assert_eq!(directory.remove(first, 4).len(), 4);
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
        assert!(directory.remove(0, 0).is_empty());
        assert_eq!(end_of(&mut directory, 1), Some(1));
        assert!(directory.remove(2, 0).is_empty());
        assert_eq!(directory.remove(0, 2).len(), 2);
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
