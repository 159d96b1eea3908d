//! The functions of preview 1 as imports of a module.

use crate::ctx::WasiCtx;
use crate::errno;
use crate::guest::GuestMemory;
use crate::process::Exit;
use nopal_wasm::{Caller, Error, Extern, Linker, Memory, Result};

/// The name modules import the functions from.
const MODULE: &str = "wasi_snapshot_preview1";

/// Defines functions that need the guest's memory. One row per function: its name, which is that
/// of the method of [`WasiCtx`], and its parameters.
macro_rules! with_memory {
    ($linker:ident, $get:ident; $($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        $linker.func_wrap(
            MODULE,
            stringify!($name),
            move |mut caller: Caller<'_, T>, $($arg: $type),*| -> Result<i32> {
                let memory = memory(&mut caller, stringify!($name))?;
                let (bytes, data) = memory.data_and_store_mut(&mut caller);
                let mut memory = GuestMemory::new(bytes);
                Ok(code($get(data).$name(&mut memory, $($arg),*)))
            },
        )?;
    )*};
}

/// Defines functions that do not. Parameters after a `;` are of no use.
macro_rules! without_memory {
    (
        $linker:ident, $get:ident;
        $($name:ident($($arg:ident: $type:ty),*; $($unused:ident: $unused_type:ty),*);)*
    ) => {$(
        $linker.func_wrap(
            MODULE,
            stringify!($name),
            move |mut caller: Caller<'_, T>,
                  $($arg: $type,)*
                  $($unused: $unused_type),*|
                  -> i32 {
                $(let _ = $unused;)*
                code($get(caller.data_mut()).$name($($arg),*))
            },
        )?;
    )*};
}

/// Defines all functions of `wasi_snapshot_preview1`. `get` finds the guest's world in the data of
/// the store.
///
/// `proc_exit` ends the call into the guest with an error that holds an [`Exit`]; [`exit_code`] takes it out.
///
/// # Errors
/// When the linker has a definition of the same name already.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    process(linker, get)?;
    descriptors(linker, get)?;
    transfers(linker, get)?;
    paths(linker, get)?;
    without_memory!(linker, get;
        sock_accept(fd: u32; flags: u32, result: u32);
        sock_recv(fd: u32; list: u32, count: u32, flags: u32, size: u32, out_flags: u32);
        sock_send(fd: u32; list: u32, count: u32, flags: u32, size: u32);
        sock_shutdown(fd: u32; how: u32);
    );
    Ok(())
}

fn process<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    with_memory!(linker, get;
        args_get(pointers: u32, buffer: u32);
        args_sizes_get(count: u32, size: u32);
        environ_get(pointers: u32, buffer: u32);
        environ_sizes_get(count: u32, size: u32);
        clock_res_get(clock: u32, result: u32);
        clock_time_get(clock: u32, precision: u64, result: u32);
        poll_oneoff(subscriptions: u32, events: u32, count: u32, result: u32);
        random_get(buffer: u32, len: u32);
    );
    without_memory!(linker, get;
        proc_raise(signal: u32;);
        sched_yield(;);
    );
    linker.func_wrap(
        MODULE,
        "proc_exit",
        move |mut caller: Caller<'_, T>, code: u32| -> Result<()> {
            Err(Error::host(get(caller.data_mut()).proc_exit(code)))
        },
    )?;
    Ok(())
}

fn descriptors<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    with_memory!(linker, get;
        fd_fdstat_get(fd: u32, result: u32);
        fd_filestat_get(fd: u32, result: u32);
        fd_prestat_get(fd: u32, result: u32);
        fd_prestat_dir_name(fd: u32, buffer: u32, len: u32);
    );
    without_memory!(linker, get;
        fd_advise(fd: u32, offset: u64, len: u64, advice: u32;);
        fd_allocate(fd: u32, offset: u64, len: u64;);
        fd_close(fd: u32;);
        fd_datasync(fd: u32;);
        fd_fdstat_set_flags(fd: u32, flags: u32;);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64;);
        fd_filestat_set_size(fd: u32, size: u64;);
        fd_filestat_set_times(fd: u32, atim: u64, mtim: u64, flags: u32;);
        fd_renumber(from: u32, to: u32;);
        fd_sync(fd: u32;);
    );
    Ok(())
}

fn transfers<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    with_memory!(linker, get;
        fd_pread(fd: u32, list: u32, count: u32, offset: u64, result: u32);
        fd_pwrite(fd: u32, list: u32, count: u32, offset: u64, result: u32);
        fd_read(fd: u32, list: u32, count: u32, result: u32);
        fd_readdir(fd: u32, buffer: u32, len: u32, cookie: u64, result: u32);
        fd_seek(fd: u32, offset: i64, whence: u32, result: u32);
        fd_tell(fd: u32, result: u32);
        fd_write(fd: u32, list: u32, count: u32, result: u32);
    );
    Ok(())
}

fn paths<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<()> {
    with_memory!(linker, get;
        path_create_directory(fd: u32, path: u32, len: u32);
        path_filestat_get(fd: u32, flags: u32, path: u32, len: u32, result: u32);
        path_filestat_set_times(
            fd: u32, flags: u32, path: u32, len: u32, atim: u64, mtim: u64, times: u32
        );
        path_link(
            old_fd: u32, flags: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32
        );
        path_open(
            fd: u32, lookup: u32, path: u32, len: u32, flags: u32,
            base: u64, inheriting: u64, fd_flags: u32, result: u32
        );
        path_readlink(fd: u32, path: u32, len: u32, buffer: u32, room: u32, result: u32);
        path_remove_directory(fd: u32, path: u32, len: u32);
        path_rename(old_fd: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32);
        path_symlink(old: u32, old_len: u32, fd: u32, new: u32, new_len: u32);
        path_unlink_file(fd: u32, path: u32, len: u32);
    );
    Ok(())
}

/// The memory of the calling module, under the name preview 1 demands.
fn memory<T>(caller: &mut Caller<'_, T>, function: &str) -> Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(Error::msg(format!(
            "{MODULE}::{function} needs the caller to export its memory as \"memory\""
        ))),
    }
}

/// What a guest gets back: 0 or an error number.
fn code(outcome: errno::Result<()>) -> i32 {
    outcome.map_or_else(|error| i32::from(error.code()), |()| 0)
}

/// The exit code of a program, given how the call of its `_start` ended: 0 when it returned, the
/// code of `proc_exit` when it ended itself.
///
/// # Errors
/// Any other error the call ended with, such as a trap.
pub fn exit_code(outcome: Result<()>) -> Result<i32> {
    match outcome {
        Ok(()) => Ok(0),
        Err(error) => match error.downcast_ref::<Exit>() {
            Some(&Exit(code)) => Ok(code),
            None => Err(error),
        },
    }
}
