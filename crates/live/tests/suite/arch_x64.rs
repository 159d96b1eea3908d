//! Code for the tests, on x86-64.

use super::Asm;
use nopal_live::Protocol;

/// The end of every function here.
pub const RET: [u8; 1] = [0xc3];
pub const RETURN_ZERO: [u8; 3] = [0x31, 0xc0, 0xc3]; // xor eax, eax; ret

/// A site, off.
pub const SITE: [u8; 5] = [0x3d, 0, 0, 0, 0];
pub const NOP: [u8; 1] = [0x90];
/// Broadcasts of commits by protocol: if sites are enabled first, disabled, enabled again, moved.
pub const BROADCASTS: [(Protocol, [u32; 4]); 2] = [
    (Protocol::Direct, [2, 1, 1, 3]),
    (Protocol::Strict, [3, 2, 2, 3]),
];

/// The stack pointer's number in frames.
pub const SP: u8 = 4;
/// Registers that [`spread`] has its argument in.
pub const SPREAD_REGISTERS: [u8; 2] = [0, 15];
/// Where [`spread`] has its frame pointer, from the stack pointer at its site, and its slot from there.
pub const SPREAD_FRAME: (usize, i32) = (48, -48);

impl Asm {
    fn emit_u64(&mut self, opcode: &[u8], immediate: u64) -> &mut Asm {
        self.emit(opcode).emit(&immediate.to_le_bytes())
    }

    /// `jnz` back to an earlier place.
    pub fn jnz(&mut self, target: usize) -> &mut Asm {
        let displacement = target as i64 - (self.here() as i64 + 6);
        self.emit(&[0x0f, 0x85])
            .emit(&(displacement as i32).to_le_bytes())
    }
}

/// `fn(n)`: passes `sites` sites in a row, `n` times.
pub fn loop_over(sites: usize) -> Asm {
    let mut asm = Asm::new();
    asm.emit(&[0x53]).emit(&[0x48, 0x89, 0xfb]); // push rbx; mov rbx, rdi
    asm.pad_to(0);
    let start = asm.here();
    for _ in 0..sites {
        asm.site();
    }
    asm.emit(&[0x48, 0xff, 0xcb]).jnz(start); // dec rbx; jnz start
    asm.emit(&[0x5b, 0xc3]); // pop rbx; ret
    asm
}

/// `fn(x) -> x + n`.
pub fn add(n: u8) -> Asm {
    let mut asm = Asm::new();
    asm.emit(&[0x48, 0x8d, 0x47, n, 0xc3]); // lea rax, [rdi + n]; ret
    asm
}

/// `fn(x)`: has `x` in registers 0 and 15, vector register 3 and a slot of its frame while it passes a
/// site, and returns the sum of the four.
pub fn spread() -> Asm {
    let mut asm = Asm::new();
    // push rbp; mov rbp, rsp; push rbx; push r12; push r13; push r14; push r15; push rdi
    asm.emit(&[0x55, 0x48, 0x89, 0xe5, 0x53, 0x41, 0x54, 0x41, 0x55]);
    asm.emit(&[0x41, 0x56, 0x41, 0x57, 0x57]);
    // mov rax, rdi; mov r15, rdi; movq xmm3, rdi
    asm.emit(&[
        0x48, 0x89, 0xf8, 0x49, 0x89, 0xff, 0x66, 0x48, 0x0f, 0x6e, 0xdf,
    ]);
    asm.site();
    // movq rcx, xmm3; add rax, r15; add rax, rcx; add rax, [rbp - 48]
    asm.emit(&[
        0x66, 0x48, 0x0f, 0x7e, 0xd9, 0x4c, 0x01, 0xf8, 0x48, 0x01, 0xc8,
    ]);
    asm.emit(&[0x48, 0x03, 0x45, 0xd0]);
    // pop rdi; pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp; ret
    asm.emit(&[
        0x5f, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5b, 0x5d, 0xc3,
    ]);
    asm
}

/// Code that someone else generated: see `foreign.rs`.
pub mod foreign {
    use super::*;

