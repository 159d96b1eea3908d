//! Stack cells: which spill slots can share eight bytes of the frame.

use super::NO_VALUE;
use super::coalesce::{Coalescing, SlotCopy, Slots};
use crate::selected::Frame;
use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// Reused memory.
#[derive(Default)]
pub(crate) struct Cells {
    extents: Vec<(u32, u32, u32)>,
    active: BinaryHeap<Reverse<(u32, u32)>>,
    free: Vec<u32>,
}

impl Cells {
    /// Give each slot a cell so that slots whose extents overlap have different ones, unless
    /// `coalescing` finds that they can share one all the same: a linear scan over extents in order
    /// of their starts. `late` are slots that are read as late as at a program point.
    pub(super) fn colour(
        &mut self,
        slots: &Slots<'_>,
        coalescing: &mut Coalescing,
        copied: impl Fn(SlotCopy) -> [u32; 2],
        late: &[(u32, u32)],
        frame: &mut Frame,
    ) {
        let mut live = coalescing.live_for(slots.values.len());
        self.extents.clear();
        self.extents.reserve_exact(slots.values.len());
        self.active.clear();
        self.free.clear();
        for (slot, &v) in slots.values.iter().enumerate() {
            let [needed, (start, end)] = match v {
                NO_VALUE => [(0, u32::MAX); 2],
                v => slots.an.extents(slots.func, v),
            };
            if let Some(live) = &mut live {
                live.push(needed);
            }
            self.extents.push((start, end, slot as u32));
        }
        for &(slot, point) in late {
            let last = 2 * point + 1;
            let end = &mut self.extents[slot as usize].1;
            *end = (*end).max(last);
            if let Some(live) = &mut live {
                let end = &mut live[slot as usize].1;
                *end = (*end).max(last);
            }
        }
        let class = coalescing.classes(slots, copied);
        // A class needs its cell from the first to the last need of its slots.
        for (slot, &class) in class.iter().enumerate() {
            let (start, end, _) = self.extents[slot];
            let all = &mut self.extents[class as usize];
            *all = (all.0.min(start), all.1.max(end), class);
        }
        self.extents.retain(|e| class[e.2 as usize] == e.2);
        self.extents.sort_unstable();
        frame.spill_cells.clear();
        frame.spill_cells.resize(slots.values.len(), 0);
        let mut cells = 0;
        for &(start, end, slot) in &self.extents {
            while let Some(&Reverse((e, cell))) = self.active.peek() {
                if e >= start {
                    break;
                }
                self.active.pop();
                self.free.push(cell);
            }
            let cell = self.free.pop().unwrap_or_else(|| {
                cells += 1;
                cells - 1
            });
            frame.spill_cells[slot as usize] = cell;
            self.active.push(Reverse((end, cell)));
        }
        for (slot, &class) in class.iter().enumerate() {
            frame.spill_cells[slot] = frame.spill_cells[class as usize];
        }
        frame.num_cells = cells;
    }
}
