//! Address space and the code file.
//!
//! Sources: `mmap(2)`, `memfd_create(2)`, `madvise(2)`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Error, Result};

fn last_error(operation: &'static str) -> Error {
    Error::Memory {
        operation,
        source: io::Error::last_os_error(),
    }
}

/// Bytes in a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: sysconf reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// What a mapping of code memory may be used for; never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Write,
    Execute,
}

impl Protection {
    /// The bits for the kernel, and what asking for them is called.
    fn bits(self) -> (libc::c_int, &'static str) {
        match self {
            Protection::Write => (
                libc::PROT_READ | libc::PROT_WRITE,
                "map code memory for writing",
            ),
            Protection::Execute => (
                libc::PROT_READ | libc::PROT_EXEC,
                "map code memory for execution",
            ),
        }
    }
}

/// A range of address space that belongs to its owner, inaccessible until parts are mapped.
pub(crate) struct Reservation {
    base: *mut u8,
    len: usize,
}

// SAFETY: a Reservation is an address and a length; what is done with the memory is up to users,
// who synchronize their accesses.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `len` bytes, a multiple of the page size.
    pub(crate) fn new(len: usize) -> Result<Reservation> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a fresh mapping at an address of the kernel's choice affects no other memory.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(last_error("reserve address space"));
        }
        Ok(Reservation {
            base: base.cast(),
            len,
        })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes `[offset, offset + len)` zeroed private memory for reading and writing.
    pub(crate) fn commit_data(&self, offset: usize, len: usize) -> Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        self.map(offset, len, protection, flags, -1, 0)
            .map_err(|source| Error::Memory {
                operation: "commit memory",
                source,
            })
    }

    /// Maps the same range of `file` at `[offset, offset + len)`. A forked child does not inherit
    /// the mapping: its pages are shared, so that parent and child would change each other's code.
    pub(crate) fn map_file(
        &self,
        offset: usize,
        len: usize,
        file: &CodeFile,
        protection: Protection,
    ) -> Result<()> {
        let (bits, operation) = protection.bits();
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        self.map(offset, len, bits, flags, file.0.as_raw_fd(), offset)
            .map_err(|source| Error::Memory { operation, source })?;
        self.keep_from_children(offset, len)
    }

    /// Makes `[offset, offset + len)` zeroed private code memory, for execution. A forked child does
    /// not inherit it.
    pub(crate) fn commit_code(&self, offset: usize, len: usize) -> Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        self.map(offset, len, protection, flags, -1, 0)
            .map_err(|source| Error::Memory {
                operation: "map code memory for execution",
                source,
            })?;
        self.keep_from_children(offset, len)
    }

    /// Makes mapped code memory writable or executable.
    pub(crate) fn protect(&self, offset: usize, len: usize, protection: Protection) -> Result<()> {
        let (bits, operation) = protection.bits();
        debug_assert!(offset + len <= self.len);
        // SAFETY: the range belongs to this reservation; the caller answers for what is in it.
        let result = unsafe { libc::mprotect(self.base.add(offset).cast(), len, bits) };
        if result != 0 {
            return Err(last_error(operation));
        }
        Ok(())
    }

    /// Takes the mapping at `[offset, offset + len)` away, but not the addresses.
    pub(crate) fn hide(&self, offset: usize, len: usize) -> Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        self.map(offset, len, libc::PROT_NONE, flags, -1, 0)
            .map_err(|source| Error::Memory {
                operation: "unmap the writable view of code memory",
                source,
            })
    }

    fn keep_from_children(&self, offset: usize, len: usize) -> Result<()> {
        // SAFETY: the range was just mapped and belongs to this reservation.
        let result =
            unsafe { libc::madvise(self.base.add(offset).cast(), len, libc::MADV_DONTFORK) };
        if result != 0 {
            return Err(last_error("keep code memory out of forked children"));
        }
        Ok(())
    }

    fn map(
        &self,
        offset: usize,
        len: usize,
        protection: libc::c_int,
        flags: libc::c_int,
        fd: libc::c_int,
        file_offset: usize,
    ) -> io::Result<()> {
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        let file_offset = libc::off_t::try_from(file_offset)
            .map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?;
        // SAFETY: the target range lies inside this reservation, so MAP_FIXED replaces nothing that
        // belongs to anyone else.
        let mapped = unsafe {
            libc::mmap(
                self.base.add(offset).cast(),
                len,
                protection,
                flags,
                fd,
                file_offset,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Leaves the address range alone for good. A forked child must do this instead of dropping the
    /// reservation: parts it did not inherit may hold other mappings by now.
    pub(crate) fn abandon(&mut self) {
        self.len = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.len != 0 {
            // SAFETY: the range belongs to this reservation, and its owner is done with it.
            unsafe { libc::munmap(self.base.cast(), self.len) };
        }
    }
}

/// The anonymous file that holds the code, mapped once for writing and once for execution.
pub(crate) struct CodeFile(OwnedFd);

impl CodeFile {
    pub(crate) fn new() -> Result<CodeFile> {
        /// Absent from the `libc` crate's list for some C libraries; `linux/memfd.h`.
        const MFD_NOEXEC_SEAL: libc::c_uint = 8;
        let name = c"nopal-code";
        // With vm.memfd_noexec = 2 only a sealed file is allowed; it can still be mapped for
        // execution. Kernels before 6.3 do not know the flag.
        for extra in [MFD_NOEXEC_SEAL, 0] {
            // SAFETY: the name is a valid C string.
            let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | extra) };
            if fd >= 0 {
                // SAFETY: a descriptor that was just opened and has no other owner.
                return Ok(CodeFile(unsafe { OwnedFd::from_raw_fd(fd) }));
            }
            if io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
                break;
            }
        }
        Err(last_error("create the code file (memfd_create)"))
    }

    /// Makes the file `len` bytes long; new bytes are zero and take no memory until touched.
    pub(crate) fn grow(&self, len: usize) -> Result<()> {
        let len = libc::off_t::try_from(len).map_err(|_| Error::CodeSpaceFull(len))?;
        // SAFETY: ftruncate on an owned descriptor; the file only ever grows, so no mapped page
        // disappears.
        if unsafe { libc::ftruncate(self.0.as_raw_fd(), len) } != 0 {
            return Err(last_error("grow the code file"));
        }
        Ok(())
    }
}

