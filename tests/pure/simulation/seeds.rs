//! No rule is broken, and what can end ends, whatever the seed.
//!
//! The seeds are split over several tests, so that every processor has some. A failure names the
//! seed first, and the command that repeats it alone.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use refit::engine::planted::Planted;

use crate::simulation::{Mode, ledger_lines, live};

/// Leads the seeds on so many threads; panics with the first that fails.
fn lead(mode: Mode, first: u64, count: u64, threads: usize) {
    println!("{} seeds {first}..{}", mode.word(), first + count);
    let next = AtomicU64::new(first);
    let mut failures: Vec<(u64, Vec<String>)> = thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return failures;
                }
                let complaints = complaints(mode, seed);
                if !complaints.is_empty() {
                    failures.push((seed, complaints));
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no seed panics")).collect()
    });
    failures.sort();
    let Some((seed, complaints)) = failures.first() else { return };
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    panic!(
        "seed {seed} fails. Alone: tests/soak --mode {} --seed {seed} --seeds 1\n\
         all that fail: {seeds:?}\n{}",
        mode.word(),
        complaints.join("\n")
    );
}

fn complaints(mode: Mode, seed: u64) -> Vec<String> {
    catch_unwind(|| live(seed, mode, Planted::default()).complaints)
        .unwrap_or_else(|_| vec!["it panics, as told above".into()])
}

/// One test of so many seeds for each number.
macro_rules! seeds {
    ($mode:expr, $each:literal: $($name:ident = $number:literal,)+) => {
        $(#[test] fn $name() { lead($mode, $number * $each, $each, 1); })+
    };
}

mod ten_thousand_lives_under_faults_break_no_rule {
    use super::*;

    seeds!(Mode::Safety, 1_000: part_0 = 0, part_1 = 1, part_2 = 2, part_3 = 3, part_4 = 4,
        part_5 = 5, part_6 = 6, part_7 = 7, part_8 = 8, part_9 = 9,);
}

mod two_thousand_lives_break_no_rule_and_end_once_faults_heal {
    use super::*;

    seeds!(Mode::Liveness, 500: part_0 = 0, part_1 = 1, part_2 = 2, part_3 = 3,);
}

#[test]
fn the_same_seed_gives_the_same_ledger_byte_for_byte() {
    for (seed, mode) in (0..40).zip(Mode::ALL.into_iter().cycle()) {
        let ledger = || ledger_lines(&live(seed, mode, Planted::default()).host);
        let (once, again) = (ledger(), ledger());
        assert!(!once.is_empty(), "seed {seed} did nothing");
        assert!(once == again, "seed {seed} gives two ledgers");
    }
}

/// The mode of that name; without a name all of them.
fn modes(wanted: Option<&str>) -> Vec<Mode> {
    let modes: Vec<Mode> =
        Mode::ALL.into_iter().filter(|mode| wanted.is_none_or(|it| it == mode.word())).collect();
    assert!(!modes.is_empty(), "no mode is called {}", wanted.unwrap_or_default());
    modes
}

#[test]
#[should_panic(expected = "no mode is called safty")]
fn a_mode_that_does_not_exist_is_refused() {
    modes(Some("safty"));
}

/// What `tests/soak` runs, which sets these variables, and takes as long as one likes.
#[cfg(feature = "soak")]
#[test]
fn soak() {
    use std::env;

    use crate::simulation::Life;

    let number = |name: &str| {
        env::var(name).ok().map(|text| text.parse::<u64>().expect("a seed or count is a number"))
    };
    let (first, count) = (number("REFIT_SEED").unwrap_or(0), number("REFIT_SEEDS").unwrap_or(1));
    assert!(count > 0, "no seed is no soak");
    for mode in modes(env::var("REFIT_MODE").ok().as_deref()) {
        if count == 1 {
            println!("{} seed {first}", mode.word());
            let Life { host, complaints } = live(first, mode, Planted::default());
            println!("{}{} steps, {} crashes", ledger_lines(&host), host.steps(), host.crashes());
            assert!(complaints.is_empty(), "seed {first} fails:\n{}", complaints.join("\n"));
        } else {
            lead(mode, first, count, thread::available_parallelism().map_or(1, usize::from));
        }
    }
}
