//! Tables of places in the code, in two to three bytes a place.
//!
//! Places are in ascending order of their offsets. Each differs little from the one before it, in the code and in
//! the module, so only the differences are kept, as LEB128 numbers. An index of every [`BLOCK`]th
//! place makes them quick to find. Looking one up does not allocate, so signal handlers may.

use crate::cache::codec::{Reader, Writer};
use std::ops::Range;

/// Places between two entries of the index.
const BLOCK: u32 = 16;

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place<'a> {
    /// Offset in the code.
    pub(crate) offset: u32,
    /// Position in the module, `u32::MAX` if there is none.
    pub(crate) wasm_offset: u32,
    /// What is there; the table's owner knows what it means.
    pub(crate) code: u8,
    /// More about it.
    pub(crate) more: &'a [u8],
}

/// The places.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaceTable {
    /// For every [`BLOCK`]th place, its offset and where in `bytes` it is.
    index: Vec<(u32, u32)>,
    /// For each place the difference of the offsets, which the first of a block has not; the zigzag difference of the
    /// positions, shifted left by two; in the bits below, whether `code` differs, whether there is more; then what differs
    /// and what there is. Each block is encoded as if a place at 0 with code 0 preceded it.
    bytes: Vec<u8>,
    count: u32,
    /// The last place.
    last: Last,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    offset: u32,
    wasm_offset: u32,
    code: u8,
}

const NEW_CODE: u64 = 1;
const HAS_MORE: u64 = 2;

impl PlaceTable {
    /// Add a place behind all others.
    pub(crate) fn push(&mut self, place: Place<'_>) {
        let mut last = self.last;
        debug_assert!(self.count == 0 || last.offset <= place.offset);
        if self.count.is_multiple_of(BLOCK) {
            self.index.push((place.offset, self.bytes.len() as u32));
            last = Last::default();
        } else {
            put((place.offset - last.offset).into(), &mut self.bytes);
        }
        let difference = place.wasm_offset.wrapping_sub(last.wasm_offset) as i32;
        let zigzag = (difference << 1 ^ difference >> 31) as u32;
        let mut word = u64::from(zigzag) << 2;
        if place.code != last.code {
            word |= NEW_CODE;
        }
        if !place.more.is_empty() {
            word |= HAS_MORE;
        }
        put(word, &mut self.bytes);
        if word & NEW_CODE != 0 {
            self.bytes.push(place.code);
        }
        if word & HAS_MORE != 0 {
            put(place.more.len() as u64, &mut self.bytes);
            self.bytes.extend_from_slice(place.more);
        }
        self.count += 1;
        self.last = Last {
            offset: place.offset,
            wasm_offset: place.wasm_offset,
            code: place.code,
        };
    }

    /// Add the places of code that follows at offset `base`.
    pub(crate) fn append(&mut self, other: &PlaceTable, base: u32) {
        for place in other.iter() {
            let offset = base + place.offset;
            self.push(Place { offset, ..place });
        }
    }

    /// The place at `offset`.
    pub(crate) fn find(&self, offset: u32) -> Option<Place<'_>> {
        self.from(offset)
            .next()
            .filter(|place| place.offset == offset)
    }

    /// The places in a range, in order.
    pub(crate) fn within(&self, range: Range<u32>) -> impl Iterator<Item = Place<'_>> {
        self.from(range.start)
            .take_while(move |place| place.offset < range.end)
    }

    /// The places from `offset` on, in order.
    pub(crate) fn from(&self, offset: u32) -> impl Iterator<Item = Place<'_>> {
        // Places with this offset may begin in the block before the first that begins with it.
        let after = self.index.partition_point(|&(first, _)| first < offset);
        self.blocks_from(after.saturating_sub(1))
            .skip_while(move |place| place.offset < offset)
    }

    /// All places, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Place<'_>> {
        self.blocks_from(0)
    }

    fn blocks_from(&self, block: usize) -> Places<'_, impl Iterator<Item = &u32>> {
        let index = self.index.get(block..).unwrap_or_default();
        let at = index
            .first()
            .map_or(self.bytes.len(), |&(_, at)| at as usize);
        Places {
            firsts: index.iter().map(|(offset, _)| offset),
            number: block as u32 * BLOCK,
            count: self.count,
            rest: &self.bytes[at..],
            last: Last::default(),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.u32(self.count);
        out.records(self.index.iter().map(|(offset, _)| offset.to_le_bytes()));
        out.bytes(&self.bytes);
    }

    /// A table of places in `len` bytes of code.
    pub(crate) fn read(input: &mut Reader<'_>, len: u32) -> Option<PlaceTable> {
        let count = input.u32()?;
        let firsts = input.u32s()?;
        let bytes = input.bytes()?;
        if firsts.len() != count.div_ceil(BLOCK) as usize {
            return None;
        }
        let mut places = Places {
            firsts: firsts.iter(),
            number: 0,
            count,
            rest: bytes,
            last: Last::default(),
        };
        let mut table = PlaceTable::default();
        table.bytes.reserve_exact(bytes.len());
        for _ in 0..count {
            let place = places.next()?;
            if place.offset < table.last.offset || place.offset > len {
                return None;
            }
            table.push(place);
        }
        // There is one way to write a table.
        (table.bytes == bytes).then_some(table)
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity() + self.index.capacity() * size_of::<(u32, u32)>()
    }

    /// Give back what is not used.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.index.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }
}

