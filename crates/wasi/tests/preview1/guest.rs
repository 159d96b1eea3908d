//! A guest without a program: memory, a world, and calls in place of code.

use nopal_wasi::{Errno, GuestMemory, Result, WasiCtx, WasiCtxBuilder};
use tempfile::TempDir;

/// Where results, paths and data are put; far from each other and, on purpose, unaligned.
const RESULT: u32 = 3;
const PATH: u32 = 1001;
const OTHER_PATH: u32 = 10_001;
const LIST: u32 = 20_001;
const DATA: u32 = 40_001;
const SIZE: usize = 1 << 20;

/// The directory every guest finds open.
pub(crate) const ROOT: u32 = 3;

pub(crate) mod rights {
    pub(crate) const FD_READ: u64 = 1 << 1;
    pub(crate) const FD_SEEK: u64 = 1 << 2;
    pub(crate) const FD_TELL: u64 = 1 << 5;
    pub(crate) const FD_WRITE: u64 = 1 << 6;
    pub(crate) const PATH_CREATE_FILE: u64 = 1 << 10;
    pub(crate) const PATH_OPEN: u64 = 1 << 13;
    pub(crate) const FD_READDIR: u64 = 1 << 14;
    pub(crate) const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub(crate) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    /// All there are, and some that do not exist.
    pub(crate) const ALL: u64 = u64::MAX;
    /// What wasi-libc asks for with `O_RDONLY`.
    pub(crate) const RDONLY: u64 = !(1 | FD_WRITE | (1 << 8) | FD_FILESTAT_SET_SIZE);
}

pub(crate) mod oflags {
    pub(crate) const CREAT: u32 = 1;
    pub(crate) const DIRECTORY: u32 = 2;
    pub(crate) const EXCL: u32 = 4;
    pub(crate) const TRUNC: u32 = 8;
}

pub(crate) mod fdflags {
    pub(crate) const APPEND: u32 = 1;
    pub(crate) const DSYNC: u32 = 2;
    pub(crate) const NONBLOCK: u32 = 4;
    pub(crate) const SYNC: u32 = 16;
}

pub(crate) mod filetype {
    pub(crate) const UNKNOWN: u8 = 0;
    pub(crate) const DIRECTORY: u8 = 3;
    pub(crate) const REGULAR_FILE: u8 = 4;
    pub(crate) const SYMBOLIC_LINK: u8 = 7;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filestat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) filetype: u8,
    pub(crate) nlink: u64,
    pub(crate) size: u64,
    pub(crate) atim: u64,
    pub(crate) mtim: u64,
    pub(crate) ctim: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fdstat {
    pub(crate) filetype: u8,
    pub(crate) flags: u32,
    pub(crate) base: u64,
    pub(crate) inheriting: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) next: u64,
    pub(crate) ino: u64,
    pub(crate) filetype: u8,
    pub(crate) name: String,
}

pub(crate) struct Guest {
    pub(crate) ctx: WasiCtx,
    bytes: Vec<u8>,
    /// The host's side of [`ROOT`].
    pub(crate) host: TempDir,
}

impl Guest {
    pub(crate) fn new() -> Guest {
        Guest::with(WasiCtxBuilder::new())
    }

    /// A guest with [`ROOT`], and what `builder` has set up.
    pub(crate) fn with(mut builder: WasiCtxBuilder) -> Guest {
        let host = tempfile::tempdir().unwrap();
        builder.preopened_dir(host.path(), "/").unwrap();
        Guest {
            ctx: builder.build().unwrap(),
            bytes: vec![0; SIZE],
            host,
        }
    }

