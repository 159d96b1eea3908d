//! The three forms of a site: `call rel32`, `cmp eax, imm32` over the same four bytes, and `int3`
//! in place of the opcode.

use std::arch::asm;

use crate::isa::{Head, Shape};

/// Bytes in a site.
pub(crate) const SITE_LEN: usize = 5;
/// What the start of a site must be a multiple of.
pub(crate) const SITE_ALIGN: usize = 1;
pub(crate) const SHAPE: Shape = Shape::HeadAndTail;
/// Every near call must reach every stub, and every stub its data.
pub(crate) const MAX_RESERVE: usize = (2 << 30) - (1 << 20);

const CALL: u8 = 0xe8;
const CMP_EAX: u8 = 0x3d;
const TEST_EAX: u8 = 0xa9;
const NOP: u8 = 0x90;
pub(super) const INT3: u8 = 0xcc;

/// What unused code memory is filled with.
pub(crate) const FILL: u8 = INT3;

/// A site that is off.
#[cfg(test)]
pub(crate) const OFF_FORM: [u8; SITE_LEN] = [CMP_EAX, 0, 0, 0, 0];

/// Whether a site can be made of these bytes: an off form, a call, or NOPs.
pub(crate) fn can_be_site(bytes: &[u8]) -> bool {
    match bytes {
        [CMP_EAX | TEST_EAX | CALL, _, _, _, _] => true,
        // nop dword ptr [rax + rax + disp8]; nop word ptr [rax + disp8]; prefixed and single NOPs
        // (Intel SDM vol. 2B, NOP).
        [0x0f, 0x1f, 0x44, 0x00, _] | [0x66, 0x0f, 0x1f, 0x40, _] => true,
        [prefixes @ .., NOP] => {
            let single = prefixes.iter().all(|&byte| byte == NOP);
            (single || prefixes.iter().all(|&byte| byte == 0x66)) && bytes.len() == SITE_LEN
        }
        _ => false,
    }
}

/// The tail that makes the site ending at `site_end` call `target`; both are offsets in one range of
/// less than 2 GiB.
pub(crate) fn tail_for(site_end: usize, target: usize) -> u32 {
    (target as u32).wrapping_sub(site_end as u32)
}

/// The code of a function without parameters that returns `value`.
pub(crate) fn function_returning(value: u32) -> [u8; 6] {
    let mut code = [0xb8, 0, 0, 0, 0, 0xc3]; // mov eax, imm32; ret
    code[1..5].copy_from_slice(&value.to_le_bytes());
    code
}

/// Replaces the first byte of the site at `site`.
///
/// # Safety
/// `site` is a site's first byte in a writable view of its code.
pub(crate) unsafe fn write_head(site: *mut u8, head: Head) {
    let byte = match head {
        Head::On(_) => CALL,
        Head::Off => CMP_EAX,
        Head::Trap => INT3,
    };
    // SAFETY: the caller's promise.
    unsafe { write_byte(site, byte) };
}

/// Replaces a byte of code.
///
/// # Safety
/// `at` is a byte of code in a writable view, which may be changed.
#[inline]
pub(super) unsafe fn write_byte(at: *mut u8, byte: u8) {
    // SAFETY: the caller's promise. One byte is stored by one instruction, which the compiler can
    // neither split nor remove.
    unsafe {
        asm!(
            "mov byte ptr [{at}], {byte}",
            at = in(reg) at,
            byte = in(reg_byte) byte,
            options(nostack, preserves_flags),
        );
    }
}

/// Replaces the last four bytes of the site at `site`.
///
/// # Safety
/// As for [`write_head`]; moreover no thread may execute the site as a call until all have
/// serialized.
pub(crate) unsafe fn write_tail(site: *mut u8, tail: u32) {
    // SAFETY: the caller's promise. The store may be two accesses if the site crosses a line: a thread
    // that sees one of them executes an instruction that does not mind.
    unsafe {
        asm!(
            "mov dword ptr [{site} + 1], {tail:e}",
            site = in(reg) site,
            tail = in(reg) tail,
            options(nostack, preserves_flags),
        );
    }
}

/// The last four bytes of the site at `site`.
///
/// # Safety
/// As for [`write_head`].
pub(crate) unsafe fn read_tail(site: *const u8) -> u32 {
    // SAFETY: the caller's promise; only the holder of the space's lock writes tails.
    unsafe { site.add(1).cast::<u32>().read_unaligned() }
}

/// The end of the site whose breakpoint left a thread at `pc`, if it was one: `int3` reports the
/// address after its single byte.
pub(crate) fn site_end_after_trap(pc: usize) -> usize {
    pc.wrapping_add(SITE_LEN - 1)
}

/// What tests put before and after sites to make a function of them.
#[cfg(test)]
pub(crate) mod sample {
    pub(crate) const START: [u8; 0] = [];
    pub(crate) const END: [u8; 1] = [0xc3]; // ret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let mut site = [CMP_EAX, 0, 0, 0, 0, 0x90];
        assert_eq!(site[..5], OFF_FORM);
        assert!(can_be_site(&site[..5]));
        let tail = tail_for(0x1000, 0x40);
        // SAFETY: a local array stands for the writable view.
        unsafe {
            write_tail(site.as_mut_ptr(), tail);
            assert_eq!(site, [CMP_EAX, 0x40, 0xf0, 0xff, 0xff, 0x90]);
            write_head(site.as_mut_ptr(), Head::On(tail));
            assert_eq!(site[0], CALL);
            write_head(site.as_mut_ptr(), Head::Trap);
            assert_eq!(site[0], INT3);
            write_head(site.as_mut_ptr(), Head::Off);
            assert_eq!(read_tail(site.as_ptr()), tail);
        }
        assert_eq!(0x1000i32.wrapping_add(tail as i32), 0x40);
    }
    #[test]
    fn what_can_be_a_site() {
        for bytes in [
            [0x3d, 1, 2, 3, 4],
            [0xa9, 0, 0, 0, 0],
            [0xe8, 1, 2, 3, 4],
            [0x0f, 0x1f, 0x44, 0, 0],
            [0x66, 0x0f, 0x1f, 0x40, 0],
            [0x66, 0x66, 0x66, 0x66, 0x90],
            [0x90; 5],
        ] {
            assert!(can_be_site(&bytes), "{bytes:x?}");
        }
        for bytes in [
            [0xe9, 0, 0, 0, 0],
            [0xcc; 5],
            [0x0f, 0x1f, 0x84, 0, 0],
            [0x66, 0x66, 0x90, 0x90, 0x90],
            [0; 5],
        ] {
            assert!(!can_be_site(&bytes), "{bytes:x?}");
        }
        assert!(!can_be_site(&[0x90; 4]) && !can_be_site(&[]));
    }
}
