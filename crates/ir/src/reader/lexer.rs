//! The text as tokens.

use super::error::{Result, error};

/// What a token is; its text tells the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Letters, digits and `_`, not beginning with a digit: `iadd`, `v7`, `i32x4`.
    Word,
    /// A number, perhaps with a sign: `-0x1.8p3`, `+Inf`, `NaN:0x1`.
    Number,
    /// `%name`, or `%"any name"`.
    Name,
    /// Text between quotes.
    Str,
    /// `@001a`.
    SourceLoc,
    /// One character, or `->`.
    Sign,
    /// The end of the text.
    End,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A comment from its `;` to the end of the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The tokens and the comments of a text, in order; the last token is the end.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Vec<Span>,
}

fn is_word(b: u8) -> bool {
    b == b'_' || b.is_ascii_alphanumeric()
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Cut `text` from byte `from` on into tokens. The text is less than 4 GiB long.
pub(super) fn tokenize(text: &str, from: usize) -> Result<Tokens> {
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        at: from,
    };
    let mut all = Tokens::default();
    while let Some(b) = lexer.peek(0) {
        let start = lexer.at;
        let span = |end: usize| Span {
            start: start as u32,
            end: end as u32,
        };
        match b {
            b' ' | b'\t'..=b'\r' => lexer.at += 1,
            b';' => {
                lexer.skip_while(|b| b != b'\n');
                all.comments.push(span(lexer.at));
            }
            _ => {
                let kind = lexer.token(text)?;
                let Span { start, end } = span(lexer.at);
                all.tokens.push(Token { kind, start, end });
            }
        }
    }
    all.tokens.push(Token {
        kind: Kind::End,
        start: text.len() as u32,
        end: text.len() as u32,
    });
    Ok(all)
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, f: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&f) {
            self.at += 1;
        }
    }

    /// Step over one token that begins here.
    fn token(&mut self, text: &str) -> Result<Kind> {
        let start = self.at;
        let b = self.bytes[start];
        match b {
            b'0'..=b'9' => {
                self.number();
                Ok(Kind::Number)
            }
            b'-' if self.peek(1) == Some(b'>') => {
                self.at += 2;
                Ok(Kind::Sign)
            }
            b'+' | b'-' => {
                self.at += 1;
                match self.peek(0) {
                    Some(b'0'..=b'9') => self.number(),
                    Some(b'N' | b'I' | b's') if self.special_float() => {}
                    _ => return Ok(Kind::Sign),
                }
                Ok(Kind::Number)
            }
            b'N' | b'I' | b's' if self.special_float() => Ok(Kind::Number),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.skip_while(is_word);
                Ok(Kind::Word)
            }
            b'%' if self.peek(1) == Some(b'"') => self.quoted(start + 2, true).map(|()| Kind::Name),
            b'%' => {
                self.at += 1;
                self.skip_while(is_word);
                Ok(Kind::Name)
            }
            b'"' => self.quoted(start + 1, false).map(|()| Kind::Str),
            b'@' if self.peek(1).is_some_and(|b| b.is_ascii_hexdigit()) => {
                self.at += 1;
                self.skip_while(|b| b.is_ascii_hexdigit());
                Ok(Kind::SourceLoc)
            }
            b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'<' | b'>' | b',' | b'.' | b':' | b'='
            | b'!' | b'*' | b'@' => {
                self.at += 1;
                Ok(Kind::Sign)
            }
            _ => {
                let c = text[start..].chars().next().unwrap_or_default();
                error(start, format!("unexpected character {c:?}"))
            }
        }
    }

    /// Digits, letters, points and `_`; a sign just after the `p` of an exponent.
    fn number(&mut self) {
        let mut last = 0;
        while let Some(b) = self.peek(0) {
            let exponent = matches!(b, b'-' | b'+')
                && matches!(last, b'p' | b'P')
                && self.peek(1).is_some_and(|b| b.is_ascii_digit());
            if !(is_word(b) || b == b'.' || exponent) {
                break;
            }
            last = b;
            self.at += 1;
        }
    }

    /// Step over `Inf`, `NaN`, `NaN:0x1` or `sNaN:0x1`, if one of them is here.
    fn special_float(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let word = rest.iter().position(|&b| !is_word(b)).unwrap_or(rest.len());
        if !matches!(&rest[..word], b"Inf" | b"NaN" | b"sNaN") {
            return false;
        }
        self.at += word;
        if self.peek(0) == Some(b':') && rest[0] != b'I' && self.peek(1) == Some(b'0') {
            self.at += 1;
            self.skip_while(is_word);
        }
        true
    }

    /// Step over text up to the closing quote. In names a backslash takes the character after it
    /// along.
    fn quoted(&mut self, from: usize, name: bool) -> Result<()> {
        let start = self.at;
        self.at = from;
        loop {
            match self.peek(0) {
                None => return error(start, "this text between quotes does not end"),
                Some(b'"') => break,
                Some(b'\\') if name => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }
}

/// A word made of a prefix and a decimal number without superfluous zeros: `v7`, `block12`.
pub(super) fn numbered(word: &str) -> Option<(&str, u32)> {
    let digits = word.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (prefix, number) = word.split_at(word.len() - digits);
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return None;
    }
    Some((prefix, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let all = tokenize(text, 0).unwrap();
        let range = |t: &Token| &text[t.start as usize..t.end as usize];
        all.tokens.iter().map(range).collect()
    }

    #[test]
    fn tokens() {
        assert_eq!(words("v0-1 ss0+8"), ["v0", "-1", "ss0", "+8", ""]);
        assert_eq!(words("() -> i32"), ["(", ")", "->", "i32", ""]);
        assert_eq!(words("-0x1.8p-3"), ["-0x1.8p-3", ""]);
        assert_eq!(
            words("[+NaN:0x1 -sNaN:0x2 Inf]"),
            ["[", "+NaN:0x1", "-sNaN:0x2", "Inf", "]", ""]
        );
        assert_eq!(words("%a_b %\"x \\\" y\""), ["%a_b", "%\"x \\\" y\"", ""]);
        assert_eq!(words("@00c7 i64 @ ss0"), ["@00c7", "i64", "@", "ss0", ""]);
        assert_eq!(words("Infinity: NaNs"), ["Infinity", ":", "NaNs", ""]);
        assert_eq!(words("\"a\\\" b"), ["\"a\\\"", "b", ""]);
        assert!(tokenize("a \"b", 0).is_err() && tokenize("%\"\\", 0).is_err());
        assert_eq!(tokenize("ab é", 0).err().unwrap().at, 3);
    }

    #[test]
    fn numbered_words() {
        assert_eq!(numbered("v7"), Some(("v", 7)));
        assert_eq!(numbered("i32x4"), Some(("i32x", 4)));
        for word in ["v", "v07", "", "v4294967296"] {
            assert_eq!(numbered(word), None);
        }
        assert_eq!(numbered("v0"), Some(("v", 0)));
    }
}
