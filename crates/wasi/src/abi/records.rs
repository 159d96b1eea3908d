//! Records exchanged through guest memory.

use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;
use cap_std::fs::{FileType, FileTypeExt, Metadata, MetadataExt};

/// `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Filetype {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketStream = 6,
    SymbolicLink = 7,
}

impl From<FileType> for Filetype {
    fn from(host: FileType) -> Filetype {
        if host.is_dir() {
            Filetype::Directory
        } else if host.is_file() {
            Filetype::RegularFile
        } else if host.is_symlink() {
            Filetype::SymbolicLink
        } else if host.is_char_device() {
            Filetype::CharacterDevice
        } else if host.is_block_device() {
            Filetype::BlockDevice
        } else if host.is_socket() {
            Filetype::SocketStream
        } else {
            // Preview 1 has no number for a pipe.
            Filetype::Unknown
        }
    }
}

/// `fdstat`, 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fdstat {
    pub(crate) filetype: Filetype,
    pub(crate) flags: u32,
    pub(crate) base: u64,
    pub(crate) inheriting: u64,
}

impl Fdstat {
    pub(crate) const SIZE: u32 = 24;

    pub(crate) fn write(self, mem: &mut GuestMemory<'_>, address: u32) -> Result<()> {
        let mut record = [0; Self::SIZE as usize];
        record[0] = self.filetype as u8;
        record[2..4].copy_from_slice(&(self.flags as u16).to_le_bytes());
        record[8..16].copy_from_slice(&self.base.to_le_bytes());
        record[16..24].copy_from_slice(&self.inheriting.to_le_bytes());
        mem.write(address, &record)
    }
}

/// `filestat`, 64 bytes. Times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filestat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) filetype: Filetype,
    pub(crate) nlink: u64,
    pub(crate) size: u64,
    pub(crate) atim: u64,
    pub(crate) mtim: u64,
    pub(crate) ctim: u64,
}

impl Filestat {
    pub(crate) const SIZE: u32 = 64;

    /// What can be said of something that is not a file of the host.
    pub(crate) fn anonymous(filetype: Filetype) -> Filestat {
        Filestat {
            dev: 0,
            ino: 0,
            filetype,
            nlink: 1,
            size: 0,
            atim: 0,
            mtim: 0,
            ctim: 0,
        }
    }

    pub(crate) fn write(self, mem: &mut GuestMemory<'_>, address: u32) -> Result<()> {
        let mut record = [0; Self::SIZE as usize];
        let words = [
            self.dev,
            self.ino,
            self.filetype as u64,
            self.nlink,
            self.size,
            self.atim,
            self.mtim,
            self.ctim,
        ];
        for (bytes, word) in record.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        mem.write(address, &record)
    }
}

impl From<&Metadata> for Filestat {
    fn from(host: &Metadata) -> Filestat {
        Filestat {
            dev: host.dev(),
            ino: host.ino(),
            filetype: host.file_type().into(),
            nlink: host.nlink(),
            size: host.size(),
            atim: timestamp(host.atime(), host.atime_nsec()),
            mtim: timestamp(host.mtime(), host.mtime_nsec()),
            ctim: timestamp(host.ctime(), host.ctime_nsec()),
        }
    }
}

/// Nanoseconds since 1970; times before it are 0, times after 2554 the largest number there is.
pub(crate) fn timestamp(seconds: i64, nanoseconds: i64) -> u64 {
    let Ok(seconds) = u64::try_from(seconds) else {
        return 0;
    };
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds.max(0) as u64)
}

/// `dirent`, 24 bytes that the name follows.
pub(crate) struct Dirent {
    /// Where reading goes on after this entry.
    pub(crate) next: u64,
    pub(crate) ino: u64,
    pub(crate) name_len: u32,
    pub(crate) filetype: Filetype,
}

impl Dirent {
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn bytes(&self) -> [u8; Self::SIZE] {
        let mut record = [0; Self::SIZE];
        record[0..8].copy_from_slice(&self.next.to_le_bytes());
        record[8..16].copy_from_slice(&self.ino.to_le_bytes());
        record[16..20].copy_from_slice(&self.name_len.to_le_bytes());
        record[20] = self.filetype as u8;
        record
    }
}

/// `eventtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EventType {
    Clock = 0,
    FdRead = 1,
    FdWrite = 2,
}

/// `subscription`, 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) userdata: u64,
    pub(crate) what: Awaited,
}

/// What a [`Subscription`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    Clock {
        clock: u32,
        timeout: u64,
        flags: u32,
    },
    Read {
        fd: u32,
    },
    Write {
        fd: u32,
    },
}

