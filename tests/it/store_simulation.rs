//! Lives that the simulation led, with every fault in them, put into a real store: they come back
//! as they were, and their ledger explains them.

use refit::engine::Changes;
use refit::engine::planted::Planted;
use refit::rehearse::MemoryStore;
use refit::store::{ReadOnly, Unit};

use crate::simulation::{self, Mode};
use crate::store_samples::place;

const LIVES: u64 = 12;

/// Events per unit.
const UNIT: usize = 500;

/// The ledger in units, with all rows in the last.
fn units(lived: &MemoryStore) -> Vec<Unit> {
    let mut units: Vec<Unit> = lived
        .ledger()
        .chunks(UNIT)
        .map(|events| Unit { events: events.to_vec(), ..Unit::default() })
        .collect();
    let rows = lived.rows();
    let last = units.last_mut().expect("every life has events");
    last.changes = Changes {
        instances: rows.instances,
        targets: rows.targets,
        attempts: lived.attempts().cloned().collect(),
        campaigns: rows.campaigns,
        projects: rows.projects,
        credentials: rows.credentials,
        freezes: rows.freezes,
        durations: rows.durations,
        unfrozen: vec![],
    };
    units
}

#[tokio::test]
async fn whatever_a_simulated_life_left_comes_back_and_its_ledger_explains_it() {
    for seed in 0..LIVES {
        let mode = Mode::ALL[seed as usize % 2];
        let host = simulation::live(seed, mode, Planted::default()).host;
        let place = place();
        let mut store = place.open().await;
        store.commit(&units(host.store())).await.unwrap();
        drop(store);
        let loaded = place.open().await.load().await.unwrap();
        assert_eq!(loaded, host.store().rows(), "seed {seed}");
        let findings = ReadOnly::open(&place.path).await.unwrap().verify().await.unwrap();
        assert_eq!(findings, [], "seed {seed}");
    }
}