    pub(crate) fn mem(&mut self) -> GuestMemory<'_> {
        GuestMemory::new(&mut self.bytes)
    }

    /// Calls a function with the memory and the address results go to.
    fn call<R>(&mut self, call: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>) -> R) -> R {
        call(&mut self.ctx, &mut GuestMemory::new(&mut self.bytes))
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> (u32, u32) {
        self.mem().write(at, bytes).unwrap();
        (at, bytes.len() as u32)
    }

    fn u32_result(&mut self) -> u32 {
        self.mem().read_u32(RESULT).unwrap()
    }

    fn u64_result(&mut self) -> u64 {
        self.mem().read_u64(RESULT).unwrap()
    }

    pub(crate) fn open(&mut self, path: &str, oflags: u32, base: u64) -> Result<u32> {
        self.open_at(ROOT, path, oflags, base)
    }

    pub(crate) fn open_at(&mut self, dir: u32, path: &str, oflags: u32, base: u64) -> Result<u32> {
        self.open_full(dir, 1, path, oflags, (base, u64::MAX), 0)
    }

    pub(crate) fn open_full(
        &mut self,
        dir: u32,
        lookup: u32,
        path: &str,
        oflags: u32,
        (base, inheriting): (u64, u64),
        fdflags: u32,
    ) -> Result<u32> {
        let (at, len) = self.put(PATH, path.as_bytes());
        self.call(|ctx, mem| {
            ctx.path_open(
                mem, dir, lookup, at, len, oflags, base, inheriting, fdflags, RESULT,
            )
        })?;
        Ok(self.u32_result())
    }

    /// Creates a file with these contents.
    pub(crate) fn create(&mut self, path: &str, contents: &[u8]) {
        let fd = self
            .open(path, oflags::CREAT | oflags::TRUNC, rights::FD_WRITE)
            .unwrap();
        assert_eq!(self.write(fd, contents), Ok(contents.len() as u32));
        self.ctx.fd_close(fd).unwrap();
    }

    fn list(&mut self, buffers: &[(u32, u32)]) -> (u32, u32) {
        for (index, &(address, len)) in buffers.iter().enumerate() {
            let at = LIST + 8 * index as u32;
            self.mem().write_u32(at, address).unwrap();
            self.mem().write_u32(at + 4, len).unwrap();
        }
        (LIST, buffers.len() as u32)
    }

    pub(crate) fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<u32> {
        let (at, len) = self.put(DATA, bytes);
        let half = len / 2;
        let (list, count) = self.list(&[(at, half), (at, 0), (at + half, len - half)]);
        self.call(|ctx, mem| ctx.fd_write(mem, fd, list, count, RESULT))?;
        Ok(self.u32_result())
    }

    pub(crate) fn pwrite(&mut self, fd: u32, bytes: &[u8], offset: u64) -> Result<u32> {
        let buffer = self.put(DATA, bytes);
        let (list, count) = self.list(&[buffer]);
        self.call(|ctx, mem| ctx.fd_pwrite(mem, fd, list, count, offset, RESULT))?;
        Ok(self.u32_result())
    }

    /// Reads at most `len` bytes, into two buffers and an empty one.
    pub(crate) fn read(&mut self, fd: u32, len: u32) -> Result<Vec<u8>> {
        let half = len / 2;
        let (list, count) = self.list(&[(DATA, half), (DATA, 0), (DATA + half, len - half)]);
        self.call(|ctx, mem| ctx.fd_read(mem, fd, list, count, RESULT))?;
        let read = self.u32_result();
        Ok(self.mem().slice(DATA, read).unwrap().to_vec())
    }

    pub(crate) fn pread(&mut self, fd: u32, len: u32, offset: u64) -> Result<Vec<u8>> {
        let half = len / 2;
        let (list, count) = self.list(&[(DATA, half), (DATA + half, len - half)]);
        self.call(|ctx, mem| ctx.fd_pread(mem, fd, list, count, offset, RESULT))?;
        let read = self.u32_result();
        Ok(self.mem().slice(DATA, read).unwrap().to_vec())
    }

    pub(crate) fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> Result<u64> {
        self.call(|ctx, mem| ctx.fd_seek(mem, fd, offset, whence, RESULT))?;
        Ok(self.u64_result())
    }

    pub(crate) fn tell(&mut self, fd: u32) -> Result<u64> {
        self.call(|ctx, mem| ctx.fd_tell(mem, fd, RESULT))?;
        Ok(self.u64_result())
    }

    fn filestat(&mut self) -> Filestat {
        let mem = self.mem();
        let word = |index: u32| mem.read_u64(RESULT + 8 * index).unwrap();
        Filestat {
            dev: word(0),
            ino: word(1),
            filetype: word(2) as u8,
            nlink: word(3),
            size: word(4),
            atim: word(5),
            mtim: word(6),
            ctim: word(7),
        }
    }

    pub(crate) fn stat(&mut self, fd: u32) -> Result<Filestat> {
        self.call(|ctx, mem| ctx.fd_filestat_get(mem, fd, RESULT))?;
        Ok(self.filestat())
    }

    pub(crate) fn path_stat(&mut self, path: &str, lookup: u32) -> Result<Filestat> {
        let (at, len) = self.put(PATH, path.as_bytes());
        self.call(|ctx, mem| ctx.path_filestat_get(mem, ROOT, lookup, at, len, RESULT))?;
        Ok(self.filestat())
    }

    pub(crate) fn set_times(
        &mut self,
        path: &str,
        lookup: u32,
        (atim, mtim): (u64, u64),
        flags: u32,
    ) -> Result<()> {
        let (at, len) = self.put(PATH, path.as_bytes());
        self.call(|ctx, mem| {
            ctx.path_filestat_set_times(mem, ROOT, lookup, at, len, atim, mtim, flags)
        })
    }

    pub(crate) fn fdstat(&mut self, fd: u32) -> Result<Fdstat> {
        self.call(|ctx, mem| ctx.fd_fdstat_get(mem, fd, RESULT))?;
        let mem = self.mem();
        Ok(Fdstat {
            filetype: mem.read_u8(RESULT)?,
            flags: mem.read_u16(RESULT + 2)?.into(),
            base: mem.read_u64(RESULT + 8)?,
            inheriting: mem.read_u64(RESULT + 16)?,
        })
    }

    /// Reads entries with a buffer of `len` bytes; also returns how much of it was used.
    pub(crate) fn readdir(&mut self, fd: u32, len: u32, cookie: u64) -> Result<(Vec<Entry>, u32)> {
        self.call(|ctx, mem| ctx.fd_readdir(mem, fd, DATA, len, cookie, RESULT))?;
        let used = self.u32_result();
        let mem = self.mem();
        let (mut at, end) = (DATA, DATA + used);
        let mut entries = Vec::new();
        while at + 24 <= end {
            let name_len = mem.read_u32(at + 16).unwrap();
            if at + 24 + name_len > end {
                break;
            }
            let name = mem.slice(at + 24, name_len).unwrap().to_vec();
            entries.push(Entry {
                next: mem.read_u64(at).unwrap(),
                ino: mem.read_u64(at + 8).unwrap(),
                filetype: mem.read_u8(at + 20).unwrap(),
                name: String::from_utf8(name).unwrap(),
            });
            at += 24 + name_len;
        }
        Ok((entries, used))
    }

    pub(crate) fn mkdir(&mut self, path: &str) -> Result<()> {
        let (at, len) = self.put(PATH, path.as_bytes());
        self.call(|ctx, mem| ctx.path_create_directory(mem, ROOT, at, len))
    }

    pub(crate) fn rmdir(&mut self, path: &str) -> Result<()> {
        let (at, len) = self.put(PATH, path.as_bytes());
        self.call(|ctx, mem| ctx.path_remove_directory(mem, ROOT, at, len))
    }

    pub(crate) fn unlink(&mut self, path: &str) -> Result<()> {
        let (at, len) = self.put(PATH, path.as_bytes());
        self.call(|ctx, mem| ctx.path_unlink_file(mem, ROOT, at, len))
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (from, from_len) = self.put(PATH, from.as_bytes());
        let (to, to_len) = self.put(OTHER_PATH, to.as_bytes());
        self.call(|ctx, mem| ctx.path_rename(mem, ROOT, from, from_len, ROOT, to, to_len))
    }

    pub(crate) fn link(&mut self, from: &str, flags: u32, to: &str) -> Result<()> {
        let (from, from_len) = self.put(PATH, from.as_bytes());
        let (to, to_len) = self.put(OTHER_PATH, to.as_bytes());
        self.call(|ctx, mem| ctx.path_link(mem, ROOT, flags, from, from_len, ROOT, to, to_len))
    }

    pub(crate) fn symlink(&mut self, contents: &str, path: &str) -> Result<()> {
        let (contents, contents_len) = self.put(PATH, contents.as_bytes());
        let (at, len) = self.put(OTHER_PATH, path.as_bytes());
        self.call(|ctx, mem| ctx.path_symlink(mem, contents, contents_len, ROOT, at, len))
    }

    pub(crate) fn readlink(&mut self, path: &str, room: u32) -> Result<Vec<u8>> {
        let (at, len) = self.put(PATH, path.as_bytes());
        self.call(|ctx, mem| ctx.path_readlink(mem, ROOT, at, len, DATA, room, RESULT))?;
        let used = self.u32_result();
        Ok(self.mem().slice(DATA, used).unwrap().to_vec())
    }
}

/// The number of the error, for messages.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> Errno {
    outcome.expect_err("the call must be refused")
}
