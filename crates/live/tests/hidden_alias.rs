//! The suite with the writable mapping of code hidden between commits.

mod suite;

use nopal_live::SpaceConfig;

/// Sets what this binary is about.
fn configure(config: &mut SpaceConfig) {
    suite::common::map_twice(config);
    config.hide_writable(true);
}
