//! What the end-to-end tests share: a simulated cloud over HTTP, a configuration and a store in a
//! directory of their own, the real binary as a process, and the judge's verdict at the end.
//!
//! Nothing here waits for a time: it polls for a condition and gives up at a generous deadline.

mod cloud;
mod daemon;
pub mod disk;
pub mod disk_faults;
pub mod proxy;
mod setup;
mod site;
pub mod small_disk;
pub mod socket;
pub mod trace;
mod verdict;

pub use daemon::Daemon;
pub use setup::{Setup, local};
pub use site::{Site, is_at_rest, until};
