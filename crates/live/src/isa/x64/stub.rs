//! The code that sites call. A stub is 16 bytes, preserves every register, and addresses its data
//! relative to itself.
//!
//! | kind | code | data per stub |
//! |---|---|---|
//! | count | `lock inc qword [data]`; `ret` | 8-byte counter |
//! | once | `mov byte [data], 1`; `mov byte [shared], 1`; `ret` | 1-byte flag |
//! | call | `push rbp`; `mov rbp, rsp`; `push qword [data]`; `jmp [shared]` | 8-byte context |
//!
//! The once stub stores its flag before the block's shared flag, and x86 keeps stores in order: who
//! sees the shared flag sees the flag. The call stub makes a frame first, so that walking frame
//! pointers out of the hook finds the guest's return address.

use crate::slots::{BLOCK_SLOTS, StubKind};

/// Bytes from one stub to the next.
pub(crate) const STUB_SIZE: usize = 16;

const INT3: u8 = 0xcc;
const RET: u8 = 0xc3;

/// Writes the code of a block of stubs that will run at address `code`, with the per-stub data at
/// address `data` and the block's shared data at `shared`, both within 2 GiB of it.
pub(crate) fn write_stubs(
    kind: StubKind,
    code: usize,
    data: usize,
    shared: usize,
) -> [u8; BLOCK_SLOTS * STUB_SIZE] {
    let mut bytes = [INT3; BLOCK_SLOTS * STUB_SIZE];
    for (slot, stub) in bytes.chunks_exact_mut(STUB_SIZE).enumerate() {
        let mut writer = Writer {
            at: code + slot * STUB_SIZE,
            len: 0,
            bytes: stub,
        };
        let own = data + slot * kind.data_size();
        match kind {
            StubKind::Count => {
                // lock inc qword ptr [rip + own]
                writer.put_rip(&[0xf0, 0x48, 0xff, 0x05], own, &[]);
                writer.put(&[RET]);
            }
            StubKind::Once => {
                // mov byte ptr [rip + own], 1
                writer.put_rip(&[0xc6, 0x05], own, &[1]);
                writer.put_rip(&[0xc6, 0x05], shared, &[1]);
                writer.put(&[RET]);
            }
            StubKind::Call => {
                // push rbp; mov rbp, rsp; push qword ptr [rip + own]; jmp qword ptr [rip + shared]
                writer.put(&[0x55, 0x48, 0x89, 0xe5]);
                writer.put_rip(&[0xff, 0x35], own, &[]);
                writer.put_rip(&[0xff, 0x25], shared, &[]);
            }
        }
    }
    bytes
}

/// Appends instructions that will run at a known address.
struct Writer<'a> {
    at: usize,
    len: usize,
    bytes: &'a mut [u8],
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends an instruction with an operand relative to its own end.
    fn put_rip(&mut self, opcode: &[u8], target: usize, immediate: &[u8]) {
        let end = self.at + self.len + opcode.len() + 4 + immediate.len();
        let displacement = (target as u32).wrapping_sub(end as u32);
        self.put(opcode);
        self.put(&displacement.to_le_bytes());
        self.put(immediate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_fits_and_addresses_its_own_data() {
        let code = 0x10_0000;
        let (data, shared) = (0x20_0000, 0x21_0000);
        // Offset of the displacement, and of the end of its instruction.
        for (kind, field, end) in [
            (StubKind::Count, 4, 8),
            (StubKind::Once, 2, 7),
            (StubKind::Call, 6, 10),
        ] {
            let bytes = write_stubs(kind, code, data, shared);
            for slot in [0, 1, BLOCK_SLOTS - 1] {
                let at = slot * STUB_SIZE;
                let field = &bytes[at + field..at + field + 4];
                let displacement = i32::from_le_bytes(field.try_into().unwrap());
                let target = (code + at + end).wrapping_add_signed(displacement as isize);
                assert_eq!(target, data + slot * kind.data_size(), "{kind:?} {slot}");
            }
        }
    }

    #[test]
    fn encodings() {
        let count = write_stubs(StubKind::Count, 0, 0x108, 0);
        assert_eq!(count[..10], [0xf0, 0x48, 0xff, 0x05, 0, 1, 0, 0, RET, INT3]);
        let once = write_stubs(StubKind::Once, 0, 0x107, 0x20e);
        assert_eq!(once[..8], [0xc6, 0x05, 0, 1, 0, 0, 1, 0xc6]);
        assert_eq!(once[8..16], [0x05, 0, 2, 0, 0, 1, RET, INT3]);
        let call = write_stubs(StubKind::Call, 0, 0x10a, 0x210);
        assert_eq!(
            call[..16],
            [
                0x55, 0x48, 0x89, 0xe5, 0xff, 0x35, 0, 1, 0, 0, 0xff, 0x25, 0, 2, 0, 0
            ]
        );
    }
}
