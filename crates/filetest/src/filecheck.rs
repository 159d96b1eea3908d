//! Expectations about text, in the comments of a function: `check:`, `sameln:`, `nextln:`, `not:`.

/// A directive of a comment.
struct Directive<'a> {
    kind: &'a str,
    pattern: &'a str,
    line: u32,
}

const KINDS: [&str; 7] = [
    "check",
    "sameln",
    "nextln",
    "not",
    "order",
    "unordered",
    "regex",
];

/// What came of comparing.
pub(crate) enum Verdict {
    /// There are no expectations.
    Nothing,
    /// All are met.
    Met,
    /// One is not, in this line.
    Unmet(u32, String),
    /// One needs what is not understood.
    NotUnderstood(&'static str),
}

/// Compare `text` with the expectations in `comments`, which are given with their lines.
pub(crate) fn check<'a>(comments: impl Iterator<Item = (u32, &'a str)>, text: &str) -> Verdict {
    let directives: Vec<Directive<'a>> = comments.filter_map(|(l, t)| parse(l, t)).collect();
    if directives.is_empty() {
        return Verdict::Nothing;
    }
    let unknown = |d: &&Directive<'_>| matches!(d.kind, "order" | "unordered" | "regex");
    if directives.iter().find(unknown).is_some()
        || directives.iter().any(|d| d.pattern.contains('$'))
    {
        return Verdict::NotUnderstood("filecheck with variables or without order");
    }
    // Where matching goes on.
    let mut at = 0;
    let mut forbidden: Vec<&Directive<'_>> = Vec::new();
    for d in &directives {
        let rest = &text[at..];
        let range = match d.kind {
            "not" => {
                forbidden.push(d);
                continue;
            }
            "sameln" => 0..rest.find('\n').unwrap_or(rest.len()),
            "nextln" => match rest.find('\n') {
                Some(end) => {
                    let line = &rest[end + 1..];
                    end + 1..end + 1 + line.find('\n').unwrap_or(line.len())
                }
                None => rest.len()..rest.len(),
            },
            _ => 0..rest.len(),
        };
        let Some(found) = rest[range.clone()].find(d.pattern) else {
            let message = format!("expected `{}: {}`; the text is\n{text}", d.kind, d.pattern);
            return Verdict::Unmet(d.line, message);
        };
        let start = at + range.start + found;
        if let Some(f) = forbidden
            .iter()
            .find(|f| text[at..start].contains(f.pattern))
        {
            return Verdict::Unmet(f.line, format!("`{}` is in the text\n{text}", f.pattern));
        }
        forbidden.clear();
        at = start + d.pattern.len();
    }
    if let Some(f) = forbidden.iter().find(|f| text[at..].contains(f.pattern)) {
        return Verdict::Unmet(f.line, format!("`{}` is in the text\n{text}", f.pattern));
    }
    Verdict::Met
}

fn parse(line: u32, comment: &str) -> Option<Directive<'_>> {
    let text = comment.trim_start_matches(';').trim_start();
    let (kind, pattern) = text.split_once(':')?;
    let kind = *KINDS.iter().find(|k| **k == kind)?;
    let pattern = pattern.trim();
    Some(Directive {
        kind,
        pattern,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "one two\nthree\nfour\n";

    fn verdict(comments: &[&str]) -> Option<u32> {
        match check((1..).zip(comments.iter().copied()), TEXT) {
            Verdict::Met => None,
            Verdict::Unmet(line, _) => Some(line),
            _ => Some(0),
        }
    }

    #[test]
    fn directives_are_matched_in_order() {
        assert_eq!(
            verdict(&["; check: two", "; nextln: three", "; check: our"]),
            None
        );
        assert_eq!(
            verdict(&["; check: one", "; sameln: two", "; nextln: four"]),
            Some(3)
        );
        assert_eq!(verdict(&["; check: three", "; check: one"]), Some(2));
        assert_eq!(
            verdict(&["; check: one", "; not: three", "; check: four"]),
            Some(2)
        );
        assert_eq!(verdict(&["; not: five"]), None);
        assert_eq!(verdict(&["; remark: five"]), Some(0));
        assert_eq!(verdict(&["; check: $x"]), Some(0));
    }
}
