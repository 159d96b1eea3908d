//! Hooks put to use: traces, counts and their sinks.
