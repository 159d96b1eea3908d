//! Making a text that fails shorter, line by line.

use nopal_ir::Type;

/// The most texts that are tried.
const TRIES: usize = 4000;

/// The shortest variant of `text` found for which `fails` holds: lines are left out, or their results
/// become constants, and branches become jumps.
pub(crate) fn shorten(text: &str, mut fails: impl FnMut(&str) -> bool) -> String {
    let mut best: Vec<String> = text.lines().map(str::to_string).collect();
    let mut tries = 0;
    let mut attempt = |best: &mut Vec<String>, next: Vec<String>| {
        tries += 1;
        let better = tries <= TRIES && fails(&next.join("\n"));
        if better {
            *best = next;
        }
        better
    };
    loop {
        let before = best.join("\n");
        let mut run = best.len().next_power_of_two();
        while run > 0 {
            let mut end = best.len();
            while end > 0 {
                let start = end.saturating_sub(run);
                let mut next = best.clone();
                next.drain(start..end);
                attempt(&mut best, next);
                end = start.min(best.len());
            }
            run /= 2;
        }
        for n in (0..best.len()).rev() {
            for line in simpler(&best[n]) {
                let mut next = best.clone();
                next.splice(n..=n, line);
                if next != best && attempt(&mut best, next) {
                    break;
                }
            }
        }
        if best.join("\n") == before {
            return before;
        }
    }
}

/// Lines that may stand in place of one.
fn simpler(line: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    if let Some((results, inst)) = line.trim_start().split_once(" = ") {
        let results: Vec<&str> = results.split(", ").collect();
        if inst.starts_with("iconst") || !results.iter().all(|r| r.starts_with('v')) {
            return out;
        }
        let int = |ty: Type| {
            results
                .iter()
                .map(|r| format!("    {r} = iconst.{ty} 0"))
                .collect()
        };
        for ty in [Type::I64, Type::I32, Type::I8, Type::I16] {
            out.push(int(ty));
        }
        if !inst.contains("const") {
            out.push(vec![format!("    {} = f64const 0.0", results[0])]);
            out.push(vec![format!("    {} = f32const 0.0", results[0])]);
        }
    }
    // One of the edges of a branch.
    if line.trim_start().starts_with("br") {
        let edges = line.match_indices("block").map(|(at, _)| &line[at..]);
        let end = |edge: &str| {
            let name = edge.find([',', '(', ']']).unwrap_or(edge.len());
            match edge[name..].starts_with('(') {
                true => edge.find(')').map_or(edge.len(), |n| n + 1),
                false => name,
            }
        };
        out.extend(edges.map(|e| vec![format!("    jump {}", &e[..end(e)])]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_goes() {
        let text = "\
block0(v0: i32):
    v1 = iconst.i32 1
    v2 = popcnt v1
    v3 = iadd v0, v2
    brif v3, block1(v3), block2
block1(v4: i32):
    jump block2
block2:
    trap user1";
        let fails =
            |t: &str| t.contains("block0") && t.contains("v2 =") && t.contains("block1(v3)");
        let want = "block0(v0: i32):\n    v2 = iconst.i64 0\n    jump block1(v3)";
        assert_eq!(shorten(text, fails), want);
    }
}
