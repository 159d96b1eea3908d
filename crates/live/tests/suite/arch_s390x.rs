//! Code for the tests, on s390x. Bytes are instructions as the Principles of Operation encodes them
//! (SA22-7832, chapter 7).

use super::Asm;
use nopal_live::Protocol;

/// The end of every function here.
pub const RET: [u8; 2] = [0x07, 0xfe];
pub const RETURN_ZERO: [u8; 6] = [0xa7, 0x29, 0, 0, 0x07, 0xfe]; // lghi %r2, 0; br %r14

/// A site, off.
pub const SITE: [u8; 6] = [0xc0, 0x04, 0, 0, 0, 0];
pub const NOP: [u8; 2] = [0x07, 0x00];
/// Broadcasts of commits by protocol: if sites are enabled first, disabled, enabled again, moved.
pub const BROADCASTS: [(Protocol, [u32; 4]); 2] = [
    (Protocol::Direct, [2, 1, 1, 3]),
    (Protocol::Strict, [3, 2, 2, 3]),
];

/// The stack pointer's number in frames.
pub const SP: u8 = 15;
/// Registers that [`spread`] has its argument in.
pub const SPREAD_REGISTERS: [u8; 2] = [0, 10];
/// Where [`spread`] has its frame pointer, from the stack pointer at its site, and its slot from there.
pub const SPREAD_FRAME: (usize, i32) = (0, 168);

/// What a caller provides at its stack pointer, for the registers of the called function: `%r6` at 48 and
/// the others after it.
const SAVE_AREA: u16 = 160;

/// Conditions of branches after comparisons.
const EQ: u8 = 8;
const NE: u8 = 7;

/// The instructions that are used below, by name and operands.
impl Asm {
    /// Register and memory: RXY format, with twelve bits of displacement.
    fn rxy(&mut self, opcode: [u8; 2], register: u8, base: u8, displacement: u16) -> &mut Asm {
        let [high, low] = (u16::from(base) << 12 | displacement).to_be_bytes();
        self.emit(&[opcode[0], register << 4, high, low, 0, opcode[1]])
    }

    fn lg(&mut self, to: u8, base: u8, displacement: u16) -> &mut Asm {
        self.rxy([0xe3, 0x04], to, base, displacement)
    }

    fn stg(&mut self, from: u8, base: u8, displacement: u16) -> &mut Asm {
        self.rxy([0xe3, 0x24], from, base, displacement)
    }

    fn ag(&mut self, to: u8, base: u8, displacement: u16) -> &mut Asm {
        self.rxy([0xe3, 0x08], to, base, displacement)
    }

    /// Floating-point load and store: RX format.
    fn rx(&mut self, opcode: u8, register: u8, base: u8, displacement: u16) -> &mut Asm {
        let [high, low] = (u16::from(base) << 12 | displacement).to_be_bytes();
        self.emit(&[opcode, register << 4, high, low])
    }

    fn lgr(&mut self, to: u8, from: u8) -> &mut Asm {
        self.emit(&[0xb9, 0x04, 0, to << 4 | from])
    }

    fn agr(&mut self, to: u8, from: u8) -> &mut Asm {
        self.emit(&[0xb9, 0x08, 0, to << 4 | from])
    }

    fn cgr(&mut self, a: u8, b: u8) -> &mut Asm {
        self.emit(&[0xb9, 0x20, 0, a << 4 | b])
    }

    /// `llihf`; `iilf`
    fn load_imm(&mut self, to: u8, value: u64) -> &mut Asm {
        let (high, low) = ((value >> 32) as u32, value as u32);
        self.emit(&[0xc0, to << 4 | 0xe])
            .emit(&high.to_be_bytes())
            .emit(&[0xc0, to << 4 | 0x9])
            .emit(&low.to_be_bytes())
    }

    /// To a floating-point register.
    fn ldgr(&mut self, to: u8, from: u8) -> &mut Asm {
        self.emit(&[0xb3, 0xc1, 0, to << 4 | from])
    }

    /// From a floating-point register.
    fn lgdr(&mut self, to: u8, from: u8) -> &mut Asm {
        self.emit(&[0xb3, 0xcd, 0, to << 4 | from])
    }

    /// `aghi %r15, bytes`
    fn move_stack(&mut self, bytes: i16) -> &mut Asm {
        self.emit(&[0xa7, 0xfb]).emit(&bytes.to_be_bytes())
    }

    /// `stmg %r6, %r15, 48(%r15)`; `aghi %r15, -size`
    fn enter(&mut self, size: u16) -> &mut Asm {
        self.emit(&[0xeb, 0x6f, 0xf0, 48, 0, 0x24])
            .move_stack(-(size as i16))
    }