    /// A call of something that is not there.
    pub const CALL: [u8; 5] = [0xe8, 0, 0, 0, 0];
    /// What may be in a site, and where it starts in its line.
    pub const FORMS: &[(usize, [u8; 5])] = &[
        (10, [0x3d, 9, 9, 9, 9]),
        (62, [0xa9, 0, 0, 0, 0]),
        (63, [0xe8, 1, 2, 3, 4]),
        (60, [0x0f, 0x1f, 0x44, 0, 0]),
        (61, [0x90; 5]),
    ];
    /// The register that [`callee`] increments.
    pub const COUNTER: u8 = 11;

    /// `fn(n)`: does what is in the five bytes `n` times, and returns how often `r11` was incremented.
    pub fn code(middle: [u8; 5], start: usize) -> Asm {
        let mut asm = Asm::new();
        // push rbx; mov rbx, rdi; xor r11d, r11d
        asm.emit(&[0x53, 0x48, 0x89, 0xfb, 0x45, 0x31, 0xdb]);
        asm.pad_to(start);
        let again = asm.here();
        asm.emit_site(&middle);
        asm.emit(&[0x48, 0xff, 0xcb]).jnz(again); // dec rbx; jnz again
        asm.emit(&[0x4c, 0x89, 0xd8, 0x5b, 0xc3]); // mov rax, r11; pop rbx; ret
        asm
    }

    /// `inc r11; ret`
    pub fn callee() -> Asm {
        let mut asm = Asm::new();
        asm.emit(&[0x49, 0xff, 0xc3, 0xc3]);
        asm
    }
}

