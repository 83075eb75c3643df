//! The modules of Refit that know no clock, file, socket, thread or `async`, compiled on their own.
//!
//! The same source as in the crate `refit`, without the rest of it: so it builds within a minute
//! with optimisation and every assertion, which twelve thousand simulated lives need, and so it
//! cannot come to depend on anything that does I/O. What runs here are the proofs that take long.

#![forbid(unsafe_code)]

#[path = "../../src/engine/mod.rs"]
pub mod engine;
#[path = "../../src/model/mod.rs"]
pub mod model;
#[path = "../../src/rehearse/mod.rs"]
pub mod rehearse;
pub mod sim;
