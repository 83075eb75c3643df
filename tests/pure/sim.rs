//! Of the simulated cloud only the world and its files' values: the HTTP face needs a network.

#[path = "../../src/sim/file.rs"]
pub mod file;
#[path = "../../src/sim/world/mod.rs"]
pub mod world;
