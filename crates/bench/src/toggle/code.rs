//! Machine code whose sites are switched and passed, for x86-64, and memory of the benchmark's own to run it in.

use std::ffi::c_void;
use std::ptr;

use nopal_live::SiteDesc;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};

/// A site that is off: `cmp eax, imm32`.
pub(super) const SITE: [u8; 5] = [0x3d, 0, 0, 0, 0];

/// Its first byte, and that of another instruction that does nothing but set flags: `test eax, imm32`.
pub(super) const HEADS: [u8; 2] = [0xa9, 0x3d];

/// From one of many sites to the next.
pub(super) const STRIDE: usize = 8;

/// Code that takes nothing.
pub(super) type Function = extern "C" fn();

/// Passes `count` sites in a row.
pub(super) fn row_of_sites(count: usize) -> (Vec<u8>, Vec<SiteDesc>) {
    let mut bytes = Vec::with_capacity(count * STRIDE + 1);
    let mut sites = Vec::with_capacity(count);
    for _ in 0..count {
        bytes.extend(SITE);
        sites.push(site_ending_at(bytes.len()));
        bytes.extend([0x0f, 0x1f, 0x00]); // nop dword ptr [rax]
    }
    bytes.push(0xc3); // ret
    (bytes, sites)
}

pub(super) fn site_ending_at(end: usize) -> SiteDesc {
    SiteDesc {
        ret_offset: end as u32,
        len: SITE.len() as u8,
    }
}

/// Instructions in a round of a loop that works.
pub(super) const WORK: usize = 64;

/// What a loop does between sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Additions that do not wait for each other: as many as the processor can take in.
    Independent,
    /// Additions of which each waits for the one before.
    Dependent,
}

impl Work {
    /// One of its instructions, of four bytes.
    fn instruction(self, number: usize) -> [u8; 4] {
        // lea r8, [r8 + rdi]; lea r9, [r9 + rdi]; …; lea rsi, [rsi + rdi]: registers that a function may
        // overwrite. Additions of constants would not do: processors make one of several.
        const ADDITIONS: [[u8; 3]; 8] = [
            [0x4d, 0x04, 0x38],
            [0x4d, 0x0c, 0x39],
            [0x4d, 0x14, 0x3a],
            [0x4d, 0x1c, 0x3b],
            [0x48, 0x04, 0x38],
            [0x48, 0x0c, 0x39],
            [0x48, 0x14, 0x3a],
            [0x48, 0x34, 0x3e],
        ];
        let [prefix, registers, operands] = match self {
            Work::Independent => ADDITIONS[number % ADDITIONS.len()],
            Work::Dependent => ADDITIONS[0],
        };
        [prefix, 0x8d, registers, operands]
    }
}

/// A function of a number of rounds of [`WORK`] instructions, with `insert` before every `every` of them; and
/// where each insertion ends. An insertion of five bytes does not cross a boundary of 16.
pub(super) fn working_loop(work: Work, insert: &[u8], every: usize) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for number in 0..WORK {
        if number % every == 0 && !insert.is_empty() {
            let room = 16 - bytes.len() % 16;
            if insert.len() == SITE.len() && room < insert.len() {
                bytes.extend(nop(room));
            }
            bytes.extend(insert);
            ends.push(bytes.len());
        }
        bytes.extend(work.instruction(number));
    }
    end_loop(&mut bytes);
    (bytes, ends)
}

/// A function of a number of rounds, each of which is `body`.
pub(super) fn plain_loop(body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    end_loop(&mut bytes);
    bytes
}

/// Goes back to the start as often as the argument says.
fn end_loop(bytes: &mut Vec<u8>) {
    bytes.extend([0x48, 0xff, 0xcf]); // dec rdi
    let back = -(bytes.len() as i32 + 6);
    bytes.extend([0x0f, 0x85]); // jnz start
    bytes.extend(back.to_le_bytes());
    bytes.push(0xc3); // ret
}

/// One NOP of at most four bytes (Intel SDM vol. 2B, NOP).
fn nop(len: usize) -> &'static [u8] {
    match len {
        1 => &[0x90],
        2 => &[0x66, 0x90],
        3 => &[0x0f, 0x1f, 0x00],
        _ => &[0x0f, 0x1f, 0x40, 0x00],
    }
}

/// Where code can be written, and how.
enum Writing {
    /// Through a second mapping.
    Alias(*mut u8),
    /// Where it is executed, once that is permitted.
    InPlace,
}

/// Machine code in memory that no runtime manages.
pub(super) struct Pages {
    executed: *mut u8,
    writing: Writing,
    len: usize,
}

