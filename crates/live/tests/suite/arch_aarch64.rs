//! Code for the tests, on AArch64. Words are instructions as the Arm ARM encodes them (chapter C6).

use super::Asm;
use nopal_live::Protocol;

/// The end of every function here.
pub const RET: [u8; 4] = [0xc0, 0x03, 0x5f, 0xd6];
pub const RETURN_ZERO: [u8; 8] = [0, 0, 0x80, 0xd2, 0xc0, 0x03, 0x5f, 0xd6]; // movz x0, #0; ret

/// A site, off.
pub const SITE: [u8; 4] = [0x1f, 0x20, 0x03, 0xd5];
pub const NOP: [u8; 4] = SITE;
/// Broadcasts of commits by protocol: if sites are enabled first, disabled, enabled again, moved.
pub const BROADCASTS: [(Protocol, [u32; 4]); 2] = [
    (Protocol::Direct, [1, 1, 1, 1]),
    (Protocol::Strict, [2, 2, 2, 2]),
];

/// The stack pointer's number in frames.
pub const SP: u8 = 31;
/// Registers that [`spread`] has its argument in.
pub const SPREAD_REGISTERS: [u8; 2] = [0, 15];
/// Where [`spread`] has its frame pointer, from the stack pointer at its site, and its slot from there.
pub const SPREAD_FRAME: (usize, i32) = (0, 24);

const X9: u32 = 9;
const X16: u32 = 16;
const X17: u32 = 17;
const X19: u32 = 19;
const X20: u32 = 20;
const X21: u32 = 21;
const X22: u32 = 22;
const X29: u32 = 29;
const X30: u32 = 30;
const XZR: u32 = 31;
const SP_REGISTER: u32 = 31;

const EQ: u32 = 0;
const NE: u32 = 1;

/// The instructions that are used below, by name and operands.
impl Asm {
    fn word(&mut self, word: u32) -> &mut Asm {
        self.emit(&word.to_le_bytes())
    }

    fn mov(&mut self, to: u32, from: u32) -> &mut Asm {
        self.word(0xaa00_03e0 | from << 16 | to)
    }

    fn mov_imm(&mut self, to: u32, value: u64) -> &mut Asm {
        for part in 0..4 {
            let bits = (value >> (16 * part)) as u32 & 0xffff;
            let opcode = if part == 0 { 0xd280_0000 } else { 0xf280_0000 };
            self.word(opcode | part << 21 | bits << 5 | to);
        }
        self
    }

    /// Also for the stack pointer.
    fn add_imm(&mut self, to: u32, from: u32, value: u32) -> &mut Asm {
        self.word(0x9100_0000 | value << 10 | from << 5 | to)
    }

    fn sub_imm(&mut self, to: u32, from: u32, value: u32) -> &mut Asm {
        self.word(0xd100_0000 | value << 10 | from << 5 | to)
    }

    fn add(&mut self, to: u32, a: u32, b: u32) -> &mut Asm {
        self.word(0x8b00_0000 | b << 16 | a << 5 | to)
    }

    fn cmp(&mut self, a: u32, b: u32) -> &mut Asm {
        self.word(0xeb00_001f | b << 16 | a << 5)
    }

    fn cset(&mut self, to: u32, condition: u32) -> &mut Asm {
        self.word(0x9a9f_07e0 | (condition ^ 1) << 12 | to)
    }

    fn ldr(&mut self, to: u32, base: u32, offset: u32) -> &mut Asm {
        self.word(0xf940_0000 | offset / 8 << 10 | base << 5 | to)
    }

    fn str(&mut self, from: u32, base: u32, offset: u32) -> &mut Asm {
        self.word(0xf900_0000 | offset / 8 << 10 | base << 5 | from)
    }

    /// `stp x29, x30, [sp, #-size]!`; `mov x29, sp`
    fn enter(&mut self, size: u32) -> &mut Asm {
        let offset = 0u32.wrapping_sub(size) / 8 & 0x7f;
        self.word(0xa980_0000 | offset << 15 | X30 << 10 | SP_REGISTER << 5 | X29);
        self.add_imm(X29, SP_REGISTER, 0)
    }

    /// `ldp x29, x30, [sp], #size`; `ret`
    fn leave(&mut self, size: u32) -> &mut Asm {
        self.word(0xa8c0_0000 | size / 8 << 15 | X30 << 10 | SP_REGISTER << 5 | X29);
        self.word(0xd65f_03c0)
    }

