//! The directory of a cache: who may use it, and how files come and go.
//!
//! All files are reached through the descriptor of the directory that was checked, so nobody gains anything
//! by putting another one in its place.

use super::key;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timestamps, UTIME_NOW, fstat, futimens,
    linkat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::ffi::CString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file with the user's secret.
const SECRET: &str = "secret";
/// What the names of unfinished files begin with.
const UNFINISHED: &str = ".unfinished-";
/// When a file that is still unfinished was abandoned.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Only the user may read and write.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);
const OTHERS: Mode = Mode::from_raw_mode(0o077);
const OTHERS_WRITE: Mode = Mode::from_raw_mode(0o022);

/// A directory that belongs to the user and that nobody else can write to.
#[derive(Debug)]
pub(super) struct CacheDir(OwnedFd);

impl CacheDir {
    /// Open the directory, made if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<CacheDir> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, path, flags, Mode::empty())?;
        let stat = fstat(&dir)?;
        if !is_own(&stat) {
            return Err(io::Error::other("belongs to another user"));
        }
        if mode(&stat).intersects(OTHERS_WRITE) {
            return Err(io::Error::other("other users can write to it"));
        }
        Ok(CacheDir(dir))
    }

    /// The secret of the user, made if there is none that others cannot know.
    pub(super) fn secret(&self) -> io::Result<[u8; 32]> {
        if let Some(secret) = self.read_secret() {
            return Ok(secret);
        }
        let mut secret = [0; 32];
        random(&mut secret)?;
        let name = self.write_unfinished(&[&secret])?;
        // Of processes that do this at the same time, one makes the secret for all.
        let made = linkat(&self.0, &*name, &self.0, SECRET, AtFlags::empty());
        if made != Err(Errno::EXIST) {
            let _ = unlinkat(&self.0, &*name, AtFlags::empty());
            return made.map(|()| secret).map_err(Into::into);
        }
        if let Some(theirs) = self.read_secret() {
            let _ = unlinkat(&self.0, &*name, AtFlags::empty());
            return Ok(theirs);
        }
        // What is there is of no use. All entries made with it are from now on foreign.
        self.finish(&name, SECRET)?;
        Ok(secret)
    }

    fn read_secret(&self) -> Option<[u8; 32]> {
        let (file, stat) = self.open_file(SECRET)?;
        if mode(&stat).intersects(OTHERS) {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(33).read_to_end(&mut bytes).ok()?;
        bytes.try_into().ok()
    }

    /// A regular file of the user's, for reading.
    fn open_file(&self, name: &str) -> Option<(File, Stat)> {
        // Neither a link is followed, nor a pipe waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty()).ok()?;
        let stat = fstat(&file).ok()?;
        (is_regular(&stat) && is_own(&stat)).then(|| (file.into(), stat))
    }

    /// The contents of a file of at most `limit` bytes, which counts as used just now. None if it is
    /// not there or not to be read.
    pub(super) fn read(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let (file, stat) = self.open_file(name)?;
        let size = u64::try_from(stat.st_size).ok().filter(|&n| n <= limit)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size as usize).ok()?;
        (&file).take(size).read_to_end(&mut bytes).ok()?;
        // On a medium that cannot be written to, ages do not matter either.
        let _ = futimens(&file, &NOW);
        Some(bytes)
    }

    /// Make a file with these contents appear at once, in place of what has its name.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = self.write_unfinished(parts)?;
        self.finish(&unfinished, name)
    }

    /// A new file with these contents.
    fn write_unfinished(&self, parts: &[&[u8]]) -> io::Result<String> {
        let mut number = [0; 8];
        random(&mut number)?;
        let name = format!("{UNFINISHED}{:016x}", u64::from_le_bytes(number));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.0, &*name, flags, PRIVATE)?);
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        if let Err(error) = written {
            let _ = unlinkat(&self.0, &*name, AtFlags::empty());
            return Err(error);
        }
        Ok(name)
    }

    fn finish(&self, unfinished: &str, name: &str) -> io::Result<()> {
        let renamed = renameat(&self.0, unfinished, &self.0, name);
        if renamed.is_err() {
            let _ = unlinkat(&self.0, unfinished, AtFlags::empty());
        }
        Ok(renamed?)
    }

    /// If all entries take more than `limit` bytes, delete the one first that was not used for longest,
    /// and so on until an eighth of the room is free. Also delete what was left unfinished; nothing
    /// else is touched. Returns how many bytes are left.
    pub(super) fn shrink(&self, limit: u64) -> io::Result<u64> {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        for file in Dir::read_from(&self.0)? {
            let file = file?;
            let name = file.file_name();
            let is_entry = key::is_entry(name.to_bytes());
            if !is_entry && !name.to_bytes().starts_with(UNFINISHED.as_bytes()) {
                continue;
            }
            let Ok(stat) = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let used = modified(&stat);
            if is_entry {
                entries.push(Entry {
                    used,
                    size: u64::try_from(stat.st_size).unwrap_or(0),
                    name: name.to_owned(),
                });
            } else if now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                let _ = unlinkat(&self.0, name, AtFlags::empty());
            }
        }
        entries.sort_unstable();
        let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
        if total <= limit {
            return Ok(total);
        }
        for entry in entries {
            if total <= limit - limit / 8 {
                break;
            }
            // Another process may have been faster.
            let _ = unlinkat(&self.0, entry.name, AtFlags::empty());
            total -= entry.size;
        }
        Ok(total)
    }
}

/// A file that can be deleted, ordered by its last use.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    used: SystemTime,
    size: u64,
    name: CString,
}

const NOW: Timestamps = Timestamps {
    last_access: rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    },
    last_modification: rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    },
};

fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, nanos)
}

fn is_own(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw()
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode)
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    let len = getrandom(&mut *bytes, GetRandomFlags::empty())?;
    if len != bytes.len() {
        return Err(io::Error::other("the system has no random numbers"));
    }
    Ok(())
}
