//! Encodings of the instructions that sites, islands and stubs are made of (RISC-V ISA vol. I, chapters
//! "RV32I", "RV64I", "A" and "C").

pub(super) const ZERO: u32 = 0;
pub(super) const RA: u32 = 1;
pub(super) const T1: u32 = 6;
/// What islands and stubs jump by: of all registers but those that look like a return, the one that
/// Zicfilp leaves out of its checks of indirect jumps ("software-guarded branches").
pub(super) const T2: u32 = 7;
pub(super) const S0: u32 = 8;

/// `addi x0, x0, 0`
pub(super) const NOP: u32 = 0x0000_0013;
/// Two instructions, `c.nop` each.
pub(super) const TWO_NOPS: u32 = 0x0001_0001;
/// Not the compressed one: a site is one word, whatever it is.
pub(super) const EBREAK: u32 = 0x0010_0073;
/// `fence rw, w`
pub(super) const FENCE_RELEASE: u32 = 0x0310_000f;

/// The opcode of an instruction, and its destination.
pub(super) const OPCODE_AND_RD: u32 = 0xfff;
/// The opcode, the destination, the operation and the source of one with an immediate of 12 bits.
pub(super) const ALL_BUT_IMM12: u32 = 0xf_ffff;

/// Bytes that `jal` reaches backwards, and two more than it reaches forwards.
pub(super) const JAL_REACH: usize = 1 << 20;

/// What `auipc` adds to its own address, in units of 4 KiB, and the signed rest, to be added by the
/// instruction that uses the result. Reaches 2 GiB − 2 KiB at least.
pub(super) fn split(distance: i64) -> (u32, u32) {
    let upper = (distance + 0x800) >> 12;
    (upper as u32 & 0xf_ffff, distance as u32 & 0xfff)
}

pub(super) const fn lui(rd: u32, upper: u32) -> u32 {
    upper << 12 | rd << 7 | 0x37
}

pub(super) const fn auipc(rd: u32, upper: u32) -> u32 {
    upper << 12 | rd << 7 | 0x17
}

pub(super) const fn addi(rd: u32, rs1: u32, imm12: u32) -> u32 {
    imm12 << 20 | rs1 << 15 | rd << 7 | 0x13
}

pub(super) const fn jalr(rd: u32, rs1: u32, imm12: u32) -> u32 {
    imm12 << 20 | rs1 << 15 | rd << 7 | 0x67
}

pub(super) const fn jal(rd: u32, distance: i32) -> u32 {
    let imm = distance as u32;
    let high = (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21;
    high | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}

pub(super) const fn ld(rd: u32, imm12: u32, base: u32) -> u32 {
    imm12 << 20 | base << 15 | 3 << 12 | rd << 7 | 0x03
}

pub(super) const fn sb(rs2: u32, imm12: u32, base: u32) -> u32 {
    (imm12 >> 5) << 25 | rs2 << 20 | base << 15 | (imm12 & 31) << 7 | 0x23
}

/// `amoadd.d x0, rs2, (rs1)`
pub(super) const fn amoadd(rs2: u32, rs1: u32) -> u32 {
    rs2 << 20 | rs1 << 15 | 3 << 12 | 0x2f
}

/// `c.addi16sp sp, bytes`
pub(super) const fn c_addi16sp(bytes: i32) -> u16 {
    let imm = bytes as u32;
    let bits = (imm >> 9 & 1) << 12 | (imm >> 4 & 1) << 6 | (imm >> 6 & 1) << 5;
    (0x6101 | bits | (imm >> 7 & 3) << 3 | (imm >> 5 & 1) << 2) as u16
}

/// `c.addi4spn s0, sp, bytes`
pub(super) const fn c_s0_above_sp(bytes: u32) -> u16 {
    let bits = (bytes >> 4 & 3) << 11 | (bytes >> 6 & 15) << 7;
    (bits | (bytes >> 2 & 1) << 6 | (bytes >> 3 & 1) << 5) as u16
}

pub(super) const fn c_sdsp(rs2: u32, offset: u32) -> u16 {
    (0xe002 | (offset >> 3 & 7) << 10 | (offset >> 6 & 7) << 7 | rs2 << 2) as u16
}

pub(super) const fn c_ldsp(rd: u32, offset: u32) -> u16 {
    (0x6002 | (offset >> 5 & 1) << 12 | rd << 7 | (offset >> 3 & 3) << 5 | (offset >> 6 & 7) << 2)
        as u16
}

/// `c.li rd, value`, of 0 to 31.
pub(super) const fn c_li(rd: u32, value: u32) -> u16 {
    (0x4001 | rd << 7 | value << 2) as u16
}

pub(super) const fn c_jr(rs1: u32) -> u16 {
    (0x8002 | rs1 << 7) as u16
}

/// Appends instructions that will run at a known address.
pub(super) struct Writer<'a> {
    at: usize,
    len: usize,
    bytes: &'a mut [u8],
}