    /// Goes to an earlier place unless the register is zero.
    fn cbnz(&mut self, register: u32, target: usize) -> &mut Asm {
        let words = (target.wrapping_sub(self.here()) >> 2) as u32 & 0x7_ffff;
        self.word(0xb500_0000 | words << 5 | register)
    }

    /// `[x20 + field] += from`; overwrites `x17`.
    fn count(&mut self, from: u32, field: u32) -> &mut Asm {
        self.ldr(X17, X20, field).add(X17, X17, from);
        self.str(X17, X20, field)
    }
}

/// `fn(n)`: passes `sites` sites in a row, `n` times.
pub fn loop_over(sites: usize) -> Asm {
    let mut asm = Asm::new();
    asm.enter(32).str(X19, SP_REGISTER, 16).mov(X19, 0);
    asm.pad_to(0);
    let start = asm.here();
    for _ in 0..sites {
        asm.site();
    }
    asm.sub_imm(X19, X19, 1).cbnz(X19, start);
    asm.ldr(X19, SP_REGISTER, 16).leave(32);
    asm
}

/// `fn(x) -> x + n`.
pub fn add(n: u8) -> Asm {
    let mut asm = Asm::new();
    asm.add_imm(0, 0, n.into()).word(0xd65f_03c0); // ret
    asm
}

/// `fn(x)`: has `x` in registers 0 and 15, vector register 3 and a slot of its frame while it passes a
/// site, and returns the sum of the four.
pub fn spread() -> Asm {
    let mut asm = Asm::new();
    asm.enter(32).str(0, SP_REGISTER, 24).mov(15, 0);
    asm.word(0x9e67_0000 | 3).cmp(0, 0); // fmov d3, x0
    asm.site();
    asm.cset(1, NE).add(0, 0, 1); // adds nothing if the flags survive
    asm.word(0x9e66_0000 | 3 << 5 | 1); // fmov x1, d3
    asm.add(0, 0, 15).add(0, 0, 1).ldr(1, X29, 24).add(0, 0, 1);
    asm.leave(32);
    asm
}

/// Code that someone else generated: see `foreign.rs`.
pub mod foreign {
    use super::*;

    /// A call of something that is not there.
    pub const CALL: [u8; 4] = 0x9400_0001_u32.to_le_bytes();
    /// What may be in a site, and where it starts in its line.
    pub const FORMS: &[(usize, [u8; 4])] = &[(16, SITE), (60, CALL), (0, CALL)];
    /// The register that [`callee`] increments.
    pub const COUNTER: u8 = 11;

    /// `fn(n)`: does what is in the four bytes `n` times, and returns how often `x11` was incremented.
    pub fn code(middle: [u8; 4], start: usize) -> Asm {
        let mut asm = Asm::new();
        asm.enter(32).str(X19, SP_REGISTER, 16).mov(X19, 0);
        asm.mov(COUNTER.into(), XZR);
        asm.pad_to(start);
        let again = asm.here();
        asm.emit_site(&middle);
        asm.sub_imm(X19, X19, 1).cbnz(X19, again);
        asm.mov(0, COUNTER.into()).ldr(X19, SP_REGISTER, 16);
        asm.leave(32);
        asm
    }

    /// `add x11, x11, #1; ret`
    pub fn callee() -> Asm {
        let mut asm = Asm::new();
        asm.add_imm(COUNTER.into(), COUNTER.into(), 1).emit(&RET);
        asm
    }
}

/// Raises SIGTRAP.
pub fn breakpoint() {
    // SAFETY: whoever handles the signal goes on after the instruction, or ends the process.
    unsafe { std::arch::asm!("brk #0", options(nomem, nostack)) };
}

