//! Running compiled code: putting it where it can run, and calling it so that a fault in it is an
//! error of the call.

mod callees;
mod guard;
mod link;
mod runner;

pub use guard::{Fault, Guard};
pub use link::{Linked, link};
pub use runner::{Ended, Module, PlainSite, Runner, Seen};
