//! What is wrong with a text, and where.

use core::fmt;

/// Why a text is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl core::error::Error for ParseError {}

/// Something wrong at a byte of the text.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) at: usize,
    pub(super) message: String,
}

pub(super) type Result<T> = core::result::Result<T, Box<Error>>;

pub(super) fn error<T>(at: usize, message: impl Into<String>) -> Result<T> {
    let message = message.into();
    Err(Box::new(Error { at, message }))
}

/// Where the lines of a text begin.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<u32>,
}

impl<'a> Lines<'a> {
    /// The lines of a text of less than 4 GiB.
    pub(super) fn new(text: &'a str) -> Self {
        let after = text.bytes().enumerate().filter(|&(_, b)| b == b'\n');
        let starts = core::iter::once(0).chain(after.map(|(at, _)| at as u32 + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    /// The number, from 1, of the line that byte `at` is in.
    pub(super) fn line(&self, at: usize) -> u32 {
        self.starts.partition_point(|&s| s as usize <= at) as u32
    }

    pub(super) fn error(&self, e: Error) -> ParseError {
        let line = self.line(e.at);
        let start = self.starts[line as usize - 1] as usize;
        let before = self.text.get(start..e.at).unwrap_or_default();
        ParseError {
            line,
            column: before.chars().count() as u32 + 1,
            message: e.message,
        }
    }
}
