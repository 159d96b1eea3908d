//! The branches that can lead around a site: `jmp` and `jcc`, each in two forms. Only the lowest byte of the
//! displacement is changed, and the first byte while it is.
//!
//! Source: Intel SDM vol. 2A, "Jcc", "JMP"; vol. 1 appendix B for the conditions.

use super::site::{INT3, write_byte};
use crate::BypassDefect;

const JCC_SHORT: u8 = 0x70;
const JCC_NEAR: u8 = 0x80;
const JMP_SHORT: u8 = 0xeb;
const JMP_NEAR: u8 = 0xe9;
const ESCAPE: u8 = 0x0f;
/// The bits of an opcode that are the condition.
const CONDITION: u8 = 0x0f;

/// A branch, without its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// Its first byte.
    first: u8,
    /// The last byte of its opcode, which has the condition if there is one.
    opcode: u8,
}

impl Branch {
    /// The branch at an offset of some code, and the offset to which it leads, if by changing one byte it can be made to
    /// lead to another one.
    pub(crate) fn read(code: &[u8], at: usize, around: u32) -> Result<(Branch, u32), BypassDefect> {
        let bytes = code.get(at..).unwrap_or_default();
        let (branch, displacement) = match *bytes {
            [first @ (JCC_SHORT..=0x7f | JMP_SHORT), byte, ..] => {
                let opcode = first;
                (Branch { first, opcode }, i64::from(byte as i8))
            }
            [first @ JMP_NEAR, a, b, c, d, ..] => {
                let displacement = i32::from_le_bytes([a, b, c, d]);
                let opcode = first;
                (Branch { first, opcode }, displacement.into())
            }
            [first @ ESCAPE, opcode @ JCC_NEAR..=0x8f, a, b, c, d, ..] => {
                let displacement = i32::from_le_bytes([a, b, c, d]);
                (Branch { first, opcode }, displacement.into())
            }
            _ => return Err(BypassDefect::Bytes),
        };
        let end = (at + branch.len()) as i64;
        let inside = |target: i64| usize::try_from(target).is_ok_and(|at| at < code.len());
        let through = end + displacement;
        if !inside(through) || !inside(around.into()) {
            return Err(BypassDefect::Target);
        }
        let other = i64::from(around) - end;
        let fits = match branch.is_short() {
            true => i8::try_from(other).is_ok(),
            false => other >> 8 == displacement >> 8,
        };
        match fits {
            true => Ok((branch, through as u32)),
            false => Err(BypassDefect::Carry),
        }
    }

    fn is_short(self) -> bool {
        self.first == self.opcode && self.first != JMP_NEAR
    }

    /// Bytes of the instruction.
    pub(crate) fn len(self) -> usize {
        match self.first {
            ESCAPE => 6,
            JMP_NEAR => 5,
            _ => 2,
        }
    }

    /// Makes the branch at `branch` lead to a target so many bytes from it; only the lowest byte of its
    /// displacement may differ from what it is.
    ///
    /// # Safety
    /// `branch` is the first byte of a branch that [`read`](Self::read) gave this for, in a writable view of its
    /// code.
    pub(crate) unsafe fn write_route(self, branch: *mut u8, target: i32) {
        let displacement_len = if self.is_short() { 1 } else { 4 };
        let at = branch.wrapping_add(self.len() - displacement_len);
        let byte = (target - self.len() as i32) as u8;
        // SAFETY: the caller's promise.
        unsafe { write_byte(at, byte) };
    }

    /// Replaces the first byte of the branch at `branch`, or puts it back.
    ///
    /// # Safety
    /// As for [`write_route`](Self::write_route).
    pub(crate) unsafe fn write_head(self, branch: *mut u8, trap: bool) {
        // SAFETY: the caller's promise.
        unsafe { write_byte(branch, if trap { INT3 } else { self.first }) };
    }

    /// Whether a thread with these flags takes it.
    pub(crate) fn is_taken(self, flags: u64) -> bool {
        let flag = |bit: u32| flags >> bit & 1 != 0;
        let [carry, parity, zero, sign, overflow] = [0, 2, 6, 7, 11].map(flag);
        if matches!(self.opcode, JMP_SHORT | JMP_NEAR) {
            return true;
        }
        let condition = self.opcode & CONDITION;
        let holds = match condition >> 1 {
            0 => overflow,
            1 => carry,
            2 => zero,
            3 => carry || zero,
            4 => sign,
            5 => parity,
            6 => sign != overflow,
            _ => zero || sign != overflow,
        };
        holds != (condition & 1 != 0)
    }
}

