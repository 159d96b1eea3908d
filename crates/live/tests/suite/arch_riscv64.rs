//! Code for the tests, on RISC-V. Words are instructions as the ISA manual encodes them (vol. I, chapters
//! "RV32I", "RV64I" and "D").

use super::Asm;
use nopal_live::Protocol;

/// The end of every function here.
pub const RET: [u8; 4] = [0x67, 0x80, 0, 0];
pub const RETURN_ZERO: [u8; 8] = [0x13, 0x05, 0, 0, 0x67, 0x80, 0, 0]; // li a0, 0; ret

/// A site, off.
pub const SITE: [u8; 4] = [0x13, 0, 0, 0];
pub const NOP: [u8; 4] = SITE;
/// Broadcasts of commits by protocol: if sites are enabled first, disabled, enabled again, moved.
pub const BROADCASTS: [(Protocol, [u32; 4]); 2] = [
    (Protocol::Direct, [1, 1, 1, 1]),
    (Protocol::Strict, [2, 2, 2, 2]),
];

/// The stack pointer's number in frames.
pub const SP: u8 = 2;
/// Registers that [`spread`] has its argument in.
pub const SPREAD_REGISTERS: [u8; 2] = [10, 15];
/// Where [`spread`] has its frame pointer, from the stack pointer at its site, and its slot from there.
pub const SPREAD_FRAME: (usize, i32) = (32, -24);

const ZERO: u32 = 0;
const RA: u32 = 1;
const SP_REGISTER: u32 = 2;
const T0: u32 = 5;
const T1: u32 = 6;
const T2: u32 = 7;
const S0: u32 = 8;
const S1: u32 = 9;
const A0: u32 = 10;
const A1: u32 = 11;
const A5: u32 = 15;
const S2: u32 = 18;
const S3: u32 = 19;
const S4: u32 = 20;

const FLD: u32 = 0x3007;
const LD: u32 = 0x3003;

/// The instructions that are used below, by name and operands.
impl Asm {
    pub fn word(&mut self, word: u32) -> &mut Asm {
        self.emit(&word.to_le_bytes())
    }

    fn operate(&mut self, opcode: u32, to: u32, a: u32, b: u32) -> &mut Asm {
        self.word(opcode | b << 20 | a << 15 | to << 7)
    }

    fn addi(&mut self, to: u32, from: u32, value: i32) -> &mut Asm {
        self.operate(0x13, to, from, value as u32 & 0xfff)
    }

    fn mv(&mut self, to: u32, from: u32) -> &mut Asm {
        self.addi(to, from, 0)
    }

    /// Nine bits, and eleven at a time, none of which is a sign.
    fn li(&mut self, to: u32, value: u64) -> &mut Asm {
        self.addi(to, ZERO, (value >> 55) as i32);
        for shift in [44, 33, 22, 11, 0] {
            self.operate(0x1013, to, to, 11); // slli
            self.operate(0x6013, to, to, (value >> shift) as u32 & 0x7ff); // ori
        }
        self
    }

    fn add(&mut self, to: u32, a: u32, b: u32) -> &mut Asm {
        self.operate(0x33, to, a, b)
    }

    fn and(&mut self, to: u32, a: u32, b: u32) -> &mut Asm {
        self.operate(0x7033, to, a, b)
    }

    fn xor(&mut self, to: u32, a: u32, b: u32) -> &mut Asm {
        self.operate(0x4033, to, a, b)
    }

    /// 1 if the register is not zero.
    fn snez(&mut self, to: u32, from: u32) -> &mut Asm {
        self.operate(0x3033, to, ZERO, from)
    }

    /// 1 if the register is zero.
    fn seqz(&mut self, to: u32, from: u32) -> &mut Asm {
        self.operate(0x3013, to, from, 1)
    }

    fn load(&mut self, opcode: u32, to: u32, base: u32, offset: u32) -> &mut Asm {
        self.operate(opcode, to, base, offset)
    }

    fn store(&mut self, opcode: u32, from: u32, base: u32, offset: u32) -> &mut Asm {
        self.operate(opcode, offset & 31, base, from | offset >> 5 << 5)
    }

    fn ld(&mut self, to: u32, base: u32, offset: u32) -> &mut Asm {
        self.load(LD, to, base, offset)
    }

    fn sd(&mut self, from: u32, base: u32, offset: u32) -> &mut Asm {
        self.store(0x3023, from, base, offset)
    }

    /// `jal x0` to a place within 1 MiB.
    pub fn j(&mut self, target: usize) -> &mut Asm {
        let imm = target.wrapping_sub(self.here()) as u32;
        let high = (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21;
        self.word(high | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xff) << 12 | 0x6f)
    }

    /// Goes to an earlier place unless the register is zero.
    fn loop_unless_zero(&mut self, register: u32, target: usize) -> &mut Asm {
        self.word(0x0000_0463 | register << 15); // beqz register, .+8
        self.j(target)
    }