/// Raises SIGTRAP.
pub fn breakpoint() {
    // SAFETY: whoever handles the signal goes on after the instruction, or ends the process.
    unsafe { std::arch::asm!("int3", options(nomem, nostack)) };
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

    /// Where the site of this number ends in its line.
    pub fn end_in_line(site: usize) -> usize {
        (site + 5) % 64
    }

    /// Appends a 32-bit displacement to an instruction.
    fn with_disp(asm: &mut Asm, opcode: &[u8], displacement: u32) {
        asm.emit(opcode).emit(&displacement.to_le_bytes());
    }

    /// `[r14 + field] += (flag set)`, where `setcc` is the second byte of a `setcc al`.
    fn count_if(asm: &mut Asm, setcc: u8, field: u32) {
        asm.emit(&[0x0f, setcc, 0xc0]); // setcc al
        asm.emit(&[0x0f, 0xb6, 0xc0]); // movzx eax, al
        with_disp(asm, &[0x49, 0x01, 0x86], field); // add [r14 + field], rax
    }

    /// Registers that hold a pattern across a round: `mov reg, imm64` and `cmp rax, reg`.
    const WATCHED: [([u8; 2], [u8; 3]); 9] = [
        ([0x48, 0xb9], [0x48, 0x39, 0xc8]), // rcx
        ([0x48, 0xba], [0x48, 0x39, 0xd0]), // rdx
        ([0x48, 0xbe], [0x48, 0x39, 0xf0]), // rsi
        ([0x48, 0xbf], [0x48, 0x39, 0xf8]), // rdi
        ([0x49, 0xb8], [0x4c, 0x39, 0xc0]), // r8
        ([0x49, 0xb9], [0x4c, 0x39, 0xc8]), // r9
        ([0x49, 0xba], [0x4c, 0x39, 0xd0]), // r10
        ([0x49, 0xbb], [0x4c, 0x39, 0xd8]), // r11
        ([0x48, 0xbd], [0x48, 0x39, 0xe8]), // rbp
    ];

    fn pattern(register: usize) -> u64 {
        0x0123_4567_89ab_cdef_u64.rotate_left(7 * register as u32)
    }

    /// `fn(rounds, report)`.
    ///
    /// In it, `rbx` counts rounds down, `r14` is `report`, `r12` and `r13` hold patterns, of which `rax`
    /// and `r15` are copies at each site; `[rsp]` holds `rsp` itself.
    pub fn code(sites: usize, fields: &Fields) -> Asm {
        let mut asm = Asm::new();
        // push rbx; push rbp; push r12; push r13; push r14; push r15
        asm.emit(&[0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57]);
        // mov rbx, rdi; mov r14, rsi
        asm.emit(&[0x48, 0x89, 0xfb, 0x49, 0x89, 0xf6]);
        asm.emit(&[0x48, 0x83, 0xec, 0x08, 0x48, 0x89, 0x24, 0x24]); // sub rsp, 8; mov [rsp], rsp
        asm.emit_u64(&[0x49, 0xbc], pattern(20)); // mov r12, imm64
        asm.emit_u64(&[0x49, 0xbd], pattern(21)); // mov r13, imm64
        let round = asm.here();
        for (register, (load, _)) in WATCHED.iter().enumerate() {
            asm.emit_u64(load, pattern(register));
        }
        // movq xmm0..7, r8; movq xmm8..15, r9
        for xmm in 0..8u8 {
            asm.emit(&[0x66, 0x49, 0x0f, 0x6e, 0xc0 | xmm << 3]);
            asm.emit(&[0x66, 0x4d, 0x0f, 0x6e, 0xc1 | xmm << 3]);
        }
        for site in 0..sites {
            watched_site(&mut asm, site, fields);
        }
        for (register, (_, compare)) in WATCHED.iter().enumerate() {
            asm.emit_u64(&[0x48, 0xb8], pattern(register)).emit(compare);
            count_if(&mut asm, 0x95, fields.wrong_registers); // setne
        }
        for xmm in 0..8u8 {
            asm.emit(&[0x66, 0x48, 0x0f, 0x7e, 0xc0 | xmm << 3]); // movq rax, xmm
            asm.emit(&[0x4c, 0x39, 0xc0]); // cmp rax, r8
            count_if(&mut asm, 0x95, fields.wrong_registers);
            asm.emit(&[0x66, 0x4c, 0x0f, 0x7e, 0xc0 | xmm << 3]); // movq rax, xmm + 8
            asm.emit(&[0x4c, 0x39, 0xc8]); // cmp rax, r9
            count_if(&mut asm, 0x95, fields.wrong_registers);
        }
        asm.emit(&[0x48, 0x39, 0x24, 0x24]); // cmp [rsp], rsp
        count_if(&mut asm, 0x95, fields.wrong_registers);
        with_disp(&mut asm, &[0x49, 0xff, 0x86], fields.rounds); // inc qword [r14 + rounds]
        asm.emit(&[0x48, 0xff, 0xcb]).jnz(round); // dec rbx; jnz round
        asm.emit(&[0x48, 0x83, 0xc4, 0x08]); // add rsp, 8
        // pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret
        asm.emit(&[
            0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
        ]);
        asm
    }

    /// A site at offset `site` of a line, with zero where a call would leave its return address.
    fn watched_site(asm: &mut Asm, site: usize, fields: &Fields) {
        asm.emit(&[0x48, 0xc7, 0x44, 0x24, 0xf8, 0, 0, 0, 0]); // mov qword [rsp - 8], 0
        asm.emit(&[0x4c, 0x89, 0xe0, 0x4d, 0x89, 0xef]); // mov rax, r12; mov r15, r13
        asm.pad_to(site);
        asm.site_here();
        let end = asm.here();
        asm.emit(&[0x4c, 0x39, 0xe0]); // cmp rax, r12
        count_if(asm, 0x95, fields.wrong_registers); // setne
        asm.emit(&[0x4d, 0x39, 0xef]); // cmp r15, r13
        count_if(asm, 0x95, fields.wrong_registers);
        let back = end as i64 - (asm.here() as i64 + 7);
        with_disp(asm, &[0x4c, 0x8d, 0x3d], back as u32); // lea r15, [rip + end of the site]
        asm.emit(&[0x4c, 0x39, 0x7c, 0x24, 0xf8]); // cmp [rsp - 8], r15
        count_if(asm, 0x94, site as u32 * 8); // sete
        asm.emit(&[0x4c, 0x39, 0x7c, 0x24, 0xf8]); // cmp [rsp - 8], r15
        asm.emit(&[0x0f, 0x95, 0xc0]); // setne al
        asm.emit(&[0x48, 0x83, 0x7c, 0x24, 0xf8, 0x00]); // cmp qword [rsp - 8], 0
        asm.emit(&[0x41, 0x0f, 0x95, 0xc7]); // setne r15b
        asm.emit(&[0x44, 0x20, 0xf8]); // and al, r15b
        count_if(asm, 0x95, fields.wrong_calls);
    }
}