impl Subscription {
    pub(crate) const SIZE: u32 = 48;

    /// # Errors
    /// [`Errno::Inval`] for an unknown kind of subscription.
    pub(crate) fn read(mem: &GuestMemory<'_>, address: u32) -> Result<Subscription> {
        mem.check(address, Self::SIZE)?;
        let what = match mem.read_u8(address + 8)? {
            0 => Awaited::Clock {
                clock: mem.read_u32(address + 16)?,
                timeout: mem.read_u64(address + 24)?,
                flags: mem.read_u16(address + 40)?.into(),
            },
            1 => Awaited::Read {
                fd: mem.read_u32(address + 16)?,
            },
            2 => Awaited::Write {
                fd: mem.read_u32(address + 16)?,
            },
            _ => return Err(Errno::Inval),
        };
        Ok(Subscription {
            userdata: mem.read_u64(address)?,
            what,
        })
    }
}

impl Awaited {
    pub(crate) fn event_type(self) -> EventType {
        match self {
            Awaited::Clock { .. } => EventType::Clock,
            Awaited::Read { .. } => EventType::FdRead,
            Awaited::Write { .. } => EventType::FdWrite,
        }
    }
}

/// `event`, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) userdata: u64,
    pub(crate) error: Option<Errno>,
    pub(crate) event_type: EventType,
    /// Bytes that can be transferred at once, at least.
    pub(crate) nbytes: u64,
    /// Whether the other end of the descriptor is gone.
    pub(crate) hangup: bool,
}

impl Event {
    pub(crate) const SIZE: u32 = 32;

    pub(crate) fn write(self, mem: &mut GuestMemory<'_>, address: u32) -> Result<()> {
        let mut record = [0; Self::SIZE as usize];
        record[0..8].copy_from_slice(&self.userdata.to_le_bytes());
        let error = self.error.map_or(0, Errno::code);
        record[8..10].copy_from_slice(&error.to_le_bytes());
        record[10] = self.event_type as u8;
        record[16..24].copy_from_slice(&self.nbytes.to_le_bytes());
        record[24..26].copy_from_slice(&u16::from(self.hangup).to_le_bytes());
        mem.write(address, &record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdstat_has_the_specified_layout() {
        let mut bytes = [0xff; 25];
        let stat = Fdstat {
            filetype: Filetype::RegularFile,
            flags: 5,
            base: 0x1122,
            inheriting: 0x3344,
        };
        stat.write(&mut GuestMemory::new(&mut bytes), 1).unwrap();
        assert_eq!(bytes[0], 0xff);
        assert_eq!(bytes[1..9], [4, 0, 5, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[9..17], 0x1122u64.to_le_bytes());
        assert_eq!(bytes[17..25], 0x3344u64.to_le_bytes());
    }

    #[test]
    fn times_outside_of_the_range_are_clamped() {
        assert_eq!(timestamp(1, 5), 1_000_000_005);
        assert_eq!(timestamp(-1, 999_999_999), 0);
        assert_eq!(timestamp(i64::MAX, 0), u64::MAX);
    }

    #[test]
    fn subscriptions_are_read_unaligned_and_checked() {
        let mut bytes = [0u8; 60];
        let mut mem = GuestMemory::new(&mut bytes);
        mem.write_u64(3, 77).unwrap();
        mem.write_u32(3 + 16, 1).unwrap();
        mem.write_u64(3 + 24, 1000).unwrap();
        mem.write(3 + 40, &1u16.to_le_bytes()).unwrap();
        let what = Awaited::Clock {
            clock: 1,
            timeout: 1000,
            flags: 1,
        };
        assert_eq!(
            Subscription::read(&mem, 3),
            Ok(Subscription { userdata: 77, what })
        );
        assert_eq!(Subscription::read(&mem, 13), Err(Errno::Fault));
        assert_eq!(Subscription::read(&mem, u32::MAX - 8), Err(Errno::Fault));
        mem.write(3 + 8, &[3]).unwrap();
        assert_eq!(Subscription::read(&mem, 3), Err(Errno::Inval));
    }

    #[test]
    fn event_has_the_specified_layout() {
        let mut bytes = [0xff; 32];
        let event = Event {
            userdata: 9,
            error: Some(Errno::Badf),
            event_type: EventType::FdWrite,
            nbytes: 3,
            hangup: true,
        };
        event.write(&mut GuestMemory::new(&mut bytes), 0).unwrap();
        assert_eq!(bytes[0..8], 9u64.to_le_bytes());
        assert_eq!(bytes[8..16], [8, 0, 2, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[16..24], 3u64.to_le_bytes());
        assert_eq!(bytes[24..32], [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