/// Where the branch starts whose breakpoint left a thread at `pc`, if it was one.
pub(crate) fn branch_after_trap(pc: usize) -> usize {
    pc.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A branch 100 bytes in, `displacement` from its end, and the offset that is.
    fn code(opcode: &[u8], displacement: i32) -> (Vec<u8>, usize) {
        let mut bytes = vec![0x90; 100];
        bytes.extend(opcode);
        let short = !matches!(opcode, [JMP_NEAR] | [ESCAPE, _]);
        let displacement_len = if short { 1 } else { 4 };
        bytes.extend(&displacement.to_le_bytes()[..displacement_len]);
        let target = bytes.len() as i32 + displacement;
        (bytes, target as usize)
    }

    /// With five bytes more.
    fn read(opcode: &[u8], displacement: i32) -> Result<Branch, BypassDefect> {
        let (mut bytes, target) = code(opcode, displacement);
        bytes.resize(300, 0x90);
        Branch::read(&bytes, 100, target as u32 + 5).map(|(branch, through)| {
            assert_eq!(through as usize, target);
            branch
        })
    }

    #[test]
    fn branches_are_led_around_and_back() {
        for opcode in [&[0x75][..], &[0xeb], &[0xe9], &[0x0f, 0x8c]] {
            let (bytes, target) = code(opcode, -60);
            let (branch, _) = Branch::read(&bytes, 100, target as u32 + 5).unwrap();
            assert_eq!(100 + branch.len(), bytes.len());
            let mut changed = bytes.clone();
            let at = |changed: &mut Vec<u8>| changed.as_mut_ptr().wrapping_add(100);
            // SAFETY: a vector stands for the writable view.
            unsafe {
                branch.write_route(at(&mut changed), target as i32 + 5 - 100);
                assert_eq!(changed, code(opcode, -55).0);
                branch.write_head(at(&mut changed), true);
                assert_eq!(changed[100], INT3);
                branch.write_route(at(&mut changed), target as i32 - 100);
                branch.write_head(at(&mut changed), false);
            }
            assert_eq!(changed, bytes);
        }
    }

    #[test]
    fn others_are_refused() {
        use BypassDefect::{Bytes, Carry, Target};
        for opcode in [&[0xcc][..], &[0xe8], &[0xe3], &[0x0f, 0x1f], &[0xe2]] {
            assert_eq!(read(opcode, -60).err(), Some(Bytes), "{opcode:x?}");
        }
        assert_eq!(Branch::read(&[0xeb], 0, 0).err(), Some(Bytes));
        assert_eq!(Branch::read(&[0xe9, 0, 0, 0], 0, 0).err(), Some(Bytes));
        assert_eq!(Branch::read(&[], 9, 0).err(), Some(Bytes));
        for displacement in [-111, 400] {
            assert_eq!(read(&[0xe9], displacement).err(), Some(Target));
        }
        assert_eq!(read(&[0x75], -120).err(), Some(Target));
        for opcode in [&[0xe9][..], &[0x0f, 0x85]] {
            for displacement in [-6, 0, 150] {
                assert!(read(opcode, displacement).is_ok());
            }
            for displacement in [-5, -1] {
                assert_eq!(read(opcode, displacement).err(), Some(Carry));
            }
        }
        for displacement in [123, 127] {
            assert_eq!(read(&[0x75], displacement).err(), Some(Carry));
        }
        for displacement in [-102, -6, 0, 122] {
            assert!(read(&[0x75], displacement).is_ok());
        }
    }

    /// The processor is asked, for all flags.
    #[test]
    fn conditions_are_those_of_the_processor() {
        // push rdi; popfq; jcc +3; xor eax, eax; ret; mov eax, 1; ret
        let code = |condition: u8| -> Vec<u8> {
            let mut code = vec![0x57, 0x9d, JCC_SHORT | condition, 3, 0x31, 0xc0, 0xc3];
            code.extend(crate::isa::function_returning(1));
            code
        };
        let space = crate::CodeSpace::new(&crate::SpaceConfig::new()).unwrap();
        for condition in 0..16 {
            let bytes = code(condition);
            let allocation = space.allocate(bytes.len(), 16).unwrap();
            let published = allocation.publish(&bytes, &[]).unwrap();
            // SAFETY: the code above is a function of this type.
            let asked: extern "C" fn(u64) -> u32 = unsafe { std::mem::transmute(published.base()) };
            for bits in 0..32u64 {
                let bit = |n: u32| bits >> n & 1;
                let flags = bit(0) | bit(1) << 2 | bit(2) << 6 | bit(3) << 7 | bit(4) << 11;
                for opcode in [JCC_SHORT | condition, JCC_NEAR | condition] {
                    let branch = Branch { first: 0, opcode };
                    assert_eq!(branch.is_taken(flags), asked(flags | 2) == 1);
                }
            }
        }
        for opcode in [JMP_SHORT, JMP_NEAR] {
            let jump = Branch {
                first: opcode,
                opcode,
            };
            assert!(jump.is_taken(0) && jump.is_taken(u64::MAX));
        }
    }
}
