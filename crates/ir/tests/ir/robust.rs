//! No text makes the reader, the printer or the verifier panic or take long.

use crate::common::Rng;
use crate::reader::FILES;
use nopal_ir::reader::{parse_run_command, parse_test};
use nopal_ir::verify;

/// What to put in when nothing of the text is.
const SCRAPS: &[&str] = &[
    "",
    " ",
    "\n",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ".",
    ":",
    "=",
    "->",
    "@",
    "@ff",
    "<",
    ">",
    "!",
    "*",
    ";",
    "%",
    "%f",
    "\"",
    "\\",
    "é",
    "\0",
    "-",
    "+",
    "-0",
    "0x",
    "1_0",
    "99999999999",
    "0x1.8p1",
    "NaN",
    "-sNaN:0x1",
    "+Inf",
    "0x1p-9999",
    "v0",
    "v7",
    "v4294967295",
    "v99999",
    "block0",
    "block1",
    "block4294967294",
    "ss0",
    "sig0",
    "fn0",
    "gv0",
    "dt0",
    "dss0",
    "const0",
    "region0",
    "ret0",
    "exn1",
    "tag0",
    "i8",
    "i128",
    "f16",
    "i8x16",
    "i8x256",
    "i32x4xN",
    "f64x3",
    "cold",
    "function",
    "stack_limit",
    "try_call",
    "patchable",
    "patchable_call",
    "notrap",
    "little",
    "big",
    "user1",
    "sarg(4)",
    "observe=[v0]",
    "site=1",
    "stack_map=[i8 @ ss0+0]",
    "jump block0",
    "return",
    "v1 -> v0",
    "v0, v1",
    "iadd v0, v0",
    "iconst.i8 300",
    "br_table v0, block0, []",
    "test run",
];

/// Pieces of the text: words, numbers, signs.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = |c: char| c == '_' || c.is_alphanumeric();
        let end = match word(c) {
            true => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            false => c.len_utf8(),
        };
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    pieces
}

fn mutate<'a>(rng: &mut Rng, pieces: &[&'a str]) -> Vec<&'a str> {
    let mut out = pieces.to_vec();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(out.len());
        match rng.below(6) {
            0 => drop(out.remove(at)),
            1 => out[at] = rng.pick(SCRAPS),
            2 => out.insert(at, rng.pick(SCRAPS)),
            3 => out[at] = rng.pick(pieces),
            4 => {
                let to = rng.below(out.len());
                out.swap(at, to);
            }
            _ => {
                let end = (at + rng.below(30)).min(out.len());
                let part: Vec<_> = out[at..end].to_vec();
                let to = rng.below(out.len());
                out.splice(to..to, part);
            }
        }
        if out.is_empty() {
            out.push("\n");
        }
    }
    out
}

/// Whatever is read is printed, and what is printed is read as the same.
fn check(text: &str) -> bool {
    let file = match parse_test(text) {
        Ok(file) => file,
        Err(e) => {
            let lines = text.split('\n').count() as u32;
            assert!((1..=lines).contains(&e.line), "{e}\n{text}");
            assert!(e.column >= 1 && !e.message.is_empty(), "{e}\n{text}");
            return false;
        }
    };
    for f in &file.functions {
        let printed = f.function.to_string();
        let valid = verify(&f.function).is_ok();
        let again = match parse_test(&printed) {
            Ok(file) => file,
            // The type of an operand that is not defined on all ways to its use may not be known.
            Err(e) if !valid && e.message.contains("needs a type") => continue,
            Err(e) => panic!("{e}\n{printed}\nfrom\n{text}"),
        };
        assert_eq!(again.functions[0].function.to_string(), printed, "{text}");
        assert_eq!(
            verify(&again.functions[0].function).is_ok(),
            valid,
            "{text}"
        );
        for comment in &f.comments_after {
            // Good or bad: it must come back.
            let _ = parse_run_command(comment.text, &f.function.signature);
        }
    }
    true
}

#[test]
fn mutated_files_are_read_or_refused() {
    let mut rng = Rng(0x5eed);
    let mut read = 0;
    for (_, text) in FILES {
        let pieces = pieces(text);
        assert!(check(text));
        for _ in 0..1500 {
            read += u32::from(check(&mutate(&mut rng, &pieces).concat()));
        }
    }
    // Enough of them must be good for the test to mean something.
    assert!(read > 500, "{read}");
}

#[test]
fn random_bytes_are_refused() {
    let mut rng = Rng(0xb17e5);
    for _ in 0..2000 {
        let len = rng.below(60);
        let text: String = (0..len).map(|_| rng.pick(SCRAPS)).collect();
        check(&text);
        check(&format!(
            "function %f(i32) {{\nblock0(v0: i32):\n{text}\n}}"
        ));
    }
}

#[test]
fn deep_and_long_texts_take_no_more_than_their_length() {
    for piece in [
        "(",
        "[",
        "{",
        "<",
        "<1",
        "function %f(",
        "\"",
        "v0 -> ",
        "block",
        "[ tag0: ",
    ] {
        check(&piece.repeat(20_000));
        check(&format!(
            "function %f() {{ block0: {} }}",
            piece.repeat(20_000)
        ));
    }
    // Numbers out of all proportion to the text.
    let text = "function %f() -> i32 {
        ss4294967294 = explicit_slot 4
        fn4294967294 = %g() system_v
    block4294967294:
        v4294967294 = iconst.i32 1
        call fn4294967294()
        jump block99999999(v4294967294)
    block99999999(v4000000000: i32):
        return v4000000000
    }";
    assert!(check(text));
    let file = parse_test(text).unwrap();
    assert!(verify(&file.functions[0].function).is_ok());
    assert!(file.functions[0].function.num_values() < 10);
}

#[test]
fn what_texts_multiply_is_bounded() {
    // Each call has as many results without names as its signature has returns.
    let mut text = format!(
        "function %f() tail {{ sig0 = () -> {} tail\n fn0 = %g sig0\n",
        ["i8"; 5000].join(",")
    );
    for n in 0..5000 {
        text += &format!("block{n}: try_call fn0(), sig0, block0, []\n");
    }
    assert!(parse_test(&(text + "}")).is_err_and(|e| e.message.contains("too many results")));
    // Many edges to a block with many parameters.
    let params: Vec<_> = (0..5000).map(|n| format!("v{n}: i8")).collect();
    let text = format!(
        "function %f(i32) tail {{\nblock0(v9999: i32): br_table v9999, block1, [{}]\nblock1({}): return }}",
        ["block1"; 5000].join(","),
        params.join(",")
    );
    let file = parse_test(&text).unwrap();
    assert_eq!(verify(&file.functions[0].function).unwrap_err().len(), 100);
}
