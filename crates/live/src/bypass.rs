//! Branches that lead around sites that are off.
//!
//! A branch takes one of two ways, *through* the site or *around* it; both are right while the site is off, and a
//! thread that meets the branch under change goes through, which is right always.

use std::ops::Range;

use crate::site::SiteDesc;
use crate::{BypassDefect, Error, Result, isa};

/// A branch to a site, which may lead around it as long as the site is off: threads that go round a loop then do not
/// even pass the site at its head.
///
/// In the code that is published, it leads to the site, or to code that goes on to it; either way must be right while
/// the site does nothing. On x86-64 it is a `jmp` or `jcc`, in the short or the long form. Only the lowest byte of its
/// displacement is ever changed, so that the two ways must not differ in more than that.
///
/// On other instruction sets there are none: [`BypassDefect::Unsupported`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// Offset of the branch's first byte.
    pub branch: u32,
    /// Offset of where it leads while the site is off.
    pub around: u32,
    /// The [`SiteDesc::ret_offset`] of the site.
    pub ret_offset: u32,
}

impl Bypass {
    /// The same in code that begins `base` bytes further on.
    #[must_use]
    pub fn moved_by(self, base: u32) -> Bypass {
        Bypass {
            branch: base + self.branch,
            around: base + self.around,
            ret_offset: base + self.ret_offset,
        }
    }
}

/// Where a branch is, and where it leads: offsets in the code range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) branch: u32,
    pub(crate) kind: isa::Branch,
    pub(crate) through: u32,
    pub(crate) around: u32,
}

impl Route {
    /// How far from the branch a thread goes on that takes it.
    #[inline]
    pub(crate) fn target(&self, way: Way) -> i32 {
        let target = match way {
            Way::Through => self.through,
            Way::Around => self.around,
        };
        target.wrapping_sub(self.branch) as i32
    }

    /// Where, in the code range, a thread with these flags goes on that meets the branch while it is under change.
    pub(crate) fn resume(&self, flags: u64) -> usize {
        match self.kind.is_taken(flags) {
            true => self.through as usize,
            false => self.branch as usize + self.kind.len(),
        }
    }
}

/// Where a branch leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Through,
    Around,
}

/// The branches of a published code.
#[derive(Default)]
pub(crate) struct Bypasses {
    /// In ascending order.
    routes: Box<[Route]>,
    /// Positions of a site and of a route that goes with it, in ascending order.
    by_site: Box<[(u32, u32)]>,
}

impl Bypasses {
    /// Those of code that is to be at an offset of the range. Sites, which have been checked, and branches are in
    /// ascending order.
    pub(crate) fn new(
        bytes: &[u8],
        offset: u32,
        sites: &[SiteDesc],
        bypasses: &[Bypass],
    ) -> Result<Bypasses> {
        let mut end = 0;
        let mut routes = Vec::with_capacity(bypasses.len());
        let mut by_site = Vec::with_capacity(bypasses.len());
        for (index, bypass) in bypasses.iter().enumerate() {
            let checked = check(bytes, sites, bypass, end).map_err(|defect| Error::BadBypass {
                index,
                branch: bypass.branch,
                defect,
            });
            let (site, kind, through) = checked?;
            end = bypass.branch as usize + kind.len();
            routes.push(Route {
                branch: offset + bypass.branch,
                kind,
                through: offset + through,
                around: offset + bypass.around,
            });
            by_site.push((site as u32, index as u32));
        }
        by_site.sort_unstable();
        Ok(Bypasses {
            routes: routes.into(),
            by_site: by_site.into(),
        })
    }

    /// All of them, in ascending order.
    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Whether some go with the site at a position.
    #[inline]
    pub(crate) fn lead_around(&self, site: u32) -> bool {
        // Most code has none.
        !self.by_site.is_empty() && self.of_sites(site..site + 1).next().is_some()
    }

    /// Those that go with sites in a row, by the positions of these.
    pub(crate) fn of_sites(&self, sites: Range<u32>) -> impl Iterator<Item = Route> {
        let position = |site| self.by_site.partition_point(|entry| entry.0 < site);
        let entries = &self.by_site[position(sites.start)..position(sites.end)];
        entries
            .iter()
            .map(|&(_, route)| self.routes[route as usize])
    }
}

