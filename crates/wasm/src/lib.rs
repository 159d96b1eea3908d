//! A WebAssembly runtime that is observable while it runs.
