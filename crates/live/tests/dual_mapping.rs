//! The suite with code mapped twice.

mod suite;

use nopal_live::SpaceConfig;

/// Sets what this binary is about.
fn configure(config: &mut SpaceConfig) {
    suite::common::map_twice(config);
}
