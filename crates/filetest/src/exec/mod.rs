//! Running compiled code: putting it where it can run, and calling it so that a fault in it is an
//! error of the call.

mod guard;
mod link;

pub use guard::{Fault, Guard};
pub use link::{Linked, link};
