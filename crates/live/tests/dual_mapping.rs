//! The suite with code mapped twice.

mod suite;

use nopal_live::{MemoryMode, SpaceConfig};

/// Sets what this binary is about.
fn configure(config: &mut SpaceConfig) {
    config.memory_mode(MemoryMode::Dual);
}
