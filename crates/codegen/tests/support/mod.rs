//! What the tests that run compiled code share: a loader, a reference interpreter, a generator of
//! random functions and a reducer.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this module uses a part of it"
)]

pub mod check;
pub mod exec;
pub mod generate;
pub mod interp;
pub mod ops;
pub mod reduce;
pub mod rng;
pub mod unit;
