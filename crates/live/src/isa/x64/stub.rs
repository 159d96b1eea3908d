//! The code that sites call. A stub is 16 bytes and preserves every register.
//!
//! | kind | code | data per stub |
//! |---|---|---|
//! | count, per CPU | `push rax`; `mov rax, counter`; `jmp` to the block's [common code](count_per_cpu) | a word in each row |
//! | count, shared | `lock inc qword [counter]` by way of `rax`, as above | one word |
//! | once | `mov byte [data], 1`; `mov byte [shared], 1`; `ret` | 1-byte flag |
//! | code | `jmp [data]` | 8-byte address |
//! | call | `push rbp`; `mov rbp, rsp`; `push qword [data]`; `jmp [shared]` | 8-byte context |
//!
//! The once stub stores its flag before the block's shared flag, and x86 keeps stores in order: who
//! sees the shared flag sees the flag. The call stub makes a frame first, so that walking frame
//! pointers out of the hook finds the guest's return address.

use super::percpu::{CPU_ID, RSEQ_CS, SIGNATURE};
use crate::isa::BlockData;
use crate::os::PerCpu;
use crate::slots::{BLOCK_SLOTS, StubKind};

/// Bytes from one stub to the next.
pub(crate) const STUB_SIZE: usize = 16;

const STUBS: usize = BLOCK_SLOTS * STUB_SIZE;
/// Room for the code that the count stubs of a block share, after the stubs.
const COMMON: usize = 192;

const INT3: u8 = 0xcc;
const RET: u8 = 0xc3;
const PUSH_RAX: u8 = 0x50;
const POP_RAX: u8 = 0x58;

/// Bytes of code in a block.
pub(crate) fn block_size(kind: StubKind) -> usize {
    match kind {
        StubKind::Count => STUBS + COMMON,
        StubKind::Once | StubKind::Call | StubKind::Code => STUBS,
    }
}

/// The code of a block of stubs that will run at address `code`.
pub(crate) fn write_stubs(kind: StubKind, code: usize, data: BlockData) -> Vec<u8> {
    let mut bytes = vec![INT3; block_size(kind)];
    let (stubs, common) = bytes.split_at_mut(STUBS);
    for (slot, stub) in stubs.chunks_exact_mut(STUB_SIZE).enumerate() {
        let mut writer = Writer {
            at: code + slot * STUB_SIZE,
            len: 0,
            bytes: stub,
        };
        let own = data.own + slot * kind.data_size();
        match kind {
            StubKind::Count => {
                // push rax; mov rax, counter; jmp common
                writer.put(&[PUSH_RAX, 0x48, 0xb8]);
                writer.put(&(data.counters + slot * 8).to_le_bytes());
                writer.put_rip(&[0xe9], code + STUBS, &[]);
            }
            StubKind::Once => {
                // mov byte ptr [rip + own], 1
                writer.put_rip(&[0xc6, 0x05], own, &[1]);
                writer.put_rip(&[0xc6, 0x05], data.shared, &[1]);
                writer.put(&[RET]);
            }
            StubKind::Call => {
                // push rbp; mov rbp, rsp; push qword ptr [rip + own]; jmp qword ptr [rip + shared]
                writer.put(&[0x55, 0x48, 0x89, 0xe5]);
                writer.put_rip(&[0xff, 0x35], own, &[]);
                writer.put_rip(&[0xff, 0x25], data.shared, &[]);
            }
            // jmp qword ptr [rip + own]
            StubKind::Code => writer.put_rip(&[0xff, 0x25], own, &[]),
        }
    }
    if kind == StubKind::Count {
        let writer = Writer {
            at: code + STUBS,
            len: 0,
            bytes: common,
        };
        match data.per_cpu {
            Some(per_cpu) => count_per_cpu(writer, per_cpu),
            None => count_shared(writer),
        }
    }
    bytes
}

/// `rax` holds the address of the counter's shared word, the guest's `rax` is on the stack.
fn count_shared(mut writer: Writer<'_>) {
    writer.put(&[0xf0, 0x48, 0xff, 0x00]); // lock inc qword ptr [rax]
    writer.put(&[POP_RAX, RET]);
}

