//! The text of a function in the language that Cranelift reads.

use std::fmt::Write;

/// Replace Nopal's extensions of patchable calls.
///
/// `, site=K, observe=[…]` goes; the number becomes the source location of the call, by which the
/// call is found again.
pub(crate) fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match line.split_once(", site=") {
            Some((call, rest)) => {
                let end = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                let site: u32 = rest[..end].parse().unwrap_or(u32::MAX);
                let _ = writeln!(out, "@{site:04x} {}", call.trim_start());
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_become_locations() {
        let text =
            "block0(v1: i32):\n    call fn2(v1), site=18, observe=[v1, v1]  ; v1 = 3\n    return\n";
        let want = "block0(v1: i32):\n@0012 call fn2(v1)\n    return\n";
        assert_eq!(strip(text), want);
    }
}
