//! Address space reserved from the system.

use std::io;
use std::ptr::NonNull;

/// Size of a page of the system, or a multiple of it on systems with smaller ones.
pub(crate) const PAGE: usize = 4096;

/// A range of address space, inaccessible but for the parts that were opened.
#[derive(Debug)]
pub(crate) struct Reservation {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the range belongs to this value alone and can be unmapped from any thread.
unsafe impl Send for Reservation {}
// SAFETY: a shared reference only allows changes of protection, which are system calls.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserve `len` bytes, a multiple of [`PAGE`] and not 0.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        debug_assert!(len != 0 && len.is_multiple_of(PAGE));
        // SAFETY: a new anonymous mapping at an address of the system's choice changes no
        // existing memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Reservation { base, len })
    }

    /// The first byte.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Make `len` bytes from `offset` on, both multiples of [`PAGE`], readable and writable.
    pub(crate) fn open(&self, offset: usize, len: usize) -> io::Result<()> {
        self.protect(offset, len, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Make a range inaccessible. What it held is kept.
    ///
    /// # Safety
    /// Nobody may use the range until it is opened again, but to fault on it.
    pub(crate) unsafe fn close(&self, offset: usize, len: usize) -> io::Result<()> {
        self.protect(offset, len, libc::PROT_NONE)
    }

    /// Async-signal-safe.
    fn protect(&self, offset: usize, len: usize, protection: i32) -> io::Result<()> {
        assert!(offset <= self.len && len <= self.len - offset);
        if len == 0 {
            return Ok(());
        }
        // SAFETY: the range is inside the mapping this value owns.
        let result = unsafe { libc::mprotect(self.base().add(offset).cast(), len, protection) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value, and whoever uses it borrows this value.
        let result = unsafe { libc::munmap(self.base().cast(), self.len) };
        debug_assert_eq!(result, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_parts_are_zero_and_keep_their_content() {
        let mem = Reservation::new(1 << 33).unwrap();
        mem.open(PAGE, 2 * PAGE).unwrap();
        // SAFETY: the bytes were opened.
        unsafe {
            let at = mem.base().add(2 * PAGE);
            assert_eq!(*at, 0);
            *at = 7;
            mem.close(2 * PAGE, PAGE).unwrap();
            mem.open(2 * PAGE, PAGE).unwrap();
            assert_eq!(*at, 7);
        }
        assert!(Reservation::new(1 << 50).is_err());
    }
}
