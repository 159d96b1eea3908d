//! Opcodes, prefixes, ModRM, SIB and displacements (Intel SDM volume 2, chapter 2).

use crate::buffer::{EncodeError, FixupForm, Piece, Sink, Target};
use crate::isa::x64::frame::FrameLayout;
use crate::isa::x64::inst::{Base, Mem, Size};
use crate::isa::x64::regs::RBP;

/// A distance in 1 byte, from the end of that byte.
pub(crate) const REL8: FixupForm = FixupForm::new(0);
/// A distance in 4 bytes, from their end.
pub(crate) const REL32: FixupForm = FixupForm::new(1);

/// An opcode with its prefixes, in 8 bytes.
#[derive(Clone, Copy)]
pub(super) struct Op {
    /// The opcode, first byte lowest.
    bytes: u32,
    /// Prefixes other than REX, first byte lowest.
    prefixes: u16,
    /// The number of bytes of the opcode, and four bits up that of the prefixes.
    lens: u8,
    /// [`Op::W`], [`Op::BYTE_REG`], [`Op::BYTE_RM`].
    flags: u8,
}

impl Op {
    /// 64-bit operands. In the same place as in REX.
    const W: u8 = 8;
    /// The `reg` field is a byte register.
    const BYTE_REG: u8 = 1;
    /// The `rm` field, if a register, is a byte register.
    const BYTE_RM: u8 = 2;

    const fn from_bytes(bytes: u32, len: u8) -> Op {
        Op {
            bytes,
            prefixes: 0,
            lens: len,
            flags: 0,
        }
    }

    /// One-byte opcode.
    pub(super) const fn new(code: u8) -> Op {
        Op::from_bytes(code as u32, 1)
    }

    /// `0F code`
    pub(super) const fn of(code: u8) -> Op {
        Op::from_bytes(0x0f | (code as u32) << 8, 2)
    }

    /// `0F 3A code`
    pub(super) const fn of3a(code: u8) -> Op {
        Op::from_bytes(0x3a0f | (code as u32) << 16, 3)
    }

    /// `0F code second`
    pub(super) const fn of_two(code: u8, second: u8) -> Op {
        Op::from_bytes(0x0f | (code as u32) << 8 | (second as u32) << 16, 3)
    }

    const fn len(self) -> u32 {
        (self.lens & 15) as u32
    }

    const fn num_prefixes(self) -> u32 {
        (self.lens >> 4) as u32
    }

    /// After the other prefixes, `prefix` if `is`.
    #[inline(always)]
    const fn prefix_if(mut self, prefix: u8, is: bool) -> Op {
        self.prefixes |= (is as u16 * prefix as u16) << (8 * self.num_prefixes());
        self.lens += (is as u8) << 4;
        self
    }

    /// After the other prefixes, `prefix`.
    #[inline(always)]
    pub(super) const fn prefix(self, prefix: u8) -> Op {
        self.prefix_if(prefix, true)
    }

    /// Before the other prefixes, `lock`.
    #[inline(always)]
    pub(super) const fn lock(self) -> Op {
        debug_assert!(self.num_prefixes() == 0);
        self.prefix(0xf0)
    }

    /// REX.W if `w`.
    #[inline(always)]
    pub(super) const fn wide(mut self, w: bool) -> Op {
        self.flags |= w as u8 * Op::W;
        self
    }

    /// Operands of 16, 32 or 64 bits.
    #[inline(always)]
    pub(super) const fn size(self, size: Size) -> Op {
        self.prefix_if(0x66, size as u8 == Size::S16 as u8)
            .wide(size as u8 == Size::S64 as u8)
    }

    /// The `reg` field is a byte register if `is`.
    #[inline(always)]
    pub(super) const fn byte_reg(mut self, is: bool) -> Op {
        self.flags |= is as u8 * Op::BYTE_REG;
        self
    }

    /// The `rm` field is a byte register if `is` (and it is a register).
    #[inline(always)]
    pub(super) const fn byte_rm(mut self, is: bool) -> Op {
        self.flags |= is as u8 * Op::BYTE_RM;
        self
    }

