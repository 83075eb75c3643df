//! Bytes that the engine keeps per target: the difference between an engine with 110,000 targets
//! and one with 10,000, each planned and with every version read, names of forty bytes.
//!
//! Counted by the allocator, so exact and without what the allocator adds to each block.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use refit::cli::bench::load::{Campaign, Load};
use refit::model::Millis;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FEW: usize = 10_000;
const MANY: usize = 110_000;

fn main() {
    let (few, many) = (engine_bytes(FEW), engine_bytes(MANY));
    let per_target = (many - few) as f64 / (MANY - FEW) as f64;
    println!("memory per target: {per_target:.0} B live ({FEW} -> {MANY} targets; budget 512 B)");
}

/// What is freed with the engine.
fn engine_bytes(targets: usize) -> usize {
    let mut campaign = Campaign::begin(Load {
        targets,
        max_in_flight: 900,
        starts_per_minute: 20,
        burst: 5,
        task: Millis::from_mins(10),
        settle: Millis::from_mins(2),
        poll_interval: Millis::from_secs(15),
        group_size: 10,
    });
    campaign.run_until_read();
    let engine = campaign.engine;
    let with = live_bytes();
    drop(engine);
    with - live_bytes()
}

fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
