//! Tests of everything that a space does, whatever its memory is like: the root of each test binary says
//! what it is to be like in `configure`.

mod common;
mod foreign;
mod hooks;
mod patches;
mod robustness;
mod signals;
mod spaces;
mod torture;
mod vectors;
