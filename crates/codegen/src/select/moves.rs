//! Parallel moves: on edges, around calls, at entry and return.

use super::coalesce::SlotCopy;
use super::{INCOMING, Isa, Selector};
use crate::selected::reserve;
use crate::{PReg, RegSet};
use nopal_ir::{Type, Value};

/// Eight bytes of memory that moves read and write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// A spill slot, or with the top bit set an incoming stack argument.
    Slot(u32),
    /// An outgoing stack argument: an offset from the stack pointer.
    Outgoing(u32),
    /// An offset in the area of stack slots.
    StackArea(u32),
    /// An address in a register plus an offset.
    At(PReg, i32),
}

/// An end of a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loc {
    Reg(PReg),
    Place(Place),
    /// A value that is a constant; only as a source.
    Const(Value),
}

/// `dst = src` of a value of type `ty`. The moves of a list happen at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Move {
    pub(crate) dst: Loc,
    pub(crate) src: Loc,
    pub(crate) ty: Type,
}

// Edges with many arguments have as many moves.
const _: () = assert!(size_of::<Move>() == 20);

/// Reused memory of the ordering of moves.
#[derive(Default)]
pub(super) struct Ordering {
    /// The moves in an order in which they can be carried out one by one.
    /// Those beyond the list are in `asides`.
    sequence: Vec<u32>,
    /// Moves that set aside what is overwritten on a cycle.
    asides: Vec<Move>,
    /// Which move writes a location, by [`key`].
    writers: Vec<([u32; 2], u32)>,
    /// How many moves still have to read what each move overwrites.
    readers: Vec<u32>,
    ready: Vec<u32>,
}

impl<I: Isa> Selector<'_, I> {
    /// Emit the moves in `list`, whose destinations differ, as if they happened at once. `free` are
    /// registers that hold nothing before or after them, for use in between. The base of a
    /// [`Place::At`] is not among the destinations.
    pub(super) fn parallel_move(&mut self, list: &mut Vec<Move>, free: RegSet) {
        list.retain(|m| m.dst != m.src);
        self.distinct_moves(list, free);
    }

    /// As [`Selector::parallel_move`], for moves none of which is from a place to itself.
    pub(super) fn distinct_moves(&mut self, list: &mut [Move], mut free: RegSet) {
        debug_assert!(list.iter().all(|m| m.dst != m.src));
        if independent(list) {
            reserve(&mut self.out.insts, list.len());
            for &m in &*list {
                self.one_move(m, free);
            }
            return;
        }
        let mut ordering = core::mem::take(&mut self.s.ordering);
        ordering.begin(list);
        while let Some(stuck) = ordering.drain(list) {
            let (dst, ty) = ordering.stuck(list, stuck);
            let aside = match self.temporary(ty, free) {
                Some(t) => {
                    free.remove(t);
                    Loc::Reg(t)
                }
                None => Loc::Place(Place::Slot(self.new_slot(super::NO_VALUE))),
            };
            ordering.set_aside(list, dst, aside, ty);
        }
        reserve(&mut self.out.insts, list.len());
        for &i in ordering.sequence.iter().rev() {
            let i = i as usize;
            let &m = list
                .get(i)
                .unwrap_or_else(|| &ordering.asides[i - list.len()]);
            self.one_move(m, free);
        }
        self.s.ordering = ordering;
    }

    /// Emit a single move.
    fn one_move(&mut self, m: Move, free: RegSet) {
        // Backward edges deliver values even where the loop does without them.
        if let Loc::Reg(d) = m.dst {
            self.used.insert(d);
        }
        match (m.dst, m.src) {
            (Loc::Reg(d), Loc::Reg(s)) => self.emit(I::mov(d, s)),
            (Loc::Reg(d), Loc::Place(p)) => self.emit(I::load(d, p, m.ty)),
            (Loc::Reg(d), Loc::Const(v)) => {
                let (bits, _) = self.constant_bits(v);
                I::load_const(self.out, d, bits, m.ty, self.flags_live);
            }
            (Loc::Place(p), Loc::Reg(s)) => self.emit(I::store(p, s)),
            (Loc::Place(Place::Slot(dst)), Loc::Place(Place::Slot(src)))
                if (dst | src) & INCOMING == 0 =>
            {
                let depth = self.an.depth(self.pos);
                let inst = self.out.insts.len() as u32;
                reserve(&mut self.s.coalescing.copies, 1);
                self.s.coalescing.copies.push(SlotCopy { depth, inst });
                let via = self.temporary(m.ty, free);
                self.emit(I::copy_slot(dst, src, m.ty, via));
            }
            (Loc::Place(p), _) => self.move_to_place(p, m, free),
            (Loc::Const(_), _) => unreachable!("a constant is not a destination"),
        }
    }

    /// Emit a move to memory of what is not in a register.
    fn move_to_place(&mut self, p: Place, m: Move, free: RegSet) {
        if let Loc::Const(v) = m.src
            && let Some(inst) = I::store_const(p, self.constant_bits(v).0)
        {
            return self.emit(inst);
        }
        match (self.temporary(m.ty, free), m.src) {
            (Some(t), _) => {
                self.emit(I::store(p, t));
                self.one_move(
                    Move {
                        dst: Loc::Reg(t),
                        ..m
                    },
                    free,
                );
            }
            (None, Loc::Place(from)) => I::copy_place(&mut self.out.insts, p, from),
            (None, _) => self.const_through_borrowed(p, m),
        }
    }

    /// A register for a value of type `ty` on its way.
    fn temporary(&mut self, ty: Type, free: RegSet) -> Option<PReg> {
        let class = Self::class(ty) as usize;
        let temp = I::ORDER[class]
            .iter()
            .copied()
            .find(|&r| free.contains(r))?;
        self.used.insert(temp);
        Some(temp)
    }

    /// Store a constant when every register is taken: one is set aside in a slot meanwhile.
    fn const_through_borrowed(&mut self, p: Place, m: Move) {
        let t = I::ORDER[Self::class(m.ty) as usize][0];
        let aside = Place::Slot(self.new_slot(super::NO_VALUE));
        self.emit(I::load(
            t,
            aside,
            if m.ty.is_float() {
                Type::F64
            } else {
                Type::I64
            },
        ));
        self.emit(I::store(p, t));
        let Loc::Const(v) = m.src else {
            unreachable!("only constants come here")
        };
        let (bits, _) = self.constant_bits(v);
        I::load_const(self.out, t, bits, m.ty, true);
        self.emit(I::store(aside, t));
    }
}

