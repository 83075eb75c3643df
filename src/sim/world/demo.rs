//! Ready-made worlds: the one of `refit demo`, and uniform fleets for benchmarks and tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::spec::{
    AccessKeySpec, Capability, Change, ChangeSpec, InstanceSpec, Outcome, ProjectSpec, UserSpec,
    WorldSpec,
};
use super::value::{Span, SpanRange};
use crate::model::{CacheMode, Edition, Millis, draw};

impl WorldSpec {
    /// Two projects with about two hundred instances of every kind, whose upgrades take 300 ms to
    /// 3 s. The seed decides which ordinary instance is of which form.
    pub fn demo(seed: u64) -> WorldSpec {
        let mut north = project("north", "0f5181caba0024e72f89c0045e707b91", "sim-north-1");
        let mut south = project("south", "1a62923fbb1135f83a9ad1156f818c02", "sim-south-1");
        north.agency = true;
        north.instances = ordinary(seed, &north.name, 110);
        north.instances.extend(oddities());
        south.instances = ordinary(seed, &south.name, 70);
        WorldSpec {
            name: "demo".into(),
            latency: range(2, 20),
            takes: range(300, 3_000),
            projects: vec![north, south],
        }
    }

    /// One project `fleet` with `count` ordinary instances whose upgrades take `takes`; calls are
    /// answered at once.
    pub fn fleet(count: usize, takes: SpanRange) -> WorldSpec {
        let mut project = project("fleet", "2b73a340cc2246094babe22670929d13", "sim-1");
        project.instances =
            vec![InstanceSpec { name: "fleet".into(), count, ..InstanceSpec::default() }];
        WorldSpec {
            name: "fleet".into(),
            latency: SpanRange::default(),
            takes,
            projects: vec![project],
        }
    }
}

fn range(least: i64, most: i64) -> SpanRange {
    SpanRange { least: Millis(least), most: Millis(most) }
}

fn project(name: &str, id: &str, region: &str) -> ProjectSpec {
    ProjectSpec {
        name: name.into(),
        id: id.into(),
        region: region.into(),
        user_id: "d53977d1adfb49c5b025ba7d33a13fd7".into(),
        access_keys: vec![AccessKeySpec::simulated(name)],
        users: vec![UserSpec {
            domain: "simulated".into(),
            name: format!("refit-{name}").into(),
            password: format!("simulated-password-of-{name}").into(),
        }],
        agency: false,
        upgrade_call: Capability::Present,
        limits: Vec::new(),
        instances: Vec::new(),
    }
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, Arc<str>> {
    pairs.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect()
}

/// Healthy instances of every supported form, in groups of a few that share a service.
fn ordinary(seed: u64, project: &str, count: usize) -> Vec<InstanceSpec> {
    const MODES: [CacheMode; 4] =
        [CacheMode::Ha, CacheMode::Cluster, CacheMode::Proxy, CacheMode::HaRwSplit];
    const SERVICES: [&str; 6] = ["cart", "search", "session", "catalog", "orders", "ranking"];
    (0..count)
        .map(|index| {
            let pick = |purpose: &str, among: usize| {
                (draw::unit(seed, purpose, project, index as u64) * among as f64) as usize
            };
            let mode = MODES[pick("mode", MODES.len())];
            let service = SERVICES[pick("service", SERVICES.len())];
            let proxied = matches!(mode, CacheMode::Proxy | CacheMode::HaRwSplit);
            InstanceSpec {
                name: format!("{service}-{project}-{index:03}").into(),
                engine_version: ["5.0", "6.0", "7.0"][pick("version", 3)].into(),
                cache_mode: mode,
                tags: tags(&[("env", "prod"), ("service", service)]),
                zones: vec![format!("{project}-{}", ["a", "b", "c"][pick("zone", 3)]).into()],
                proxy_minor: proxied.then(|| "2.1.0".into()),
                proxy_latest: proxied.then(|| "2.4.2".into()),
                ..InstanceSpec::default()
            }
        })
        .collect()
}

/// Everything that an upgrader must leave alone, wait for, or find out about.
fn oddities() -> Vec<InstanceSpec> {
    let odd = |name: &str| InstanceSpec {
        name: name.into(),
        tags: tags(&[("env", "prod"), ("service", "odd")]),
        ..InstanceSpec::default()
    };
    let count = |count, spec: InstanceSpec| InstanceSpec { count, ..spec };
    let newest: Arc<str> = "6.0.16.9".into();
    vec![
        count(2, InstanceSpec { status: "ERROR".into(), ..odd("faulty") }),
        count(2, InstanceSpec { status: "FROZEN".into(), ..odd("frozen") }),
        count(3, InstanceSpec { cache_mode: CacheMode::Single, ..odd("single") }),
        count(2, InstanceSpec { edition: Edition::Enterprise, ..odd("enterprise") }),
        count(2, InstanceSpec { engine_version: "3.0".into(), ..odd("redis3") }),
        InstanceSpec { engine: "Memcached".into(), ..odd("memcached") },
        count(5, InstanceSpec { engine_minor: newest.clone(), ..odd("current") }),
        InstanceSpec { upgradable: false, ..odd("not-upgradable") },
        InstanceSpec { outcomes: vec![Outcome::Failed], ..odd("fails") },
        InstanceSpec { outcomes: vec![Outcome::VersionUnchanged], ..odd("unchanged") },
        InstanceSpec { outcomes: vec![Outcome::Vanishes], ..odd("vanishing") },
        InstanceSpec { outcomes: vec![Outcome::UnknownWord], ..odd("strange") },
        InstanceSpec {
            changes: vec![ChangeSpec {
                after: Some(Span::default()),
                takes: Some(Span(Millis::from_secs(5))),
                ..ChangeSpec::of(Change::Busy)
            }],
            ..odd("backed-up")
        },
        InstanceSpec {
            changes: vec![ChangeSpec {
                after_shows: Some(1),
                ..ChangeSpec::of(Change::UpgradedByOther)
            }],
            ..odd("shared")
        },
        InstanceSpec {
            changes: vec![ChangeSpec { after_shows: Some(1), ..ChangeSpec::of(Change::Deleted) }],
            ..odd("doomed")
        },
    ]
}
