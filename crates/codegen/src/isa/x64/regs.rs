//! x86-64 registers.

use crate::{PReg, RegSet};

macro_rules! regs {
    ($ctor:ident: $($name:ident = $hw:literal),*) => {
        $(pub(crate) const $name: PReg = PReg::$ctor($hw);)*
    };
}
regs!(int: RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7,
    R8 = 8, R9 = 9, R10 = 10, R11 = 11, R12 = 12, R13 = 13, R14 = 14, R15 = 15);
regs!(float: XMM0 = 0, XMM1 = 1);

/// Registers a System V callee preserves, `rbp` and `rsp` aside.
pub(crate) const CALLEE_SAVED: RegSet = RegSet::from_slice(&[RBX, R12, R13, R14, R15]);

/// The vector registers.
pub(crate) const VECTORS: RegSet = vectors(0);

/// What a callee of the Windows convention preserves beyond that.
pub(crate) const WINDOWS_CALLEE_SAVED: RegSet = RegSet::from_slice(&[RDI, RSI]).union(vectors(6));

/// The vector registers from this one on.
const fn vectors(from: u8) -> RegSet {
    let mut set = RegSet::EMPTY;
    let mut n = from;
    while n < 16 {
        set = set.union(RegSet::of(PReg::float(n)));
        n += 1;
    }
    set
}
