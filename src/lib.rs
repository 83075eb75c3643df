//! Refit upgrades fleets of managed Redis instances in maintenance windows.
//!
//! `ARCHITECTURE.md` beside this file is the map.

#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod exit;
pub mod failpoint;
pub mod judge;
pub mod model;
pub mod rehearse;
pub mod sim;
pub mod store;
