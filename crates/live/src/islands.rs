//! Room for islands: what sites call where no call reaches all stubs. Each site has one as long as its code
//! is published.

use std::ops::Range as Offsets;
use std::sync::Arc;

use crate::code::OwnedRange;
use crate::isa::{self, Link};
use crate::memory::Range;
use crate::{CodeSpace, Error, Result, SiteDefect, SiteDesc};

/// The islands of a code.
pub(crate) struct Islands {
    /// Where they are, if there are some.
    pub(crate) owned: Option<OwnedRange>,
    /// How each site reaches its own.
    pub(crate) links: Vec<Link>,
}

impl Islands {
    /// Makes islands for the sites of the code that is to be in a range, near enough for all of them.
    pub(crate) fn new(space: &Arc<CodeSpace>, code: Range, sites: &[SiteDesc]) -> Result<Islands> {
        let word = |site: &SiteDesc| code.offset() + site.ret_offset as usize - isa::SITE_LEN;
        let len = sites.len() * isa::ISLAND_SIZE;
        if len == 0 {
            let links = sites.iter().map(|site| isa::link(word(site), 0));
            return Ok(Islands {
                owned: None,
                links: links.collect(),
            });
        }
        let places = sites.iter().map(|site| (word(site), isa::reach(site.len)));
        let near = near(places, isa::ISLAND_SIZE);
        let range = match near {
            None => space.allocate_code(len)?,
            Some((index, starts)) => {
                space.allocate_code_at(len, starts)?.ok_or(Error::BadSite {
                    index,
                    ret_offset: sites[index].ret_offset,
                    defect: SiteDefect::OutOfReach,
                })?
            }
        };
        let owned = OwnedRange::new(Arc::clone(space), range);
        let bytes = isa::write_islands(space.base() + range.offset(), sites.len());
        space.write_code(range, &bytes, &[], &[], &[])?;
        let island = |index: usize| range.offset() + index * isa::ISLAND_SIZE;
        let links = sites.iter().enumerate();
        let links = links.map(|(index, site)| isa::link(word(site), island(index)));
        Ok(Islands {
            links: links.collect(),
            owned: Some(owned),
        })
    }
}

/// The offsets at which islands of `size` bytes may start that follow each other, if they are to be within
/// the reach of the sites at the given places; and the last site that made them fewer. None if they may be
/// anywhere.
fn near(
    places: impl Iterator<Item = (usize, usize)>,
    size: usize,
) -> Option<(usize, Offsets<usize>)> {
    let mut near = None;
    for (index, (site, reach)) in places.enumerate() {
        if reach == usize::MAX {
            continue;
        }
        let before = index * size;
        let own = site.saturating_sub(reach + before)..(site + reach + 1).saturating_sub(before);
        let (narrowed, starts) = near.get_or_insert((index, own.clone()));
        if own.start > starts.start || own.end < starts.end {
            *narrowed = index;
            *starts = starts.start.max(own.start)..starts.end.min(own.end);
        }
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn islands_are_near_all_sites() {
        assert_eq!(near([(5, usize::MAX)].into_iter(), 24), None);
        let all = near([(1000, 100)].into_iter(), 24);
        assert_eq!(all, Some((0, 900..1101)));
        // The second island is 24 bytes behind the first, so that this may be so much nearer.
        let all = near([(1000, 100), (1020, 100), (0, usize::MAX)].into_iter(), 24);
        assert_eq!(all, Some((1, 900..1097)));
        let all = near([(50, 100), (500, usize::MAX), (1000, 100)].into_iter(), 24);
        assert!(all.is_some_and(|(last, starts)| last == 2 && starts.is_empty()));
    }
}
