//! Directives of supported files that this runtime is right not to satisfy.

/// What is wrong with some directives of a file.
struct Exception {
    file: &'static str,
    lines: &'static [usize],
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        file: "bulk-memory/table-sub.wast",
        lines: &[1],
        reason: "the file was extended with typed function references",
    },
    Exception {
        file: "bulk-memory/table_init.wast",
        lines: &[2272, 2286],
        reason: "the file was extended with garbage collection",
    },
    Exception {
        file: "mutable-global/linking.wast",
        lines: &[206, 227, 236, 238, 248, 298, 334, 342, 344, 354],
        reason: "since bulk memory operations, segments that do not fit trap, \
                 and what precedes them stays written",
    },
    Exception {
        file: "reference-types/unreached-invalid.wast",
        lines: &[539],
        reason: "the final proposal accepts the labels of this unreachable `br_table`",
    },
];

/// Why the directive at `line` of `file` need not succeed, if it need not.
pub(crate) fn reason(file: &str, line: usize) -> Option<&'static str> {
    let listed = |e: &&Exception| e.file == file && e.lines.contains(&line);
    EXCEPTIONS.iter().find(listed).map(|e| e.reason)
}
