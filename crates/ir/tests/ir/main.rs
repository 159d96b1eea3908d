//! Tests of the public interface.

mod builder;
mod common;
mod dominators;
mod growth;
mod print;
mod samples;
mod simplify;
mod variables;
mod verify;
