//! Stubs and their data: blocks of 256, one stub per (hook, site) for counting hooks, one per hook
//! for call and code hooks.
//!
//! # When a stub may be given to another owner
//! A thread may have entered a stub and not have run it yet, for as long as the scheduler likes. So
//! a stub whose hook is gone stays with its site: given to a later hook of the same kind at that
//! site, a late thread is counted at the site it came from, after that hook was enabled. Only when
//! the site's code is gone, in which no thread may be then, does the stub become free for any site.
//! Stubs of call and code hooks are never reused.

use crate::SiteId;

/// Stubs in a block.
pub(crate) const BLOCK_SLOTS: usize = 256;

/// What a stub does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StubKind {
    /// Increments a counter.
    Count,
    /// Sets a flag.
    Once,
    /// Calls a Rust function.
    Call,
    /// Goes to other machine code.
    Code,
}

impl StubKind {
    /// Whether there is one stub for a hook, rather than one for each of its sites.
    pub(crate) fn is_for_hook(self) -> bool {
        matches!(self, StubKind::Call | StubKind::Code)
    }

    /// Bytes of data per stub, beside its counters.
    pub(crate) fn data_size(self) -> usize {
        match self {
            StubKind::Count => 0,
            StubKind::Once => 1,
            StubKind::Call | StubKind::Code => 8,
        }
    }

    /// Counters per stub.
    pub(crate) const fn counters(self) -> usize {
        match self {
            StubKind::Count => 1,
            StubKind::Once | StubKind::Code => 0,
            StubKind::Call => 2,
        }
    }

    /// Binary logarithm of the bytes in a row of a block's counters.
    pub(crate) const fn row_shift(self) -> u32 {
        (BLOCK_SLOTS * 8 * self.counters()).trailing_zeros()
    }

    /// Offset of the block's shared data in the block's data: on a line of its own.
    pub(crate) fn shared_offset(self) -> usize {
        BLOCK_SLOTS * self.data_size()
    }

    /// Bytes of data for a block.
    pub(crate) fn block_data_size(self) -> usize {
        self.shared_offset() + 64
    }
}

/// A hook of the space; 0 stands for none.
pub(crate) type HookId = u32;
pub(crate) const NO_HOOK: HookId = 0;
/// The largest id: a bit more has to fit in its word.
pub(crate) const MAX_HOOK: HookId = HookId::MAX >> 1;

/// Number of a stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    pub(crate) fn block(self) -> usize {
        self.0 as usize / BLOCK_SLOTS
    }

    /// Position in its block.
    pub(crate) fn position(self) -> usize {
        self.0 as usize % BLOCK_SLOTS
    }
}

/// Head of a list of slots: one more than a slot number, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotList(u32);

/// Where a block's code and data are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) kind: StubKind,
    /// Offset of the first stub in the code range.
    pub(crate) code: usize,
    /// Offset of the block's data in the data range.
    pub(crate) data: usize,
    /// Position of its counters among those of the space, if it has some.
    pub(crate) counters: usize,
}

/// Who has a stub.
struct Entry {
    owner: HookId,
    site: SiteId,
    /// The next stub of the same site.
    next: SlotList,
    /// Whether `site` still exists.
    attached: bool,
    /// Whether a hit has been reported since the stub was last armed.
    reported: bool,
    /// What its counter was when its owner last had none counted.
    zero: u64,
}

/// All stubs of a space.
#[derive(Default)]
pub(crate) struct Slots {
    blocks: Vec<Block>,
    entries: Vec<Entry>,
    free_count: Vec<Slot>,
    free_once: Vec<Slot>,
    free_call: Vec<Slot>,
    free_code: Vec<Slot>,
}

impl Slots {
    fn free_list(&mut self, kind: StubKind) -> &mut Vec<Slot> {
        match kind {
            StubKind::Count => &mut self.free_count,
            StubKind::Once => &mut self.free_once,
            StubKind::Call => &mut self.free_call,
            StubKind::Code => &mut self.free_code,
        }
    }

    /// Whether a stub of this kind can only be had by adding a block.
    pub(crate) fn needs_block(&mut self, kind: StubKind) -> bool {
        self.free_list(kind).is_empty()
    }

    /// Adds a block, whose stubs have been written.
    pub(crate) fn add_block(&mut self, block: Block) {
        let first = self.entries.len();
        self.blocks.push(block);
        self.entries.extend((0..BLOCK_SLOTS).map(|_| Entry {
            owner: NO_HOOK,
            site: SiteId::from_index(0),
            next: SlotList::default(),
            attached: false,
            reported: false,
            zero: 0,
        }));
        // In reverse, so that stubs are handed out in ascending order.
        let slots = (first..first + BLOCK_SLOTS).rev();
        self.free_list(block.kind)
            .extend(slots.map(|number| Slot(number as u32)));
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The slot at a position of a block.
    pub(crate) fn slot(block: usize, position: usize) -> Slot {
        Slot((block * BLOCK_SLOTS + position) as u32)
    }

    /// The block of a slot.
    pub(crate) fn block(&self, slot: Slot) -> Block {
        self.blocks[slot.block()]
    }

    fn entry(&self, slot: Slot) -> &Entry {
        &self.entries[slot.0 as usize]
    }

    fn entry_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.entries[slot.0 as usize]
    }

    pub(crate) fn owner(&self, slot: Slot) -> HookId {
        self.entry(slot).owner
    }

    pub(crate) fn site(&self, slot: Slot) -> SiteId {
        self.entry(slot).site
    }

