//! Mutations of text.

use super::KEPT;
use nopal_fuzzgen::Rng;
use nopal_ir::{Opcode, Type};

/// Longer texts are not mutated again: they take long and show little.
const LONG: usize = 8 << 10;

/// Words of the language that are neither opcodes nor types.
const WORDS: &[&str] = &[
    "function",
    "%f",
    "u0:1",
    "block0",
    "block1",
    "block4294967295",
    "v0",
    "v1",
    "v4294967294",
    "v4294967295",
    "ss0",
    "dss0",
    "dt0",
    "gv0",
    "sig0",
    "fn0",
    "const0",
    "region0",
    "stack_limit",
    "explicit_slot",
    "explicit_dynamic_slot",
    "align",
    "key",
    "vmctx",
    "symbol",
    "colocated",
    "tls",
    "patchable",
    "iadd_imm",
    "load",
    "dyn_scale_target_const",
    "notrap",
    "aligned",
    "readonly",
    "can_move",
    "little",
    "big",
    "heap_oob",
    "int_divz",
    "bad_toint",
    "stk_ovf",
    "user1",
    "user251",
    "system_v",
    "fast",
    "tail",
    "preserve_all",
    "winch",
    "windows_fastcall",
    "apple_aarch64",
    "probestack",
    "uext",
    "sext",
    "sret",
    "sarg(8)",
    "sarg(4294967295)",
    "cold",
    "ret0",
    "exn0",
    "default",
    "context",
    "tag0",
    "observe=[v0]",
    "observe=[",
    "site=1",
    "site=4294967295",
    "stack_map=[i32 @ ss0+0]",
    "@7",
    "<ss0, 1>",
    "->",
    "=",
    "==",
    "eq",
    "ne",
    "slt",
    "ugt",
    "uno",
    "one",
    "add",
    "xchg",
    "umin",
    "test",
    "run",
    "target",
    "set",
    "feature",
    "x86_64",
    ";",
    "; run:",
    "; run: %f() == 1",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    ",",
    ":",
    "+",
    "-",
    "\n",
    "\t",
    "\"",
    "\"\"",
    "\0",
    "\u{fffd}",
    "é",
    "0",
    "1",
    "-1",
    "255",
    "256",
    "65535",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "0xffff_ffff_ffff_ffff",
    "0xffffffffffffffffffffffffffffffff",
    "340282366920938463463374607431768211456",
    "0x",
    "0x1.8p0",
    "0x1.8p9999",
    "0x0.000001p-1074",
    "-0x1.fffffep127",
    "+Inf",
    "-Inf",
    "+NaN",
    "-NaN:0x1",
    "sNaN:0x1",
    "+NaN:0xffffffffffff",
    "0.0",
    "1_",
    "_",
    "1__0",
];

/// Texts, and new ones made of them.
pub(super) struct Texts {
    texts: Vec<Vec<u8>>,
    words: Vec<String>,
}

impl Texts {
    pub(super) fn new(texts: Vec<Vec<u8>>) -> Texts {
        let mut words: Vec<String> = WORDS.iter().map(|w| w.to_string()).collect();
        words.extend(Opcode::ALL.iter().map(|o| o.to_string()));
        words.extend(Type::every().map(|t| t.to_string()));
        Texts { texts, words }
    }

    /// Mutate this text as well from here on.
    pub(super) fn keep(&mut self, text: Vec<u8>, rng: &mut Rng) {
        if text.len() > LONG {
            return;
        }
        if self.texts.len() < KEPT {
            self.texts.push(text);
        } else {
            let n = rng.below(self.texts.len());
            self.texts[n] = text;
        }
    }

    fn any(&self, rng: &mut Rng) -> &[u8] {
        &self.texts[rng.below(self.texts.len())]
    }

    /// A new text.
    pub(super) fn next(&self, rng: &mut Rng) -> Vec<u8> {
        let mut text = self.any(rng).to_vec();
        let most = rng.pick(&[1, 1, 2, 6]);
        for _ in 0..1 + rng.below(most) {
            self.mutate(&mut text, rng);
        }
        text
    }

