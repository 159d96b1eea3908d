//! The public interface where functions are compiled when they are called.

mod cache;
#[path = "../api/calls.rs"]
mod calls;
#[path = "../api/common.rs"]
mod common;
mod first_call;
#[path = "../api/host.rs"]
mod host;
#[path = "../api/items.rs"]
mod items;
#[path = "../api/linking.rs"]
mod linking;
#[path = "../api/signals.rs"]
mod signals;
#[path = "../api/sites.rs"]
mod sites;
#[path = "../api/stack.rs"]
mod stack;
#[path = "../api/threads.rs"]
mod threads;
#[path = "../api/traps.rs"]
mod traps;

use common::{Test, engine, instance, linked, module};
use nopal_wasm::Config;

/// The settings of the engines whose code is tested.
fn config() -> Config {
    let mut config = Config::new();
    config.lazy_compilation(true);
    config
}
