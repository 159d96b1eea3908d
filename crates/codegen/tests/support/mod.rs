//! What the tests that run compiled code share: a loader, and its comparison with the reference
//! interpreter.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this module uses a part of it"
)]

pub mod check;
pub mod exec;
pub mod unit;
