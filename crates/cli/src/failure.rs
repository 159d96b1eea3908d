//! The ways the command fails, and what each does to the exit code.

use crate::output;
use nopal_wasm::TrapError;

/// Why the command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// A file, a module or the system is in the way.
    Error(String),
    /// The guest trapped.
    Trap(TrapError),
    /// `--help` or `--version` was asked for: nothing failed.
    Information(String),
    /// The reader of the output has gone. Nobody is left to be told.
    ClosedPipe,
}

impl Failure {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Failure::Information(_) | Failure::ClosedPipe => 0,
            Failure::Error(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Trap(_) => 134,
        }
    }

    /// Tell the user.
    pub(crate) fn report(&self) {
        match self {
            Failure::Information(text) => output::print(text),
            Failure::Usage(message) | Failure::Error(message) => {
                output::eprint(&format!("nopal: error: {}\n", one_line(message)));
            }
            Failure::Trap(trap) => output::eprint(&describe_trap(trap)),
            Failure::ClosedPipe => {}
        }
    }
}

/// Messages of other libraries may span lines, and names in a module may hold anything.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for part in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(part.chars().map(|c| if c.is_control() { '?' } else { c }));
    }
    line
}

fn describe_trap(trap: &TrapError) -> String {
    let mut text = format!("nopal: trap: {}\n", trap.kind());
    for (number, frame) in trap.backtrace().iter().enumerate() {
        let name = frame
            .func_name()
            .map_or_else(|| "<unnamed>".into(), nopal_instrument::demangle);
        let place = match frame.wasm_offset() {
            Some(offset) => format!("offset {offset:#x}"),
            None => String::from("at its entry"),
        };
        let index = frame.func_index();
        text += &one_line(&format!("{number}: {name} (function {index}, {place})"));
        text.push('\n');
    }
    let hidden = trap.depth().saturating_sub(trap.backtrace().len());
    if hidden > 0 {
        text += &format!("and {hidden} more frames\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_take_one_line() {
        assert_eq!(one_line("a\n  b\tc\u{1b}[0m\r\n"), "a b c?[0m");
    }

    #[test]
    fn exit_codes_are_those_documented() {
        assert_eq!(Failure::Error(String::new()).exit_code(), 1);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(Failure::ClosedPipe.exit_code(), 0);
    }
}