    pub fn ret(&mut self) -> &mut Asm {
        self.emit(&RET)
    }

    /// A frame of 32 bytes, with a frame record at its top and 16 bytes of room.
    pub fn enter(&mut self) -> &mut Asm {
        self.addi(SP_REGISTER, SP_REGISTER, -32);
        self.sd(RA, SP_REGISTER, 24).sd(S0, SP_REGISTER, 16);
        self.addi(S0, SP_REGISTER, 32)
    }

    pub fn leave(&mut self) -> &mut Asm {
        self.ld(RA, SP_REGISTER, 24).ld(S0, SP_REGISTER, 16);
        self.addi(SP_REGISTER, SP_REGISTER, 32).ret()
    }

    /// `[s2 + field] += from`; overwrites `t2`.
    fn count(&mut self, from: u32, field: u32) -> &mut Asm {
        self.ld(T2, S2, field).add(T2, T2, from).sd(T2, S2, field)
    }

    /// Counts in a field if two registers differ; overwrites `t1` and `t2`.
    fn count_if_different(&mut self, a: u32, b: u32, field: u32) -> &mut Asm {
        self.xor(T1, a, b).snez(T1, T1).count(T1, field)
    }
}

/// `fn(n)`: passes `sites` sites in a row, `n` times.
pub fn loop_over(sites: usize) -> Asm {
    let mut asm = Asm::new();
    asm.enter().sd(S1, SP_REGISTER, 0).mv(S1, A0);
    asm.pad_to(0);
    let start = asm.here();
    for _ in 0..sites {
        asm.site();
    }
    asm.addi(S1, S1, -1).loop_unless_zero(S1, start);
    asm.ld(S1, SP_REGISTER, 0).leave();
    asm
}

/// `fn(x) -> x + n`.
pub fn add(n: u8) -> Asm {
    let mut asm = Asm::new();
    asm.addi(A0, A0, n.into()).ret();
    asm
}

/// `fn(x)`: has `x` in registers 10 and 15, floating-point register 3 and a slot of its frame while it
/// passes a site, and returns the sum of the four.
pub fn spread() -> Asm {
    let mut asm = Asm::new();
    asm.enter().sd(A0, SP_REGISTER, 8).mv(A5, A0);
    asm.word(0xf200_0053 | A0 << 15 | 3 << 7); // fmv.d.x ft3, a0
    asm.site();
    asm.word(0xe200_0053 | 3 << 15 | A1 << 7); // fmv.x.d a1, ft3
    asm.add(A0, A0, A5).add(A0, A0, A1);
    asm.ld(A1, SP_REGISTER, 8).add(A0, A0, A1).leave();
    asm
}

/// Code that someone else generated: see `foreign.rs`.
pub mod foreign {
    use super::*;

    /// `jal ra, .+0xffffe`
    pub const CALL: &[u8] = &[0xef, 0xf0, 0xff, 0x7f];
    /// `auipc ra, 0x12345`; `jalr ra, 0x123(ra)`
    pub const LONG_CALL: &[u8] = &[0x97, 0x50, 0x34, 0x12, 0xe7, 0x80, 0x30, 0x12];
    /// What may be in a site, and where it starts in its line.
    pub const FORMS: &[(usize, &[u8])] = &[
        (16, &SITE),
        (60, CALL),
        (0, &[0x37, 0x50, 0, 0]), // lui x0, 5
        (4, &[1, 0, 1, 0]),       // c.nop; c.nop
        (60, LONG_CALL),
        (0, &[0x97, 0x50, 0, 0, 0x13, 0x80, 0x50, 0]), // auipc ra, 5; addi x0, ra, 5
        (56, &[0x97, 0x50, 0, 0, 0x13, 0, 0, 0]),      // auipc ra, 5; nop
        (12, &[0x13, 0, 0, 0, 0x13, 0, 0, 0]),         // nop; nop
        (60, &[1, 0, 1, 0, 1, 0, 1, 0]),
    ];
    /// The register that [`callee`] increments.
    pub const COUNTER: u8 = 28;

    /// `fn(n)`: does what is in the bytes `n` times, and returns how often `t3` was incremented.
    pub fn code(middle: &[u8], start: usize) -> Asm {
        let mut asm = Asm::new();
        asm.enter().sd(S1, SP_REGISTER, 0).mv(S1, A0);
        asm.mv(COUNTER.into(), ZERO).pad_to(start);
        let again = asm.here();
        asm.emit_site(middle);
        asm.addi(S1, S1, -1).loop_unless_zero(S1, again);
        asm.mv(A0, COUNTER.into()).ld(S1, SP_REGISTER, 0).leave();
        asm
    }

    /// `addi t3, t3, 1; ret`
    pub fn callee() -> Asm {
        let mut asm = Asm::new();
        asm.addi(COUNTER.into(), COUNTER.into(), 1).ret();
        asm
    }
}

