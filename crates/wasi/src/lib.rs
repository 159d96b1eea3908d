//! WASI preview 1 for nopal-wasm, over capability-based file access.