/// Goes through places.
struct Places<'a, F> {
    /// The offsets of the first places of the blocks to come.
    firsts: F,
    /// The number of the next place.
    number: u32,
    count: u32,
    rest: &'a [u8],
    last: Last,
}

impl<'a, 'f, F: Iterator<Item = &'f u32>> Iterator for Places<'a, F> {
    type Item = Place<'a>;

    fn next(&mut self) -> Option<Place<'a>> {
        if self.number >= self.count {
            return None;
        }
        if self.number.is_multiple_of(BLOCK) {
            self.last = Last {
                offset: *self.firsts.next()?,
                ..Last::default()
            };
        } else {
            self.last.offset = self.last.offset.wrapping_add(take(&mut self.rest) as u32);
        }
        let word = take(&mut self.rest);
        let zigzag = (word >> 2) as u32;
        let difference = zigzag >> 1 ^ (zigzag & 1).wrapping_neg();
        self.last.wasm_offset = self.last.wasm_offset.wrapping_add(difference);
        if word & NEW_CODE != 0 {
            let (&code, rest) = self.rest.split_first()?;
            self.last.code = code;
            self.rest = rest;
        }
        let mut more = &[][..];
        if word & HAS_MORE != 0 {
            let len = take(&mut self.rest) as usize;
            (more, self.rest) = self.rest.split_at_checked(len)?;
        }
        self.number += 1;
        let Last {
            offset,
            wasm_offset,
            code,
        } = self.last;
        Some(Place {
            offset,
            wasm_offset,
            code,
            more,
        })
    }
}

/// Append a number in LEB128.
pub(crate) fn put(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Take a number in LEB128 off the front. Nothing reads as 0; bits beyond 64 are lost.
pub(crate) fn take(bytes: &mut &[u8]) -> u64 {
    let mut n = 0;
    let mut shift = 0;
    while let [byte, rest @ ..] = *bytes {
        *bytes = rest;
        n |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places with differences of all sizes, more of them than a block has.
    fn places() -> Vec<Place<'static>> {
        const MORE: [&[u8]; 3] = [&[], &[7], &[1; 200]];
        (0..100u32)
            .map(|i| Place {
                offset: i * i * 5,
                wasm_offset: match i % 4 {
                    0 => u32::MAX,
                    1 => 0,
                    2 => i,
                    _ => 1 << 31,
                },
                code: (i / 3) as u8,
                more: MORE[i as usize % 3],
            })
            .collect()
    }

    fn table(places: &[Place<'_>]) -> PlaceTable {
        let mut table = PlaceTable::default();
        places.iter().for_each(|&place| table.push(place));
        table
    }

    #[test]
    fn places_come_back_in_order() {
        for count in [0, 1, 15, 16, 17, 100] {
            let places = &places()[..count];
            let table = table(places);
            assert_eq!(table.iter().collect::<Vec<_>>(), places);
        }
    }

    #[test]
    fn exactly_the_places_are_found() {
        let places = places();
        let table = table(&places);
        for offset in 0..places[99].offset + 10 {
            let expected = places.iter().find(|place| place.offset == offset);
            assert_eq!(table.find(offset).as_ref(), expected, "{offset}");
        }
        for range in [
            0..0,
            0..1,
            5..20,
            19..50_000,
            49_005..49_006,
            60_000..70_000,
        ] {
            let expected: Vec<_> = places
                .iter()
                .filter(|place| range.contains(&place.offset))
                .copied()
                .collect();
            assert_eq!(table.within(range).collect::<Vec<_>>(), expected);
        }
        assert_eq!(PlaceTable::default().find(0), None);
    }

    #[test]
    fn appended_places_are_moved() {
        let places = places();
        let mut all = table(&places[..10]);
        all.append(&table(&places[10..]), 1000);
        let moved = places.iter().enumerate().map(|(i, &place)| Place {
            offset: place.offset + if i < 10 { 0 } else { 1000 },
            ..place
        });
        assert!(all.iter().eq(moved));
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let places = places();
        let mut out = Writer::new(Vec::new());
        table(&places).write(&mut out);
        let bytes = out.into_bytes();
        let read = |bytes: &[u8], len| {
            let mut input = Reader::new(bytes);
            PlaceTable::read(&mut input, len).filter(|_| input.is_empty())
        };
        let len = places[99].offset;
        let again = read(&bytes, len).expect("a table");
        assert_eq!(again.iter().collect::<Vec<_>>(), places);
        assert!(read(&bytes, len - 1).is_none());
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end], len).is_none(), "{end}");
        }
        // Whatever else is read is in order and in range.
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                if let Some(table) = read(&bad, len) {
                    assert!(table.iter().is_sorted_by_key(|place| place.offset));
                    assert!(table.iter().all(|place| place.offset <= len));
                }
            }
        }
    }

    #[test]
    fn near_places_are_small() {
        let mut table = PlaceTable::default();
        for i in 0..1600 {
            table.push(Place {
                offset: i * 6,
                wasm_offset: 1_000_000 + i * 4,
                code: 3,
                more: &[],
            });
        }
        table.shrink_to_fit();
        assert!(table.size() < 1600 * 3, "{}", table.size());
    }
}
