//! The simulated cloud: a pure world and an HTTP face.

pub mod command;
pub mod file;
pub mod http;
pub mod log;
pub mod world;
