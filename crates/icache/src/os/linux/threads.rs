//! The threads of this process, from `/proc/self/task`, without allocation.

use core::ffi::{CStr, c_int};
use core::mem;
use core::ops::Range;

use super::list::{Directory, Entry, visit_all};
use super::{check, errno, word};
use crate::os::handshake::Presence;

/// Room for the entries of some 250 threads per system call, on the caller's stack.
const LISTING: usize = 8192;

// `struct linux_dirent64`: where the position of the next entry, the length of this one and its name
// are.
const ENTRY_NEXT: usize = 8;
const ENTRY_LENGTH: usize = 16;
const ENTRY_NAME: usize = 19;

pub(in crate::os) fn current() -> u32 {
    // SAFETY: gettid takes nothing, touches no memory and never fails.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    tid as u32
}

/// Signals to choose from: real-time signals from the middle of their range, because programs tend
/// to take the first ones and the last ones, of which user-mode emulators lack some.
#[cfg(not(all(target_os = "android", target_pointer_width = "32")))]
pub(in crate::os) fn candidates() -> impl Iterator<Item = c_int> {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let middle = (first..=last).nth(14).unwrap_or(last);
    (first..=middle).rev().chain(middle + 1..=last)
}

/// The signal sets of 32-bit Android have no room for real-time signals.
#[cfg(all(target_os = "android", target_pointer_width = "32"))]
pub(in crate::os) fn candidates() -> impl Iterator<Item = c_int> {
    [libc::SIGURG, libc::SIGUSR2, libc::SIGUSR1].into_iter()
}

/// Sends a signal to a thread of this process; signal 0 only asks whether it is there.
pub(in crate::os) fn send(tid: u32, signal: c_int) -> Result<(), i32> {
    let tid = word(tid as c_int);
    // SAFETY: tgkill takes three integers and touches no memory of the caller.
    check(unsafe { libc::syscall(libc::SYS_tgkill, word(libc::getpid()), tid, word(signal)) })
        .map(|_| ())
}

pub(in crate::os) fn exists(tid: u32) -> bool {
    send(tid, 0) != Err(libc::ESRCH)
}

/// A file descriptor that is closed when it goes.
struct File(c_int);

impl File {
    fn open(path: &CStr, flags: c_int) -> Result<File, i32> {
        // SAFETY: the path ends with a zero byte.
        let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_RDONLY | libc::O_CLOEXEC) };
        if fd < 0 { Err(errno()) } else { Ok(File(fd)) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { libc::close(self.0) };
    }
}

fn open_listing() -> Result<File, i32> {
    File::open(c"/proc/self/task", libc::O_DIRECTORY)
}

/// Whether threads can be listed.
pub(in crate::os) fn offered() -> Result<(), i32> {
    open_listing().map(|_| ())
}

/// Calls `visit` with every thread that is there now and has not ended when this returns. Others
/// may be visited, and each more than once.
pub(in crate::os) fn each<E: From<Errno>>(
    visit: impl FnMut(u32) -> Result<(), E>,
) -> Result<(), E> {
    let mut tasks = Tasks {
        file: open_listing().map_err(Errno)?,
        buffer: Buffer([0; LISTING]),
        listed: 0..0,
        position: 0,
    };
    visit_all(&mut tasks, visit)
}

/// An error number on its way to becoming an error.
pub(in crate::os) struct Errno(pub(in crate::os) i32);

/// `/proc/self/task`, being listed.
struct Tasks {
    file: File,
    buffer: Buffer,
    /// What is left of the last call's entries in the buffer.
    listed: Range<usize>,
    /// The position of the first of these.
    position: i64,
}

/// Aligned as the kernel writes its entries.
#[repr(align(8))]
struct Buffer([u8; LISTING]);

impl Directory for Tasks {
    fn count(&mut self) -> Result<usize, Errno> {
        // Up to the field there are twenty numbers and the name.
        let mut text = [0; 640];
        match read(current(), c"stat", &mut text).map_err(Errno)? {
            Some(stat) => parse_thread_count(stat).ok_or(Errno(libc::ENOSYS)),
            // The directory is of another PID namespace than system calls are.
            None => Err(Errno(libc::ESRCH)),
        }
    }

    fn list(&mut self, position: i64) -> Result<(), Errno> {
        self.listed = 0..0;
        self.position = position;
        let offset = libc::off_t::try_from(position).map_err(|_| Errno(libc::EOVERFLOW))?;
        // SAFETY: takes integers.
        let result = unsafe { libc::lseek(self.file.0, offset, libc::SEEK_SET) };
        if result == -1 {
            return Err(Errno(errno()));
        }
        let (file, room) = (word(self.file.0), word(LISTING as c_int));
        let buffer = self.buffer.0.as_mut_ptr();
        // SAFETY: the kernel writes at most LISTING bytes to the buffer.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, file, buffer, room) };
        self.listed = 0..check(read).map_err(Errno)? as usize;
        Ok(())
    }

