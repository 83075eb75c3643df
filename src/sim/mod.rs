//! The simulated cloud: a pure world and an HTTP face.

pub mod world;
