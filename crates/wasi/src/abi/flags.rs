//! Numbers and flag sets passed as plain arguments.

use crate::errno::{Errno, Result};

/// `lookupflags`: follow a symbolic link at the end of a path.
pub(crate) const LOOKUP_SYMLINK_FOLLOW: u32 = 1;

/// `oflags` of `path_open`.
pub(crate) mod open {
    pub(crate) const CREAT: u32 = 1 << 0;
    pub(crate) const DIRECTORY: u32 = 1 << 1;
    pub(crate) const EXCL: u32 = 1 << 2;
    pub(crate) const TRUNC: u32 = 1 << 3;
    pub(crate) const ALL: u32 = CREAT | DIRECTORY | EXCL | TRUNC;
}

/// `fdflags` of a descriptor.
pub(crate) mod fd {
    pub(crate) const APPEND: u32 = 1 << 0;
    pub(crate) const DSYNC: u32 = 1 << 1;
    pub(crate) const NONBLOCK: u32 = 1 << 2;
    pub(crate) const RSYNC: u32 = 1 << 3;
    pub(crate) const SYNC: u32 = 1 << 4;
    pub(crate) const SYNCHRONIZED: u32 = DSYNC | RSYNC | SYNC;
    pub(crate) const ALL: u32 = APPEND | NONBLOCK | SYNCHRONIZED;
}

/// `fstflags`: which times to set, and to what.
pub(crate) mod times {
    pub(crate) const ATIM: u32 = 1 << 0;
    pub(crate) const ATIM_NOW: u32 = 1 << 1;
    pub(crate) const MTIM: u32 = 1 << 2;
    pub(crate) const MTIM_NOW: u32 = 1 << 3;
    pub(crate) const ALL: u32 = ATIM | ATIM_NOW | MTIM | MTIM_NOW;
}

/// `clockid`.
pub(crate) mod clock {
    pub(crate) const REALTIME: u32 = 0;
    pub(crate) const MONOTONIC: u32 = 1;
    pub(crate) const PROCESS_CPUTIME: u32 = 2;
    pub(crate) const THREAD_CPUTIME: u32 = 3;
}

/// `whence` of `fd_seek`.
pub(crate) mod whence {
    pub(crate) const SET: u32 = 0;
    pub(crate) const CUR: u32 = 1;
    pub(crate) const END: u32 = 2;
}

/// Refuses bits the specification gives no meaning to.
pub(crate) fn known(flags: u32, all: u32) -> Result<u32> {
    if flags & !all == 0 {
        Ok(flags)
    } else {
        Err(Errno::Inval)
    }
}

/// Whether `lookupflags` ask for a final symbolic link to be followed.
pub(crate) fn follows(lookup_flags: u32) -> Result<bool> {
    Ok(known(lookup_flags, LOOKUP_SYMLINK_FOLLOW)? != 0)
}