    /// `lmg %r6, %r15, 48 + size(%r15)`; `br %r14`
    fn leave(&mut self, size: u16) -> &mut Asm {
        let [high, low] = (0xf000 | (48 + size)).to_be_bytes();
        self.emit(&[0xeb, 0x6f, high, low, 0, 0x04]).emit(&RET)
    }

    /// Counts a register down, and goes to an earlier place unless it is zero then.
    fn brctg(&mut self, register: u8, target: usize) -> &mut Asm {
        let halfwords = (target as i64 - self.here() as i64) / 2;
        let halfwords = i16::try_from(halfwords).expect("a loop within 64 KiB");
        self.emit(&[0xa7, register << 4 | 7])
            .emit(&halfwords.to_be_bytes())
    }
}

/// `fn(n)`: passes `sites` sites in a row, `n` times.
pub fn loop_over(sites: usize) -> Asm {
    const COUNTER: u8 = 12;
    let mut asm = Asm::new();
    asm.enter(SAVE_AREA).lgr(COUNTER, 2);
    asm.pad_to(0);
    let start = asm.here();
    for _ in 0..sites {
        asm.site();
    }
    asm.brctg(COUNTER, start).leave(SAVE_AREA);
    asm
}

/// `fn(x) -> x + n`.
pub fn add(n: u8) -> Asm {
    let mut asm = Asm::new();
    asm.emit(&[0x41, 0x22, 0, n]).emit(&RET); // la %r2, n(%r2)
    asm
}

/// `fn(x)`: has `x` in registers 0 and 10, vector register 3 and a slot of its frame while it passes a
/// site, and returns the sum of the four.
pub fn spread() -> Asm {
    const FRAME: u16 = SAVE_AREA + 16;
    const SLOT: u16 = SPREAD_FRAME.1 as u16;
    let mut asm = Asm::new();
    asm.enter(FRAME).lgr(11, 15).stg(2, 11, SLOT);
    asm.lgr(0, 2).lgr(10, 2).ldgr(3, 2);
    asm.site();
    asm.lgdr(2, 3).agr(2, 0).agr(2, 10).ag(2, 11, SLOT);
    asm.leave(FRAME);
    asm
}

/// Code that someone else generated: see `foreign.rs`.
pub mod foreign {
    use super::*;

    /// A call of something that is not there.
    pub const CALL: [u8; 6] = [0xc0, 0xe5, 0, 0, 0, 0];
    /// What may be in a site, and where it starts in its line.
    pub const FORMS: &[(usize, [u8; 6])] = &[
        (10, [0xc0, 0x04, 9, 9, 9, 9]),
        (62, [0xc0, 0xe5, 1, 2, 3, 4]),
        (60, [0x07, 0x00, 0x07, 0x07, 0x07, 0x00]),
    ];
    /// The register that [`callee`] increments.
    pub const COUNTER: u8 = 10;

    /// `fn(n)`: does what is in the six bytes `n` times, and returns how often `%r10` was incremented.
    pub fn code(middle: [u8; 6], start: usize) -> Asm {
        const ROUNDS: u8 = 12;
        let mut asm = Asm::new();
        asm.enter(SAVE_AREA).lgr(ROUNDS, 2);
        asm.emit(&[0xa7, COUNTER << 4 | 9, 0, 0]); // lghi %r10, 0
        asm.pad_to(start);
        let again = asm.here();
        asm.emit_site(&middle).brctg(ROUNDS, again);
        asm.lgr(2, COUNTER).leave(SAVE_AREA);
        asm
    }

    /// `aghi %r10, 1; br %r14`
    pub fn callee() -> Asm {
        let mut asm = Asm::new();
        asm.emit(&[0xa7, COUNTER << 4 | 0xb, 0, 1]).emit(&RET);
        asm
    }
}

/// Raises SIGILL.
pub fn breakpoint() {
    // SAFETY: whoever handles the signal goes on after the instruction, or ends the process.
    unsafe { std::arch::asm!(".short 0", options(nomem, nostack)) };
}

/// Lets a thread that [`breakpoint`] stopped go on, which it does by itself.
///
/// # Safety
/// `context` is the third argument of a signal handler.
pub unsafe fn after_breakpoint(_context: *mut libc::c_void) {}

/// Code that watches itself: see `torture.rs`.
pub mod watched {
    use super::*;

    /// Where a report has what: see `torture::Report`.
    pub struct Fields {
        pub wrong_calls: u32,
        pub wrong_registers: u32,
        pub rounds: u32,
    }

