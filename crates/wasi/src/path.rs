//! Files by name: the `path_*` functions but `path_open`.
//!
//! Names are looked up by `cap-std`, beneath the directory they are relative to: an absolute path,
//! a `..` that leads out, and a symbolic link that does either are refused with [`Errno::Perm`].
#![expect(
    clippy::too_many_arguments,
    reason = "the signatures are those of preview 1"
)]

use crate::abi::flags::follows;
use crate::abi::records::Filestat;
use crate::abi::rights;
use crate::ctx::WasiCtx;
use crate::errno::{Errno, Result};
use crate::fd::{SetTime, SetTimes};
use crate::guest::GuestMemory;
use cap_fs_ext::{DirExt, SystemTimeSpec};
use cap_std::fs::Dir;
use cap_std::time::SystemTime;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

impl WasiCtx {
    /// `path_create_directory`.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notdir`], [`Errno::Notcapable`], [`Errno::Fault`],
    /// [`Errno::Perm`], those of the host.
    pub fn path_create_directory(
        &self,
        mem: &GuestMemory<'_>,
        fd: u32,
        path: u32,
        path_len: u32,
    ) -> Result<()> {
        let dir = self.dir_with(fd, rights::PATH_CREATE_DIRECTORY)?;
        Ok(dir.create_dir(mem.path(path, path_len)?)?)
    }

    /// `path_filestat_get`: attributes of a file.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory); [`Errno::Inval`] for unknown
    /// flags.
    pub fn path_filestat_get(
        &self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        lookup_flags: u32,
        path: u32,
        path_len: u32,
        result: u32,
    ) -> Result<()> {
        let follow = follows(lookup_flags)?;
        let dir = self.dir_with(fd, rights::PATH_FILESTAT_GET)?;
        let path = mem.path(path, path_len)?;
        let metadata = if follow {
            dir.metadata(path)?
        } else {
            dir.symlink_metadata(path)?
        };
        Filestat::from(&metadata).write(mem, result)
    }

    /// `path_filestat_set_times`: sets access and modification time of a file.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory); [`Errno::Inval`] for unknown or
    /// contradicting flags.
    pub fn path_filestat_set_times(
        &self,
        mem: &GuestMemory<'_>,
        fd: u32,
        lookup_flags: u32,
        path: u32,
        path_len: u32,
        atim: u64,
        mtim: u64,
        fst_flags: u32,
    ) -> Result<()> {
        let follow = follows(lookup_flags)?;
        let set = SetTimes::new(atim, mtim, fst_flags)?;
        let dir = self.dir_with(fd, rights::PATH_FILESTAT_SET_TIMES)?;
        let path = mem.path(path, path_len)?;
        let (atim, mtim) = (time_spec(set.atim), time_spec(set.mtim));
        if follow {
            dir.set_times(path, atim, mtim)?;
        } else {
            dir.set_symlink_times(path, atim, mtim)?;
        }
        Ok(())
    }

    /// `path_link`: makes another name for a file. A symbolic link is linked to, not followed.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory); [`Errno::Inval`] when asked to
    /// follow.
    pub fn path_link(
        &self,
        mem: &GuestMemory<'_>,
        old_fd: u32,
        old_flags: u32,
        old_path: u32,
        old_path_len: u32,
        new_fd: u32,
        new_path: u32,
        new_path_len: u32,
    ) -> Result<()> {
        let old_dir = self.dir_with(old_fd, rights::PATH_LINK_SOURCE)?;
        let new_dir = self.dir_with(new_fd, rights::PATH_LINK_TARGET)?;
        // The host cannot follow a link and stay beneath the directory in one step.
        if follows(old_flags)? {
            return Err(Errno::Inval);
        }
        let old_path = mem.path(old_path, old_path_len)?;
        let new_path = mem.path(new_path, new_path_len)?;
        Ok(old_dir.hard_link(old_path, new_dir, new_path)?)
    }

