//! Tests of the public interface.

mod builder;
mod common;
mod dominators;
mod formats;
mod growth;
mod malformed;
mod print;
mod reader;
mod robust;
mod rules;
mod samples;
mod simplify;
mod text;
mod variables;
mod verify;
