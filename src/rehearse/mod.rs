//! The engine against the simulated cloud in virtual time: what rehearsals and simulations share.
//!
//! Everything is a value and a draw is a keyed hash, so the same seed gives the same ledger, byte
//! for byte. Nothing here waits: time jumps to whatever happens next.

mod agenda;
mod audit;
mod calls;
mod compare;
mod durations;
mod fleet;
pub mod forecast;
mod host;
mod met;
mod mischief;
pub mod rehearsal;
pub mod scenario;
mod spread;
mod store;
mod verdict;
mod wire;

pub use agenda::{Act, Network};
pub use calls::CallCounts;
pub use durations::{DeclaredClass, Durations, Learned, Sources, Takes, learned};
pub use fleet::{Fleet, PlannedCampaign};
pub use host::{Ended, Host, Setup};
pub use met::{ACT_KINDS, Met, REQUEST_KINDS};
pub use mischief::{Boundary, Mischief, PlannedCrash};
pub use spread::Spread;
pub use store::MemoryStore;
pub use verdict::complaints;
pub use wire::UpgradeCall;