    /// The `reg` field extends the opcode.
    #[inline(always)]
    const fn digit(mut self) -> Op {
        self.flags &= !Op::BYTE_REG;
        self
    }

    /// Whether a REX prefix is needed for byte registers alone; without it, 4 to 7 are `ah` and
    /// kin.
    #[inline(always)]
    fn needs_rex(self, reg: u8, rm: u8) -> bool {
        let byte_reg = (self.flags & Op::BYTE_REG != 0) & (reg & !3 == 4);
        let byte_rm = (self.flags & Op::BYTE_RM != 0) & (rm & !3 == 4);
        byte_reg | byte_rm
    }

    /// Prefixes, REX (its low bits are `rex`) and opcode, and their length.
    #[inline(always)]
    fn head(self, rex: u8, force_rex: bool) -> (u64, u32) {
        let rex = rex | self.flags & Op::W;
        let with_rex = u32::from((rex != 0) | force_rex);
        let rex = u64::from(rex | 0x40) * u64::from(with_rex);
        let bytes = u64::from(self.bytes) << (8 * with_rex) | rex;
        let bytes = bytes << (8 * self.num_prefixes()) | u64::from(self.prefixes);
        (bytes, self.len() + with_rex + self.num_prefixes())
    }
}

/// An opcode that comes in two, `code` for bytes and `code + 1` for larger operands. Its register
/// operands have that size.
#[inline(always)]
pub(super) fn pair(code: u8, size: Size) -> Op {
    let byte = size == Size::S8;
    Op::new(code | u8::from(!byte))
        .size(size)
        .byte_reg(byte)
        .byte_rm(byte)
}

/// `op` with the registers `reg` and `rm`.
#[inline(always)]
pub(super) fn rr<S: Sink>(s: &mut S, op: Op, reg: u8, rm: u8) {
    let (head, len) = op.head(reg >> 3 << 2 | rm >> 3, op.needs_rex(reg, rm));
    let modrm = 0xc0 | (reg & 7) << 3 | rm & 7;
    s.put_piece(Piece::new(head | u64::from(modrm) << (8 * len), len + 1));
}

/// `op` with the register `rm`; `digit` extends the opcode.
#[inline(always)]
pub(super) fn digit_r<S: Sink>(s: &mut S, op: Op, digit: u8, rm: u8) {
    rr(s, op.digit(), digit, rm);
}

/// `op` with memory; `digit` extends the opcode. See [`rm`].
#[inline(always)]
pub(super) fn digit_m<S: Sink>(
    s: &mut S,
    op: Op,
    digit: u8,
    mem: Mem,
    frame: &FrameLayout<'_>,
    trailing: i8,
) {
    rm(s, op.digit(), digit, mem, frame, trailing);
}

/// `op` with a register in the low bits of its last byte.
#[inline(always)]
pub(super) fn plus_r<S: Sink>(s: &mut S, mut op: Op, r: u8) {
    op.bytes |= u32::from(r & 7) << (8 * (op.len() - 1));
    let (head, len) = op.head(r >> 3, false);
    s.put_piece(Piece::new(head, len));
}

/// `op` alone.
#[inline(always)]
pub(super) fn bare<S: Sink>(s: &mut S, op: Op) {
    let (head, len) = op.head(0, false);
    s.put_piece(Piece::new(head, len));
}

/// `op` with the register `reg` and memory. An immediate of `trailing` bytes follows.
#[inline(always)]
pub(super) fn rm<S: Sink>(
    s: &mut S,
    op: Op,
    reg: u8,
    mem: Mem,
    frame: &FrameLayout<'_>,
    trailing: i8,
) {
    let piece = rm_piece(op, reg, mem, frame);
    s.put_piece(piece);
    if piece.is_open() {
        close(s, mem, trailing);
    }
}

