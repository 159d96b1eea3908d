//! The directives of run tests, as `docs/filetests.md` describes them.

use std::time::Duration;

/// Sites.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Selector {
    /// All of the file.
    All,
    /// By number in the file.
    Number(usize),
    /// Those with this `site=` attribute.
    Attribute(u32),
    /// Those of a function; one of them by number.
    Function(String, Option<usize>),
}

/// What a site is switched on with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HookKind {
    /// Counts, out of line.
    Count,
    /// Notes that the site was passed at all, until the next switch.
    Once,
    /// Records arguments and observed values.
    Call,
    /// Calls the callee that the text names.
    Callee,
}

/// Switching sites.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Switch {
    pub(crate) sites: Selector,
    /// Off if none; on with the usual hook if that is none.
    pub(crate) on: Option<Option<HookKind>>,
}

/// A comparison of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
}

impl Relation {
    pub(crate) fn holds(self, got: u64, want: u64) -> bool {
        match self {
            Relation::Equal => got == want,
            Relation::NotEqual => got != want,
            Relation::AtLeast => got >= want,
            Relation::AtMost => got <= want,
        }
    }
}

/// Which values of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Arguments,
    Observed,
}

/// A directive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Directive<'a> {
    /// `run…` or `print…`: the whole text.
    Run(&'a str),
    /// `call: %f(1) == 3`: what follows the colon.
    Call(&'a str),
    /// `trap: %f(1) == int_divz`: the call and the code.
    Trap(&'a str, &'a str),
    /// `patch: on 0 count, off 1`.
    Patch(Vec<Switch>),
    /// `at: hit 3 of 0: off 0`.
    At(u64, Selector, Vec<Switch>),
    /// `during: toggle all count every 5us until 100`.
    During(Switch, Duration, u64),
    /// `hits: 0 == 10`.
    Hits(Selector, Relation, u64),
    /// `args: 0 == [1]`, `observed: 0 #2 == [1, 0x1.0]`: the site, which hit, the values.
    Values(Seen, Selector, Option<usize>, &'a str),
    /// `trace: 0, 1, 1`.
    Trace(Vec<usize>),
    /// `reset`.
    Reset,
}

impl Directive<'_> {
    /// Whether it compares something.
    pub(crate) fn is_check(&self) -> bool {
        !matches!(
            self,
            Directive::Patch(_) | Directive::At(..) | Directive::During(..) | Directive::Reset
        )
    }
}

/// The directive that a comment is; none if it is an ordinary comment.
pub(crate) fn parse(text: &str) -> Option<Result<Directive<'_>, String>> {
    let word = text.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let rest = text[word.len()..].trim();
    if matches!(word, "run" | "print") && (rest.is_empty() || rest.starts_with(':')) {
        return Some(Ok(Directive::Run(text)));
    }
    if word == "reset" && rest.is_empty() {
        return Some(Ok(Directive::Reset));
    }
    let rest = text[word.len()..].strip_prefix(':')?.trim();
    Some(match word {
        "call" => Ok(Directive::Call(rest)),
        "trap" => equation(rest).map(|(call, code)| Directive::Trap(call, code)),
        "patch" => switches(rest).map(Directive::Patch),
        "at" => at(rest),
        "during" => during(rest),
        "hits" => hits(rest),
        "args" => values(Seen::Arguments, rest),
        "observed" => values(Seen::Observed, rest),
        "trace" => trace(rest),
        _ => return None,
    })
}

fn equation(text: &str) -> Result<(&str, &str), String> {
    let (left, right) = text.split_once("==").ok_or("expected `==`")?;
    Ok((left.trim(), right.trim()))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let text = text.trim();
    text.parse()
        .map_err(|_| format!("expected a number, found `{text}`"))
}

fn selector(text: &str) -> Result<Selector, String> {
    let text = text.trim();
    if text == "all" {
        return Ok(Selector::All);
    }
    if let Some(attribute) = text.strip_prefix("site=") {
        return Ok(Selector::Attribute(number(attribute)?));
    }
    if let Some(name) = text.strip_prefix('%') {
        return Ok(match name.rsplit_once('.') {
            Some((name, n)) => Selector::Function(name.into(), Some(number(n)?)),
            None => Selector::Function(name.into(), None),
        });
    }
    match text.parse() {
        Ok(n) => Ok(Selector::Number(n)),
        Err(_) => Err(format!(
            "expected a site (a number, `all`, `site=K`, `%function` or `%function.N`), found `{text}`"
        )),
    }
}

fn hook(text: &str) -> Result<HookKind, String> {
    match text {
        "count" => Ok(HookKind::Count),
        "once" => Ok(HookKind::Once),
        "call" => Ok(HookKind::Call),
        "callee" => Ok(HookKind::Callee),
        _ => Err(format!(
            "expected `count`, `once`, `call` or `callee`, found `{text}`"
        )),
    }
}

/// `on SITES [HOOK]`, `off SITES`, separated by commas.
fn switches(text: &str) -> Result<Vec<Switch>, String> {
    text.split(',').map(switch).collect()
}

fn switch(text: &str) -> Result<Switch, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let on = match words[..] {
        ["off", _] => None,
        ["on", _] => Some(None),
        ["on", _, kind] => Some(Some(hook(kind)?)),
        _ => {
            return Err(format!(
                "expected `on SITES [HOOK]` or `off SITES`, found `{}`",
                text.trim()
            ));
        }
    };
    Ok(Switch {
        sites: selector(words[1])?,
        on,
    })
}

