//! Stack cells: which spill slots can share eight bytes of the frame.

use super::NO_VALUE;
use crate::analyze::Analysis;
use crate::selected::Frame;
use core::cmp::Reverse;
use nopal_ir::{Function, Value};
use std::collections::BinaryHeap;

/// Reused memory.
#[derive(Default)]
pub(crate) struct Cells {
    extents: Vec<(u32, u32, u32)>,
    active: BinaryHeap<Reverse<(u32, u32)>>,
    free: Vec<u32>,
}

impl Cells {
    /// Give each slot a cell so that slots whose extents overlap have different ones: a linear
    /// scan over extents in order of their starts. `late` are slots that are read as late as at a
    /// program point.
    pub(super) fn colour(
        &mut self,
        func: &Function,
        an: &Analysis,
        slots: &[Value],
        late: impl Iterator<Item = (u32, u32)>,
        frame: &mut Frame,
    ) {
        frame.spill_cells.clear();
        frame.spill_cells.resize(slots.len(), 0);
        self.extents.clear();
        self.active.clear();
        self.free.clear();
        for (slot, &v) in slots.iter().enumerate() {
            let (start, end) = if v == NO_VALUE {
                (0, u32::MAX)
            } else {
                an.cell_extent(func, v)
            };
            self.extents.push((start, end, slot as u32));
        }
        for (slot, point) in late {
            let end = &mut self.extents[slot as usize].1;
            *end = (*end).max(2 * point + 1);
        }
        self.extents.sort_unstable();
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
        frame.num_cells = cells;
    }
}
