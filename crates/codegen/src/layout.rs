//! Between the walks: code that only jumps on, and code that stands there twice.

use crate::checker::{Check, Symbolic};
use crate::label::Label;
use crate::selected::{Chunk, Selected};

/// How many pieces of code back an equal one is looked for.
const WINDOW: usize = 16;
/// Longer pieces are not compared.
const MAX_LENGTH: usize = 16;

/// Lead branches to code that only jumps on to where that jumps; let equal pieces of code that end with a
/// jump be one; drop what nothing leads to any more.
pub(crate) fn simplify<I: Check>(out: &mut Selected<I>) {
    let mut chunks = core::mem::take(&mut out.chunks);
    // Whether the chunk before runs on into this one. The prologue does.
    let mut entered = true;
    // Places of chunks among the first `kept` that others may stand for, the last `WINDOW` of them.
    let mut recent = [usize::MAX; WINDOW];
    let mut next = 0;
    let mut kept = 0;
    for n in 0..chunks.len() {
        let chunk = &chunks[n];
        let end = end(out, chunk);
        let mut drop = false;
        if let Some(Symbolic::Jump { target }) = end {
            let known = recent
                .iter()
                .find(|&&k| k < kept && equal(out, &chunks[k], chunk));
            let instead = match known {
                Some(&k) => Some(chunks[k].label),
                None if insts(out, chunk)[1..].iter().all(|i| *i == I::OMITTED) => Some(target),
                None => None,
            };
            if let Some(instead) = instead
                && out.resolve(instead) != chunk.label
            {
                out.labels[chunk.label.index()] = instead;
                drop = !entered;
            } else {
                recent[next % WINDOW] = kept;
                next += 1;
            }
        }
        if drop {
            continue;
        }
        entered = !matches!(
            end,
            Some(Symbolic::Jump { .. } | Symbolic::Table { .. } | Symbolic::End)
        );
        chunks.swap(kept, n);
        kept += 1;
    }
    chunks.truncate(kept);
    out.chunks = chunks;
}

/// The instructions of a chunk, last first.
fn insts<'a, I>(out: &'a Selected<I>, chunk: &Chunk) -> &'a [I] {
    &out.insts[chunk.insts.start as usize..chunk.insts.end as usize]
}

/// What the last instruction of a chunk does.
fn end<I: Check>(out: &Selected<I>, chunk: &Chunk) -> Option<Symbolic> {
    insts(out, chunk).first().map(|last| last.symbolic(out))
}

/// Whether two chunks do the same and jump to the same label.
fn equal<I: Check>(out: &Selected<I>, a: &Chunk, b: &Chunk) -> bool {
    let (a, b) = (insts(out, a), insts(out, b));
    let target = |code: &[I]| -> Option<Label> {
        match code[0].symbolic(out) {
            Symbolic::Jump { target } => Some(out.resolve(target)),
            _ => None,
        }
    };
    a.len() == b.len()
        && a.len() <= MAX_LENGTH
        && a[1..] == b[1..]
        && target(a).is_some_and(|to| target(b) == Some(to))
}