    const ROUNDS: u8 = 12;
    const REPORT: u8 = 13;
    const LINK: u8 = 14;
    const SP: u8 = 15;
    /// Registers that hold a pattern across a round.
    const PATTERNS: std::ops::Range<u8> = 2..12;
    /// Bytes for the called function, for `%f8` to `%f15`, and two words with the stack pointer in the first.
    const FRAME: u16 = SAVE_AREA + 8 * 8 + 2 * 8;
    const FLOATS: u16 = SAVE_AREA;
    const OWN_ADDRESS: u16 = SAVE_AREA + 8 * 8;

    fn pattern(register: u8) -> u64 {
        0x0123_4567_89ab_cdef_u64.rotate_left(5 * u32::from(register))
    }

    /// The register whose pattern a floating-point register holds.
    fn source(float: u8) -> u8 {
        PATTERNS.start + float % PATTERNS.len() as u8
    }

    /// Where the site of this number ends in its line.
    pub fn end_in_line(site: usize) -> usize {
        (2 * site + 6) % 64
    }

    /// `report.field += 1` unless the condition holds.
    fn count_unless(asm: &mut Asm, condition: u8, field: u32) {
        const LENGTH: u8 = (4 + 6) / 2;
        asm.emit(&[0xa7, condition << 4 | 4, 0, LENGTH]); // brc condition, .+10
        count(asm, field);
    }

    /// `agsi field(report), 1`
    fn count(asm: &mut Asm, field: u32) {
        assert!(field < 0x1000);
        let [high, low] = (u16::from(REPORT) << 12 | field as u16).to_be_bytes();
        asm.emit(&[0xeb, 1, high, low, 0, 0x7a]);
    }

    /// `fn(rounds, report)`.
    ///
    /// In it, `%r12` counts rounds down, `%r13` is the report; `%r0` and `%r1` are copies of patterns at each site.
    pub fn code(sites: usize, fields: &Fields) -> Asm {
        let mut asm = Asm::new();
        asm.enter(FRAME);
        for float in 8..16 {
            asm.rx(0x60, float, SP, FLOATS + 8 * u16::from(float - 8)); // std
        }
        asm.lgr(ROUNDS, 2).lgr(REPORT, 3);
        asm.stg(SP, SP, OWN_ADDRESS);
        let round = asm.here();
        for register in PATTERNS {
            asm.load_imm(register, pattern(register));
        }
        for float in 0..16 {
            asm.ldgr(float, source(float));
        }
        for site in 0..sites {
            watched_site(&mut asm, site, fields);
        }
        for register in PATTERNS {
            asm.load_imm(LINK, pattern(register)).cgr(LINK, register);
            count_unless(&mut asm, EQ, fields.wrong_registers);
        }
        for float in 0..16 {
            asm.lgdr(LINK, float).cgr(LINK, source(float));
            count_unless(&mut asm, EQ, fields.wrong_registers);
        }
        asm.rxy([0xe3, 0x20], SP, SP, OWN_ADDRESS); // cg %r15, own(%r15)
        count_unless(&mut asm, EQ, fields.wrong_registers);
        count(&mut asm, fields.rounds);
        asm.brctg(ROUNDS, round);
        for float in 8..16 {
            asm.rx(0x68, float, SP, FLOATS + 8 * u16::from(float - 8)); // ld
        }
        asm.leave(FRAME);
        asm
    }

    /// A site at offset `2 * site` of a line, with zero where a call leaves its return address.
    fn watched_site(asm: &mut Asm, site: usize, fields: &Fields) {
        asm.emit(&[0xa7, LINK << 4 | 9, 0, 0]); // lghi %r14, 0
        asm.lgr(0, 2).lgr(1, 3);
        asm.pad_to(2 * site % 64);
        asm.site_here();
        let end = asm.here();
        asm.cgr(0, 2);
        count_unless(asm, EQ, fields.wrong_registers);
        asm.cgr(1, 3);
        count_unless(asm, EQ, fields.wrong_registers);
        let back = (end as i64 - asm.here() as i64) / 2;
        asm.emit(&[0xc0, 0x10]).emit(&(back as i32).to_be_bytes()); // larl %r1, end
        asm.cgr(LINK, 1);
        count_unless(asm, NE, 8 * site as u32);
        // Neither that nor zero.
        asm.cgr(LINK, 1);
        asm.emit(&[0xa7, EQ << 4 | 4, 0, 9]); // brc 8, .+18: behind what follows
        asm.emit(&[0xb9, 0x02, 0, LINK << 4 | LINK]); // ltgr %r14, %r14
        count_unless(asm, EQ, fields.wrong_calls);
    }
}