impl Pages {
    /// Code in pages that are mapped twice: for execution, and for writing somewhere else.
    pub(super) fn mapped_twice(bytes: &[u8]) -> Result<Pages, String> {
        let file = memfd_create(c"nopal-bench", MemfdFlags::CLOEXEC).map_err(refused)?;
        ftruncate(&file, bytes.len() as u64).map_err(refused)?;
        let map = |protection| {
            // SAFETY: a new mapping, wherever there is room.
            let address = unsafe {
                mmap(
                    ptr::null_mut(),
                    bytes.len(),
                    protection,
                    MapFlags::SHARED,
                    &file,
                    0,
                )
            };
            address.map(<*mut c_void>::cast::<u8>).map_err(refused)
        };
        let alias = map(ProtFlags::READ | ProtFlags::WRITE)?;
        // SAFETY: the mapping was made for that many bytes, and nobody else knows of it.
        unsafe { alias.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(Pages {
            executed: map(ProtFlags::READ | ProtFlags::EXEC)?,
            writing: Writing::Alias(alias),
            len: bytes.len(),
        })
    }

    /// Code in pages that are mapped once.
    pub(super) fn mapped_once(bytes: &[u8]) -> Result<Pages, String> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, wherever there is room.
        let address =
            unsafe { mmap_anonymous(ptr::null_mut(), bytes.len(), protection, MapFlags::PRIVATE) };
        let executed = address.map_err(refused)?.cast::<u8>();
        // SAFETY: the mapping was made for that many bytes, and nobody else knows of it.
        unsafe { executed.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        let pages = Pages {
            executed,
            writing: Writing::InPlace,
            len: bytes.len(),
        };
        pages.protect(MprotectFlags::empty())?;
        Ok(pages)
    }

    pub(super) fn function(&self) -> Function {
        // SAFETY: the pages hold a function of this type: see the uses.
        unsafe { std::mem::transmute(self.executed) }
    }

    /// Stores a byte over the first of each site.
    pub(super) fn store(&self, head: u8) {
        let view = match self.writing {
            Writing::Alias(view) => view,
            Writing::InPlace => self.executed,
        };
        for site in (0..self.len - 1).step_by(STRIDE) {
            // SAFETY: inside the mapping, which is writable, or made so by `make_writable`. Whoever executes
            // the site meets one harmless instruction or another.
            unsafe { view.add(site).write_volatile(head) };
        }
    }

    /// Makes pages writable that are mapped once, and leaves them executable.
    pub(super) fn make_writable(&self) -> Result<(), String> {
        self.protect(MprotectFlags::WRITE)
    }

    pub(super) fn make_read_only(&self) -> Result<(), String> {
        self.protect(MprotectFlags::empty())
    }

    fn protect(&self, more: MprotectFlags) -> Result<(), String> {
        let flags = MprotectFlags::READ | MprotectFlags::EXEC | more;
        // SAFETY: the pages are this object's own.
        unsafe { mprotect(self.executed.cast(), self.len, flags) }.map_err(refused)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by this object with this length, and no longer used. A mapping that stays is no harm.
        unsafe {
            let _ = munmap(self.executed.cast(), self.len);
            if let Writing::Alias(view) = self.writing {
                let _ = munmap(view.cast(), self.len);
            }
        }
    }
}

fn refused(error: rustix::io::Errno) -> String {
    format!("memory for code: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_sites_where_it_says() {
        let (bytes, sites) = row_of_sites(3);
        assert_eq!(bytes.len(), 3 * STRIDE + 1);
        for site in &sites {
            let end = site.ret_offset as usize;
            assert_eq!(bytes[end - SITE.len()..end], SITE);
        }
    }

    #[test]
    fn insertions_are_as_many_as_asked_for_and_cross_no_boundary() {
        for (every, count) in [(4, 16), (16, 4), (64, 1)] {
            let (bytes, ends) = working_loop(Work::Independent, &SITE, every);
            assert_eq!(ends.len(), count);
            for end in ends {
                assert_eq!(bytes[end - SITE.len()..end], SITE);
                assert!((end - SITE.len()) / 16 == (end - 1) / 16, "{end}");
            }
        }
        let (bytes, ends) = working_loop(Work::Dependent, &[], 4);
        assert!(ends.is_empty());
        assert_eq!(bytes.len(), 4 * WORK + 3 + 6 + 1);
    }

    #[test]
    fn pages_are_executed_while_their_sites_are_changed() {
        let (bytes, _) = row_of_sites(600);
        let twice = Pages::mapped_twice(&bytes).unwrap();
        let once = Pages::mapped_once(&bytes).unwrap();
        for head in HEADS {
            twice.store(head);
            twice.function()();
            once.make_writable().unwrap();
            once.store(head);
            once.function()();
            once.make_read_only().unwrap();
            once.function()();
            for pages in [&twice, &once] {
                for site in [0, 599] {
                    // SAFETY: inside the mapping, which can be read.
                    assert_eq!(unsafe { *pages.executed.add(site * STRIDE) }, head);
                }
            }
        }
    }
}
