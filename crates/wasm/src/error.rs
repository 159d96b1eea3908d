//! What can go wrong.

use crate::trap::{TrapError, TrapKind};
use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate: one word, with the details behind it in [`ErrorKind`].
pub struct Error(Box<ErrorKind>);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The module is malformed or invalid.
    #[error("invalid module: {message} (at offset {offset:#x})")]
    Invalid {
        /// Where in the module, in bytes.
        offset: u64,
        /// What is wrong there.
        message: Box<str>,
    },
    /// The module uses something this implementation does not support.
    #[error("unsupported: {feature} (at offset {offset:#x})")]
    Unsupported {
        /// Where in the module, in bytes.
        offset: u64,
        /// What it uses.
        feature: Box<str>,
    },
    /// A function could not be compiled.
    #[error("cannot compile function {func}: {message}")]
    Compile {
        /// The function's index in the module.
        func: u32,
        /// Why.
        message: Box<str>,
    },
    /// An import is missing or has another type than the module expects.
    #[error("{0}")]
    Link(Box<str>),
    /// Values do not fit the type of the function, table or global they are given to.
    #[error("{0}")]
    Type(Box<str>),
    /// The guest trapped.
    #[error(transparent)]
    Trap(TrapError),
    /// A host function returned an error.
    #[error("{0}")]
    Host(Box<dyn StdError + Send + Sync>),
    /// Something is larger than this implementation or this machine allows.
    #[error("limit exceeded: {0}")]
    Limit(Box<str>),
    /// The system or the processor lacks something.
    #[error("{0}")]
    System(Box<str>),
    /// A file could not be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Memory for code could not be had or filled.
    #[error("code memory: {0}")]
    CodeMemory(Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// The trap, if this is one.
    pub fn trap(&self) -> Option<&TrapError> {
        match &*self.0 {
            ErrorKind::Trap(trap) => Some(trap),
            _ => None,
        }
    }

    /// An error to be returned by a host function, found again by [`Error::downcast_ref`].
    pub fn host(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Error::new(ErrorKind::Host(error.into()))
    }

    /// An error to be returned by a host function that is nothing but a message.
    pub fn msg(message: impl fmt::Display) -> Self {
        Error::host(message.to_string())
    }

    /// The error a host function returned, if it is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match &*self.0 {
            ErrorKind::Host(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// The details by value.
    pub fn into_kind(self) -> ErrorKind {
        *self.0
    }

    #[cold]
    fn new(kind: ErrorKind) -> Self {
        Error(Box::new(kind))
    }

    /// The module is malformed or invalid at a byte offset.
    #[cold]
    pub(crate) fn invalid(offset: u64, message: impl Into<Box<str>>) -> Self {
        let message = message.into();
        Error::new(ErrorKind::Invalid { offset, message })
    }

    /// The module uses a feature that is not supported.
    #[cold]
    pub(crate) fn unsupported(offset: u64, feature: impl Into<Box<str>>) -> Self {
        let feature = feature.into();
        Error::new(ErrorKind::Unsupported { offset, feature })
    }

    /// Something is larger than this implementation allows.
    #[cold]
    pub(crate) fn limit(message: impl Into<Box<str>>) -> Self {
        Error::new(ErrorKind::Limit(message.into()))
    }

    /// The system or the processor lacks something.
    #[cold]
    pub(crate) fn system(message: impl Into<Box<str>>) -> Self {
        Error::new(ErrorKind::System(message.into()))
    }

    /// A function could not be compiled.
    #[cold]
    pub(crate) fn compile(func: u32, message: impl fmt::Display) -> Self {
        let message = message.to_string().into();
        Error::new(ErrorKind::Compile { func, message })
    }

    /// An import does not fit.
    #[cold]
    pub(crate) fn link(message: impl Into<Box<str>>) -> Self {
        Error::new(ErrorKind::Link(message.into()))
    }

    /// Values do not fit a type.
    #[cold]
    pub(crate) fn type_mismatch(message: impl Into<Box<str>>) -> Self {
        Error::new(ErrorKind::Type(message.into()))
    }

    /// A file could not be read.
    #[cold]
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        Error::new(ErrorKind::Io { path, error })
    }

    /// Memory for code could not be had or filled.
    #[cold]
    pub(crate) fn code_memory(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Error::new(ErrorKind::CodeMemory(error.into()))
    }

    /// The trap of an error, to be completed.
    pub(crate) fn trap_mut(&mut self) -> Option<&mut TrapError> {
        match &mut *self.0 {
            ErrorKind::Trap(trap) => Some(trap),
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            ErrorKind::Host(error) => Some(&**error),
            ErrorKind::Io { error, .. } => Some(error),
            ErrorKind::CodeMemory(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<TrapError> for Error {
    #[cold]
    fn from(trap: TrapError) -> Self {
        Error::new(ErrorKind::Trap(trap))
    }
}

impl From<TrapKind> for Error {
    /// A trap that a host function raises. The runtime adds the backtrace.
    #[cold]
    fn from(kind: TrapKind) -> Self {
        TrapError::new(kind).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_and_can_cross_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn host_errors_are_found_again() {
        let error = Error::host(io::Error::other("no"));
        assert!(error.downcast_ref::<io::Error>().is_some());
        assert!(error.downcast_ref::<fmt::Error>().is_none());
        assert_eq!(error.to_string(), "no");
        assert!(Error::msg("m").trap().is_none());
        let trap = Error::from(TrapKind::Unreachable);
        assert_eq!(
            trap.trap().map(TrapError::kind),
            Some(TrapKind::Unreachable)
        );
    }
}