    /// `path_readlink`: the contents of a symbolic link, cut to the size of the buffer. A link to
    /// an absolute path is refused: it names something of the host.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory); [`Errno::Inval`] when it is not a
    /// symbolic link.
    pub fn path_readlink(
        &self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        path: u32,
        path_len: u32,
        buffer: u32,
        len: u32,
        result: u32,
    ) -> Result<()> {
        let dir = self.dir_with(fd, rights::PATH_READLINK)?;
        let contents = dir.read_link(mem.path(path, path_len)?)?;
        mem.check(result, 4)?;
        mem.check(buffer, len)?;
        let contents = contents.as_os_str().as_bytes();
        let used = contents.len().min(len as usize);
        mem.write(buffer, &contents[..used])?;
        mem.write_u32(result, used as u32)
    }

    /// `path_remove_directory`.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory).
    pub fn path_remove_directory(
        &self,
        mem: &GuestMemory<'_>,
        fd: u32,
        path: u32,
        path_len: u32,
    ) -> Result<()> {
        let dir = self.dir_with(fd, rights::PATH_REMOVE_DIRECTORY)?;
        // `cap-std` takes a trailing slash for a `.`, which a directory cannot be removed by.
        Ok(dir.remove_dir(without_trailing_slashes(mem.path(path, path_len)?))?)
    }

    /// `path_rename`: gives a file or directory another name, in place of what has that name.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory).
    pub fn path_rename(
        &self,
        mem: &GuestMemory<'_>,
        old_fd: u32,
        old_path: u32,
        old_path_len: u32,
        new_fd: u32,
        new_path: u32,
        new_path_len: u32,
    ) -> Result<()> {
        let old_dir = self.dir_with(old_fd, rights::PATH_RENAME_SOURCE)?;
        let new_dir = self.dir_with(new_fd, rights::PATH_RENAME_TARGET)?;
        let old_path = mem.path(old_path, old_path_len)?;
        let new_path = mem.path(new_path, new_path_len)?;
        Ok(old_dir.rename(old_path, new_dir, new_path)?)
    }

    /// `path_symlink`: makes a symbolic link at `new_path` with the contents `old_path`, which must
    /// not be absolute.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory).
    pub fn path_symlink(
        &self,
        mem: &GuestMemory<'_>,
        old_path: u32,
        old_path_len: u32,
        fd: u32,
        new_path: u32,
        new_path_len: u32,
    ) -> Result<()> {
        let dir = self.dir_with(fd, rights::PATH_SYMLINK)?;
        let old_path = mem.path(old_path, old_path_len)?;
        let new_path = mem.path(new_path, new_path_len)?;
        Ok(Dir::symlink(dir, old_path, new_path)?)
    }

    /// `path_unlink_file`: removes a name of a file that is not a directory.
    ///
    /// # Errors
    /// As [`path_create_directory`](Self::path_create_directory).
    pub fn path_unlink_file(
        &self,
        mem: &GuestMemory<'_>,
        fd: u32,
        path: u32,
        path_len: u32,
    ) -> Result<()> {
        let dir = self.dir_with(fd, rights::PATH_UNLINK_FILE)?;
        Ok(dir.remove_file(mem.path(path, path_len)?)?)
    }

    /// The directory behind a descriptor that has all of `rights`.
    fn dir_with(&self, fd: u32, rights: u64) -> Result<&Dir> {
        let descriptor = self.table.get(fd)?;
        let dir = descriptor.as_dir()?;
        descriptor.require(rights)?;
        Ok(&dir.dir)
    }
}

/// The path without slashes at its end, unless it is nothing else.
fn without_trailing_slashes(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/');
    match end {
        Some(last) => Path::new(OsStr::from_bytes(&bytes[..=last])),
        None => path,
    }
}

fn time_spec(time: SetTime) -> Option<SystemTimeSpec> {
    match time {
        SetTime::Keep => None,
        SetTime::Now => Some(SystemTimeSpec::SymbolicNow),
        SetTime::To(nanoseconds) => {
            let time = UNIX_EPOCH + Duration::from_nanos(nanoseconds);
            Some(SystemTimeSpec::Absolute(SystemTime::from_std(time)))
        }
    }
}
