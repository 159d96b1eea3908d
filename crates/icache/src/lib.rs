//! Instruction-cache coherence for JIT compilers, on every CPU and operating system.
