//! x86-64 instructions with physical registers, as selection emits them.
//!
//! Names follow operand formats: `R` a register, `M` memory, `I` an immediate; the destination
//! comes first. Flags are written by what the manual says writes them.

use crate::PReg;
use crate::buffer::PackedPiece;
use crate::label::Label;
use nopal_ir::{SourceLoc, TrapCode};

/// Operand size of an integer instruction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Size {
    S8,
    S16,
    S32,
    S64,
}

/// Precision of a scalar floating-point instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum FSize {
    /// `ss`
    F32,
    /// `sd`
    F64,
}

/// Condition codes, numbered as in the encoding of `Jcc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Cc {
    O = 0,
    No = 1,
    B = 2,
    Ae = 3,
    E = 4,
    Ne = 5,
    Be = 6,
    A = 7,
    S = 8,
    Ns = 9,
    P = 10,
    Np = 11,
    L = 12,
    Ge = 13,
    Le = 14,
    G = 15,
}

impl Cc {
    /// The condition that is true when this one is false.
    pub(crate) fn invert(self) -> Cc {
        const ALL: [Cc; 16] = [
            Cc::O,
            Cc::No,
            Cc::B,
            Cc::Ae,
            Cc::E,
            Cc::Ne,
            Cc::Be,
            Cc::A,
            Cc::S,
            Cc::Ns,
            Cc::P,
            Cc::Np,
            Cc::L,
            Cc::Ge,
            Cc::Le,
            Cc::G,
        ];
        ALL[self as usize ^ 1]
    }
}

/// The base of a memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Base {
    /// A register.
    Reg(PReg),
    /// No base: `index * scale + disp`, or an absolute 32-bit address.
    None,
    /// A spill slot; `disp` is its number. No index.
    Spill,
    /// The area of explicit stack slots; `disp` is an offset in it. An index is allowed.
    StackSlots,
    /// The function's constant pool; `disp` is the number of the constant. No index.
    Const,
}

/// A memory operand: `base + (index << shift) + disp`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mem {
    pub(crate) disp: i32,
    pub(crate) base: Base,
    /// An integer register other than `rsp`.
    pub(crate) index: Option<PRegIndex>,
}

/// An index register and log2 of its scale, in one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PRegIndex(core::num::NonZeroU8);

impl PRegIndex {
    pub(crate) fn new(r: PReg, shift: u8) -> Self {
        debug_assert!(r.index() < 16 && shift < 4);
        // Bit 7 keeps the byte from being zero.
        Self(core::num::NonZeroU8::new(0x80 | shift << 4 | r.hw()).expect("bit 7 is set"))
    }
    pub(crate) fn reg(self) -> PReg {
        PReg::int(self.0.get() & 15)
    }
    pub(crate) fn shift(self) -> u8 {
        self.0.get() >> 4 & 3
    }
}

const _: () = assert!(size_of::<Mem>() == 8);

impl Mem {
    pub(crate) fn base(base: PReg, disp: i32) -> Mem {
        Mem {
            disp,
            base: Base::Reg(base),
            index: None,
        }
    }
    pub(crate) fn base_index(base: PReg, index: PReg, shift: u8, disp: i32) -> Mem {
        Mem {
            disp,
            base: Base::Reg(base),
            index: Some(PRegIndex::new(index, shift)),
        }
    }
    pub(crate) fn spill(slot: u32) -> Mem {
        Mem {
            disp: slot as i32,
            base: Base::Spill,
            index: None,
        }
    }
    pub(crate) fn constant(number: u32) -> Mem {
        Mem {
            disp: number as i32,
            base: Base::Const,
            index: None,
        }
    }
}

/// Two-operand integer operations, numbered as `/digit` of the immediate group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(
    dead_code,
    reason = "the encodings cover each group of the manual; not all are selected yet"
)]
pub(crate) enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    Sbb = 3,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
    /// Like `And`, but only the flags are written. Not of the immediate group.
    Test = 8,
}

/// Shifts and rotates, numbered as `/digit` of their group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Shift {
    Rol = 0,
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// One-operand integer operations that write their operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    dead_code,
    reason = "the encodings cover each group of the manual; not all are selected yet"
)]
pub(crate) enum Unary {
    Not,
    Neg,
    /// `bswap`, 32 and 64 bits.
    Bswap,
}

