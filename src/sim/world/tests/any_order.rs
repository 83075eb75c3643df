//! Whatever is asked in whatever order, the world stays whole.

use proptest::prelude::*;

use super::*;

/// One thing that somebody does.
#[derive(Debug, Clone)]
enum Act {
    Upgrade { instance: usize, engine: bool, proxy: bool },
    Read { instance: usize, kind: usize },
    Change { instance: usize, what: Change },
    Wait { millis: i64 },
    Heal,
}

const INSTANCES: usize = 6;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let instance = 0..INSTANCES;
    let changes = prop_oneof![
        Just(Change::Deleted),
        Just(Change::Frozen),
        Just(Change::Unfrozen),
        Just(Change::Faulty),
        Just(Change::Recovered),
        Just(Change::UpgradedByOther),
        Just(Change::FinishedByOther),
        Just(Change::Busy),
        Just(Change::Released),
        Just(Change::Retagged),
    ];
    let act = prop_oneof![
        6 => (instance.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(instance, engine, proxy)| Act::Upgrade { instance, engine, proxy }),
        4 => (instance.clone(), 0..5_usize)
            .prop_map(|(instance, kind)| Act::Read { instance, kind }),
        2 => (instance, changes).prop_map(|(instance, what)| Act::Change { instance, what }),
        6 => (-1_000_i64..20_000).prop_map(|millis| Act::Wait { millis }),
        1 => Just(Act::Heal),
    ];
    prop::collection::vec(act, 1..120)
}

fn knobs() -> impl Strategy<Value = Knobs> {
    let choices = knobs::ALL.iter().map(|knob| {
        let words: Vec<&str> = knob.values.split(' ').collect();
        let free = words.iter().any(|word| ["a", "or"].contains(word)) || words.contains(&"none,");
        let words = if free { vec![knob.default] } else { words };
        prop::sample::select(words).prop_map(|word| format!("{}={word}", knob.name))
    });
    choices.collect::<Vec<_>>().prop_map(|settings| {
        let mut knobs = Knobs::default();
        for setting in settings {
            knobs.set(&setting).unwrap();
        }
        knobs
    })
}

fn perform(world: &mut World, project: &str, ids: &[InstanceId], now: &mut Wall, act: &Act) {
    match act {
        Act::Upgrade { instance, engine, proxy } => {
            let part = |wanted: bool| wanted.then(|| Arc::from("latest"));
            let body = UpgradeBody { engine: part(*engine), proxy: part(*proxy) };
            let reply = world.upgrade(*now, project, &ids[*instance], &body, Some("a"));
            assert_eq!(reply.applied, reply.task.is_some());
        }
        Act::Read { instance, kind } => {
            let instance = ids[*instance].clone();
            let call = match kind {
                0 => ReadCall::InventoryPage { offset: 0 },
                1 => ReadCall::Instance { instance },
                2 => ReadCall::Versions { instance },
                3 => ReadCall::InstanceTasks { instance, since: START, offset: 0 },
                _ => ReadCall::TaskCentre { since: START, offset: 0 },
            };
            let reply = world.read(*now, project, &call);
            assert!(!reply.applied);
        }
        Act::Change { instance, what } => {
            world.change(*now, project, ids[*instance].as_str(), *what);
        }
        Act::Wait { millis } => *now += Millis(*millis),
        Act::Heal => world.heal(*now),
    }
}

proptest! {
    #[test]
    fn in_flight_is_what_was_applied_and_has_not_ended(
        acts in acts(),
        knobs in knobs(),
        seed in any::<u64>(),
    ) {
        let takes = SpanRange { least: Millis(1_000), most: Millis(30_000) };
        let spec = WorldSpec::fleet(INSTANCES, takes);
        let project = spec.projects[0].id.clone();
        let mut world = World::new(spec, knobs, FaultProfile::hostile(), seed);
        let ids: Vec<InstanceId> =
            world.truths().map(|(_, id, _)| InstanceId::from(id)).collect();
        world.advance(START);
        let (mut now, mut latest) = (START, START);
        for act in &acts {
            perform(&mut world, &project, &ids, &mut now, act);
            latest = latest.max(world.now());
            prop_assert_eq!(world.now(), latest, "time ran backwards");
            prop_assert!(world.next_change().is_none_or(|at| at > world.now()));
            let applied: Vec<Applied> =
                world.truths().flat_map(|(_, _, truth)| truth.applied).collect();
            let open = applied.iter().filter(|each| each.ended_at.is_none()).count();
            prop_assert_eq!(world.in_flight(), open);
            prop_assert!(world.peak_in_flight(None) >= open);
            let begun = world.take_task_changes();
            prop_assert!(begun.iter().all(|change| change.at <= world.now()));
        }
    }
}
