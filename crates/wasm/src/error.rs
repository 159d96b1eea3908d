//! What can go wrong.

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorInner>);

#[derive(Debug, thiserror::Error)]
enum ErrorInner {
    #[error("invalid module: {message} (at offset {offset:#x})")]
    Invalid { offset: u64, message: Box<str> },
    #[error("unsupported: {feature} (at offset {offset:#x})")]
    Unsupported { offset: u64, feature: Box<str> },
    #[error("limit exceeded: {0}")]
    Limit(Box<str>),
}

impl Error {
    /// The module is malformed or invalid at a byte offset.
    #[cold]
    pub(crate) fn invalid(offset: u64, message: impl Into<Box<str>>) -> Self {
        let message = message.into();
        Error(Box::new(ErrorInner::Invalid { offset, message }))
    }

    /// The module uses a feature that is not supported.
    #[cold]
    pub(crate) fn unsupported(offset: u64, feature: impl Into<Box<str>>) -> Self {
        let feature = feature.into();
        Error(Box::new(ErrorInner::Unsupported { offset, feature }))
    }

    /// Something is larger than this implementation allows.
    #[cold]
    pub(crate) fn limit(message: impl Into<Box<str>>) -> Self {
        Error(Box::new(ErrorInner::Limit(message.into())))
    }
}