/// The position of the site, the branch, which must not begin before `from`, and where it leads.
fn check(
    bytes: &[u8],
    sites: &[SiteDesc],
    bypass: &Bypass,
    from: usize,
) -> Result<(usize, isa::Branch, u32), BypassDefect> {
    let site = sites
        .binary_search_by_key(&bypass.ret_offset, |site| site.ret_offset)
        .map_err(|_| BypassDefect::NoSite)?;
    let branch = bypass.branch as usize;
    if branch < from {
        return Err(BypassDefect::Order);
    }
    let (kind, through) = isa::Branch::read(bytes, branch, bypass.around)?;
    let after = branch + kind.len();
    let next = sites.partition_point(|site| site.ret_offset as usize <= branch);
    let overlaps = |site: &SiteDesc| (site.ret_offset as usize - isa::SITE_LEN) < after;
    match sites.get(next).is_some_and(overlaps) {
        true => Err(BypassDefect::Overlap),
        false => Ok((site, kind, through)),
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Two sites with two branches to each, and what is said of them.
    fn sample() -> (Vec<u8>, [SiteDesc; 2], [Bypass; 4]) {
        let mut bytes = isa::OFF_FORM.to_vec();
        bytes.extend([0x75, 0xf9]); // 5: jne 0
        bytes.extend(isa::OFF_FORM); // 7
        bytes.extend([0x0f, 0x84, 0xf5, 0xff, 0xff, 0xff]); // 12: je 7
        bytes.extend([0xeb, 0xf3]); // 18: jmp 7
        bytes.extend([0xeb, 0xea]); // 20: jmp 0
        let sites = [5, 12].map(|ret_offset| SiteDesc { ret_offset, len: 5 });
        let bypasses = [(5, 5, 5), (12, 12, 12), (18, 14, 12), (20, 5, 5)];
        let bypasses = bypasses.each_ref().map(bypass);
        (bytes, sites, bypasses)
    }

    fn bypass(&(branch, around, ret_offset): &(u32, u32, u32)) -> Bypass {
        Bypass {
            branch,
            around,
            ret_offset,
        }
    }

    #[test]
    fn sites_find_their_branches() {
        let (bytes, sites, bypasses) = sample();
        let made = Bypasses::new(&bytes, 64, &sites, &bypasses).unwrap();
        let found = |sites| -> Vec<_> {
            let targets = |route: Route| {
                let target = |way| route.branch.wrapping_add_signed(route.target(way)) - 64;
                (route.branch - 64, [Way::Through, Way::Around].map(target))
            };
            made.of_sites(sites).map(targets).collect()
        };
        let [first, second] = [
            vec![(5, [0, 5]), (20, [0, 5])],
            vec![(12, [7, 12]), (18, [7, 14])],
        ];
        assert_eq!(found(0..1), first);
        assert_eq!(found(1..2), second);
        assert_eq!(found(0..2), [first, second].concat());
        assert_eq!(found(2..9), []);
        // Taken, and not.
        assert_eq!(made.routes()[1].resume(1 << 6), 64 + 7);
        assert_eq!(made.routes()[1].resume(0), 64 + 18);
    }

    #[test]
    fn wrong_ones_are_named() {
        use BypassDefect::{Bytes, Carry, NoSite, Order, Overlap, Target};
        let (mut bytes, sites, _) = sample();
        let defect = |bytes: &[u8], list: &[(u32, u32, u32)]| {
            let list: Vec<Bypass> = list.iter().map(bypass).collect();
            match Bypasses::new(bytes, 0, &sites, &list) {
                Ok(_) => None,
                Err(Error::BadBypass {
                    index,
                    branch,
                    defect,
                }) => {
                    assert_eq!(branch, list[index].branch);
                    Some((index, defect))
                }
                Err(other) => panic!("unexpected {other}"),
            }
        };
        assert_eq!(defect(&bytes, &[(5, 5, 5), (12, 12, 12)]), None);
        assert_eq!(defect(&bytes, &[(5, 5, 4)]), Some((0, NoSite)));
        assert_eq!(defect(&bytes, &[(5, 5, u32::MAX)]), Some((0, NoSite)));
        assert_eq!(defect(&bytes, &[(5, 23, 5)]), Some((0, Target)));
        assert_eq!(defect(&bytes, &[(5, u32::MAX, 5)]), Some((0, Target)));
        assert_eq!(defect(&bytes, &[(12, 18, 12)]), Some((0, Carry)));
        let reversed = [(12, 12, 12), (5, 5, 5)];
        assert_eq!(defect(&bytes, &reversed), Some((1, Order)));
        let twice = [(12, 12, 12), (13, 12, 12)];
        assert_eq!(defect(&bytes, &twice), Some((1, Order)));
        assert_eq!(defect(&bytes, &[(22, 5, 5)]), Some((0, Bytes)));
        assert_eq!(defect(&bytes, &[(u32::MAX, 5, 5)]), Some((0, Bytes)));
        // `jmp 0`, half of it in the second site.
        bytes[5..9].copy_from_slice(&[0x90, 0xeb, 0xf8, 0x90]);
        assert_eq!(defect(&bytes, &[(6, 5, 5)]), Some((0, Overlap)));
        // Out of the code.
        bytes[5..7].copy_from_slice(&[0x75, 0xf8]);
        assert_eq!(defect(&bytes, &[(5, 0, 5)]), Some((0, Target)));
    }
}