/// `hit N of SITE: SWITCHES`.
fn at(text: &str) -> Result<Directive<'_>, String> {
    let expected = || format!("expected `hit N of SITE: SWITCHES`, found `{text}`");
    let (when, what) = text.split_once(':').ok_or_else(expected)?;
    let words: Vec<&str> = when.split_whitespace().collect();
    let ["hit", n, "of", site] = words[..] else {
        return Err(expected());
    };
    Ok(Directive::At(number(n)?, selector(site)?, switches(what)?))
}

/// `toggle SITES [HOOK] every TIME [until N]`.
fn during(text: &str) -> Result<Directive<'_>, String> {
    let expected =
        || format!("expected `toggle SITES [HOOK] every TIME [until N]`, found `{text}`");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (kind, rest) = match words[..] {
        ["toggle", _, kind, "every", ..] => (Some(hook(kind)?), &words[4..]),
        ["toggle", _, "every", ..] => (None, &words[3..]),
        _ => return Err(expected()),
    };
    let (every, until) = match *rest {
        [every] => (every, 20),
        [every, "until", n] => (every, number(n)?),
        _ => return Err(expected()),
    };
    let switch = Switch {
        sites: selector(words[1])?,
        on: Some(kind),
    };
    Ok(Directive::During(switch, duration(every)?, until))
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ns", 1u64), ("us", 1000), ("ms", 1_000_000)];
    let found = units.iter().find_map(|(unit, ns)| {
        let n: u64 = text.strip_suffix(unit)?.parse().ok()?;
        n.checked_mul(*ns).filter(|&n| n <= 1_000_000_000)
    });
    found
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("expected a time of up to 1000ms such as `10us`, found `{text}`"))
}

fn hits(text: &str) -> Result<Directive<'_>, String> {
    let signs = [
        ("==", Relation::Equal),
        ("!=", Relation::NotEqual),
        (">=", Relation::AtLeast),
        ("<=", Relation::AtMost),
    ];
    for (sign, relation) in signs {
        if let Some((left, right)) = text.split_once(sign) {
            return Ok(Directive::Hits(selector(left)?, relation, number(right)?));
        }
    }
    Err(format!(
        "expected `SITES == N` (or !=, >=, <=), found `{text}`"
    ))
}

/// `SITE [#N] == VALUES`.
fn values(seen: Seen, text: &str) -> Result<Directive<'_>, String> {
    let (left, right) = equation(text)?;
    let (site, nth) = match left.split_once('#') {
        Some((site, n)) => (site, Some(number(n)?)),
        None => (left, None),
    };
    Ok(Directive::Values(seen, selector(site)?, nth, right))
}

fn trace(text: &str) -> Result<Directive<'_>, String> {
    if text == "nothing" {
        return Ok(Directive::Trace(Vec::new()));
    }
    let numbers: Result<Vec<usize>, String> = text.split(',').map(number).collect();
    numbers.map(Directive::Trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> Directive<'_> {
        match parse(text) {
            Some(Ok(directive)) => directive,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn directives_are_read() {
        let on = |sites, kind| Switch {
            sites,
            on: Some(kind),
        };
        let off = |sites| Switch { sites, on: None };
        assert_eq!(
            ok("patch: on 0 count, off all"),
            Directive::Patch(vec![
                on(Selector::Number(0), Some(HookKind::Count)),
                off(Selector::All)
            ])
        );
        assert_eq!(
            ok("at: hit 3 of site=7: on %f.1"),
            Directive::At(
                3,
                Selector::Attribute(7),
                vec![on(Selector::Function("f".into(), Some(1)), None)]
            )
        );
        assert_eq!(
            ok("during: toggle %f once every 10us until 5"),
            Directive::During(
                on(Selector::Function("f".into(), None), Some(HookKind::Once)),
                Duration::from_micros(10),
                5
            )
        );
        assert_eq!(
            ok("hits: 2 >= 10"),
            Directive::Hits(Selector::Number(2), Relation::AtLeast, 10)
        );
        assert_eq!(
            ok("observed: 0 #2 == [1, 2]"),
            Directive::Values(Seen::Observed, Selector::Number(0), Some(2), "[1, 2]")
        );
        assert_eq!(ok("trace: 0, 1"), Directive::Trace(vec![0, 1]));
        assert_eq!(ok("run: %f() == 1"), Directive::Run("run: %f() == 1"));
        assert_eq!(ok("reset"), Directive::Reset);
    }

    #[test]
    fn other_comments_are_none_and_mistakes_are_errors() {
        for text in [
            "",
            "running: fast",
            "a comment",
            "resetting",
            "run the test",
            "check: x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in [
            "patch: maybe 0",
            "patch: on",
            "patch: on 0 loudly",
            "patch: on x",
            "hits: 0",
            "hits: 0 == many",
            "during: toggle 0 every often",
            "during: toggle 0 every 5000s",
            "at: hit 0",
            "trace: 0 1",
            "trap: %f()",
            "observed: 0",
        ] {
            assert!(matches!(parse(text), Some(Err(_))), "{text}");
        }
    }
}
