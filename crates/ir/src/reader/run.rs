//! Run commands: what to call and what to expect.

use super::cursor::Cursor;
use super::error::{Error, Lines, ParseError, Result};
use super::lexer::tokenize;
use crate::{DataValue, Signature, Type};
use core::fmt;

/// `run: %f(1, 2) == 3` or `print: %f(1)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunCommand {
    /// Call a function and compare its results.
    Run {
        /// The call.
        invocation: Invocation,
        /// How to compare.
        comparison: Comparison,
        /// With what.
        expected: Vec<DataValue>,
    },
    /// Call a function and print its results.
    Print(Invocation),
}

/// A function and its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invocation {
    /// The name after `%`; none for the function that the comment follows.
    pub function: Option<String>,
    /// One for each parameter.
    pub args: Vec<DataValue>,
}

/// How results are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// All results must be those expected, bit by bit.
    Equals,
    /// Some result must differ.
    NotEquals,
}

impl RunCommand {
    /// Whether these results are what a `run` expects; a `print` expects nothing.
    pub fn accepts(&self, results: &[DataValue]) -> bool {
        match self {
            RunCommand::Print(_) => true,
            RunCommand::Run {
                comparison,
                expected,
                ..
            } => (results == expected) == (*comparison == Comparison::Equals),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, values: &[DataValue]) -> fmt::Result {
    for (n, value) in values.iter().enumerate() {
        write!(f, "{}{value}", if n == 0 { "" } else { ", " })?;
    }
    Ok(())
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(name) => write!(f, "{}", crate::ExternalName::Named(name.as_str().into()))?,
            None => f.write_str("<this function>")?,
        }
        f.write_str("(")?;
        write_list(f, &self.args)?;
        f.write_str(")")
    }
}

impl fmt::Display for RunCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunCommand::Print(invocation) => write!(f, "print: {invocation}"),
            RunCommand::Run {
                invocation,
                comparison,
                expected,
            } => {
                let sign = match comparison {
                    Comparison::Equals => "==",
                    Comparison::NotEquals => "!=",
                };
                write!(f, "run: {invocation} {sign} ")?;
                match expected.len() {
                    1 => write_list(f, expected),
                    _ => {
                        f.write_str("[")?;
                        write_list(f, expected)?;
                        f.write_str("]")
                    }
                }
            }
        }
    }
}

/// Read a comment that is a run command for functions with signature `sig`; none if it does not
/// begin with the word `run` or `print`.
///
/// `; run: %f(1, -2) == 3`, `; run: %f() == [1, 0x1.8p0]`, `; print: %f(1)`. A bare `; run` or
/// `; print` calls the function before the comment, which has no parameters; for `run` it must
/// have one integer result, which must not be zero. Lines and columns of errors are those in
/// `comment`.
///
/// # Errors
///
/// If something is wrong with the command, or its values do not match the signature.
pub fn parse_run_command(
    comment: &str,
    sig: &Signature,
) -> core::result::Result<Option<RunCommand>, ParseError> {
    let text = comment.trim_start_matches([' ', '\t', ';']);
    let word = text
        .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .map_or(text, |end| &text[..end]);
    if !matches!(word, "run" | "print") || u32::try_from(comment.len()).is_err() {
        return Ok(None);
    }
    let lines = Lines::new(comment);
    let start = comment.len() - text.len();
    let command = read_command(comment, start, sig);
    command.map(Some).map_err(|e: Box<Error>| lines.error(*e))
}

fn read_command(text: &str, start: usize, sig: &Signature) -> Result<RunCommand> {
    let tokens = tokenize(text, start)?;
    let mut cur = Cursor::new(text, &tokens.tokens);
    let types = |params: &[crate::AbiParam]| params.iter().map(|p| p.ty).collect::<Vec<Type>>();
    let (params, returns) = (types(&sig.params), types(&sig.returns));
    let runs = cur.word("`run` or `print`")? == "run";
    if !cur.optional(":") {
        let command = bare_command(&cur, runs, &params, &returns)?;
        end(&cur)?;
        return Ok(command);
    }
    let function = Some(cur.percent_name()?);
    cur.sign("(")?;
    let args = values(&mut cur, &params, "`)`")?;
    cur.sign(")")?;
    let invocation = Invocation { function, args };
    if !runs {
        end(&cur)?;
        return Ok(RunCommand::Print(invocation));
    }
    let comparison = if cur.optional("=") {
        Comparison::Equals
    } else if cur.optional("!") {
        Comparison::NotEquals
    } else {
        return cur.expected("`==` or `!=`");
    };
    cur.sign("=")?;
    let expected = match &returns[..] {
        [ty] => vec![value(&mut cur, *ty)?],
        _ => {
            cur.sign("[")?;
            let expected = values(&mut cur, &returns, "`]`")?;
            cur.sign("]")?;
            expected
        }
    };
    end(&cur)?;
    Ok(RunCommand::Run {
        invocation,
        comparison,
        expected,
    })
}

/// A command that is just a word.
fn bare_command(
    cur: &Cursor<'_>,
    runs: bool,
    params: &[Type],
    returns: &[Type],
) -> Result<RunCommand> {
    let invocation = Invocation {
        function: None,
        args: Vec::new(),
    };
    match returns {
        _ if !params.is_empty() => cur.expected("`:`, as the function has parameters"),
        _ if !runs => Ok(RunCommand::Print(invocation)),
        [ty] if ty.is_int() => Ok(RunCommand::Run {
            invocation,
            comparison: Comparison::NotEquals,
            expected: vec![DataValue::new(*ty, 0)],
        }),
        _ => cur.expected("`:`, as the function does not return one integer"),
    }
}

fn end(cur: &Cursor<'_>) -> Result<()> {
    match cur.at_end() {
        true => Ok(()),
        false => cur.expected("the end of the command"),
    }
}

/// Values of these types with commas between them, up to a sign that is left where it is.
fn values(cur: &mut Cursor<'_>, types: &[Type], close: &str) -> Result<Vec<DataValue>> {
    let mut values = Vec::new();
    for (n, &ty) in types.iter().enumerate() {
        if n > 0 && !cur.optional(",") {
            let (have, want) = (n, types.len());
            return cur.expected(&format!("`,`: {want} values, not {have}"));
        }
        values.push(value(cur, ty)?);
    }
    if cur.looking_at(",") {
        let want = types.len();
        return cur.expected(&format!("{close}: no more than {want} values"));
    }
    Ok(values)
}

fn value(cur: &mut Cursor<'_>, ty: Type) -> Result<DataValue> {
    if ty.bits() > 128 || ty.is_dynamic() || !ty.is_valid() {
        return cur.expected(&format!("nothing: there are no values of type {ty} here"));
    }
    let bytes = cur.data(ty)?;
    let mut bits = [0; 16];
    bits[..bytes.len()].copy_from_slice(&bytes);
    Ok(DataValue::new(ty, u128::from_le_bytes(bits)))
}
