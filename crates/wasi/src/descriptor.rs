//! What a guest's file descriptor stands for.

use crate::abi::records::Filetype;
use crate::abi::{flags, rights};
use crate::errno::{Errno, Result};
use crate::readdir::Listing;
use cap_std::fs::{Dir, File};
use rustix::fs::OFlags;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An open descriptor with its rights and flags.
pub(crate) struct Descriptor {
    pub(crate) kind: Kind,
    /// What may be done with the descriptor itself.
    pub(crate) base: u64,
    /// What descriptors opened through it may have at most.
    pub(crate) inheriting: u64,
    /// `fdflags`.
    pub(crate) flags: u32,
}

/// The four things a descriptor can be.
pub(crate) enum Kind {
    /// An open file of the host: a regular file, a device, a pipe, a terminal.
    File(HostFile),
    /// A directory of the host.
    Dir(HostDir),
    /// A stream to read from, provided by the embedder.
    Reader(Box<dyn Read + Send>),
    /// A stream to write to, provided by the embedder.
    Writer(Box<dyn Write + Send>),
}

/// An open file of the host.
pub(crate) struct HostFile {
    pub(crate) file: File,
    pub(crate) filetype: Filetype,
    /// Whether the embedding process uses the same open file description, as with its standard
    /// streams. Its flags are left alone then: they would change for the process too.
    pub(crate) shared: bool,
}

/// A directory of the host.
pub(crate) struct HostDir {
    pub(crate) dir: Dir,
    /// The guest's name of a preopened directory.
    pub(crate) preopened_as: Option<Vec<u8>>,
    /// The entries as of the last time reading began at the start.
    pub(crate) listing: Option<Listing>,
}

/// Which way a standard stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

impl Direction {
    /// The rights a standard stream of this direction must not have.
    fn denied(self) -> u64 {
        match self {
            Direction::In => rights::NEED_WRITE,
            Direction::Out => rights::FD_READ,
        }
    }
}

impl Descriptor {
    /// A file opened through a directory. `base` is cut to what makes sense on a file.
    pub(crate) fn file(file: File, filetype: Filetype, base: u64, flags: u32) -> Descriptor {
        let applicable = if filetype == Filetype::RegularFile || filetype == Filetype::BlockDevice {
            rights::FILE
        } else {
            stream_rights(file.as_fd())
        };
        Descriptor {
            kind: Kind::File(HostFile {
                file,
                filetype,
                shared: false,
            }),
            base: base & applicable,
            inheriting: 0,
            flags,
        }
    }

    /// A directory opened through another one. `base` is cut to what makes sense on a directory.
    pub(crate) fn dir(dir: Dir, base: u64, inheriting: u64, flags: u32) -> Descriptor {
        let kind = Kind::Dir(HostDir {
            dir,
            preopened_as: None,
            listing: None,
        });
        Descriptor {
            kind,
            base: base & rights::DIRECTORY,
            inheriting,
            flags,
        }
    }

    /// A directory the guest finds open when it starts, known to it as `name`.
    pub(crate) fn preopened(dir: Dir, name: Vec<u8>, allowed: u64) -> Descriptor {
        let kind = Kind::Dir(HostDir {
            dir,
            preopened_as: Some(name),
            listing: None,
        });
        Descriptor {
            kind,
            base: allowed & rights::DIRECTORY,
            inheriting: allowed,
            flags: 0,
        }
    }

    /// A standard stream of the embedding process; `fd` is a duplicate that the guest may close.
    pub(crate) fn standard(fd: OwnedFd, direction: Direction) -> io::Result<Descriptor> {
        let host_flags = rustix::fs::fcntl_getfl(&fd)?;
        let file = File::from_std(fd.into());
        let filetype = Filetype::from(file.metadata()?.file_type());
        let applicable = if filetype == Filetype::RegularFile || filetype == Filetype::BlockDevice {
            rights::FILE
        } else {
            stream_rights(file.as_fd())
        };
        let mut flags = 0;
        if host_flags.contains(OFlags::APPEND) {
            flags |= flags::fd::APPEND;
        }
        if host_flags.contains(OFlags::NONBLOCK) {
            flags |= flags::fd::NONBLOCK;
        }
        Ok(Descriptor {
            kind: Kind::File(HostFile {
                file,
                filetype,
                shared: true,
            }),
            base: applicable & !direction.denied(),
            inheriting: 0,
            flags,
        })
    }

    /// A stream the guest reads from.
    pub(crate) fn reader(stream: Box<dyn Read + Send>) -> Descriptor {
        Descriptor {
            kind: Kind::Reader(stream),
            base: rights::STREAM & !Direction::In.denied(),
            inheriting: 0,
            flags: 0,
        }
    }

    /// A stream the guest writes to.
    pub(crate) fn writer(stream: Box<dyn Write + Send>) -> Descriptor {
        Descriptor {
            kind: Kind::Writer(stream),
            base: rights::STREAM & !Direction::Out.denied(),
            inheriting: 0,
            flags: 0,
        }
    }

    /// `filetype` of the descriptor.
    pub(crate) fn filetype(&self) -> Filetype {
        match &self.kind {
            Kind::File(file) => file.filetype,
            Kind::Dir(_) => Filetype::Directory,
            Kind::Reader(_) | Kind::Writer(_) => Filetype::Unknown,
        }
    }