    pub(crate) fn is_reported(&self, slot: Slot) -> bool {
        self.entry(slot).reported
    }

    pub(crate) fn set_reported(&mut self, slot: Slot, reported: bool) {
        self.entry_mut(slot).reported = reported;
    }

    pub(crate) fn zero(&self, slot: Slot) -> u64 {
        self.entry(slot).zero
    }

    pub(crate) fn set_zero(&mut self, slot: Slot, zero: u64) {
        self.entry_mut(slot).zero = zero;
    }

    /// The stub in a site's list that belongs to `owner`.
    pub(crate) fn find(&self, list: SlotList, owner: HookId) -> Option<Slot> {
        self.iter(list)
            .find(|&slot| self.entry(slot).owner == owner)
    }

    /// A stub in a site's list that has no owner, of the given kind.
    pub(crate) fn find_spare(&self, list: SlotList, kind: StubKind) -> Option<Slot> {
        self.iter(list)
            .find(|&slot| self.entry(slot).owner == NO_HOOK && self.block(slot).kind == kind)
    }

    fn iter(&self, list: SlotList) -> impl Iterator<Item = Slot> {
        let get = |list: SlotList| list.0.checked_sub(1).map(Slot);
        std::iter::successors(get(list), move |&slot| get(self.entry(slot).next))
    }

    /// Gives a spare stub to a hook.
    pub(crate) fn adopt(&mut self, slot: Slot, owner: HookId) {
        let entry = self.entry_mut(slot);
        entry.owner = owner;
        entry.reported = false;
    }

    /// Takes a free stub for a hook and puts it at the head of a site's list. There must be one.
    pub(crate) fn take(
        &mut self,
        kind: StubKind,
        owner: HookId,
        site: SiteId,
        list: &mut SlotList,
    ) -> Option<Slot> {
        let slot = self.free_list(kind).pop()?;
        let next = std::mem::replace(list, SlotList(slot.0 + 1));
        *self.entry_mut(slot) = Entry {
            owner,
            site,
            next,
            attached: true,
            reported: false,
            zero: 0,
        };
        Some(slot)
    }

    /// Takes a free stub that belongs to a hook but to no site, for good. There must be one.
    pub(crate) fn take_unattached(&mut self, kind: StubKind, owner: HookId) -> Option<Slot> {
        let slot = self.free_list(kind).pop()?;
        self.entry_mut(slot).owner = owner;
        Some(slot)
    }

    /// The hook that owned the stub is gone.
    pub(crate) fn disown(&mut self, slot: Slot) {
        let kind = self.block(slot).kind;
        let entry = self.entry_mut(slot);
        entry.owner = NO_HOOK;
        if !entry.attached && !kind.is_for_hook() {
            self.free_list(kind).push(slot);
        }
    }

    /// The code of the site with this list is gone.
    pub(crate) fn detach_all(&mut self, list: SlotList) {
        let slots: Vec<Slot> = self.iter(list).collect();
        for slot in slots {
            let kind = self.block(slot).kind;
            let entry = self.entry_mut(slot);
            entry.attached = false;
            entry.next = SlotList::default();
            if entry.owner == NO_HOOK {
                self.free_list(kind).push(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: StubKind = StubKind::Count;

    fn slots() -> Slots {
        let mut slots = Slots::default();
        assert!(slots.needs_block(COUNT));
        slots.add_block(Block {
            kind: COUNT,
            code: 0,
            data: 0,
            counters: 0,
        });
        slots
    }

    #[test]
    fn a_spare_stays_with_its_site() {
        let mut slots = slots();
        let mut list = SlotList::default();
        let site = SiteId::from_index(9);
        let first = slots.take(COUNT, 1, site, &mut list).unwrap();
        let second = slots.take(COUNT, 2, site, &mut list).unwrap();
        assert_eq!(slots.find(list, 1), Some(first));
        assert_eq!(slots.find(list, 2), Some(second));
        assert_eq!(slots.find_spare(list, COUNT), None);
        let free = slots.free_count.len();
        slots.disown(first);
        assert_eq!(slots.free_count.len(), free);
        assert_eq!(slots.find_spare(list, COUNT), Some(first));
        assert_eq!(slots.find_spare(list, StubKind::Once), None);
        slots.adopt(first, 3);
        assert_eq!(slots.find(list, 3), Some(first));
    }

    #[test]
    fn freed_when_both_hook_and_code_are_gone() {
        let mut slots = slots();
        let free = slots.free_count.len();
        let (mut a, mut b) = (SlotList::default(), SlotList::default());
        let site = SiteId::from_index(0);
        let hook_first = slots.take(COUNT, 1, site, &mut a).unwrap();
        let code_first = slots.take(COUNT, 1, site, &mut b).unwrap();
        slots.disown(hook_first);
        slots.detach_all(b);
        assert_eq!(slots.free_count.len(), free - 2);
        slots.detach_all(a);
        slots.disown(code_first);
        assert_eq!(slots.free_count.len(), free);
    }

    #[test]
    fn a_block_has_256_stubs() {
        let mut slots = slots();
        let mut list = SlotList::default();
        for position in 0..BLOCK_SLOTS {
            let site = SiteId::from_index(position as u32);
            let slot = slots.take(COUNT, 1, site, &mut list).unwrap();
            assert_eq!((slot.block(), slot.position()), (0, position));
            assert_eq!(slots.site(slot), site);
        }
        assert!(slots.needs_block(COUNT));
        assert!(
            slots
                .take(COUNT, 1, SiteId::from_index(0), &mut list)
                .is_none()
        );
    }
}
