//! Lives by the thousand. One seed alone, or a soak of as many as one likes: `tests/soak`.

extern crate refit_pure as refit;

mod coverage;
mod forecast;
#[cfg(feature = "planted-defects")]
mod planted;
mod restart;
mod seeds;
#[path = "../../it/simulation/mod.rs"]
mod simulation;