/// Tells a forked child from the process that created the guard, by a page that the kernel wipes in
/// the child; where it does not, by its number.
pub(crate) struct ForkGuard {
    page: Reservation,
    /// The creator, if the page is of no use.
    creator: Option<u32>,
}

impl ForkGuard {
    pub(crate) fn new() -> Result<ForkGuard> {
        /// Nothing that a kernel knows.
        const NO_ADVICE: libc::c_int = 0x7fff;
        let page = Reservation::new(page_size())?;
        page.commit_data(0, page.len())?;
        let advise = |advice| {
            // SAFETY: the page belongs to the reservation.
            let result = unsafe { libc::madvise(page.base().cast(), page.len(), advice) };
            result == 0
        };
        if !advise(libc::MADV_WIPEONFORK) {
            return Err(last_error("mark a page to be wiped on fork"));
        }
        // User-mode emulators follow no advice, and accept any.
        let creator = advise(NO_ADVICE).then(std::process::id);
        let guard = ForkGuard { page, creator };
        guard.mark().store(1, Ordering::Relaxed);
        Ok(guard)
    }

    fn mark(&self) -> &AtomicU8 {
        // SAFETY: the page is mapped for reading and writing as long as the guard lives.
        unsafe { AtomicU8::from_ptr(self.page.base()) }
    }

    /// Whether this process is a forked child of the creator.
    pub(crate) fn is_forked(&self) -> bool {
        self.mark().load(Ordering::Relaxed) == 0
            || self
                .creator
                .is_some_and(|creator| creator != std::process::id())
    }
}
