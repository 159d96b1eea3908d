//! The public functions, with the mechanism that this machine leads to.

use std::error::Error as StdError;
use std::ffi::c_void;

use nopal_icache::{Broadcast, CacheMaintenance, Error, Preference, Reason, requirements};

#[cfg(not(miri))]
mod common;

struct Page {
    addr: *const c_void,
    len: usize,
}

/// The two calls as they stand in programs that use them from elsewhere.
#[test]
fn drop_in_usage() -> Result<(), Box<dyn StdError>> {
    use nopal_icache as icache;

    let code = vec![0x90u8; 3 * 4096];
    for bytes in code.chunks(4096) {
        let page = Page {
            addr: bytes.as_ptr().cast(),
            len: bytes.len(),
        };
        // SAFETY: the page is mapped and readable.
        unsafe { icache::clear_cache(page.addr, page.len)? };
    }
    icache::pipeline_flush_mt()?;
    Ok(())
}

/// Empty, unaligned, and longer than a page.
#[test]
fn any_range_can_be_cleared() {
    let code = vec![0u8; 20_000];
    for (start, len) in [
        (0, 0),
        (1, 1),
        (63, 2),
        (100, 0),
        (4095, 12_345),
        (0, 20_000),
    ] {
        let range = &code[start..start + len];
        // SAFETY: the range is mapped and readable.
        let result = unsafe { nopal_icache::clear_cache(range.as_ptr().cast(), range.len()) };
        assert_eq!(result, Ok(()), "{start} {len}");
    }
}

#[test]
fn broadcast_agrees_with_requirements() {
    let needs = requirements();
    if let Broadcast::Unavailable(why) = needs.broadcast {
        panic!("no way to reach all threads: {why}");
    }
    assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
    assert_eq!(nopal_icache::register(), Ok(()));
    assert_eq!(nopal_icache::register(), Ok(()));
    assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
    assert_eq!(nopal_icache::pipeline_flush_mt(), Ok(()));
    let later = requirements();
    assert_eq!(needs.cache, later.cache);
    if needs.reason == Reason::Offered {
        assert_eq!(needs, later);
    }
}

#[test]
fn requirements_are_those_of_the_architecture() {
    let needs = requirements();
    let coherent = cfg!(any(
        miri,
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "s390x"
    ));
    if !cfg!(any(windows, target_vendor = "apple")) {
        assert_eq!(needs.cache == CacheMaintenance::Coherent, coherent);
    }
    let line = needs.to_string();
    for part in ["caches: ", "broadcast for ", "modified code: "] {
        assert!(line.contains(part), "{line}");
    }
    assert!(line.contains(&needs.broadcast.to_string()), "{line}");
    assert!(line.ends_with(&needs.reason.to_string()), "{line}");
    if needs.fresh_code_needs_broadcast {
        assert!(line.contains("fresh and modified code"), "{line}");
    }
}

#[cfg(not(miri))]
#[test]
fn the_broadcast_reaches_a_thread_that_does_nothing_for_it() {
    common::store_buffering(2000);
}

#[cfg(not(miri))]
#[test]
fn broadcast_with_busy_threads() {
    common::with_busy_threads(2, || {
        for _ in 0..100 {
            assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
        }
    });
}

#[test]
fn mechanisms_of_other_targets_are_refused() {
    if cfg!(any(miri, not(target_arch = "riscv64"))) {
        let refused = nopal_icache::prefer(Preference::RiscvFlushIcache);
        assert_eq!(refused, Err(Error::NoSuchMechanism));
    }
    if cfg!(any(miri, target_arch = "riscv64")) {
        let refused = nopal_icache::prefer(Preference::SignalHandshake);
        assert_eq!(refused, Err(Error::NoSuchMechanism));
    }
    assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
}

#[test]
fn errors_say_what_and_why() {
    for (error, text, errno) in [
        (
            Error::Unsupported { errno: 38 },
            "no way to synchronize",
            38,
        ),
        (Error::Registration { errno: 1 }, "registering", 1),
        (Error::Broadcast { errno: 12 }, "failed (error 12)", 12),
        (Error::Cache { errno: 22 }, "instruction cache", 22),
        (Error::Unresponsive { thread: 77 }, "thread 77", 0),
        (Error::NoSuchMechanism, "this target", 0),
    ] {
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.errno(), errno);
        assert!(error.source().is_none());
    }
}

#[test]
fn requirements_can_be_read() {
    for (shown, expected) in [
        (
            CacheMaintenance::ByAddress {
                data_line: Some(64),
                instruction_line: None,
            }
            .to_string(),
            "clean data by 64 bytes, instructions coherent",
        ),
        (
            CacheMaintenance::ByAddress {
                data_line: None,
                instruction_line: Some(32),
            }
            .to_string(),
            "data coherent, invalidate instructions by 32 bytes",
        ),
        (CacheMaintenance::Coherent.to_string(), "coherent"),
        (
            CacheMaintenance::Barrier.to_string(),
            "coherent after a barrier",
        ),
        (
            CacheMaintenance::System.to_string(),
            "by the operating system",
        ),
        (Broadcast::Membarrier.to_string(), "membarrier SYNC_CORE"),
        (
            Broadcast::RiscvFlushIcache.to_string(),
            "riscv_flush_icache",
        ),
        (
            Broadcast::SignalHandshake { signal: None }.to_string(),
            "signal handshake",
        ),
        (
            Broadcast::SignalHandshake { signal: Some(48) }.to_string(),
            "signal handshake by signal 48",
        ),
        (Broadcast::SuspendAll.to_string(), "suspending all threads"),
        (
            Broadcast::ThreadStates.to_string(),
            "reading the state of all threads",
        ),
        (
            Broadcast::ProcessWriteBuffers.to_string(),
            "FlushProcessWriteBuffers",
        ),
        (
            Broadcast::OneCore.to_string(),
            "the barrier of the only core",
        ),
        (Broadcast::Interpreter.to_string(), "none in an interpreter"),
        (
            Broadcast::Unavailable(Error::NoSuchMechanism).to_string(),
            "none: this target has no such way to synchronize cores",
        ),
        (Reason::Offered.to_string(), "offered by the system"),
        (Reason::Preferred.to_string(), "preferred by the program"),
        (
            Reason::Refused { errno: 1 }.to_string(),
            "better ones refused with errno 1",
        ),
        (Reason::Only.to_string(), "the only one of this target"),
    ] {
        assert_eq!(shown, expected);
    }
}
