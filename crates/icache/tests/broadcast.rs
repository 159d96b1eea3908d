//! The public functions against the running kernel.

use std::ffi::c_void;

use nopal_icache::{Broadcast, CacheMaintenance, Error, requirements};

#[test]
fn drop_in_usage() -> Result<(), Box<dyn std::error::Error>> {
    let page = vec![0x90u8; 4096];
    // SAFETY: the vector is mapped and readable.
    unsafe { nopal_icache::clear_cache(page.as_ptr().cast::<c_void>(), page.len())? };
    nopal_icache::pipeline_flush_mt()?;
    Ok(())
}

#[test]
fn broadcast_agrees_with_requirements() {
    let needs = requirements();
    match needs.broadcast {
        Broadcast::Membarrier => {
            // The first call registers by itself; registering twice is harmless.
            assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
            assert_eq!(nopal_icache::register(), Ok(()));
            assert_eq!(nopal_icache::register(), Ok(()));
            assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
        }
        Broadcast::Unavailable(why) => {
            assert_eq!(nopal_icache::sync_core_mt(), Err(why));
        }
        other => panic!("unknown mechanism {other:?}"),
    }
    assert_eq!(
        needs.cache == CacheMaintenance::Coherent,
        cfg!(target_arch = "x86_64")
    );
    assert!(needs.to_string().contains("broadcast for"));
}

#[test]
fn broadcast_with_busy_threads() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for _ in 0..100 {
            assert_eq!(nopal_icache::sync_core_mt(), Ok(()));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn errors_name_the_mechanism_and_the_number() {
    let text = Error::Broadcast { errno: 12 }.to_string();
    assert!(
        text.contains("membarrier") && text.contains("errno 12"),
        "{text}"
    );
    assert_eq!(Error::Unsupported { errno: 38 }.errno(), 38);
}