/// Whether certainly no move reads what another writes, so that their order does not matter.
fn independent(list: &[Move]) -> bool {
    let (mut written, mut read) = (RegSet::EMPTY, RegSet::EMPTY);
    let (mut writes_place, mut reads_place) = (false, false);
    for m in list {
        match m.dst {
            Loc::Reg(r) => written.insert(r),
            _ => writes_place = true,
        }
        match m.src {
            Loc::Reg(r) => read.insert(r),
            Loc::Place(_) => reads_place = true,
            Loc::Const(_) => {}
        }
    }
    written.intersect(read).is_empty() && !(writes_place && reads_place)
}

/// A number for each location that can be overwritten.
fn key(loc: Loc) -> [u32; 2] {
    match loc {
        Loc::Reg(r) => [0, r.index() as u32],
        Loc::Place(Place::Slot(n)) => [1, n],
        Loc::Place(Place::Outgoing(n)) => [2, n],
        Loc::Place(Place::StackArea(n)) => [3, n],
        Loc::Place(Place::At(r, n)) => [r.index() as u32 + 4, n as u32],
        Loc::Const(_) => [u32::MAX; 2],
    }
}

/// The move has been put in the sequence.
const DONE: u32 = u32::MAX;

impl Ordering {
    fn begin(&mut self, list: &[Move]) {
        self.sequence.clear();
        self.ready.clear();
        self.asides.clear();
        self.writers.clear();
        self.writers
            .extend(list.iter().enumerate().map(|(i, m)| (key(m.dst), i as u32)));
        self.writers.sort_unstable();
        self.readers.clear();
        self.readers.resize(list.len(), 0);
        for m in list {
            if let Some(w) = self.writer(m.src) {
                self.readers[w] += 1;
            }
        }
        self.ready
            .extend((0..list.len() as u32).filter(|&i| self.readers[i as usize] == 0));
    }

    /// The move that writes `loc`.
    fn writer(&self, loc: Loc) -> Option<usize> {
        let key = key(loc);
        let at = self.writers.binary_search_by_key(&key, |w| w.0).ok()?;
        Some(self.writers[at].1 as usize)
    }

    /// Sequence all moves that are ready. If only cycles remain, the number of a move on one.
    fn drain(&mut self, list: &[Move]) -> Option<usize> {
        while let Some(i) = self.ready.pop() {
            let i = i as usize;
            self.sequence.push(i as u32);
            self.readers[i] = DONE;
            if let Some(w) = self.writer(list[i].src) {
                self.readers[w] -= 1;
                if self.readers[w] == 0 {
                    self.ready.push(w as u32);
                }
            }
        }
        self.readers.iter().position(|&r| r != DONE)
    }

    /// Let a move on a cycle go ahead: what it overwrites, which the caller sets aside, and its
    /// widest type.
    fn stuck(&mut self, list: &[Move], i: usize) -> (Loc, Type) {
        let dst = list[i].dst;
        let reader = list
            .iter()
            .find(|m| m.src == dst)
            .expect("a move on a cycle has a reader");
        self.readers[i] = 0;
        self.ready.push(i as u32);
        (
            dst,
            if reader.ty.is_float() {
                Type::F64
            } else {
                Type::I64
            },
        )
    }
    /// Bring what is in `dst` to `aside`, where those that have not been sequenced find it.
    fn set_aside(&mut self, list: &mut [Move], dst: Loc, aside: Loc, ty: Type) {
        for (m, &readers) in list.iter_mut().zip(&self.readers) {
            if m.src == dst && readers != DONE {
                m.src = aside;
            }
        }
        self.sequence.push((list.len() + self.asides.len()) as u32);
        self.asides.push(Move {
            dst: aside,
            src: dst,
            ty,
        });
    }
}