impl Writer<'_> {
    pub(super) fn new(at: usize, bytes: &mut [u8]) -> Writer<'_> {
        Writer { at, len: 0, bytes }
    }

    pub(super) fn word(&mut self, word: u32) {
        self.push(&word.to_le_bytes());
    }

    pub(super) fn half(&mut self, half: u16) {
        self.push(&half.to_le_bytes());
    }

    /// `auipc` for an address within 2 GiB; the rest is for the next instruction.
    pub(super) fn auipc_to(&mut self, rd: u32, address: usize) -> u32 {
        let here = self.at + self.len;
        let (upper, lower) = split(address.wrapping_sub(here) as i64);
        self.word(auipc(rd, upper));
        lower
    }

    /// Loads the 64-bit word at an address within 2 GiB.
    pub(super) fn load(&mut self, rd: u32, address: usize) {
        let lower = self.auipc_to(rd, address);
        self.word(ld(rd, lower, rd));
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodings as the GNU assembler makes them.
    #[test]
    fn encodings() {
        assert_eq!(auipc(T2, 0), 0x0000_0397);
        assert_eq!(auipc(RA, 0x12345), 0x1234_5097);
        assert_eq!(ld(T2, 12, T2), 0x00c3_b383);
        assert_eq!(jalr(RA, RA, 0x123), 0x1230_80e7);
        assert_eq!(jal(RA, 0x1000), 0x0000_10ef);
        assert_eq!(jal(RA, -2), 0xffff_f0ef);
        assert_eq!(jal(RA, 0xf_fffe), 0x7fff_f0ef);
        assert_eq!(jal(RA, 0x800), 0x0010_00ef);
        assert_eq!(amoadd(T1, T2), 0x0063_b02f);
        assert_eq!(sb(T1, 0xffb, T2), 0xfe63_8da3);
        assert_eq!(lui(ZERO, 5), 0x0000_5037);
        assert_eq!(addi(ZERO, RA, 5), 0x0050_8013);
        assert_eq!(addi(ZERO, ZERO, 0), NOP);
        assert_eq!([c_addi16sp(-32), c_addi16sp(32)], [0x713d, 0x6105]);
        assert_eq!([c_sdsp(T2, 0), c_sdsp(T1, 8)], [0xe01e, 0xe41a]);
        assert_eq!([c_sdsp(S0, 16), c_sdsp(RA, 24)], [0xe822, 0xec06]);
        assert_eq!([c_ldsp(T2, 0), c_ldsp(T1, 8)], [0x6382, 0x6322]);
        assert_eq!([c_s0_above_sp(32), c_li(T1, 1)], [0x1000, 0x4305]);
        assert_eq!([c_jr(T2), c_jr(RA)], [0x8382, 0x8082]);
    }

    #[test]
    fn distances_are_split_with_a_signed_rest() {
        assert_eq!(split(0x7ff), (0, 0x7ff));
        assert_eq!(split(0x800), (1, 0x800));
        assert_eq!(split(-1), (0, 0xfff));
        assert_eq!(split(-0x801), (0xf_ffff, 0x7ff));
        assert_eq!(split((2 << 30) - 0x801), (0x7_ffff, 0x7ff));
    }
}
