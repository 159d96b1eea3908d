//! The suite with the writable mapping of code hidden between commits.

mod suite;

use nopal_live::{MemoryMode, SpaceConfig};

/// Sets what this binary is about.
fn configure(config: &mut SpaceConfig) {
    config.memory_mode(MemoryMode::Dual).hide_writable(true);
}