/// Lets a thread that [`breakpoint`] stopped go on.
///
/// # Safety
/// `context` is the third argument of a signal handler.
pub unsafe fn after_breakpoint(context: *mut libc::c_void) {
    // SAFETY: the caller's promise.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.pc += 4 };
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

    /// Registers that hold a pattern across a round.
    const PATTERNS: [u32; 23] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 18, 23, 24, 25, 26, 27, 28, X29,
    ];
    /// Bytes for callee-saved registers, and two words with the stack pointer in the first.
    const FRAME: u32 = 16 + 12 * 8 + 8 * 8;

    fn pattern(register: u32) -> u64 {
        0x0123_4567_89ab_cdef_u64.rotate_left(5 * register)
    }

    /// Where the site of this number ends in its line.
    pub fn end_in_line(site: usize) -> usize {
        (4 * site + 4) % 64
    }

    /// Saves or restores what a function must preserve: `stp` and `ldp` at offsets from the stack pointer.
    fn callee_saved(asm: &mut Asm, general: u32, vector: u32) {
        for (place, register) in (19..31).step_by(2).enumerate() {
            let offset = 2 + 2 * place as u32;
            asm.word(general | offset << 15 | (register + 1) << 10 | SP_REGISTER << 5 | register);
        }
        for (place, register) in (8..16).step_by(2).enumerate() {
            let offset = 14 + 2 * place as u32;
            asm.word(vector | offset << 15 | (register + 1) << 10 | SP_REGISTER << 5 | register);
        }
    }

    /// `fn(rounds, report)`.
    ///
    /// In it, `x19` counts rounds down, `x20` is the report, `x21` and `x22` hold patterns, of which `x16`
    /// and `x17` are copies at each site; `[sp]` holds the stack pointer itself.
    pub fn code(sites: usize, fields: &Fields) -> Asm {
        let mut asm = Asm::new();
        asm.sub_imm(SP_REGISTER, SP_REGISTER, FRAME);
        callee_saved(&mut asm, 0xa900_0000, 0x6d00_0000);
        asm.mov(X19, 0).mov(X20, 1);
        asm.add_imm(X9, SP_REGISTER, 0).str(X9, SP_REGISTER, 0);
        asm.mov_imm(X21, pattern(X21)).mov_imm(X22, pattern(X22));
        let round = asm.here();
        for register in PATTERNS {
            asm.mov_imm(register, pattern(register));
        }
        for vector in 0..32 {
            asm.word(0x4e08_0c00 | (vector % 8) << 5 | vector); // dup v.2d, x
        }
        for site in 0..sites {
            watched_site(&mut asm, site, fields);
        }
        for register in PATTERNS {
            asm.mov_imm(X16, pattern(register)).cmp(X16, register);
            asm.cset(X16, NE).count(X16, fields.wrong_registers);
        }
        for vector in 0..32 {
            for half in [0x4e08_3c00, 0x4e18_3c00] {
                asm.word(half | vector << 5 | X16); // umov x16, v.d[half]
                asm.cmp(X16, vector % 8).cset(X16, NE);
                asm.count(X16, fields.wrong_registers);
            }
        }
        asm.ldr(X16, SP_REGISTER, 0).add_imm(X17, SP_REGISTER, 0);
        asm.cmp(X16, X17).cset(X16, NE);
        asm.count(X16, fields.wrong_registers);
        asm.mov_imm(X16, 1).count(X16, fields.rounds);
        asm.sub_imm(X19, X19, 1).cbnz(X19, round);
        callee_saved(&mut asm, 0xa940_0000, 0x6d40_0000);
        asm.add_imm(SP_REGISTER, SP_REGISTER, FRAME);
        asm.word(0xd65f_03c0); // ret
        asm
    }

    /// A site with zero where a call leaves its return address, and "equal" in the flags.
    fn watched_site(asm: &mut Asm, site: usize, fields: &Fields) {
        asm.mov(X30, XZR).mov(X16, X21).mov(X17, X22).cmp(X21, X21);
        asm.pad_to(4 * site % 64);
        asm.site();
        let end = asm.here();
        asm.cset(X9, NE);
        asm.cmp(X16, X21).cset(X16, NE).add(X9, X9, X16);
        asm.cmp(X17, X22).cset(X17, NE).add(X9, X9, X17);
        asm.count(X9, fields.wrong_registers);
        let back = (end as i32 - asm.here() as i32) as u32;
        asm.word(0x1000_0000 | (back & 3) << 29 | (back >> 2 & 0x7_ffff) << 5 | X9); // adr x9, end
        asm.cmp(X30, X9).cset(X16, EQ).count(X16, 8 * site as u32);
        asm.cmp(X30, X9);
        asm.word(0xfa40_0800 | NE << 12 | X30 << 5 | 4); // ccmp x30, #0, #Z, ne
        asm.cset(X16, NE).count(X16, fields.wrong_calls);
    }
}
