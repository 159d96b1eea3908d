//! The state of descriptors: `fd_close`, `fd_fdstat_*`, `fd_filestat_*`, `fd_prestat_*` and others
//! that transfer no data.

use crate::abi::flags::{self, times};
use crate::abi::records::{Fdstat, Filestat};
use crate::abi::rights;
use crate::ctx::{WasiCtx, flush};
use crate::descriptor::{HostDir, HostFile, Kind};
use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;
use rustix::fs::{Advice, FallocateFlags, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::retry_on_intr;
use std::num::NonZeroU64;

impl WasiCtx {
    /// `fd_close`.
    ///
    /// # Errors
    /// [`Errno::Badf`]; the error of flushing a stream, which is closed all the same.
    pub fn fd_close(&mut self, fd: u32) -> Result<()> {
        flush(&mut self.table.remove(fd)?)
    }

    /// `fd_renumber`: makes `to`, which must be open and is closed, what `from` was.
    ///
    /// # Errors
    /// [`Errno::Badf`]; the error of flushing what `to` was.
    pub fn fd_renumber(&mut self, from: u32, to: u32) -> Result<()> {
        match self.table.renumber(from, to)? {
            Some(mut replaced) => flush(&mut replaced),
            None => Ok(()),
        }
    }

    /// `fd_advise`: tells the host how a part of a file will be read.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], [`Errno::Inval`] for an unknown advice, those of
    /// the host.
    pub fn fd_advise(&self, fd: u32, offset: u64, len: u64, advice: u32) -> Result<()> {
        let advice = match advice {
            0 => Advice::Normal,
            1 => Advice::Sequential,
            2 => Advice::Random,
            3 => Advice::WillNeed,
            4 => Advice::DontNeed,
            5 => Advice::NoReuse,
            _ => return Err(Errno::Inval),
        };
        let file = self.table.get_with(fd, rights::FD_ADVISE)?.as_file()?;
        rustix::fs::fadvise(&file.file, offset, NonZeroU64::new(len), advice)?;
        Ok(())
    }

    /// `fd_allocate`: makes a file have the bytes `offset .. offset + len`, growing it if needed.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], those of the host ([`Errno::Inval`] for no bytes,
    /// [`Errno::Notsup`] on some file systems).
    pub fn fd_allocate(&self, fd: u32, offset: u64, len: u64) -> Result<()> {
        let file = self.table.get_with(fd, rights::FD_ALLOCATE)?.as_file()?;
        let flags = FallocateFlags::empty();
        retry_on_intr(|| rustix::fs::fallocate(&file.file, flags, offset, len))?;
        Ok(())
    }

    /// `fd_sync`: waits until data and attributes are on the disk.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], those of the host.
    pub fn fd_sync(&mut self, fd: u32) -> Result<()> {
        self.synchronize(fd, rights::FD_SYNC, |file| file.sync_all())
    }

    /// `fd_datasync`: waits until data is on the disk.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], those of the host.
    pub fn fd_datasync(&mut self, fd: u32) -> Result<()> {
        self.synchronize(fd, rights::FD_DATASYNC, |file| file.sync_data())
    }

    fn synchronize(
        &mut self,
        fd: u32,
        right: u64,
        sync: impl FnOnce(&cap_std::fs::File) -> std::io::Result<()>,
    ) -> Result<()> {
        let descriptor = self.table.get_mut_with(fd, right)?;
        match &descriptor.kind {
            Kind::File(file) => Ok(sync(&file.file)?),
            Kind::Dir(dir) => Ok(sync(&dir.reopen()?)?),
            // As a system call on a pipe.
            Kind::Reader(_) => Err(Errno::Inval),
            Kind::Writer(_) => flush(descriptor),
        }
    }

    /// `fd_fdstat_get`: kind, flags and rights of a descriptor.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Fault`].
    pub fn fd_fdstat_get(&self, mem: &mut GuestMemory<'_>, fd: u32, result: u32) -> Result<()> {
        let descriptor = self.table.get(fd)?;
        let stat = Fdstat {
            filetype: descriptor.filetype(),
            flags: descriptor.flags,
            base: descriptor.base,
            inheriting: descriptor.inheriting,
        };
        stat.write(mem, result)
    }

    /// `fd_fdstat_set_flags`: switches appending and non-blocking mode.
    ///
    /// Synchronized writing cannot be switched, as with `fcntl`: keep it, or leave it out without
    /// effect.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], [`Errno::Inval`] for unknown flags,
    /// [`Errno::Notsup`] for flags this descriptor cannot have.
    pub fn fd_fdstat_set_flags(&mut self, fd: u32, wanted: u32) -> Result<()> {
        flags::known(wanted, flags::fd::ALL)?;
        let descriptor = self.table.get_mut_with(fd, rights::FD_FDSTAT_SET_FLAGS)?;
        let current = descriptor.flags;
        let fixed = current & flags::fd::SYNCHRONIZED;
        if wanted & flags::fd::SYNCHRONIZED & !fixed != 0 {
            return Err(Errno::Notsup);
        }
        let wanted = wanted & !flags::fd::SYNCHRONIZED | fixed;
        let changed = wanted ^ current;
        match &descriptor.kind {
            Kind::File(HostFile {
                shared: false,
                file,
                ..
            }) => {
                let mut host = rustix::fs::fcntl_getfl(file)?;
                host.set(OFlags::APPEND, wanted & flags::fd::APPEND != 0);
                host.set(OFlags::NONBLOCK, wanted & flags::fd::NONBLOCK != 0);
                rustix::fs::fcntl_setfl(file, host)?;
            }
            // Flags of the process's own streams stay as they are on the host. Not blocking is done
            // by asking before each transfer; for appending there is no such way.
            Kind::File(_) | Kind::Dir(_) => {
                if changed & flags::fd::APPEND != 0 {
                    return Err(Errno::Notsup);
                }
            }
            // Whether an embedder's stream blocks is up to the embedder.
            Kind::Reader(_) | Kind::Writer(_) => {
                if wanted & flags::fd::NONBLOCK != 0 {
                    return Err(Errno::Notsup);
                }
            }
        }
        descriptor.flags = wanted;
        Ok(())
    }

    /// `fd_fdstat_set_rights`: gives rights up.
    ///
    /// # Errors
    /// [`Errno::Badf`]; [`Errno::Notcapable`] for rights the descriptor does not have.
    pub fn fd_fdstat_set_rights(&mut self, fd: u32, base: u64, inheriting: u64) -> Result<()> {
        let descriptor = self.table.get_mut(fd)?;
        if base & !descriptor.base != 0 || inheriting & !descriptor.inheriting != 0 {
            return Err(Errno::Notcapable);
        }
        descriptor.base = base;
        descriptor.inheriting = inheriting;
        Ok(())
    }

    /// `fd_filestat_get`: attributes of an open file.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], [`Errno::Fault`], those of the host.
    pub fn fd_filestat_get(&self, mem: &mut GuestMemory<'_>, fd: u32, result: u32) -> Result<()> {
        let descriptor = self.table.get_with(fd, rights::FD_FILESTAT_GET)?;
        let stat = match &descriptor.kind {
            Kind::File(file) => Filestat::from(&file.file.metadata()?),
            Kind::Dir(dir) => Filestat::from(&dir.dir.dir_metadata()?),
            Kind::Reader(_) | Kind::Writer(_) => Filestat::anonymous(descriptor.filetype()),
        };
        stat.write(mem, result)
    }

    /// `fd_filestat_set_size`: cuts a file, or grows it with zeroes.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], those of the host ([`Errno::Inval`] beyond 2⁶³).
    pub fn fd_filestat_set_size(&self, fd: u32, size: u64) -> Result<()> {
        let file = self
            .table
            .get_with(fd, rights::FD_FILESTAT_SET_SIZE)?
            .as_file()?;
        Ok(file.file.set_len(size)?)
    }

    /// `fd_filestat_set_times`: sets access and modification time.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notcapable`], [`Errno::Inval`] for contradicting flags, those of
    /// the host.
    pub fn fd_filestat_set_times(
        &self,
        fd: u32,
        atim: u64,
        mtim: u64,
        fst_flags: u32,
    ) -> Result<()> {
        let set = SetTimes::new(atim, mtim, fst_flags)?;
        let descriptor = self.table.get_with(fd, rights::FD_FILESTAT_SET_TIMES)?;
        let times = Timestamps {
            last_access: set.atim.host(),
            last_modification: set.mtim.host(),
        };
        match &descriptor.kind {
            Kind::File(HostFile { file, .. }) => rustix::fs::futimens(file, &times)?,
            Kind::Dir(dir) => rustix::fs::futimens(&dir.reopen()?, &times)?,
            Kind::Reader(_) | Kind::Writer(_) => return Err(Errno::Notsup),
        }
        Ok(())
    }

    /// `fd_prestat_get`: the length of a preopened directory's name.
    ///
    /// # Errors
    /// [`Errno::Badf`] when it is not a preopened directory, [`Errno::Fault`].
    pub fn fd_prestat_get(&self, mem: &mut GuestMemory<'_>, fd: u32, result: u32) -> Result<()> {
        let len = u32::try_from(self.preopen_name(fd)?.len()).map_err(|_| Errno::Overflow)?;
        mem.check(result, 8)?;
        // The tag of a directory, the only kind there is.
        mem.write_u32(result, 0)?;
        mem.write_u32(result + 4, len)
    }

    /// `fd_prestat_dir_name`: the name of a preopened directory, without a NUL.
    ///
    /// # Errors
    /// [`Errno::Badf`] when it is not a preopened directory, [`Errno::Nametoolong`] when the name
    /// does not fit, [`Errno::Fault`].
    pub fn fd_prestat_dir_name(
        &self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        buffer: u32,
        len: u32,
    ) -> Result<()> {
        let name = self.preopen_name(fd)?;
        if name.len() > len as usize {
            return Err(Errno::Nametoolong);
        }
        mem.write(buffer, name)
    }

    fn preopen_name(&self, fd: u32) -> Result<&[u8]> {
        match &self.table.get(fd)?.kind {
            Kind::Dir(HostDir {
                preopened_as: Some(name),
                ..
            }) => Ok(name),
            _ => Err(Errno::Badf),
        }
    }
}

/// What `fstflags` ask for, for both times.
pub(crate) struct SetTimes {
    pub(crate) atim: SetTime,
    pub(crate) mtim: SetTime,
}

/// What is to become of one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetTime {
    Keep,
    Now,
    /// Nanoseconds since 1970.
    To(u64),
}

impl SetTimes {
    /// # Errors
    /// [`Errno::Inval`] for unknown flags, and for a time to be set both to now and to a value.
    pub(crate) fn new(atim: u64, mtim: u64, fst_flags: u32) -> Result<SetTimes> {
        flags::known(fst_flags, times::ALL)?;
        let one = |value, to: u32, now: u32| match (fst_flags & to != 0, fst_flags & now != 0) {
            (false, false) => Ok(SetTime::Keep),
            (true, false) => Ok(SetTime::To(value)),
            (false, true) => Ok(SetTime::Now),
            (true, true) => Err(Errno::Inval),
        };
        Ok(SetTimes {
            atim: one(atim, times::ATIM, times::ATIM_NOW)?,
            mtim: one(mtim, times::MTIM, times::MTIM_NOW)?,
        })
    }
}

impl SetTime {
    fn host(self) -> Timespec {
        match self {
            SetTime::Keep => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            SetTime::Now => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
            SetTime::To(nanoseconds) => Timespec {
                tv_sec: (nanoseconds / 1_000_000_000) as i64,
                tv_nsec: (nanoseconds % 1_000_000_000) as i64,
            },
        }
    }
}
