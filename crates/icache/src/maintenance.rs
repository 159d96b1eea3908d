//! What is done to caches after code was written, as data: performed by `clear_cache`, printed by
//! logs, and run by tests on a model of the caches.

use crate::CacheMaintenance;

/// One step of [`clear_cache`](crate::clear_cache).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Cleans the data-cache line at an address to the point of unification.
    CleanData(usize),
    /// Waits until everything before it has completed.
    Complete,
    /// Invalidates the instruction-cache line at an address, on all cores.
    InvalidateInstructions(usize),
    /// Synchronizes the context of this core.
    Synchronize,
}

impl CacheMaintenance {
    /// Calls `perform` with the steps that [`clear_cache`](crate::clear_cache) takes for
    /// `[start, start + len)` on a machine that needs this, in their order. What the operating system
    /// does is not known: [`CacheMaintenance::System`] has no steps.
    #[inline]
    pub fn each_operation(self, start: usize, len: usize, mut perform: impl FnMut(Operation)) {
        let (data_line, instruction_line) = match self {
            CacheMaintenance::Coherent | CacheMaintenance::System => return,
            CacheMaintenance::Barrier => return perform(Operation::Synchronize),
            CacheMaintenance::ByAddress {
                data_line,
                instruction_line,
            } => (data_line, instruction_line),
        };
        let end = start.saturating_add(len);
        if let Some(line) = data_line {
            each_line(start, end, line, |at| perform(Operation::CleanData(at)));
        }
        // The stores (and cleans) complete before anything below, whatever the caches need.
        perform(Operation::Complete);
        if let Some(line) = instruction_line {
            each_line(start, end, line, |at| {
                perform(Operation::InvalidateInstructions(at));
            });
            perform(Operation::Complete);
        }
        perform(Operation::Synchronize);
    }
}

/// Calls `visit` with the address of every line that overlaps `[start, end)`.
#[inline]
fn each_line(start: usize, end: usize, line: usize, mut visit: impl FnMut(usize)) {
    let mut address = start & !(line - 1);
    while address < end {
        visit(address);
        match address.checked_add(line) {
            Some(next) => address = next,
            None => break,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::Operation::{CleanData, Complete, InvalidateInstructions, Synchronize};
    use super::*;

    fn operations(data_line: Option<usize>, instruction_line: Option<usize>) -> Vec<Operation> {
        let maintenance = CacheMaintenance::ByAddress {
            data_line,
            instruction_line,
        };
        let mut operations = Vec::new();
        maintenance.each_operation(0x1010, 0x70, |operation| operations.push(operation));
        operations
    }

    #[test]
    fn every_line_that_overlaps_is_maintained() {
        let cleans = [0x1000, 0x1040].map(CleanData);
        let invalidations = [0x1000, 0x1020, 0x1040, 0x1060].map(InvalidateInstructions);
        let mut expected = cleans.to_vec();
        expected.push(Complete);
        expected.extend(invalidations);
        expected.extend([Complete, Synchronize]);
        assert_eq!(operations(Some(0x40), Some(0x20)), expected);
    }

    #[test]
    fn what_hardware_makes_unnecessary_is_left_out() {
        assert_eq!(operations(None, None), [Complete, Synchronize]);
        assert_eq!(
            operations(Some(0x80), None),
            [CleanData(0x1000), Complete, Synchronize]
        );
        let invalidate = InvalidateInstructions(0x1000);
        assert_eq!(
            operations(None, Some(0x80)),
            [Complete, invalidate, Complete, Synchronize]
        );
        for (maintenance, expected) in [
            (CacheMaintenance::Coherent, &[][..]),
            (CacheMaintenance::System, &[]),
            (CacheMaintenance::Barrier, &[Synchronize]),
        ] {
            let mut operations = Vec::new();
            maintenance.each_operation(0, 64, |operation| operations.push(operation));
            assert_eq!(operations, expected);
        }
    }

    #[test]
    fn the_end_of_the_address_space_is_an_end() {
        let maintenance = CacheMaintenance::ByAddress {
            data_line: Some(64),
            instruction_line: None,
        };
        let mut cleaned = 0;
        maintenance.each_operation(usize::MAX - 1, 64, |operation| {
            cleaned += usize::from(matches!(operation, CleanData(_)));
        });
        assert_eq!(cleaned, 1);
    }
}