/// Integer operations from a register or memory to a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BitCount {
    Bsf,
    Bsr,
    Lzcnt,
    Tzcnt,
    Popcnt,
}

/// Scalar floating-point operations `dst = dst op src` (`Sqrt`: `dst = sqrt src`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FAlu {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Sqrt,
}

/// Bitwise operations on whole vector registers (`andps` and kin).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    dead_code,
    reason = "the encodings cover each group of the manual; not all are selected yet"
)]
pub(crate) enum FLogic {
    And,
    /// `dst = !dst & src`
    Andn,
    Or,
    Xor,
}

/// Rounding modes of `roundss`/`roundsd`, as encoded (precision exceptions suppressed).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum RoundMode {
    Nearest = 8,
    Floor = 9,
    Ceil = 10,
    Trunc = 11,
}

/// An instruction in 16 bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(
    dead_code,
    reason = "the encodings cover each group of the manual; not all are selected yet"
)]
pub(crate) enum Inst {
    // Moves.
    /// `mov dst, src`: 32 bits (zero-extending) or 64.
    MovRR {
        size: Size,
        dst: PReg,
        src: PReg,
    },
    /// `dst = imm`, by the shortest of `mov r32, imm32`, `mov r64, simm32`, `movabs`. Keeps flags.
    MovRI {
        dst: PReg,
        imm: u64,
    },
    /// `xor dst, dst`: zero, but flags are written.
    ZeroR {
        dst: PReg,
    },
    /// Zero-extend `from` to 64 bits (`movzx`, or `mov` for 32).
    MovzxRR {
        from: Size,
        dst: PReg,
        src: PReg,
    },
    /// Load `from` bytes, zero-extended to 64 bits. The ordinary load of 32 and 64 bits.
    LoadZx {
        from: Size,
        dst: PReg,
        mem: Mem,
    },
    /// Sign-extend `from` to `to` (32 or 64 bits).
    MovsxRR {
        from: Size,
        to: Size,
        dst: PReg,
        src: PReg,
    },
    /// Load and sign-extend `from` to `to`.
    LoadSx {
        from: Size,
        to: Size,
        dst: PReg,
        mem: Mem,
    },
    /// Store the low bytes of a register.
    StoreMR {
        size: Size,
        mem: Mem,
        src: PReg,
    },
    /// Store an immediate, sign-extended to the size.
    StoreMI {
        size: Size,
        mem: Mem,
        imm: i32,
    },
    /// `lea`: 32 bits (zero-extending) or 64.
    Lea {
        size: Size,
        dst: PReg,
        mem: Mem,
    },
    /// `xchg a, b`, 64 bits.
    Xchg {
        a: PReg,
        b: PReg,
    },
    Push {
        src: PReg,
    },
    Pop {
        dst: PReg,
    },
    /// `push [mem]`, 64 bits.
    PushM {
        mem: Mem,
    },
    /// `pop [mem]`, 64 bits. Addresses relative to `rsp` count after the pop.
    PopM {
        mem: Mem,
    },

    /// Copy a spill slot: by way of a register of either class, or of the stack. `single`: 4 bytes of the source
    /// matter.
    CopySlot {
        dst: u32,
        src: u32,
        via: Option<PReg>,
        single: bool,
    },

