//! The public interface.

mod bulk;
mod cache;
mod calls;
mod common;
mod host;
mod items;
mod linking;
mod loops;
mod modules;
mod signals;
mod sites;
mod stack;
mod threads;
mod traps;

use common::{Test, engine, instance, linked, module};
use nopal_wasm::Config;

/// The settings of the engines whose code is tested.
fn config() -> Config {
    Config::new()
}