/// As [`increment`](super::increment), with nothing but the stack to keep registers in; `rax` as for
/// [`count_shared`]. The 128 bytes below the stack pointer are the running function's own, also if a
/// signal comes.
fn count_per_cpu(mut writer: Writer<'_>, per_cpu: PerCpu) {
    const ROW_SHIFT: u32 = StubKind::Count.row_shift();
    let code = writer.at;
    let descriptor = (code + COMMON - 32) & !31;
    let field = |offset: i32| (per_cpu.area + offset).to_le_bytes();

    writer.put(&[0x48, 0x89, 0x4c, 0x24, 0xf8]); // mov [rsp - 8], rcx
    writer.put_rip(&[0x48, 0x8d, 0x0d], descriptor, &[]); // lea rcx, [rip + descriptor]
    writer.put(&[0x64, 0x48, 0x89, 0x0c, 0x25]); // mov fs:[area + rseq_cs], rcx
    writer.put(&field(RSEQ_CS));
    let start = writer.here();
    writer.put(&[0x64, 0x8b, 0x0c, 0x25]); // mov ecx, fs:[area + cpu_id]
    writer.put(&field(CPU_ID));
    writer.put(&[0x81, 0xf9]); // cmp ecx, cpus
    writer.put(&per_cpu.cpus.to_le_bytes());
    writer.put(&[0x73, 0]); // jae locked
    let branch = writer.len;
    writer.put(&[0x48, 0xc1, 0xe1, ROW_SHIFT as u8]); // shl rcx, ROW_SHIFT
    writer.put(&[0x48, 0xff, 0x84, 0x08]); // inc qword ptr [rax + rcx + row]
    writer.put(&(1u32 << ROW_SHIFT).to_le_bytes());
    let end = writer.here();
    writer.put(&[0x64, 0x48, 0xc7, 0x04, 0x25]); // mov qword ptr fs:[area + rseq_cs], 0
    writer.put(&field(RSEQ_CS));
    writer.put(&[0; 4]);
    writer.put(&[0x48, 0x8b, 0x4c, 0x24, 0xf8]); // mov rcx, [rsp - 8]
    writer.put(&[POP_RAX, RET]);

    // A valid instruction whose last four bytes are the signature.
    writer.put(&[0x0f, 0xb9, 0x3d]);
    writer.put(&SIGNATURE.to_le_bytes());
    let locked = writer.here();
    writer.bytes[branch - 1] = (writer.len - branch) as u8;
    writer.put(&[0xf0, 0x48, 0xff, 0x00]); // lock inc qword ptr [rax]
    writer.put_rip(&[0xe9], end, &[]); // jmp end

    // struct rseq_cs: version, flags, start, length, abort address.
    writer.len = descriptor - code;
    writer.put(&[0; 8]);
    for word in [start, end - start, locked] {
        writer.put(&word.to_le_bytes());
    }
}

/// The return address that a site pushed, and the frame pointer it had, for a thread that faulted on its
/// stack in a stub.
///
/// # Safety
/// `pc` is where the thread is in a stub, `sp` and `fp` are its stack and frame pointers.
pub(crate) unsafe fn interrupted_site(pc: usize, sp: usize, fp: usize) -> Option<(usize, usize)> {
    const PUSH_RBP: u8 = 0x55;
    /// Of `push qword [data]`.
    const PUSH_MEM: u8 = 0xff;
    /// Of `mov [rsp - 8], rcx`.
    const REX_W: u8 = 0x48;
    // SAFETY: code that is being executed can be read; the words are those pushed since the call.
    unsafe {
        let stack = sp as *const usize;
        match (pc as *const u8).read() {
            PUSH_RAX | PUSH_RBP => Some((stack.read(), fp)),
            REX_W => Some((stack.add(1).read(), fp)),
            PUSH_MEM => Some((stack.add(1).read(), stack.read())),
            // No other instruction stores to the stack.
            _ => None,
        }
    }
}

/// Appends instructions that will run at a known address.
struct Writer<'a> {
    at: usize,
    len: usize,
    bytes: &'a mut [u8],
}

