//! Reading directories: `fd_readdir`.

use crate::abi::records::{Dirent, Filetype};
use crate::abi::rights;
use crate::ctx::WasiCtx;
use crate::descriptor::HostDir;
use crate::errno::{Errno, Result};
use crate::guest::GuestMemory;
use cap_std::fs::MetadataExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;

/// The entries of a directory at one moment.
///
/// Reading from the start takes a new one; cookies are indices into it. So a guest that removes
/// files while it reads, or reads in pieces of any size, meets each entry exactly once.
#[derive(Debug)]
pub(crate) struct Listing {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    ino: u64,
    filetype: Filetype,
    name: Box<[u8]>,
}

impl WasiCtx {
    /// `fd_readdir`: entries from `cookie` on (0: the first), as many bytes as fit into the buffer.
    /// The last one may be cut; fewer bytes than there is room for mean the end.
    ///
    /// # Errors
    /// [`Errno::Badf`], [`Errno::Notdir`], [`Errno::Notcapable`], [`Errno::Fault`], those of the
    /// host.
    pub fn fd_readdir(
        &mut self,
        mem: &mut GuestMemory<'_>,
        fd: u32,
        buffer: u32,
        len: u32,
        cookie: u64,
        result: u32,
    ) -> Result<()> {
        let descriptor = self.table.get_mut(fd)?;
        descriptor.as_dir()?;
        descriptor.require(rights::FD_READDIR)?;
        mem.check(result, 4)?;
        let target = mem.slice_mut(buffer, len)?;
        let dir = descriptor.as_dir_mut()?;
        let listing = match dir.listing.take() {
            Some(listing) if cookie != 0 => listing,
            _ => Listing::take(dir)?,
        };
        let used = listing.write(cookie, target);
        dir.listing = Some(listing);
        mem.write_u32(result, used as u32)
    }
}

impl Listing {
    fn take(dir: &HostDir) -> Result<Listing> {
        let own = dir.dir.dir_metadata()?.ino();
        let special = |name: &[u8]| Entry {
            ino: own,
            filetype: Filetype::Directory,
            name: name.into(),
        };
        // The parent may be outside of what the guest can see, so its number is not told.
        let mut entries = vec![special(b"."), special(b"..")];
        for entry in dir.dir.entries()? {
            let entry = entry?;
            entries.push(Entry {
                ino: entry.ino(),
                filetype: entry.file_type().map_err(Errno::from)?.into(),
                name: entry.file_name().as_bytes().into(),
            });
        }
        Ok(Listing { entries })
    }

    /// Writes entries from `cookie` on; returns the number of bytes.
    fn write(&self, cookie: u64, mut target: &mut [u8]) -> usize {
        let room = target.len();
        let first = usize::try_from(cookie)
            .unwrap_or(usize::MAX)
            .min(self.entries.len());
        for (index, entry) in self.entries.iter().enumerate().skip(first) {
            let dirent = Dirent {
                next: index as u64 + 1,
                ino: entry.ino,
                name_len: entry.name.len() as u32,
                filetype: entry.filetype,
            };
            for bytes in [&dirent.bytes()[..], &entry.name[..]] {
                let fits = bytes.len().min(target.len());
                let (now, rest) = std::mem::take(&mut target).split_at_mut(fits);
                now.copy_from_slice(&bytes[..fits]);
                target = rest;
            }
            if target.is_empty() {
                break;
            }
        }
        room - target.len()
    }
}
