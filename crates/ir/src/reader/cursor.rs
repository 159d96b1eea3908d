//! Steps through the tokens of a text.

use super::error::{Result, error};
use super::lexer::{Kind, Token, numbered};
use super::numbers;
use crate::{ExternalName, Type};

/// A place in the tokens of a text.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    /// The last one is the end.
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, tokens: &'a [Token]) -> Self {
        Self {
            text,
            tokens,
            at: 0,
        }
    }

    /// The number of the token here.
    pub(super) fn index(&self) -> usize {
        self.at
    }

    /// All tokens.
    pub(super) fn tokens(&self) -> &'a [Token] {
        self.tokens
    }

    fn token(&self) -> Token {
        self.tokens[self.at]
    }

    /// The byte where the token here begins.
    pub(super) fn start(&self) -> usize {
        self.token().start as usize
    }

    /// One past the byte where the token before this one ends.
    pub(super) fn previous_end(&self) -> usize {
        match self.at.checked_sub(1) {
            Some(at) => self.tokens[at].end as usize,
            None => 0,
        }
    }

    /// The text of a token.
    pub(super) fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    /// The text of the token here.
    pub(super) fn here(&self) -> &'a str {
        self.text_of(self.token())
    }

    /// What kind of token is here.
    pub(super) fn kind(&self) -> Kind {
        self.token().kind
    }

    pub(super) fn at_end(&self) -> bool {
        self.kind() == Kind::End
    }

    pub(super) fn advance(&mut self) {
        if !self.at_end() {
            self.at += 1;
        }
    }

    /// An error about the token here.
    pub(super) fn expected<T>(&self, what: &str) -> Result<T> {
        let found = match self.kind() {
            Kind::End => "the end of the text".to_string(),
            _ => {
                let text: String = self.here().chars().take(40).collect();
                format!("`{text}`")
            }
        };
        error(self.start(), format!("expected {what}, found {found}"))
    }

    /// The token here, if it is of this kind; stepped over.
    fn take(&mut self, kind: Kind) -> Option<&'a str> {
        let text = self.here();
        if self.kind() != kind {
            return None;
        }
        self.advance();
        Some(text)
    }

    /// Whether this sign is here.
    pub(super) fn looking_at(&self, sign: &str) -> bool {
        self.kind() == Kind::Sign && self.here() == sign
    }

    /// Step over a sign, if it is here.
    pub(super) fn optional(&mut self, sign: &str) -> bool {
        let here = self.looking_at(sign);
        if here {
            self.advance();
        }
        here
    }

    /// Step over a sign, which must be here.
    pub(super) fn sign(&mut self, sign: &str) -> Result<()> {
        match self.optional(sign) {
            true => Ok(()),
            false => self.expected(&format!("`{sign}`")),
        }
    }

    /// The word here, if it is one.
    pub(super) fn peek_word(&self) -> Option<&'a str> {
        (self.kind() == Kind::Word).then(|| self.here())
    }

    /// The word after the one here, if it is one.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str> {
        match self.take(Kind::Word) {
            Some(word) => Ok(word),
            None => self.expected(what),
        }
    }

    /// Step over a word, if it is here.
    pub(super) fn optional_word(&mut self, word: &str) -> bool {
        let here = self.peek_word() == Some(word);
        if here {
            self.advance();
        }
        here
    }

    /// The word here as something that has a name; stepped over.
    pub(super) fn named<T>(&mut self, what: &str, from: impl Fn(&str) -> Option<T>) -> Result<T> {
        match self.peek_word().and_then(from) {
            Some(t) => {
                self.advance();
                Ok(t)
            }
            None => self.expected(what),
        }
    }

    /// The number of the reference here, if it has this prefix.
    pub(super) fn peek_numbered(&self, prefix: &str) -> Option<u32> {
        let (p, n) = numbered(self.peek_word()?)?;
        (p == prefix).then_some(n)
    }

    /// The number of the reference here, which must have this prefix; stepped over.
    pub(super) fn numbered(&mut self, prefix: &str, what: &str) -> Result<u32> {
        match self.peek_numbered(prefix) {
            Some(n) => {
                self.advance();
                Ok(n)
            }
            None => self.expected(&format!("{what}, e.g. `{prefix}0`")),
        }
    }

    /// The type here; stepped over.
    pub(super) fn ty(&mut self) -> Result<Type> {
        self.named("a type", Type::from_name)
    }

    /// The bits of the integer here, of `bits` bits, zero-extended; stepped over.
    pub(super) fn integer(&mut self, bits: u32, what: &str) -> Result<u128> {
        if self.kind() != Kind::Number {
            return self.expected(what);
        }
        match numbers::integer(self.here(), bits) {
            Ok(n) => {
                self.advance();
                Ok(n)
            }
            Err(why) => self.wrong(what, why),
        }
    }

    /// The number here that is not negative; stepped over.
    pub(super) fn unsigned(&mut self, bits: u32, what: &str) -> Result<u64> {
        if self.kind() == Kind::Number && self.here().starts_with('-') {
            return self.wrong(what, "too small a number");
        }
        self.integer(bits, what).map(|n| n as u64)
    }

    /// The number here, of 64 bits; stepped over.
    pub(super) fn imm64(&mut self, what: &str) -> Result<i64> {
        self.integer(64, what).map(|n| n as u64 as i64)
    }

    /// The number with a sign here, or 0 if there is none.
    pub(super) fn optional_offset(&mut self, bits: u32) -> Result<i64> {
        if self.kind() != Kind::Number || !self.here().starts_with(['+', '-']) {
            return Ok(0);
        }
        let start = self.start();
        let n = self.imm64("an offset")?;
        match bits == 64 || i32::try_from(n).is_ok() {
            true => Ok(n),
            false => error(start, "an offset has 32 bits"),
        }
    }

    /// The bits of the float here, of `bits` bits; stepped over.
    pub(super) fn float(&mut self, bits: u32) -> Result<u128> {
        let what = format!("a float of {bits} bits");
        if self.kind() != Kind::Number {
            return self.expected(&what);
        }
        match numbers::float(self.here(), bits) {
            Ok(n) => {
                self.advance();
                Ok(n)
            }
            Err(why) => self.wrong(&what, why),
        }
    }

    /// The bytes of the hexadecimal number here, the lowest first; stepped over.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>> {
        let what = "a hexadecimal number, two digits for each byte";
        if self.kind() != Kind::Number {
            return self.expected(what);
        }
        match numbers::bytes(self.here()) {
            Ok(bytes) => {
                self.advance();
                Ok(bytes)
            }
            Err(why) => self.wrong(what, why),
        }
    }

    fn wrong<T>(&self, what: &str, why: &str) -> Result<T> {
        let text: String = self.here().chars().take(40).collect();
        let message = format!("expected {what}, found `{text}`: {why}");
        error(self.start(), message)
    }

    /// The bits of the value of type `ty` here, in their low bits; a vector is a hexadecimal number
    /// or the list of its lanes. Stepped over.
    pub(super) fn data(&mut self, ty: Type) -> Result<Vec<u8>> {
        let start = self.start();
        let size = ty.bytes() as usize;
        if !ty.is_vector() {
            let bits = match ty.is_float() {
                true => self.float(ty.bits())?,
                false => self.integer(ty.bits(), &format!("an integer of type {ty}"))?,
            };
            return Ok(bits.to_le_bytes()[..size].to_vec());
        }
        if !self.optional("[") {
            let mut bytes = self.bytes()?;
            if bytes.len() > size {
                return error(start, format!("{ty} has {size} bytes, not {}", bytes.len()));
            }
            bytes.resize(size, 0);
            return Ok(bytes);
        }
        let mut bytes = Vec::new();
        for _ in 0..ty.lanes() {
            bytes.extend(self.data(ty.lane())?);
            self.optional(",");
        }
        self.sign("]")?;
        Ok(bytes)
    }

    /// The name here; stepped over.
    pub(super) fn name(&mut self) -> Result<ExternalName> {
        if let Some(name) = self.take(Kind::Name) {
            return Ok(ExternalName::Named(plain_name(name).into()));
        }
        if self.peek_numbered("userextname").is_some() {
            let name = self.here();
            self.advance();
            return Ok(ExternalName::Named(name.into()));
        }
        let namespace = self.numbered("u", "a name, `%f` or `u0:0`")?;
        self.sign(":")?;
        let index = self.unsigned(32, "the second number of a name")? as u32;
        Ok(ExternalName::User { namespace, index })
    }

    /// The name after `%` here, without quotes; stepped over.
    pub(super) fn percent_name(&mut self) -> Result<String> {
        match self.take(Kind::Name) {
            Some(name) => Ok(plain_name(name)),
            None => self.expected("the name of a function, e.g. `%f`"),
        }
    }

    /// The text between quotes here; stepped over.
    pub(super) fn string(&mut self) -> Result<&'a str> {
        match self.take(Kind::Str) {
            Some(text) => Ok(&text[1..text.len() - 1]),
            None => self.expected("text between quotes"),
        }
    }

    /// The number after `@` here, if there is one; stepped over.
    pub(super) fn optional_srcloc(&mut self) -> Result<Option<u32>> {
        if self.kind() != Kind::SourceLoc {
            return Ok(None);
        }
        match u32::from_str_radix(&self.here()[1..], 16) {
            Ok(n) => {
                self.advance();
                Ok(Some(n))
            }
            Err(_) => self.wrong("a source location", "too large a number"),
        }
    }
}

/// The name that `%name` or `%"name"` is.
fn plain_name(text: &str) -> String {
    let Some(quoted) = text.strip_prefix("%\"") else {
        return text[1..].into();
    };
    let mut name = String::new();
    let mut chars = quoted[..quoted.len() - 1].chars();
    while let Some(c) = chars.next() {
        name.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    name
}
