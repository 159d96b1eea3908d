//! Test files: a head, functions, and comments.

use super::cursor::Cursor;
use super::error::{Error, Lines, ParseError, Result, error};
use super::function::{Places, read_function};
use super::lexer::{Span, tokenize};
use crate::verify::Entity;
use crate::{CallConv, EntityRef, Function};
use core::ops::Range;

/// `test run` and what follows it in the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestCommand<'a> {
    /// The line, from 1.
    pub line: u32,
    /// The command: `run`, `compile`, …
    pub name: &'a str,
    /// What follows it.
    pub options: Vec<Setting<'a>>,
}

/// `name` or `name=value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting<'a> {
    /// The line, from 1.
    pub line: u32,
    /// What stands before the equals sign.
    pub name: &'a str,
    /// What stands after it, if there is one.
    pub value: Option<&'a str>,
}

/// `target x86_64 has_avx`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetLine<'a> {
    /// The line, from 1.
    pub line: u32,
    /// The name of the machine, or a triple.
    pub triple: &'a str,
    /// What follows it.
    pub flags: Vec<Setting<'a>>,
    /// How many of [`TestFile::settings`] stand before the line, and so hold for this target.
    pub settings: usize,
}

/// `feature "name"`: whether the file needs a feature or its absence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature<'a> {
    /// The line, from 1.
    pub line: u32,
    /// The name of the feature.
    pub name: &'a str,
    /// Whether it must be there; `feature !"name"` if not.
    pub present: bool,
}

/// A comment, from its `;` to the end of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comment<'a> {
    /// The line, from 1.
    pub line: u32,
    /// The byte of the file at which the `;` is.
    pub start: usize,
    /// The comment with its `;`.
    pub text: &'a str,
}

/// A function of a test file.
#[derive(Clone, Debug)]
pub struct TestFunction<'a> {
    /// The function.
    pub function: Function,
    /// The line of the word `function`, from 1.
    pub line: u32,
    /// The bytes of the file from that word to the closing brace.
    pub range: Range<usize>,
    /// The comments between them.
    pub comments_inside: Vec<Comment<'a>>,
    /// The comments after it, up to the next function or the end of the file.
    pub comments_after: Vec<Comment<'a>>,
    places: Places,
    /// The lines of all bytes in `places`, in the same order: instructions, blocks, declarations.
    lines: Vec<u32>,
}

/// What a test file holds.
#[derive(Clone, Debug)]
pub struct TestFile<'a> {
    /// The `test` lines.
    pub commands: Vec<TestCommand<'a>>,
    /// What the `set` lines set, in order.
    pub settings: Vec<Setting<'a>>,
    /// The `target` lines.
    pub targets: Vec<TargetLine<'a>>,
    /// The `feature` lines.
    pub features: Vec<Feature<'a>>,
    /// The comments before the first function.
    pub preamble_comments: Vec<Comment<'a>>,
    /// The functions.
    pub functions: Vec<TestFunction<'a>>,
}

impl TestFunction<'_> {
    /// The line, from 1, that a part of the function begins in; none if it has none of its own.
    pub fn line_of(&self, entity: Entity) -> Option<u32> {
        let Places {
            insts,
            blocks,
            declared,
        } = &self.places;
        let index = match entity {
            Entity::Function => return Some(self.line),
            Entity::Inst(inst) if inst.index() < insts.len() => inst.index(),
            Entity::Block(block) if *blocks.get(block.index())? != u32::MAX => {
                insts.len() + block.index()
            }
            _ => {
                let n = declared.iter().position(|d| d.0 == entity)?;
                insts.len() + blocks.len() + n
            }
        };
        self.lines.get(index).copied()
    }
}

/// Read a test file.
///
/// A signature that names no convention has the C convention of Unix systems, `system_v`, if the
/// file has a `test run` line, and `fast` if not.
///
/// # Errors
///
/// If the text is not what it should be; the error says where.
pub fn parse_test(text: &str) -> core::result::Result<TestFile<'_>, ParseError> {
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError {
            line: 1,
            column: 1,
            message: "the text is longer than 4 GiB".into(),
        });
    }
    let lines = Lines::new(text);
    read_file(text, &lines).map_err(|e: Box<Error>| lines.error(*e))
}

