//! The error numbers of preview 1, and how host errors become them.

use std::fmt;
use std::io;

/// Expands to the [`Errno`] enum and everything that is one row per error.
///
/// Columns: variant, number, name in the specification, host error of the same meaning, text.
macro_rules! errnos {
    ($($variant:ident = $number:literal, $name:literal, $host:ident, $text:literal;)*) => {
        /// An error number of WASI preview 1 (`errno` in `wasi_snapshot_preview1.witx`).
        ///
        /// Success (0) is not among them: it is the `Ok` of a [`Result`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Errno {
            $(#[doc = $text] $variant = $number,)*
        }

        impl Errno {
            /// The name the specification and C programs use, without the `E`.
            pub fn name(self) -> &'static str {
                match self { $(Errno::$variant => $name,)* }
            }

            fn text(self) -> &'static str {
                match self { $(Errno::$variant => $text,)* }
            }

            fn from_host(host: rustix::io::Errno) -> Option<Errno> {
                // Comparisons, not patterns: some hosts give two names one number.
                $(errnos!(@host host, $variant, $host);)*
                None
            }
        }
    };
    (@host $value:ident, $variant:ident, none) => {};
    (@host $value:ident, $variant:ident, $host:ident) => {
        if $value == rustix::io::Errno::$host {
            return Some(Errno::$variant);
        }
    };
}

errnos! {
    TooBig = 1, "2BIG", TOOBIG, "argument list too long";
    Acces = 2, "ACCES", ACCESS, "permission denied";
    Addrinuse = 3, "ADDRINUSE", ADDRINUSE, "address in use";
    Addrnotavail = 4, "ADDRNOTAVAIL", ADDRNOTAVAIL, "address not available";
    Afnosupport = 5, "AFNOSUPPORT", AFNOSUPPORT, "address family not supported";
    Again = 6, "AGAIN", AGAIN, "resource unavailable, or operation would block";
    Already = 7, "ALREADY", ALREADY, "connection already in progress";
    Badf = 8, "BADF", BADF, "bad file descriptor";
    Badmsg = 9, "BADMSG", BADMSG, "bad message";
    Busy = 10, "BUSY", BUSY, "device or resource busy";
    Canceled = 11, "CANCELED", CANCELED, "operation canceled";
    Child = 12, "CHILD", CHILD, "no child processes";
    Connaborted = 13, "CONNABORTED", CONNABORTED, "connection aborted";
    Connrefused = 14, "CONNREFUSED", CONNREFUSED, "connection refused";
    Connreset = 15, "CONNRESET", CONNRESET, "connection reset";
    Deadlk = 16, "DEADLK", DEADLK, "resource deadlock would occur";
    Destaddrreq = 17, "DESTADDRREQ", DESTADDRREQ, "destination address required";
    Dom = 18, "DOM", DOM, "argument out of the function's domain";
    Dquot = 19, "DQUOT", DQUOT, "disk quota exceeded";
    Exist = 20, "EXIST", EXIST, "file exists";
    Fault = 21, "FAULT", FAULT, "bad address";
    Fbig = 22, "FBIG", FBIG, "file too large";
    Hostunreach = 23, "HOSTUNREACH", HOSTUNREACH, "host is unreachable";
    Idrm = 24, "IDRM", IDRM, "identifier removed";
    Ilseq = 25, "ILSEQ", ILSEQ, "illegal byte sequence";
    Inprogress = 26, "INPROGRESS", INPROGRESS, "operation in progress";
    Intr = 27, "INTR", INTR, "interrupted function";
    Inval = 28, "INVAL", INVAL, "invalid argument";
    Io = 29, "IO", IO, "I/O error";
    Isconn = 30, "ISCONN", ISCONN, "socket is connected";
    Isdir = 31, "ISDIR", ISDIR, "is a directory";
    Loop = 32, "LOOP", LOOP, "too many levels of symbolic links";
    Mfile = 33, "MFILE", MFILE, "file descriptor value too large";
    Mlink = 34, "MLINK", MLINK, "too many links";
    Msgsize = 35, "MSGSIZE", MSGSIZE, "message too large";
    Multihop = 36, "MULTIHOP", MULTIHOP, "reserved";
    Nametoolong = 37, "NAMETOOLONG", NAMETOOLONG, "file name too long";
    Netdown = 38, "NETDOWN", NETDOWN, "network is down";
    Netreset = 39, "NETRESET", NETRESET, "connection aborted by network";
    Netunreach = 40, "NETUNREACH", NETUNREACH, "network unreachable";
    Nfile = 41, "NFILE", NFILE, "too many files open in system";
    Nobufs = 42, "NOBUFS", NOBUFS, "no buffer space available";
    Nodev = 43, "NODEV", NODEV, "no such device";
    Noent = 44, "NOENT", NOENT, "no such file or directory";
    Noexec = 45, "NOEXEC", NOEXEC, "executable file format error";
    Nolck = 46, "NOLCK", NOLCK, "no locks available";
    Nolink = 47, "NOLINK", NOLINK, "reserved";
    Nomem = 48, "NOMEM", NOMEM, "not enough space";
    Nomsg = 49, "NOMSG", NOMSG, "no message of the desired type";
    Noprotoopt = 50, "NOPROTOOPT", NOPROTOOPT, "protocol not available";
    Nospc = 51, "NOSPC", NOSPC, "no space left on device";
    Nosys = 52, "NOSYS", NOSYS, "function not supported";
    Notconn = 53, "NOTCONN", NOTCONN, "the socket is not connected";
    Notdir = 54, "NOTDIR", NOTDIR, "not a directory or a symbolic link to a directory";
    Notempty = 55, "NOTEMPTY", NOTEMPTY, "directory not empty";
    Notrecoverable = 56, "NOTRECOVERABLE", NOTRECOVERABLE, "state not recoverable";
    Notsock = 57, "NOTSOCK", NOTSOCK, "not a socket";
    Notsup = 58, "NOTSUP", NOTSUP, "not supported";
    Notty = 59, "NOTTY", NOTTY, "inappropriate I/O control operation";
    Nxio = 60, "NXIO", NXIO, "no such device or address";
    Overflow = 61, "OVERFLOW", OVERFLOW, "value too large to be stored";
    Ownerdead = 62, "OWNERDEAD", OWNERDEAD, "previous owner died";
    Perm = 63, "PERM", PERM, "operation not permitted";
    Pipe = 64, "PIPE", PIPE, "broken pipe";
    Proto = 65, "PROTO", PROTO, "protocol error";
    Protonosupport = 66, "PROTONOSUPPORT", PROTONOSUPPORT, "protocol not supported";
    Prototype = 67, "PROTOTYPE", PROTOTYPE, "protocol wrong type for socket";
    Range = 68, "RANGE", RANGE, "result too large";
    Rofs = 69, "ROFS", ROFS, "read-only file system";
    Spipe = 70, "SPIPE", SPIPE, "invalid seek";
    Srch = 71, "SRCH", SRCH, "no such process";
    Stale = 72, "STALE", STALE, "stale file handle";
    Timedout = 73, "TIMEDOUT", TIMEDOUT, "connection timed out";
    Txtbsy = 74, "TXTBSY", TXTBSY, "text file busy";
    Xdev = 75, "XDEV", XDEV, "cross-device link";
    Notcapable = 76, "NOTCAPABLE", none, "capabilities insufficient";
}