    fn next(&mut self) -> Option<Entry> {
        let entries = self.buffer.0.get(self.listed.clone())?;
        let (entry, rest) = split_entry(entries)?;
        let next = entry.get(ENTRY_NEXT..)?.first_chunk()?;
        let position = mem::replace(&mut self.position, i64::from_ne_bytes(*next));
        self.listed.start = self.listed.end - rest.len();
        Some(Entry {
            tid: parse_tid(entry.get(ENTRY_NAME..)?).unwrap_or(0),
            position,
        })
    }
}

/// The first entry, and the ones after it.
fn split_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = entries.get(ENTRY_LENGTH..)?.first_chunk()?;
    entries.split_at_checked(u16::from_ne_bytes(*length).into())
}

/// The number that a name ending with a zero byte is; `.` and `..` are none.
fn parse_tid(name: &[u8]) -> Option<u32> {
    let name = CStr::from_bytes_until_nul(name).ok()?;
    name.to_str().ok()?.parse().ok()
}

/// What a thread is doing, by the third field of its `stat`, and if that says that it sleeps, by
/// its `syscall`.
///
/// A thread counts as asleep in `stat` from a little before it leaves its core until a little
/// before it is back in user mode. The kernel answers the question for its system call only
/// if it finds the thread off its core, and says `running` otherwise.
pub(in crate::os) fn presence(tid: u32) -> Result<Presence, i32> {
    let mut text = [0; 128];
    let presence = match read(tid, c"stat", &mut text)? {
        Some(stat) => parse_state(stat),
        None => return Ok(Presence::Gone),
    };
    if presence != Presence::InKernel {
        return Ok(presence);
    }
    // Where there is no such file, or it may not be read, nothing is claimed.
    Ok(match read(tid, c"syscall", &mut text) {
        Ok(Some(call)) if !call.is_empty() && !call.starts_with(b"running") => Presence::InKernel,
        _ => Presence::Running,
    })
}

/// Whether a thread blocks a signal, by its `status`. One that has gone blocks nothing.
pub(in crate::os) fn blocks(tid: u32, signal: c_int) -> Result<bool, i32> {
    let mut text = [0; 4096];
    let status = read(tid, c"status", &mut text)?;
    Ok(status.is_some_and(|status| parse_blocked(status) >> (signal - 1) & 1 != 0))
}

/// Reads the beginning of `/proc/self/task/TID/NAME`; `None` if there is no such thread.
fn read<'a>(tid: u32, name: &CStr, text: &'a mut [u8]) -> Result<Option<&'a [u8]>, i32> {
    let mut path = [0; PATH];
    let file = match File::open(thread_path(tid, name, &mut path), 0) {
        Ok(file) => file,
        Err(libc::ENOENT | libc::ESRCH) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let length = unsafe { libc::read(file.0, text.as_mut_ptr().cast(), text.len()) };
    match usize::try_from(length) {
        Ok(length) => Ok(text.get(..length)),
        Err(_) if errno() == libc::ESRCH => Ok(None),
        Err(_) => Err(errno()),
    }
}

/// Room for any path of [`thread_path`].
const PATH: usize = 40;

/// `/proc/self/task/TID/NAME`, written into `path`, which begins as zeros.
fn thread_path<'a>(tid: u32, name: &CStr, path: &'a mut [u8; PATH]) -> &'a CStr {
    let mut length = 0;
    let mut push = |bytes: &[u8]| {
        path[length..length + bytes.len()].copy_from_slice(bytes);
        length += bytes.len();
    };
    push(b"/proc/self/task/");
    let mut divisor = 1_000_000_000;
    while divisor > 1 && tid < divisor {
        divisor /= 10;
    }
    while divisor > 0 {
        push(&[b'0' + (tid / divisor % 10) as u8]);
        divisor /= 10;
    }
    push(b"/");
    push(name.to_bytes());
    CStr::from_bytes_until_nul(path).unwrap_or_default()
}

/// The set after `SigBlk:`, in hexadecimal digits; the first signal is the lowest bit. On MIPS,
/// which has 128 signals, they are more digits, and those of the higher signals come first.
fn parse_blocked(status: &[u8]) -> u128 {
    let lines = status.split(|&byte| byte == b'\n');
    let digits = lines
        .filter_map(|line| line.strip_prefix(b"SigBlk:\t"))
        .next()
        .unwrap_or_default();
    digits.iter().fold(0, |set, &digit| {
        let digit = char::from(digit).to_digit(16).unwrap_or(0);
        set << 4 | u128::from(digit)
    })
}