    /// Checks that the descriptor may be used for all of `wanted`.
    ///
    /// # Errors
    /// As a system call would fail where there is such a failure: [`Errno::Isdir`] for reading or
    /// writing a directory, [`Errno::Badf`] for reading or writing against the access mode,
    /// [`Errno::Spipe`] for a position in something that has none. [`Errno::Notcapable`] else.
    pub(crate) fn require(&self, wanted: u64) -> Result<()> {
        let missing = wanted & !self.base;
        if missing == 0 {
            return Ok(());
        }
        let transfers = missing & (rights::FD_READ | rights::FD_WRITE) != 0;
        let positions = missing & (rights::FD_SEEK | rights::FD_TELL) != 0;
        let has_position = match &self.kind {
            Kind::Dir(_) if transfers => return Err(Errno::Isdir),
            Kind::Dir(_) => true,
            Kind::File(file) => is_seekable(file.file.as_fd()),
            Kind::Reader(_) | Kind::Writer(_) => false,
        };
        if transfers {
            Err(Errno::Badf)
        } else if positions && !has_position {
            Err(Errno::Spipe)
        } else {
            Err(Errno::Notcapable)
        }
    }

    /// The host file, for operations that only make sense on one.
    ///
    /// # Errors
    /// [`Errno::Isdir`] for a directory, [`Errno::Spipe`] for a stream.
    pub(crate) fn as_file(&self) -> Result<&HostFile> {
        match &self.kind {
            Kind::File(file) => Ok(file),
            Kind::Dir(_) => Err(Errno::Isdir),
            Kind::Reader(_) | Kind::Writer(_) => Err(Errno::Spipe),
        }
    }

    /// The directory.
    ///
    /// # Errors
    /// [`Errno::Notdir`] for anything else.
    pub(crate) fn as_dir(&self) -> Result<&HostDir> {
        match &self.kind {
            Kind::Dir(dir) => Ok(dir),
            _ => Err(Errno::Notdir),
        }
    }

    /// The directory, to be changed.
    ///
    /// # Errors
    /// [`Errno::Notdir`] for anything else.
    pub(crate) fn as_dir_mut(&mut self) -> Result<&mut HostDir> {
        match &mut self.kind {
            Kind::Dir(dir) => Ok(dir),
            _ => Err(Errno::Notdir),
        }
    }
}

impl HostDir {
    /// The directory as an ordinary file descriptor: the one it is held by may be good for looking
    /// up names only (`O_PATH`).
    pub(crate) fn reopen(&self) -> io::Result<File> {
        self.dir.open(".")
    }
}

/// What makes sense on something that is not a regular file.
///
/// wasi-libc takes a character device without the right to seek for a terminal, so a device that
/// is none keeps that right.
fn stream_rights(fd: BorrowedFd<'_>) -> u64 {
    if is_seekable(fd) && !fd.is_terminal() {
        rights::STREAM | rights::FD_SEEK | rights::FD_TELL
    } else {
        rights::STREAM
    }
}

/// Whether the host knows a position in this file.
fn is_seekable(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::tell(fd).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::flags::fd;
    use std::fs::OpenOptions;
    use std::io::pipe;

    fn flags_and_rights(fd: OwnedFd, direction: Direction) -> (Filetype, u32, u64) {
        let descriptor = Descriptor::standard(fd, direction).unwrap();
        (descriptor.filetype(), descriptor.flags, descriptor.base)
    }

    const POSITION: u64 = rights::FD_SEEK | rights::FD_TELL;

    #[test]
    fn a_terminal_is_a_character_device_without_position() {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        for direction in [Direction::In, Direction::Out] {
            let fd = terminal.try_clone().unwrap().into();
            let (filetype, _, rights) = flags_and_rights(fd, direction);
            assert_eq!(filetype, Filetype::CharacterDevice);
            assert_eq!(rights & POSITION, 0);
        }
    }

    #[test]
    fn a_device_that_is_no_terminal_has_a_position() {
        let null = OpenOptions::new().read(true).open("/dev/null").unwrap();
        let (filetype, _, rights) = flags_and_rights(null.into(), Direction::In);
        assert_eq!(filetype, Filetype::CharacterDevice);
        assert_eq!(rights & POSITION, POSITION);
    }

    #[test]
    fn a_pipe_has_no_position_and_goes_one_way() {
        let (reader, writer) = pipe().unwrap();
        let (filetype, flags, rights) = flags_and_rights(reader.into(), Direction::In);
        assert_eq!((filetype, flags), (Filetype::Unknown, 0));
        assert_eq!(rights & (POSITION | rights::NEED_WRITE), 0);
        assert_ne!(rights & rights::FD_READ, 0);
        let (filetype, flags, rights) = flags_and_rights(writer.into(), Direction::Out);
        assert_eq!((filetype, flags), (Filetype::Unknown, 0));
        assert_eq!(rights & (POSITION | rights::FD_READ), 0);
        assert_ne!(rights & rights::FD_WRITE, 0);
    }

    #[test]
    fn a_redirected_file_keeps_its_flags() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = OpenOptions::new().append(true).open(file.path()).unwrap();
        let (filetype, flags, rights) = flags_and_rights(log.into(), Direction::Out);
        assert_eq!((filetype, flags), (Filetype::RegularFile, fd::APPEND));
        assert_eq!(rights, rights::FILE & !rights::FD_READ);
    }

    #[test]
    fn a_missing_right_is_told_as_a_system_call_would() {
        let (reader, _writer) = pipe().unwrap();
        let pipe = Descriptor::standard(reader.into(), Direction::In).unwrap();
        assert_eq!(pipe.require(rights::FD_READ), Ok(()));
        assert_eq!(pipe.require(rights::FD_WRITE), Err(Errno::Badf));
        assert_eq!(pipe.require(rights::FD_SEEK), Err(Errno::Spipe));
        assert_eq!(pipe.require(rights::FD_ADVISE), Err(Errno::Notcapable));
        assert_eq!(pipe.as_dir().err(), Some(Errno::Notdir));
    }
}