    // Integer arithmetic. `Cmp` and `Test` only write flags.
    AluRR {
        op: Alu,
        size: Size,
        dst: PReg,
        src: PReg,
    },
    /// The immediate is sign-extended; 8-bit form where it fits. `Test`: `test r, imm`.
    AluRI {
        op: Alu,
        size: Size,
        dst: PReg,
        imm: i32,
    },
    AluRM {
        op: Alu,
        size: Size,
        dst: PReg,
        mem: Mem,
    },
    AluMR {
        op: Alu,
        size: Size,
        mem: Mem,
        src: PReg,
    },
    AluMI {
        op: Alu,
        size: Size,
        mem: Mem,
        imm: i32,
    },
    UnaryR {
        op: Unary,
        size: Size,
        dst: PReg,
    },
    /// `dst *= src`, 16 to 64 bits.
    ImulRR {
        size: Size,
        dst: PReg,
        src: PReg,
    },
    ImulRM {
        size: Size,
        dst: PReg,
        mem: Mem,
    },
    /// `dst = src * imm`
    ImulRRI {
        size: Size,
        dst: PReg,
        src: PReg,
        imm: i32,
    },
    /// `rdx:rax = rax * src` (8 bits: `ax = al * src`).
    MulWide {
        signed: bool,
        size: Size,
        src: PReg,
    },
    /// `rax, rdx = rdx:rax / src` (8 bits: `al, ah = ax / src`).
    Div {
        signed: bool,
        size: Size,
        src: PReg,
    },
    /// `cdq`/`cqo`: `rdx` = sign of `rax`; 8 bits: `cbw`, 16 bits: `cwd`.
    SignRax {
        size: Size,
    },
    /// By an immediate, already reduced modulo the width.
    ShiftRI {
        op: Shift,
        size: Size,
        dst: PReg,
        imm: u8,
    },
    /// By `cl`.
    ShiftRC {
        op: Shift,
        size: Size,
        dst: PReg,
    },
    /// BMI1 `andn`, 32 and 64 bits: `dst = !inverted & src`.
    Andn {
        size: Size,
        dst: PReg,
        inverted: PReg,
        src: PReg,
    },
    /// BMI2 `shlx`/`shrx`/`sarx`, 32 and 64 bits; keeps flags.
    ShiftX {
        op: Shift,
        size: Size,
        dst: PReg,
        src: PReg,
        amount: PReg,
    },
    /// BMI2 `rorx`, 32 and 64 bits; keeps flags.
    Rorx {
        size: Size,
        dst: PReg,
        src: PReg,
        imm: u8,
    },
    BitCountRR {
        op: BitCount,
        size: Size,
        dst: PReg,
        src: PReg,
    },
    /// `setcc` of the low byte; the rest of the register is kept.
    Setcc {
        cc: Cc,
        dst: PReg,
    },
    /// `shld`/`shrd`, 16 to 64 bits: shift left or right by an immediate below the width, and fill
    /// up from the other end of `src`.
    ShiftDoubleRI {
        left: bool,
        size: Size,
        dst: PReg,
        src: PReg,
        imm: u8,
    },
    /// The same by `cl`.
    ShiftDoubleRC {
        left: bool,
        size: Size,
        dst: PReg,
        src: PReg,
    },
    /// `cmovcc`, 16 to 64 bits.
    CmovRR {
        cc: Cc,
        size: Size,
        dst: PReg,
        src: PReg,
    },
    CmovRM {
        cc: Cc,
        size: Size,
        dst: PReg,
        mem: Mem,
    },

    // Atomic operations on memory.
    /// `lock op [mem], src`; not `Cmp` or `Test`.
    LockAluMR {
        op: Alu,
        size: Size,
        mem: Mem,
        src: PReg,
    },
    /// `lock xadd [mem], reg`: the sum goes to memory, what was there to `reg`.
    LockXadd {
        size: Size,
        mem: Mem,
        reg: PReg,
    },
    /// `xchg [mem], reg`, which is atomic by itself.
    XchgMR {
        size: Size,
        mem: Mem,
        reg: PReg,
    },
    /// `lock cmpxchg [mem], src`: if memory holds `rax`, `src` goes there; `rax` is what it held.
    LockCmpxchg {
        size: Size,
        mem: Mem,
        src: PReg,
    },
    /// `lock cmpxchg16b [mem]`: the same for `rdx:rax` and `rcx:rbx`. The memory is aligned to 16.
    LockCmpxchg16b {
        mem: Mem,
    },
    /// `mfence`
    Mfence,

