#![doc = include_str!("../README.md")]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(all(
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x"
    ),
    target_os = "linux"
)))]
compile_error!("nopal-live supports Linux on x86-64, AArch64, RISC-V 64 and s390x only so far");

mod apply;
mod bypass;
mod code;
mod config;
mod counter;
#[cfg(feature = "cranelift")]
pub mod cranelift;
mod directory;
mod error;
mod hook;
mod index;
mod isa;
mod islands;
mod lock;
mod memory;
mod os;
mod patch;
mod plan;
mod protocol;
mod site;
mod slots;
mod space;
mod state;
mod trap;

pub use bypass::Bypass;
pub use code::{Allocation, Code};
pub use config::{Counters, MemoryMode, Protocol, SpaceConfig, VectorState};
pub use error::{BypassDefect, Error, Result, SiteDefect};
pub use hook::{CallHook, CodeHook, CountHook, Hook, OnceHook, Retired};
pub use index::CodeInfo;
pub use isa::SiteFrame;
pub use patch::{Commit, Patch};
pub use site::{SiteDesc, SiteId};
pub use space::CodeSpace;
