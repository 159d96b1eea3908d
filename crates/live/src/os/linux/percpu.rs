//! Restartable sequences: code that the kernel takes back to its start, or to an address of its
//! choosing, if the thread is interrupted in it.
//!
//! The C library registers an area with the kernel for each thread, and says where it is relative to
//! the thread pointer (`__rseq_offset`, glibc 2.35 and later). In it the kernel keeps the number of
//! the CPU the thread runs on; it finds there the descriptor of the sequence the thread is in
//! (`linux/rseq.h`, `rseq(2)`).

use std::ffi::CStr;
use std::sync::OnceLock;

use crate::isa;

/// What is needed to count per CPU without locked instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PerCpu {
    /// Offset of the thread's `struct rseq` from the thread pointer.
    pub(crate) area: i32,
    /// CPUs that have a row; a thread on another counts in the shared one.
    pub(crate) cpus: u32,
}

impl PerCpu {
    /// How this process can count per CPU, if it can.
    pub(crate) fn get() -> Option<PerCpu> {
        static PER_CPU: OnceLock<Option<PerCpu>> = OnceLock::new();
        *PER_CPU.get_or_init(detect)
    }
}

fn detect() -> Option<PerCpu> {
    /// Bytes of the first version of the area, which has all fields used here.
    const FIRST_VERSION: u32 = 20;
    // SAFETY: the C library defines the two as an int and a pointer difference, constant after
    // start-up; without them, `dlsym` says so.
    let (size, offset) = unsafe {
        (
            symbol::<u32>(c"__rseq_size")?,
            symbol::<isize>(c"__rseq_offset")?,
        )
    };
    // Zero if the kernel refused the registration.
    if size < FIRST_VERSION {
        return None;
    }
    let area = i32::try_from(offset).ok()?;
    // SAFETY: asks for a number.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    let cpus = u32::try_from(cpus).ok().filter(|&cpus| cpus > 0)?;
    // SAFETY: the registration succeeded, hence the area is there.
    let here = unsafe { isa::current_cpu(area) };
    (here < cpus).then_some(PerCpu { area, cpus })
}

/// The value of a variable of the C library, if it has it.
///
/// # Safety
/// The symbol, if it exists, must be an initialized `T`.
unsafe fn symbol<T: Copy>(name: &CStr) -> Option<T> {
    // SAFETY: the name is a valid C string.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: the caller's promise.
    (!address.is_null()).then(|| unsafe { address.cast::<T>().read() })
}
