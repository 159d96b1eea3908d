//! Rewriting expectations in place.

use nopal_ir::reader::TestFunction;
use std::ops::Range;

/// The lines with which an expected listing begins.
const BEGINNINGS: [&str; 2] = ["Disassembled:", "VCode:"];

/// Edits of a file.
pub(crate) struct Bless {
    on: bool,
    edits: Vec<(Range<usize>, String)>,
}

/// The listing that a function is expected to have: where it is in the file, and its lines.
pub(crate) struct Expected {
    pub(crate) range: Range<usize>,
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// The content of a comment line of a listing.
fn content(comment: &str) -> &str {
    let text = comment.strip_prefix(';').unwrap_or(comment);
    text.strip_prefix(' ').unwrap_or(text).trim_end()
}

/// The listing after a function: the comments from its first line to the first gap.
pub(crate) fn expected(function: &TestFunction<'_>) -> Option<Expected> {
    let comments = &function.comments_after;
    let first = (comments.iter()).position(|c| BEGINNINGS.contains(&content(c.text)))?;
    let mut block = Expected {
        range: comments[first].start..comments[first].start,
        line: comments[first].line,
        text: String::new(),
    };
    for (n, comment) in comments[first..].iter().enumerate() {
        if comment.line != block.line + n as u32 {
            break;
        }
        block.range.end = comment.start + comment.text.len();
        block.text.push_str(content(comment.text));
        block.text.push('\n');
    }
    Some(block)
}

impl Bless {
    pub(crate) fn new(on: bool) -> Bless {
        Bless {
            on,
            edits: Vec::new(),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Make `listing` what is expected of a function.
    pub(crate) fn expect(&mut self, function: &TestFunction<'_>, listing: &str) {
        let lines = listing
            .lines()
            .map(|l| format!("; {l}").trim_end().to_string());
        let lines = lines.collect::<Vec<_>>().join("\n");
        match expected(function) {
            Some(block) => self.edits.push((block.range, lines)),
            None => {
                let end = function.range.end;
                self.edits.push((end..end, format!("\n\n{lines}")));
            }
        }
    }

    /// The text after the edits, if that is different.
    pub(crate) fn apply(mut self, text: &str) -> Option<String> {
        self.edits.sort_by_key(|e| e.0.start);
        let mut out = String::new();
        let mut at = 0;
        for (range, new) in &self.edits {
            // Several `test compile` commands may have said the same.
            if range.start < at {
                continue;
            }
            out.push_str(&text[at..range.start]);
            out.push_str(new);
            at = range.end;
        }
        out.push_str(&text[at..]);
        (out != text).then_some(out)
    }
}