/// What the functions of preview 1 return.
pub type Result<T, E = Errno> = std::result::Result<T, E>;

impl Errno {
    /// The number a guest sees.
    pub fn code(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.name())
    }
}

impl std::error::Error for Errno {}

impl From<rustix::io::Errno> for Errno {
    fn from(host: rustix::io::Errno) -> Errno {
        Errno::from_host(host).unwrap_or(Errno::Io)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        if let Some(host) = rustix::io::Errno::from_io_error(&error) {
            return host.into();
        }
        // Errors made by a library rather than by the system carry a kind only. cap-std refuses a
        // path that leads out of its directory this way, as `PermissionDenied`.
        match error.kind() {
            io::ErrorKind::NotFound => Errno::Noent,
            io::ErrorKind::PermissionDenied => Errno::Perm,
            io::ErrorKind::AlreadyExists => Errno::Exist,
            io::ErrorKind::InvalidInput => Errno::Inval,
            io::ErrorKind::InvalidData => Errno::Ilseq,
            io::ErrorKind::WouldBlock => Errno::Again,
            io::ErrorKind::TimedOut => Errno::Timedout,
            io::ErrorKind::Interrupted => Errno::Intr,
            io::ErrorKind::BrokenPipe => Errno::Pipe,
            io::ErrorKind::ConnectionReset => Errno::Connreset,
            io::ErrorKind::OutOfMemory => Errno::Nomem,
            io::ErrorKind::StorageFull => Errno::Nospc,
            io::ErrorKind::QuotaExceeded => Errno::Dquot,
            io::ErrorKind::FileTooLarge => Errno::Fbig,
            io::ErrorKind::Unsupported => Errno::Notsup,
            _ => Errno::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_the_specification() {
        assert_eq!(Errno::TooBig.code(), 1);
        assert_eq!(Errno::TooBig.name(), "2BIG");
        assert_eq!(Errno::Badf.code(), 8);
        assert_eq!(Errno::Fault.code(), 21);
        assert_eq!(Errno::Inval.code(), 28);
        assert_eq!(Errno::Noent.code(), 44);
        assert_eq!(Errno::Nosys.code(), 52);
        assert_eq!(Errno::Spipe.code(), 70);
        assert_eq!(Errno::Xdev.code(), 75);
        assert_eq!(Errno::Notcapable.code(), 76);
        assert_eq!(
            Errno::Noent.to_string(),
            "no such file or directory (NOENT)"
        );
    }

    #[test]
    fn host_errors_keep_their_meaning() {
        let host = |e: rustix::io::Errno| Errno::from(io::Error::from(e));
        assert_eq!(host(rustix::io::Errno::NOENT), Errno::Noent);
        assert_eq!(host(rustix::io::Errno::NOTEMPTY), Errno::Notempty);
        assert_eq!(host(rustix::io::Errno::WOULDBLOCK), Errno::Again);
        assert_eq!(host(rustix::io::Errno::OPNOTSUPP), Errno::Notsup);
        assert_eq!(host(rustix::io::Errno::ACCESS), Errno::Acces);
        assert_eq!(host(rustix::io::Errno::PERM), Errno::Perm);
        // Without a counterpart in the specification.
        assert_eq!(host(rustix::io::Errno::UCLEAN), Errno::Io);
    }

    #[test]
    fn errors_without_a_host_number_are_told_apart_by_kind() {
        let kind = |k| Errno::from(io::Error::new(k, "made up"));
        assert_eq!(kind(io::ErrorKind::PermissionDenied), Errno::Perm);
        assert_eq!(kind(io::ErrorKind::InvalidInput), Errno::Inval);
        assert_eq!(kind(io::ErrorKind::Other), Errno::Io);
    }
}
