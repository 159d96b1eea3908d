//! Transfer of data: `fd_read`, `fd_write`, `fd_pread`, `fd_pwrite`, `fd_seek`, `fd_tell`.

use crate::abi::flags::{self, whence};
use crate::abi::records::Filetype;
use crate::abi::rights;
use crate::ctx::WasiCtx;
use crate::descriptor::{Descriptor, HostFile, Kind};
use crate::errno::{Errno, Result};
use crate::guest::{Buffer, GuestMemory};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::SeekFrom;
use rustix::io::retry_on_intr;
use std::io::{self, IoSlice, Read, Write};

impl WasiCtx {
    /// `fd_read`: reads into the buffers of the list `iovs`, one after the other.
    ///
    /// # Errors
    /// [`Errno::Badf`], also for a descriptor not open for reading; [`Errno::Isdir`],
    /// [`Errno::Fault`], [`Errno::Again`] for one that must not block, those of the host.
    pub fn fd_read(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        iovs: u32,
        count: u32,
        result: u32,
    ) -> Result<()> {
        let descriptor = self.table.get_mut_with(fd, rights::FD_READ)?;
        mem.check(result, 4)?;
        let buffers = mem.buffers(iovs, count)?;
        let transferred = read(descriptor, mem, &buffers)?;
        mem.write_u32(result, transferred)
    }

    /// `fd_pread`: as [`fd_read`](Self::fd_read), at `offset`, leaving the position alone.
    ///
    /// # Errors
    /// As [`fd_read`](Self::fd_read); [`Errno::Spipe`] where there is no position.
    pub fn fd_pread(
        &self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        iovs: u32,
        count: u32,
        offset: u64,
        result: u32,
    ) -> Result<()> {
        let file = self
            .table
            .get_with(fd, rights::FD_READ | rights::FD_SEEK)?
            .as_file()?;
        mem.check(result, 4)?;
        let buffers = mem.buffers(iovs, count)?;
        let transferred = read_each(mem, &buffers, |target, done| {
            let at = offset.checked_add(done).ok_or(Errno::Inval)?;
            Ok(retry_on_intr(|| {
                rustix::io::pread(&file.file, &mut *target, at)
            })?)
        })?;
        mem.write_u32(result, transferred)
    }

    /// `fd_write`: writes the buffers of the list `iovs`. Whatever the call reports as written has
    /// left this process, or has been flushed to the embedder's stream.
    ///
    /// # Errors
    /// [`Errno::Badf`], also for a descriptor not open for writing; [`Errno::Isdir`],
    /// [`Errno::Fault`], [`Errno::Again`] for one that must not block, those of the host.
    pub fn fd_write(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        iovs: u32,
        count: u32,
        result: u32,
    ) -> Result<()> {
        let descriptor = self.table.get_mut_with(fd, rights::FD_WRITE)?;
        mem.check(result, 4)?;
        let buffers = mem.buffers(iovs, count)?;
        let transferred = write(descriptor, mem, &buffers)?;
        mem.write_u32(result, transferred)
    }

    /// `fd_pwrite`: as [`fd_write`](Self::fd_write), at `offset`, leaving the position alone. To a
    /// file in append mode it appends, as on Linux.
    ///
    /// # Errors
    /// As [`fd_write`](Self::fd_write); [`Errno::Spipe`] where there is no position.
    pub fn fd_pwrite(
        &self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        iovs: u32,
        count: u32,
        offset: u64,
        result: u32,
    ) -> Result<()> {
        let file = self
            .table
            .get_with(fd, rights::FD_WRITE | rights::FD_SEEK)?
            .as_file()?;
        mem.check(result, 4)?;
        let slices = gather(mem, &mem.buffers(iovs, count)?)?;
        let transferred = retry_on_intr(|| rustix::io::pwritev(&file.file, &slices, offset))?;
        mem.write_u32(result, transferred as u32)
    }

    /// `fd_seek`: moves the position; the new one goes to `result`.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Spipe`] where there is no position, [`Errno::Notcapable`],
    /// [`Errno::Inval`] before the start or for an unknown `whence`, [`Errno::Fault`].
    pub fn fd_seek(
        &self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        offset: i64,
        whence: u32,
        result: u32,
    ) -> Result<()> {
        let to = match whence {
            whence::SET => SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?),
            whence::CUR => SeekFrom::Current(offset),
            whence::END => SeekFrom::End(offset),
            _ => return Err(Errno::Inval),
        };
        if to == SeekFrom::Current(0) {
            return self.fd_tell(mem, fd, result);
        }
        let file = self.table.get_with(fd, rights::FD_SEEK)?.as_file()?;
        mem.check(result, 8)?;
        mem.write_u64(result, rustix::fs::seek(&file.file, to)?)
    }

    /// `fd_tell`: the position.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Spipe`] where there is none, [`Errno::Notcapable`],
    /// [`Errno::Fault`].
    pub fn fd_tell(&self, mem: &mut GuestMemory<'_>, fd: u32, result: u32) -> Result<()> {
        let descriptor = self.table.get(fd)?;
        // The right to seek includes this one.
        if descriptor.base & rights::FD_SEEK == 0 {
            descriptor.require(rights::FD_TELL)?;
        }
        let position = rustix::fs::tell(&descriptor.as_file()?.file)?;
        mem.write_u64(result, position)
    }
}

