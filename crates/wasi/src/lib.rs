#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod abi;
mod args;
mod builder;
mod capture;
mod clock;
mod ctx;
mod descriptor;
mod errno;
mod fd;
mod guest;
mod io;
mod linker;
mod path;
mod path_open;
mod poll;
mod process;
mod random;
mod readdir;
mod sock;
mod table;

pub use builder::{SetupError, WasiCtxBuilder};
pub use capture::Capture;
pub use ctx::WasiCtx;
pub use errno::{Errno, Result};
pub use guest::GuestMemory;
pub use linker::{add_to_linker, exit_code};
pub use process::Exit;
