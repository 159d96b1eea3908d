//! What depends on the instruction set: switching stacks, unwinding, and the registers of a
//! thread that was stopped by a signal.
//!
//! Each module has the same items: `REGISTERS`, `PADDING`, `MAX_CALL_LEN`, `STUB_LEN`, `enter`, `unwind`, `trap_landing`,
//! `stack_pointer`, `caller`, `stub`, `first_call`, `exit_shim!` and `Stopped`.

#[cfg(target_arch = "x86_64")]
mod x64;

#[cfg(target_arch = "x86_64")]
pub(crate) use x64::*;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("nopal-wasm supports x86-64 Linux only");