fn read_file<'a>(text: &'a str, lines: &Lines<'a>) -> Result<TestFile<'a>> {
    let mut file = TestFile {
        commands: Vec::new(),
        settings: Vec::new(),
        targets: Vec::new(),
        features: Vec::new(),
        preamble_comments: Vec::new(),
        functions: Vec::new(),
    };
    let mut comments = Vec::new();
    let head = read_head(text, &mut file, &mut comments)?;
    let tokens = tokenize(text, head)?;
    comments.extend(&tokens.comments);
    let runs = file.commands.iter().any(|c| c.name == "run");
    let conv = if runs {
        CallConv::SystemV
    } else {
        CallConv::Fast
    };
    let mut comments = comments.into_iter().peekable();
    let mut before = |end: usize| {
        let mut found = Vec::new();
        while let Some(span) = comments.next_if(|c| (c.start as usize) < end) {
            found.push(comment(text, lines, span));
        }
        found
    };
    let mut cur = Cursor::new(text, &tokens.tokens);
    file.preamble_comments = before(cur.start());
    while !cur.at_end() {
        let start = cur.start();
        let (function, places, rest) = read_function(cur, conv)?;
        cur = rest;
        let range = start..cur.previous_end();
        file.functions.push(TestFunction {
            function,
            line: lines.line(start),
            comments_inside: before(range.end),
            comments_after: before(cur.start()),
            range,
            lines: line_numbers(lines, &places),
            places,
        });
    }
    Ok(file)
}

fn line_numbers(lines: &Lines<'_>, places: &Places) -> Vec<u32> {
    let blocks = places.blocks.iter();
    let declared = places.declared.iter().map(|d| &d.1);
    let all = places.insts.iter().chain(blocks).chain(declared);
    all.map(|&at| lines.line(at as usize)).collect()
}

fn comment<'a>(text: &'a str, lines: &Lines<'a>, span: Span) -> Comment<'a> {
    let (start, end) = (span.start as usize, span.end as usize);
    Comment {
        line: lines.line(start),
        start,
        text: text[start..end].trim_end_matches('\r'),
    }
}

/// Read the lines before the first function; the byte where they end. Comments found on the way
/// are added to `comments`.
fn read_head<'a>(
    text: &'a str,
    file: &mut TestFile<'a>,
    comments: &mut Vec<Span>,
) -> Result<usize> {
    let mut at = 0;
    for (n, full) in text.split_inclusive('\n').enumerate() {
        let line = n as u32 + 1;
        let content = full.split(';').next().unwrap_or_default();
        let mut words = content.split_whitespace();
        let start = at + (content.len() - content.trim_start().len());
        match words.next() {
            None => {}
            Some("test") => {
                let Some(name) = words.next() else {
                    return error(start, "expected the name of a test after `test`");
                };
                let options = words.map(|w| setting(line, w)).collect();
                file.commands.push(TestCommand {
                    line,
                    name,
                    options,
                });
            }
            Some("set") => file.settings.extend(words.map(|w| setting(line, w))),
            Some("target") => {
                let Some(triple) = words.next() else {
                    return error(start, "expected the name of a machine after `target`");
                };
                file.targets.push(TargetLine {
                    line,
                    triple,
                    flags: words.map(|w| setting(line, w)).collect(),
                    settings: file.settings.len(),
                });
            }
            Some("feature") => {
                let rest = content.trim_start().trim_start_matches("feature").trim();
                let quoted = rest.trim_start_matches('!').trim();
                let name = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'));
                let Some(name) = name else {
                    return error(start, "expected a name between quotes after `feature`");
                };
                let present = !rest.starts_with('!');
                file.features.push(Feature {
                    line,
                    name,
                    present,
                });
            }
            Some(_) => return Ok(at),
        }
        let end = at + full.trim_end_matches(['\n', '\r']).len();
        if content.len() < full.len() && at + content.len() < end {
            comments.push(Span {
                start: (at + content.len()) as u32,
                end: end as u32,
            });
        }
        at += full.len();
    }
    Ok(at)
}

fn setting(line: u32, word: &str) -> Setting<'_> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    Setting { line, name, value }
}