/// Reads into buffers, as many bytes as can be had without waiting for more.
fn read(descriptor: &mut Descriptor, mem: &mut GuestMemory<'_>, buffers: &[Buffer]) -> Result<u32> {
    match &mut descriptor.kind {
        Kind::File(file) => {
            may_transfer(file, descriptor.flags, PollFlags::IN)?;
            // Once something has been read from a terminal or a pipe, reading on could block.
            let buffers = match file.filetype {
                Filetype::RegularFile => buffers,
                _ => &buffers[..buffers.len().min(1)],
            };
            read_each(mem, buffers, |target, _| {
                Ok(retry_on_intr(|| {
                    rustix::io::read(&file.file, &mut *target)
                })?)
            })
        }
        Kind::Reader(stream) => read_each(mem, &buffers[..buffers.len().min(1)], |target, _| {
            read_stream(stream, target)
        }),
        Kind::Dir(_) => Err(Errno::Isdir),
        Kind::Writer(_) => Err(Errno::Badf),
    }
}

fn read_stream(stream: &mut dyn Read, target: &mut [u8]) -> Result<usize> {
    loop {
        match stream.read(target) {
            // More than there is room for is a broken stream, but no reason to trust the number.
            Ok(read) => return Ok(read.min(target.len())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Fills buffers with `read_some(target, bytes so far)` until one does not get full.
///
/// One buffer at a time, because buffers of a guest may overlap. An error after the first buffer is
/// kept back: it returns with the next call, and what was read is not lost.
fn read_each(
    mem: &mut GuestMemory<'_>,
    buffers: &[Buffer],
    mut read_some: impl FnMut(&mut [u8], u64) -> Result<usize>,
) -> Result<u32> {
    let mut total = 0;
    for buffer in buffers {
        let target = mem.slice_mut(buffer.address, buffer.len)?;
        let read = match read_some(target, u64::from(total)) {
            Ok(read) => read as u32,
            Err(error) if total == 0 => return Err(error),
            Err(_) => break,
        };
        total += read;
        if read < buffer.len {
            break;
        }
    }
    Ok(total)
}

/// Writes buffers, in one system call where there is one.
fn write(descriptor: &mut Descriptor, mem: &GuestMemory<'_>, buffers: &[Buffer]) -> Result<u32> {
    match &mut descriptor.kind {
        Kind::File(file) => {
            may_transfer(file, descriptor.flags, PollFlags::OUT)?;
            let slices = gather(mem, buffers)?;
            Ok(retry_on_intr(|| rustix::io::writev(&file.file, &slices))? as u32)
        }
        Kind::Writer(stream) => {
            let written = write_stream(stream, mem, buffers)?;
            stream.flush()?;
            Ok(written)
        }
        Kind::Dir(_) => Err(Errno::Isdir),
        Kind::Reader(_) => Err(Errno::Badf),
    }
}

/// Writes buffers to a stream until it takes no more. An error after the first byte is kept back.
fn write_stream(stream: &mut dyn Write, mem: &GuestMemory<'_>, buffers: &[Buffer]) -> Result<u32> {
    let mut total = 0;
    for buffer in buffers {
        let mut rest = mem.slice(buffer.address, buffer.len)?;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(0) if total == 0 => return Err(Errno::Io),
                Ok(0) => return Ok(total),
                Ok(written) => {
                    let written = written.min(rest.len());
                    rest = &rest[written..];
                    total += written as u32;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if total == 0 => return Err(error.into()),
                Err(_) => return Ok(total),
            }
        }
    }
    Ok(total)
}

fn gather<'m>(mem: &'m GuestMemory<'_>, buffers: &[Buffer]) -> Result<Vec<IoSlice<'m>>> {
    let slice = |buffer: &Buffer| Ok(IoSlice::new(mem.slice(buffer.address, buffer.len)?));
    buffers.iter().map(slice).collect()
}

/// Keeps a transfer from blocking on a stream shared with this process, whose own flags do not
/// change with the guest's.
///
/// # Errors
/// [`Errno::Again`] when the transfer would block and must not.
fn may_transfer(file: &HostFile, descriptor_flags: u32, direction: PollFlags) -> Result<()> {
    if !file.shared || descriptor_flags & flags::fd::NONBLOCK == 0 {
        return Ok(());
    }
    let mut fds = [PollFd::new(&file.file, direction)];
    let no_wait = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match retry_on_intr(|| rustix::event::poll(&mut fds, Some(&no_wait)))? {
        0 => Err(Errno::Again),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::WasiCtxBuilder;
    use crate::descriptor::Direction;
    use std::io::{PipeReader, PipeWriter, pipe};
    use std::os::fd::AsFd;

    /// A guest with the reading end of one pipe and the writing end of another, as if inherited;
    /// and the other ends.
    fn piped() -> (WasiCtx, u32, u32, PipeWriter, PipeReader) {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let (input, feed) = pipe().unwrap();
        let (drain, output) = pipe().unwrap();
        let input = Descriptor::standard(input.into(), Direction::In).unwrap();
        let output = Descriptor::standard(output.into(), Direction::Out).unwrap();
        let input = ctx.table.insert(input).unwrap();
        let output = ctx.table.insert(output).unwrap();
        (ctx, input, output, feed, drain)
    }

    /// Memory with a list of two buffers, of 4 and 60 bytes at 64 and 68.
    fn memory() -> [u8; 128] {
        let mut bytes = [0; 128];
        let mut mem = GuestMemory::new(&mut bytes);
        for (at, word) in [(0, 64), (4, 4), (8, 68), (12, 60)] {
            mem.write_u32(at, word).unwrap();
        }
        bytes
    }

    #[test]
    fn a_pipe_is_read_without_waiting_for_more_than_there_is() {
        let (mut ctx, input, _, mut feed, _drain) = piped();
        let mut bytes = memory();
        let mut mem = GuestMemory::new(&mut bytes);
        // As much as the first buffer holds: asking on for the second one would wait.
        feed.write_all(b"abcd").unwrap();
        ctx.fd_read(&mut mem, input, 0, 2, 32).unwrap();
        assert_eq!(
            (mem.read_u32(32), mem.slice(64, 4)),
            (Ok(4), Ok(&b"abcd"[..]))
        );
        drop(feed);
        ctx.fd_read(&mut mem, input, 0, 2, 32).unwrap();
        assert_eq!(mem.read_u32(32), Ok(0));
    }

    #[test]
    fn writes_reach_a_pipe_at_once_and_report_that_it_is_gone() {
        let (mut ctx, _, output, _feed, mut drain) = piped();
        let mut bytes = memory();
        let mut mem = GuestMemory::new(&mut bytes);
        mem.write(64, b"no newline").unwrap();
        ctx.fd_write(&mut mem, output, 0, 2, 32).unwrap();
        assert_eq!(mem.read_u32(32), Ok(64));
        let mut received = [0; 64];
        drain.read_exact(&mut received).unwrap();
        assert_eq!(received[..10], *b"no newline");
        drop(drain);
        assert_eq!(ctx.fd_write(&mut mem, output, 0, 2, 32), Err(Errno::Pipe));
    }

    #[test]
    fn not_blocking_does_not_change_the_stream_for_this_process() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let (input, mut feed) = pipe().unwrap();
        let shared = input.as_fd().try_clone_to_owned().unwrap();
        let descriptor = Descriptor::standard(shared, Direction::In).unwrap();
        let fd = ctx.table.insert(descriptor).unwrap();
        let mut bytes = memory();
        let mut mem = GuestMemory::new(&mut bytes);
        ctx.fd_fdstat_set_flags(fd, flags::fd::NONBLOCK).unwrap();
        assert_eq!(ctx.fd_read(&mut mem, fd, 0, 2, 32), Err(Errno::Again));
        let host = rustix::fs::fcntl_getfl(&input).unwrap();
        assert!(!host.contains(rustix::fs::OFlags::NONBLOCK));
        feed.write_all(b"x").unwrap();
        assert_eq!(ctx.fd_read(&mut mem, fd, 0, 2, 32), Ok(()));
        let append = ctx.fd_fdstat_set_flags(fd, flags::fd::APPEND);
        assert_eq!(append, Err(Errno::Notsup));
    }

    #[test]
    fn positions_of_a_pipe_are_refused() {
        let (ctx, input, output, _feed, _drain) = piped();
        let mut bytes = memory();
        let mut mem = GuestMemory::new(&mut bytes);
        for fd in [input, output] {
            assert_eq!(ctx.fd_seek(&mut mem, fd, 0, 1, 32), Err(Errno::Spipe));
            assert_eq!(ctx.fd_seek(&mut mem, fd, 1, 0, 32), Err(Errno::Spipe));
            assert_eq!(ctx.fd_tell(&mut mem, fd, 32), Err(Errno::Spipe));
        }
        assert_eq!(
            ctx.fd_pread(&mut mem, input, 0, 2, 0, 32),
            Err(Errno::Spipe)
        );
        assert_eq!(
            ctx.fd_pwrite(&mut mem, output, 0, 2, 0, 32),
            Err(Errno::Spipe)
        );
    }
}
