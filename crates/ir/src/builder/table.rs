//! The table of variable definitions across blocks.

use crate::{Block, EntityRef, Value};

/// Definitions in a row: so many that it fills a cache line.
const ROW: usize = 7;

/// The first few definitions of a block. Blocks that are looked at together have been begun one soon after
/// the other, and so have their rows.
#[derive(Clone)]
#[repr(align(64))]
struct Row {
    vars: [u32; ROW],
    values: [u32; ROW],
    len: u32,
}

const EMPTY_ROW: Row = Row {
    vars: [0; ROW],
    values: [0; ROW],
    len: 0,
};

impl Row {
    #[inline]
    fn place(&self, var: u32) -> Option<usize> {
        let vars = &self.vars[..ROW.min(self.len as usize)];
        vars.iter().position(|&v| v == var)
    }
}

const NO_ROW: u32 = u32::MAX;

/// What is known about the value of a variable at the end of a block: a map from (block, variable), emptied
/// without looking at what it holds.
#[derive(Clone)]
pub(super) struct DefTable {
    /// The row of each block that has one, the others having [`NO_ROW`].
    row_of: Vec<u32>,
    rows: Vec<Row>,
    /// What does not fit in rows.
    rest: HashTable,
}

impl DefTable {
    pub(super) fn new() -> Self {
        Self {
            row_of: Vec::new(),
            rows: Vec::new(),
            rest: HashTable::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.row_of.clear();
        self.rows.clear();
        self.rest.clear();
    }

    #[inline]
    pub(super) fn get(&self, block: Block, var: u32) -> Option<Value> {
        let row = self.rows.get(*self.row_of.get(block.index())? as usize)?;
        match row.place(var) {
            Some(at) => Some(Value::from_u32(row.values[at])),
            None if row.len as usize == ROW => self.rest.get(block, var),
            None => None,
        }
    }

    /// Set the value of `var` at the end of `block`. `is_new` if it certainly has none.
    #[inline]
    pub(super) fn insert(&mut self, block: Block, var: u32, value: Value, is_new: bool) {
        let row = match self.row_of.get(block.index()) {
            Some(&row) if row != NO_ROW => row,
            _ => self.add_row(block),
        };
        let row = &mut self.rows[row as usize];
        if !is_new && let Some(at) = row.place(var) {
            row.values[at] = value.as_u32();
            return;
        }
        let at = row.len as usize;
        if at >= ROW {
            self.rest.insert(block, var, value);
            return;
        }
        row.vars[at] = var;
        row.values[at] = value.as_u32();
        row.len = at as u32 + 1;
    }

    fn add_row(&mut self, block: Block) -> u32 {
        if self.row_of.len() <= block.index() {
            self.row_of.resize(block.index() + 1, NO_ROW);
        }
        let row = self.rows.len() as u32;
        self.row_of[block.index()] = row;
        self.rows.push(EMPTY_ROW);
        row
    }
}

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

/// An open-addressed map from (block, variable), emptied in constant time.
#[derive(Clone)]
struct HashTable {
    /// A power of two of them.
    slots: Vec<Slot>,
    len: usize,
    generation: u32,
}

impl HashTable {
    fn new() -> Self {
        Self {
            slots: vec![EMPTY; 64],
            len: 0,
            generation: 1,
        }
    }

    fn clear(&mut self) {
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
    fn get(&self, block: Block, var: u32) -> Option<Value> {
        let slot = &self.slots[self.probe(Self::key(block, var))];
        (slot.generation == self.generation).then(|| Value::from_u32(slot.value))
    }

    /// Set the value of `var` at the end of `block`, whether it has one already or not.
    #[inline]
    fn insert(&mut self, block: Block, var: u32, value: Value) {
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
                    let value = Value::from_u32(b * 1000 + var);
                    table.insert(Block::from_u32(b), var, value, true);
                }
            }
            // One in a row, one in the rest, and a new one.
            let known = [(7, 5), (7, 7), (50, 0)];
            for (b, var) in known {
                table.insert(Block::from_u32(b), var, Value::from_u32(round), false);
            }
            for b in 0..50 {
                for var in 0..40 {
                    let want = if known.contains(&(b, var)) {
                        round
                    } else {
                        b * 1000 + var
                    };
                    let got = table.get(Block::from_u32(b), var);
                    assert_eq!(got, Some(Value::from_u32(want)));
                }
            }
            let new = table.get(Block::from_u32(50), 0);
            assert_eq!(new, Some(Value::from_u32(round)));
            assert_eq!(table.get(Block::from_u32(50), 1), None);
            assert_eq!(table.get(Block::from_u32(51), 0), None);
            table.clear();
            for (b, var) in known {
                assert_eq!(table.get(Block::from_u32(b), var), None);
            }
        }
    }
}