    // Floating point (SSE2, SSE4.1 for rounding).
    /// `movaps`
    FMovRR {
        dst: PReg,
        src: PReg,
    },
    FLoad {
        size: FSize,
        dst: PReg,
        mem: Mem,
    },
    FStore {
        size: FSize,
        mem: Mem,
        src: PReg,
    },
    FAluRR {
        op: FAlu,
        size: FSize,
        dst: PReg,
        src: PReg,
    },
    FAluRM {
        op: FAlu,
        size: FSize,
        dst: PReg,
        mem: Mem,
    },
    /// AVX `dst = a op b`.
    FAluRRR {
        op: FAlu,
        size: FSize,
        dst: PReg,
        a: PReg,
        b: PReg,
    },
    /// AVX `dst = a op [mem]`.
    FAluRRM {
        op: FAlu,
        size: FSize,
        dst: PReg,
        a: PReg,
        mem: Mem,
    },
    /// FMA `vfmadd213ss`/`sd`: `dst = a * dst + b`, rounded once.
    FmaRRR {
        size: FSize,
        dst: PReg,
        a: PReg,
        b: PReg,
    },
    FLogicRR {
        op: FLogic,
        dst: PReg,
        src: PReg,
    },
    /// The 16 bytes at `mem` are aligned.
    FLogicRM {
        op: FLogic,
        dst: PReg,
        mem: Mem,
    },
    /// `xorps dst, dst`
    FZero {
        dst: PReg,
    },
    UcomisRR {
        size: FSize,
        a: PReg,
        b: PReg,
    },
    UcomisRM {
        size: FSize,
        a: PReg,
        mem: Mem,
    },
    Round {
        size: FSize,
        mode: RoundMode,
        dst: PReg,
        src: PReg,
    },
    /// `cvtsi2ss`/`cvtsi2sd`; the rest of `dst` is kept.
    CvtIntToF {
        from: Size,
        to: FSize,
        dst: PReg,
        src: PReg,
    },
    /// `cvttss2si`/`cvttsd2si`
    CvtFToInt {
        from: FSize,
        to: Size,
        dst: PReg,
        src: PReg,
    },
    /// `cvtss2sd` or `cvtsd2ss`, named by the source's size.
    CvtFToF {
        from: FSize,
        dst: PReg,
        src: PReg,
    },
    /// `movd`/`movq xmm, r`
    MovIntToF {
        size: Size,
        dst: PReg,
        src: PReg,
    },
    /// `movd`/`movq r, xmm`
    MovFToInt {
        size: Size,
        dst: PReg,
        src: PReg,
    },

    // Control.
    /// Nothing: what stood here turned out not to be needed.
    Omitted,
    /// What stood here is these bytes. Only measuring leaves it.
    Known {
        bytes: PackedPiece,
    },
    /// Binds a label that is not a block's own.
    Bind {
        label: Label,
    },
    Jcc {
        cc: Cc,
        target: Label,
    },
    Jmp {
        target: Label,
    },
    /// `lea tmp, [table]; movsxd index, [tmp + index*4]; add tmp, index; jmp tmp`. The index is a
    /// zero-extended 32-bit number in range; both registers are overwritten.
    JmpTable {
        index: PReg,
        tmp: PReg,
        table: u32,
    },
    /// Near call of external function number `func`, with a relocation.
    Call {
        func: u32,
        srcloc: SourceLoc,
    },
    CallR {
        target: PReg,
        srcloc: SourceLoc,
    },
    /// Jump to an address.
    JmpR {
        target: PReg,
    },
    /// The call above has the handlers number `number`.
    Handlers {
        number: u32,
    },
    /// A patch site, in its off form; `site` is its number in this function.
    PatchSite {
        site: u32,
    },
    /// Load the address of external function number `func` (`movabs`, with a relocation).
    FuncAddr {
        dst: PReg,
        func: u32,
    },
    /// Load the address of the symbol that is global value number `global` (`movabs`, with a
    /// relocation).
    SymbolAddr {
        dst: PReg,
        global: u32,
    },
    /// `dst` = the pinned register.
    GetPinned {
        dst: PReg,
    },
    /// The pinned register = `src`.
    SetPinned {
        src: PReg,
    },
    /// Near jump to external function number `func`, with a relocation.
    JmpFunc {
        func: u32,
    },
    /// Load what callee-saved registers held at the start of the function. The frame stays.
    RestoreSaved,
    /// The epilogue without `ret`.
    Leave,
    /// Epilogue and `ret`.
    Ret,
    /// `ud2`
    Ud2 {
        code: TrapCode,
        srcloc: SourceLoc,
    },
    /// Jump to an `ud2` out of line if the condition holds.
    TrapIf {
        cc: Cc,
        code: TrapCode,
        srcloc: SourceLoc,
    },
    /// The next instruction may trap.
    MayTrap {
        code: TrapCode,
        srcloc: SourceLoc,
    },
    /// `int3`
    Int3,
}

const _: () = assert!(size_of::<Inst>() == 16);