impl Writer<'_> {
    fn here(&self) -> usize {
        self.at + self.len
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends an instruction with an operand relative to its own end.
    fn put_rip(&mut self, opcode: &[u8], target: usize, immediate: &[u8]) {
        let end = self.here() + opcode.len() + 4 + immediate.len();
        let displacement = (target as u32).wrapping_sub(end as u32);
        self.put(opcode);
        self.put(&displacement.to_le_bytes());
        self.put(immediate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(own: usize, shared: usize) -> BlockData {
        BlockData {
            own,
            shared,
            counters: 0x7123_4567_8000,
            per_cpu: None,
        }
    }

    #[test]
    fn every_kind_fits_and_addresses_its_own_data() {
        let code = 0x10_0000;
        // Offset of the displacement, and of the end of its instruction.
        for (kind, field, end) in [
            (StubKind::Once, 2, 7),
            (StubKind::Call, 6, 10),
            (StubKind::Code, 2, 6),
        ] {
            let bytes = write_stubs(kind, code, data(0x20_0000, 0x21_0000));
            for slot in [0, 1, BLOCK_SLOTS - 1] {
                let at = slot * STUB_SIZE;
                let field = &bytes[at + field..at + field + 4];
                let displacement = i32::from_le_bytes(field.try_into().unwrap());
                let target = (code + at + end).wrapping_add_signed(displacement as isize);
                assert_eq!(
                    target,
                    0x20_0000 + slot * kind.data_size(),
                    "{kind:?} {slot}"
                );
            }
        }
        let bytes = write_stubs(StubKind::Count, code, data(0, 0));
        for slot in [0, 1, BLOCK_SLOTS - 1] {
            let stub = &bytes[slot * STUB_SIZE..][..STUB_SIZE];
            let counter = usize::from_le_bytes(stub[3..11].try_into().unwrap());
            assert_eq!(counter, 0x7123_4567_8000 + slot * 8);
            let displacement = u32::from_le_bytes(stub[12..].try_into().unwrap());
            assert_eq!((slot + 1) * STUB_SIZE + displacement as usize, STUBS);
        }
    }

    #[test]
    fn encodings() {
        let count = write_stubs(StubKind::Count, 0, data(0, 0));
        assert_eq!(count[..3], [PUSH_RAX, 0x48, 0xb8]);
        assert_eq!(
            count[STUBS..STUBS + 7],
            [0xf0, 0x48, 0xff, 0x00, POP_RAX, RET, INT3]
        );
        let once = write_stubs(StubKind::Once, 0, data(0x107, 0x20e));
        assert_eq!(once[..8], [0xc6, 0x05, 0, 1, 0, 0, 1, 0xc6]);
        assert_eq!(once[8..16], [0x05, 0, 2, 0, 0, 1, RET, INT3]);
        let call = write_stubs(StubKind::Call, 0, data(0x10a, 0x210));
        assert_eq!(
            call[..16],
            [
                0x55, 0x48, 0x89, 0xe5, 0xff, 0x35, 0, 1, 0, 0, 0xff, 0x25, 0, 2, 0, 0
            ]
        );
    }

    #[test]
    fn the_descriptor_of_the_restartable_sequence_fits_the_code() {
        let code = 0x40_0000;
        let per_cpu = PerCpu {
            area: -0x1_2340,
            cpus: 77,
        };
        let bytes = write_stubs(
            StubKind::Count,
            code,
            BlockData {
                per_cpu: Some(per_cpu),
                ..data(0, 0)
            },
        );
        let common = &bytes[STUBS..];
        let lea = i32::from_le_bytes(common[8..12].try_into().unwrap());
        let descriptor = 12 + lea as usize;
        assert_eq!((code + STUBS + descriptor) % 32, 0);
        let word = |at: usize| usize::from_le_bytes(common[at..at + 8].try_into().unwrap());
        let [zero, start, len, abort] = [0, 8, 16, 24].map(|field| word(descriptor + field));
        assert_eq!(zero, 0);
        let start = start - (code + STUBS);
        assert_eq!(common[start..start + 4], [0x64, 0x8b, 0x0c, 0x25]);
        // The sequence ends with the increment of [rax + rcx + 2048].
        let end = start + len;
        assert_eq!(common[end - 8..end], [0x48, 0xff, 0x84, 0x08, 0, 8, 0, 0]);
        let abort = abort - (code + STUBS);
        assert_eq!(common[abort - 4..abort], SIGNATURE.to_le_bytes());
        assert_eq!(common[abort..abort + 4], [0xf0, 0x48, 0xff, 0x00]);
        // The branch around the increment leads there, too.
        let branch = end - 12;
        assert_eq!(common[branch - 2], 0x73);
        assert_eq!(branch + usize::from(common[branch - 1]), abort);
    }
}