/// A field of `TID (NAME) STATE …`, where the name may contain anything; the state is field 3.
fn stat_field(stat: &[u8], number: usize) -> Option<&[u8]> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = stat.get(name_end + 2..)?.split(|&byte| byte == b' ');
    fields.nth(number - 3)
}

/// `num_threads`, the twentieth field.
fn parse_thread_count(stat: &[u8]) -> Option<usize> {
    let digits = stat_field(stat, 20)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// What is not known counts as running.
fn parse_state(stat: &[u8]) -> Presence {
    match stat_field(stat, 3).and_then(<[u8]>::first) {
        Some(b'S' | b'D' | b'T' | b't') => Presence::InKernel,
        Some(b'Z' | b'X' | b'x') => Presence::Gone,
        _ => Presence::Running,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn states_are_found_after_any_name() {
        assert_eq!(parse_state(b"12 (a) b) (c) S 1 2"), Presence::InKernel);
        assert_eq!(parse_state(b"12 (S) R 1 2"), Presence::Running);
        assert_eq!(parse_state(b"12 (x) Z 1 2"), Presence::Gone);
        assert_eq!(parse_state(b""), Presence::Running);
    }

    #[test]
    fn a_sleeping_thread_is_in_the_kernel_until_it_has_gone() {
        use std::sync::mpsc;
        use std::thread;

        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            tell.send(current()).unwrap();
            ended.recv().unwrap_err();
        });
        let tid = told.recv().unwrap();
        while presence(tid) != Ok(Presence::InKernel) {
            thread::yield_now();
        }
        drop(end);
        thread.join().unwrap();
        while exists(tid) {
            thread::yield_now();
        }
        assert_eq!(presence(tid), Ok(Presence::Gone));
    }

    #[test]
    fn blocked_signals_are_found() {
        let status = b"Name:\tSigBlk:\nSigPnd:\tffff\nSigBlk:\t0000000100000005\nSigIgn:\tffff\n";
        assert_eq!(parse_blocked(status), 1 << 32 | 5);
        assert_eq!(parse_blocked(b"Name:\tx\n"), 0);
        assert_eq!(blocks(i32::MAX as u32, 1), Ok(false));
        assert_eq!(blocks(current(), libc::SIGKILL), Ok(false));
    }

    #[test]
    fn paths_name_the_thread() {
        for (tid, expected) in [
            (0, c"/proc/self/task/0/stat"),
            (7, c"/proc/self/task/7/stat"),
            (4_194_304, c"/proc/self/task/4194304/stat"),
            (u32::MAX, c"/proc/self/task/4294967295/stat"),
        ] {
            assert_eq!(thread_path(tid, c"stat", &mut [0; PATH]), expected);
        }
    }

    #[test]
    fn threads_are_counted() {
        let stat = b"12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 77 18 19";
        assert_eq!(parse_thread_count(stat), Some(77));
        assert_eq!(parse_thread_count(b"12 (a) S 1 2"), None);
        assert_eq!(parse_thread_count(b""), None);
    }

    /// More than are listed by one system call, and all of them stay.
    #[test]
    fn many_threads_are_listed() {
        use std::sync::Barrier;
        use std::thread;
        use std::vec::Vec;

        const THREADS: usize = 600;
        let (ready, end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
        thread::scope(|scope| {
            let start = |_| scope.spawn(|| (current(), ready.wait(), end.wait()).0);
            let threads: Vec<_> = (0..THREADS).map(start).collect();
            ready.wait();
            let mut listed = Vec::new();
            let outcome: Result<(), Errno> = each(|tid| {
                listed.push(tid);
                Ok(())
            });
            end.wait();
            assert!(outcome.is_ok());
            for thread in threads {
                assert!(listed.contains(&thread.join().unwrap()));
            }
        });
    }

    #[test]
    fn this_thread_is_listed_and_running() {
        let mut seen = 0;
        let listed: Result<(), Errno> = each(|tid| {
            seen += u32::from(tid == current());
            Ok(())
        });
        assert!(listed.is_ok());
        assert!(seen >= 1);
        assert_eq!(presence(current()), Ok(Presence::Running));
        assert!(exists(current()));
        assert!(!exists(i32::MAX as u32));
        assert_eq!(presence(i32::MAX as u32), Ok(Presence::Gone));
    }
}