    fn mutate(&self, text: &mut Vec<u8>, rng: &mut Rng) {
        if text.is_empty() {
            text.extend_from_slice(self.any(rng));
            return;
        }
        match rng.below(16) {
            0 => {
                let at = rng.below(text.len());
                text[at] ^= 1 << rng.below(8);
            }
            1 => {
                let at = rng.below(text.len() + 1);
                text.insert(at, rng.next() as u8);
            }
            2 => {
                let range = span(text, rng, 20);
                text.drain(range);
            }
            3 => {
                let range = span(text, rng, 200);
                let copy = text[range.clone()].to_vec();
                let at = rng.below(text.len() + 1);
                text.splice(at..at, copy);
            }
            4 => text.truncate(rng.below(text.len())),
            5 => {
                // A part of it, many times.
                let range = span(text, rng, 12);
                let copy = text[range.clone()].repeat(1 + rng.below(500));
                text.splice(range.end..range.end, copy);
            }
            6 | 7 => self.lines(text, rng),
            8 => {
                let other = self.any(rng);
                let range = span(other, rng, 300);
                let at = rng.below(text.len() + 1);
                text.splice(at..at, other[range].to_vec());
            }
            _ => self.word(text, rng),
        }
    }

    /// Replace or insert a word.
    fn word(&self, text: &mut Vec<u8>, rng: &mut Rng) {
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'%' | b'-');
        let mut at = rng.below(text.len());
        while at > 0 && is_word(&text[at - 1]) {
            at -= 1;
        }
        let len = text[at..].iter().take_while(|b| is_word(b)).count();
        let new = match rng.below(4) {
            0 => {
                // Another word of the text.
                let words: Vec<&[u8]> = text
                    .split(|b| !is_word(b))
                    .filter(|w| !w.is_empty())
                    .collect();
                match words.is_empty() {
                    true => Vec::new(),
                    false => words[rng.below(words.len())].to_vec(),
                }
            }
            1 if len > 0 => number(&text[at..at + len], rng),
            _ => self.words[rng.below(self.words.len())].clone().into_bytes(),
        };
        let end = if rng.chance(80) { at + len } else { at };
        text.splice(at..end, new);
    }

    /// Remove, repeat, exchange or take over lines.
    fn lines(&self, text: &mut Vec<u8>, rng: &mut Rng) {
        let mut lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let n = rng.below(lines.len());
        match rng.below(5) {
            0 => drop(lines.remove(n)),
            1 => {
                let copy = lines[n].clone();
                lines.insert(rng.below(n + 1), copy);
            }
            2 => {
                let m = rng.below(lines.len());
                lines.swap(n, m);
            }
            3 => {
                let m = rng.below(lines.len());
                lines[n] = lines[m].clone();
            }
            _ => {
                let other: Vec<&[u8]> = self.any(rng).split(|b| *b == b'\n').collect();
                lines.insert(n, other[rng.below(other.len())].to_vec());
            }
        }
        *text = lines.join(&b'\n');
    }
}

/// A word with its number changed.
fn number(word: &[u8], rng: &mut Rng) -> Vec<u8> {
    let digits = word.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let mut out = word[..word.len() - digits].to_vec();
    let value: u64 = std::str::from_utf8(&word[word.len() - digits..])
        .ok()
        .and_then(|t| t.parse().ok())
        .unwrap_or_default();
    let value = match rng.below(5) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => rng.below(16) as u64,
        3 => 1 << rng.below(64),
        _ => rng.next(),
    };
    out.extend(value.to_string().bytes());
    out
}

fn span(text: &[u8], rng: &mut Rng, largest: usize) -> std::ops::Range<usize> {
    let at = rng.below(text.len().max(1));
    let len = 1 + rng.below(largest);
    at.min(text.len())..(at + len).min(text.len())
}
