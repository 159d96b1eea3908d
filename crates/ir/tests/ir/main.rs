//! Tests of the public interface.

mod builder;
mod common;
mod simplify;
mod variables;