/// Raises SIGTRAP.
pub fn breakpoint() {
    // SAFETY: whoever handles the signal goes on after the instruction, or ends the process.
    unsafe {
        std::arch::asm!(
            ".option push",
            ".option norvc",
            "ebreak",
            ".option pop",
            options(nomem, nostack)
        )
    };
}

/// Lets a thread that [`breakpoint`] stopped go on.
///
/// # Safety
/// `context` is the third argument of a signal handler.
pub unsafe fn after_breakpoint(context: *mut libc::c_void) {
    // SAFETY: the caller's promise.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.__gregs[libc::REG_PC] += 4 };
}

/// Code that watches itself: see `torture.rs`.
pub mod watched {
    use super::*;

    /// Where a report has what: see `torture::Report`.
    pub struct Fields {
        pub wrong_calls: u32,
        pub wrong_registers: u32,
        pub rounds: u32,
    }

    /// Registers that hold a pattern across a round: all but `gp` and `tp`, which are the system's, and
    /// those below.
    const PATTERNS: [u32; 20] = [
        S0, 10, 11, 12, 13, 14, 15, 16, 17, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    ];
    const CALLEE_SAVED: [u32; 12] = [8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27];
    /// Bytes for the stack pointer itself, `ra` and callee-saved registers.
    const FRAME: i32 = 16 + 2 * 12 * 8;

    fn pattern(register: u32) -> u64 {
        0x0123_4567_89ab_cdef_u64.rotate_left(5 * register)
    }

    /// Where the site of this number ends in its line.
    pub fn end_in_line(site: usize) -> usize {
        (4 * site + 4) % 64
    }

    /// What a function must preserve: integer registers, and floating-point registers of the same numbers.
    fn callee_saved() -> impl Iterator<Item = (u32, u32)> {
        (16..).step_by(8).zip(CALLEE_SAVED)
    }

    /// `fn(rounds, report)`.
    ///
    /// In it, `s1` counts rounds down, `s2` is the report, `s3` and `s4` hold patterns, of which `t0`, `t1`
    /// and `t2` are copies at each site; `[sp]` holds the stack pointer itself.
    pub fn code(sites: usize, fields: &Fields) -> Asm {
        let mut asm = Asm::new();
        asm.addi(SP_REGISTER, SP_REGISTER, -FRAME);
        asm.sd(RA, SP_REGISTER, 8);
        for (offset, register) in callee_saved() {
            asm.sd(register, SP_REGISTER, offset);
            asm.store(0x3027, register, SP_REGISTER, offset + 96); // fsd
        }
        asm.mv(S1, A0).mv(S2, A1).sd(SP_REGISTER, SP_REGISTER, 0);
        asm.li(S3, pattern(S3)).li(S4, pattern(S4));
        let round = asm.here();
        for register in PATTERNS {
            asm.li(register, pattern(register));
        }
        for float in 0..32 {
            asm.word(0xf200_0053 | (A0 + float % 8) << 15 | float << 7); // fmv.d.x
        }
        for site in 0..sites {
            watched_site(&mut asm, site, fields);
        }
        for register in PATTERNS {
            asm.li(T0, pattern(register));
            asm.count_if_different(T0, register, fields.wrong_registers);
        }
        for float in 0..32 {
            asm.word(0xe200_0053 | float << 15 | T0 << 7); // fmv.x.d
            asm.count_if_different(T0, A0 + float % 8, fields.wrong_registers);
        }
        asm.ld(T0, SP_REGISTER, 0);
        asm.count_if_different(T0, SP_REGISTER, fields.wrong_registers);
        asm.addi(T0, ZERO, 1).count(T0, fields.rounds);
        asm.addi(S1, S1, -1).loop_unless_zero(S1, round);
        for (offset, register) in callee_saved() {
            asm.ld(register, SP_REGISTER, offset);
            asm.load(FLD, register, SP_REGISTER, offset + 96);
        }
        asm.ld(RA, SP_REGISTER, 8);
        asm.addi(SP_REGISTER, SP_REGISTER, FRAME).ret();
        asm
    }

    /// A site with zero where a call leaves its return address.
    fn watched_site(asm: &mut Asm, site: usize, fields: &Fields) {
        asm.mv(RA, ZERO).mv(T0, S3).mv(T1, S3).mv(T2, S4);
        asm.pad_to(4 * site % 64);
        asm.site();
        let end = asm.here();
        asm.xor(T0, T0, S3).xor(T1, T1, S3).xor(T2, T2, S4);
        asm.snez(T0, T0).snez(T1, T1).snez(T2, T2);
        asm.add(T0, T0, T1).add(T0, T0, T2);
        asm.count(T0, fields.wrong_registers);
        let back = end as i32 - asm.here() as i32;
        asm.word(0x17 | T0 << 7).addi(T0, T0, back); // auipc t0, 0
        asm.xor(T0, T0, RA).seqz(T1, T0).count(T1, 8 * site as u32);
        asm.snez(T0, T0).snez(T1, RA).and(T0, T0, T1);
        asm.count(T0, fields.wrong_calls);
    }
}
