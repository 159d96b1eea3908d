//! Tests of everything that a space does, whatever its memory is like: the root of each test binary says
//! what it is to be like in `configure`.

#[cfg(target_arch = "x86_64")]
mod bypasses;
pub mod common;
mod debug;
mod foreign;
mod hooks;
#[cfg(target_arch = "riscv64")]
mod islands_riscv64;
mod patches;
mod robustness;
mod signals;
mod spaces;
mod torture;
#[cfg_attr(target_arch = "aarch64", path = "vectors_aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "vectors_riscv64.rs")]
#[cfg_attr(target_arch = "s390x", path = "vectors_s390x.rs")]
#[cfg_attr(target_arch = "x86_64", path = "vectors_x64.rs")]
mod vectors;