/// Shared by all instructions with memory, so that its code stays in the cache.
#[inline(never)]
fn rm_piece(op: Op, reg: u8, mem: Mem, frame: &FrameLayout<'_>) -> Piece {
    let address = Address::new(mem, frame);
    let (head, len) = op.head(reg >> 3 << 2 | address.rex, op.needs_rex(reg, 0));
    address.piece(head, len, reg)
}

/// What was written last has an address that needs more than bytes.
#[cold]
fn close<S: Sink>(s: &mut S, mem: Mem, trailing: i8) {
    match mem.base {
        // The processor counts from the end of the instruction.
        Base::Const => s.refer(4, -trailing, REL32, Target::Constant(mem.disp as u32)),
        _ => s.fail(EncodeError::FrameOffset),
    }
}

/// `op` with the register `reg` and the address of `target`.
pub(super) fn rip<S: Sink>(s: &mut S, op: Op, reg: u8, target: Target) {
    let (head, len) = op.head(reg >> 3 << 2, false);
    s.put_piece(Address::RIP.piece(head, len, reg));
    s.refer(4, 0, REL32, target);
}

/// A memory operand as encoded. Its computation avoids branches, which would be unpredictable.
#[derive(Clone, Copy)]
struct Address {
    /// ModRM without its `reg` field, SIB and displacement.
    bytes: u64,
    len: u32,
    /// The bits X and B of a REX prefix.
    rex: u8,
    /// The displacement is not known, or cannot be expressed.
    open: bool,
}

/// In ModRM, a SIB byte follows; in SIB, there is no index.
const SIB: u8 = 4;
/// In ModRM or SIB with mod 0, a 4-byte displacement and no base.
const NO_BASE: u8 = 5;

impl Address {
    /// The address of `mem`, in the form with the shortest encoding.
    #[inline(always)]
    fn new(mem: Mem, frame: &FrameLayout<'_>) -> Address {
        match mem.base {
            Base::Reg(r) => Address::indexed(r.hw(), mem, mem.disp),
            Base::Spill => Address::based(RBP.hw(), SIB, 0, frame.spill(mem.disp as u32)),
            Base::StackSlots => match frame.stack_slots(mem.disp) {
                Some(disp) => Address::indexed(RBP.hw(), mem, disp),
                None => Address::RIP,
            },
            Base::Const => Address::RIP,
            Base::None => Address::without_base(mem),
        }
    }

    /// `[base + disp]`, with the index of `mem` if it has one.
    #[inline(always)]
    fn indexed(base: u8, mem: Mem, disp: i32) -> Address {
        let (index, shift) = mem.index.map_or((SIB, 0), |i| (i.reg().hw(), i.shift()));
        // A base of 5 or 13 needs a displacement, an index does not.
        if base & 7 == NO_BASE && disp == 0 && shift == 0 && index & 7 != NO_BASE && index != SIB {
            return Address::based(index, base, shift, disp);
        }
        Address::based(base, index, shift, disp)
    }

    /// `[base + index << shift + disp]`; there is no index if it is [`SIB`].
    #[inline(always)]
    fn based(base: u8, index: u8, shift: u8, disp: i32) -> Address {
        let zero = (disp == 0) & (base & 7 != NO_BASE);
        let large = i32::from(disp as i8) != disp;
        // No displacement, 1 byte or 4.
        let mode = u8::from(!zero) + u8::from(large);
        let disp_len = u32::from(mode * mode);
        let with_sib = (index != SIB) | (base & 7 == SIB);
        let sib_len = u32::from(with_sib);
        let modrm = mode << 6 | if with_sib { SIB } else { base & 7 };
        let sib = shift << 6 | (index & 7) << 3 | base & 7;
        let sib = u64::from(sib) * u64::from(with_sib);
        let disp = u64::from(disp as u32) << (8 * sib_len);
        Address {
            bytes: u64::from(modrm) | (sib | disp) << 8,
            len: 1 + sib_len + disp_len,
            rex: index >> 3 << 1 | base >> 3,
            open: false,
        }
    }

