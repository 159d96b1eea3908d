//! The hash table of variable definitions across blocks.

use crate::{Block, Value};

#[derive(Clone, Copy)]
struct Slot {
    key: u64,
    value: u32,
    /// The entry is empty unless this is the table's generation.
    generation: u32,
}

const EMPTY: Slot = Slot {
    key: 0,
    value: 0,
    generation: 0,
};

/// What is known about the value of a variable at the end of a block: an open-addressed map from
/// (block, variable), emptied in constant time.
#[derive(Clone)]
pub(super) struct DefTable {
    /// A power of two of them.
    slots: Vec<Slot>,
    len: usize,
    generation: u32,
}

impl DefTable {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![EMPTY; 64],
            len: 0,
            generation: 1,
        }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.slots.fill(EMPTY);
            self.generation = 1;
        }
    }

    fn key(block: Block, var: u32) -> u64 {
        u64::from(block.as_u32()) << 32 | u64::from(var)
    }

    /// The slot that holds `key`, or the empty one where it belongs.
    #[inline]
    fn probe(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        // Fibonacci hashing: the high bits of the product depend on every bit of the key.
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.generation != self.generation || slot.key == key {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    pub(super) fn get(&self, block: Block, var: u32) -> Option<Value> {
        let slot = &self.slots[self.probe(Self::key(block, var))];
        (slot.generation == self.generation).then(|| Value::from_u32(slot.value))
    }

    /// Set the value of `var` at the end of `block`, whether it has one already or not.
    #[inline]
    pub(super) fn insert(&mut self, block: Block, var: u32, value: Value) {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let key = Self::key(block, var);
        let at = self.probe(key);
        self.len += usize::from(self.slots[at].generation != self.generation);
        self.slots[at] = Slot {
            key,
            value: value.as_u32(),
            generation: self.generation,
        };
    }

    #[cold]
    fn grow(&mut self) {
        let doubled = vec![EMPTY; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, doubled);
        for slot in old {
            if slot.generation == self.generation {
                let at = self.probe(slot.key);
                self.slots[at] = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_put_in_until_cleared() {
        let mut table = DefTable::new();
        for round in 0..3 {
            for b in 0..50 {
                for var in 0..40 {
                    table.insert(Block::from_u32(b), var, Value::from_u32(b * 1000 + var));
                }
            }
            table.insert(Block::from_u32(7), 7, Value::from_u32(round));
            for b in 0..50 {
                for var in 0..40 {
                    let want = if (b, var) == (7, 7) {
                        round
                    } else {
                        b * 1000 + var
                    };
                    let got = table.get(Block::from_u32(b), var);
                    assert_eq!(got, Some(Value::from_u32(want)));
                }
            }
            assert_eq!(table.get(Block::from_u32(50), 0), None);
            table.clear();
            assert_eq!(table.get(Block::from_u32(7), 7), None);
        }
    }
}
