//! Opening files by name: `path_open`.

use crate::abi::flags::{self, follows, open};
use crate::abi::records::Filetype;
use crate::abi::rights;
use crate::ctx::WasiCtx;
use crate::descriptor::Descriptor;
use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;
use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use std::path::Path;

impl WasiCtx {
    /// `path_open`: opens or creates a file, or opens a directory; the lowest free descriptor
    /// number goes to `result`.
    ///
    /// The new descriptor has the rights asked for that the directory passes on and that make sense
    /// on what was opened. It is an error only if reading or writing are asked for and not passed
    /// on: programs ask for more than they need of the rest. The file is opened for reading or for
    /// writing as the rights need it.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notdir`], [`Errno::Notcapable`], [`Errno::Fault`],
    /// [`Errno::Inval`] for unknown or contradicting flags, [`Errno::Perm`] for a path that leads
    /// out of the directory, [`Errno::Loop`] for a symbolic link not to be followed,
    /// [`Errno::Isdir`] for a directory to be written, those of the host.
    #[expect(
        clippy::too_many_arguments,
        reason = "the signature is that of preview 1"
    )]
    pub fn path_open(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        lookup_flags: u32,
        path: u32,
        path_len: u32,
        open_flags: u32,
        base: u64,
        inheriting: u64,
        fd_flags: u32,
        result: u32,
    ) -> Result<()> {
        let parent = self.table.get(fd)?;
        let dir = &parent.as_dir()?.dir;
        let request = Request {
            follow: follows(lookup_flags)?,
            open_flags: flags::known(open_flags, open::ALL)?,
            fd_flags: flags::known(fd_flags, flags::fd::ALL)?,
            base: base & parent.inheriting,
        };
        request.check()?;
        parent.require(request.needed_of_parent())?;
        if base & !parent.inheriting & (rights::FD_READ | rights::FD_WRITE) != 0 {
            return Err(Errno::Notcapable);
        }
        mem.check(result, 4)?;
        let inheriting = inheriting & parent.inheriting;
        let descriptor = request.open(dir, mem.path(path, path_len)?, inheriting)?;
        let fd = self.table.insert(descriptor)?;
        mem.write_u32(result, fd)
    }
}

/// What a guest wants opened, and how.
struct Request {
    follow: bool,
    open_flags: u32,
    fd_flags: u32,
    base: u64,
}

impl Request {
    fn wants(&self, open_flag: u32) -> bool {
        self.open_flags & open_flag != 0
    }

    /// Refuses flags that contradict each other.
    fn check(&self) -> Result<()> {
        if self.wants(open::DIRECTORY) && self.wants(open::CREAT | open::TRUNC) {
            return Err(Errno::Inval);
        }
        Ok(())
    }

    /// The rights the directory must have for the request.
    fn needed_of_parent(&self) -> u64 {
        let mut needed = rights::PATH_OPEN;
        if self.wants(open::CREAT) {
            needed |= rights::PATH_CREATE_FILE;
        }
        if self.wants(open::TRUNC) {
            needed |= rights::PATH_FILESTAT_SET_SIZE;
        }
        needed
    }

    fn open(&self, dir: &Dir, path: &Path, inheriting: u64) -> Result<Descriptor> {
        let file = self.open_file(dir, path)?;
        let filetype = Filetype::from(file.metadata()?.file_type());
        if filetype == Filetype::Directory {
            if self.base & rights::FD_WRITE != 0 && !self.wants(open::DIRECTORY) {
                return Err(Errno::Isdir);
            }
            let dir = Dir::from_std_file(file.into_std());
            // Only waiting makes sense on a directory, and it has no effect.
            let fd_flags = self.fd_flags & flags::fd::NONBLOCK;
            return Ok(Descriptor::dir(dir, self.base, inheriting, fd_flags));
        }
        if self.wants(open::DIRECTORY) {
            return Err(Errno::Notdir);
        }
        Ok(Descriptor::file(file, filetype, self.base, self.fd_flags))
    }

    /// Opens the file on the host with the access the rights need.
    ///
    /// Creating and cutting a file need it opened for writing here, even if the guest has no right
    /// to write: the descriptor's rights keep it from doing so. A file that exists and cannot be
    /// written can still be opened by a guest that has asked to create it if missing.
    fn open_file(&self, dir: &Dir, path: &Path) -> Result<File> {
        let write = self.base & rights::NEED_WRITE != 0 && !self.wants(open::DIRECTORY);
        let creates = self.wants(open::CREAT | open::TRUNC);
        let options = self.options(write || creates, self.open_flags);
        match dir.open_with(path, &options).map_err(Errno::from) {
            Ok(file) => Ok(file),
            Err(Errno::Acces | Errno::Rofs | Errno::Txtbsy)
                if !write && !self.wants(open::TRUNC | open::EXCL) =>
            {
                let options = self.options(false, self.open_flags & !open::CREAT);
                Ok(dir.open_with(path, &options)?)
            }
            Err(error) => Err(error),
        }
    }

    fn options(&self, write: bool, open_flags: u32) -> OpenOptions {
        let read = self.base & (rights::FD_READ | rights::FD_READDIR) != 0;
        let has = |flag| open_flags & flag != 0;
        let mut options = OpenOptions::new();
        options
            .read(read || !write)
            .write(write)
            .create(has(open::CREAT))
            .create_new(has(open::CREAT) && has(open::EXCL))
            .truncate(has(open::TRUNC))
            .follow(if self.follow {
                FollowSymlinks::Yes
            } else {
                FollowSymlinks::No
            })
            .sync(self.fd_flags & (flags::fd::SYNC | flags::fd::RSYNC) != 0)
            .dsync(self.fd_flags & flags::fd::DSYNC != 0)
            .nonblock(self.fd_flags & flags::fd::NONBLOCK != 0);
        // A terminal in the directory must not become this process's. Appending goes this way
        // because the other refuses to append to a file being cut.
        let mut host_flags = OFlags::NOCTTY;
        host_flags.set(OFlags::APPEND, self.fd_flags & flags::fd::APPEND != 0);
        host_flags.set(OFlags::DIRECTORY, has(open::DIRECTORY));
        options.custom_flags(host_flags.bits() as i32);
        options
    }
}