    /// Without a base the displacement takes 4 bytes, so one is made of the index if possible.
    fn without_base(mem: Mem) -> Address {
        let disp = mem.disp;
        let (index, shift) = mem.index.map_or((SIB, 0), |i| (i.reg().hw(), i.shift()));
        match shift {
            0 if index != SIB => Address::based(index, SIB, 0, disp),
            1 => Address::based(index, index, 0, disp),
            _ => Address {
                bytes: u64::from(SIB)
                    | u64::from(shift << 6 | (index & 7) << 3 | NO_BASE) << 8
                    | u64::from(disp as u32) << 16,
                len: 6,
                rex: index >> 3 << 1,
                open: false,
            },
        }
    }

    /// `[rip + disp]`, where `disp` is not known yet.
    const RIP: Address = Address {
        bytes: NO_BASE as u64,
        len: 5,
        rex: 0,
        open: true,
    };

    /// An instruction with this address: `head`, ModRM with `reg`, SIB and displacement.
    #[inline(always)]
    fn piece(self, head: u64, len: u32, reg: u8) -> Piece {
        let bytes = self.bytes & (u64::MAX >> (64 - 8 * self.len));
        let bytes = bytes | u64::from((reg & 7) << 3);
        let piece = Piece::pair(head, len, bytes, self.len);
        if self.open { piece.open() } else { piece }
    }
}

/// The opcode of a VEX-encoded instruction, 128 bits or scalar.
#[derive(Clone, Copy)]
pub(super) struct Vex {
    /// Opcode map: 1 is `0F`, 2 `0F 38`, 3 `0F 3A`.
    pub(super) map: u8,
    /// Mandatory prefix: 0 none, 1 `66`, 2 `F3`, 3 `F2`.
    pub(super) pp: u8,
    pub(super) w: bool,
    pub(super) code: u8,
}

impl Vex {
    /// The prefix and opcode, and their length; `rex` has the bits R, X and B.
    #[inline(always)]
    fn head(self, rex: u8, vvvv: u8) -> (u64, u32) {
        let last = (!vvvv & 15) << 3 | self.pp;
        let code = u64::from(self.code);
        if rex & 3 == 0 && !self.w && self.map == 1 {
            let second = (!rex & 4) << 5 | last;
            (0xc5 | u64::from(second) << 8 | code << 16, 3)
        } else {
            let second = (!rex & 7) << 5 | self.map;
            let third = u8::from(self.w) << 7 | last;
            let prefix = 0xc4 | u64::from(second) << 8 | u64::from(third) << 16;
            (prefix | code << 24, 4)
        }
    }
}

/// VEX-encoded with registers.
pub(super) fn vex_rr<S: Sink>(s: &mut S, op: Vex, reg: u8, vvvv: u8, rm: u8) {
    let (head, len) = op.head(reg >> 3 << 2 | rm >> 3, vvvv);
    let modrm = 0xc0 | (reg & 7) << 3 | rm & 7;
    s.put_piece(Piece::new(head | u64::from(modrm) << (8 * len), len + 1));
}

/// VEX-encoded with memory.
pub(super) fn vex_rm<S: Sink>(
    s: &mut S,
    op: Vex,
    reg: u8,
    vvvv: u8,
    mem: Mem,
    frame: &FrameLayout<'_>,
) {
    let address = Address::new(mem, frame);
    let (head, len) = op.head(reg >> 3 << 2 | address.rex, vvvv);
    let piece = address.piece(head, len, reg);
    s.put_piece(piece);
    if piece.is_open() {
        close(s, mem, 0);
    }
}

/// Fill in a place that refers to offset `target`; see [`REL8`] and [`REL32`].
pub(super) fn apply(form: FixupForm, code: &mut [u8], at: u32, target: i64) {
    let place = at as usize;
    let distance = target - i64::from(at);
    if form == REL8 {
        code[place] = i8::try_from(distance - 1).expect("a short branch reaches") as u8;
    } else {
        debug_assert_eq!(form, REL32);
        let distance = (distance - 4) as i32;
        code[place..place + 4].copy_from_slice(&distance.to_le_bytes());
    }
}
