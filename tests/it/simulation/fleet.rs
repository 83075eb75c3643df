//! From a seed to a fleet and the settings that drive it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::{Weekday, date, time};
use jiff::tz::TimeZone;
use refit::model::calendar::{Freeze, Rule, Window};
use refit::model::policy::{
    CampaignPolicy, CredentialPolicy, FailureBudget, Fit, Glob, GroupKey, GroupLimit, MaxFailures,
    Membership, ProjectPolicy, Rate, Retry, Select, Start, Starts, Untagged, Wave, WaveSize,
};
use refit::model::{CacheMode, CampaignName, Edition, Millis, Settings};
use refit::sim::world::{InstanceSpec, ProjectSpec, SpanRange, WorldSpec};

use super::dice::Dice;

const DAYS: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

pub fn project_id(index: usize) -> Arc<str> {
    format!("{index:032x}").into()
}

fn project_name(index: usize) -> Arc<str> {
    format!("p{index}").into()
}

/// At most fifty instances in one or two projects.
pub fn world(dice: Dice) -> WorldSpec {
    let projects = dice.number("projects", 1, 2) as usize;
    let fleet = dice.number("fleet", 1, 10) * dice.number("fleet scale", 1, 5);
    let mut specs: Vec<ProjectSpec> = (0..projects).map(|index| project(dice, index)).collect();
    for number in 0..fleet as usize {
        specs[number % projects].instances.push(instance(dice, number));
    }
    WorldSpec {
        name: "drawn".into(),
        latency: SpanRange { least: Millis(20), most: dice.seconds("latency", 1, 3) },
        takes: SpanRange {
            least: Millis::from_mins(1),
            most: dice.minutes("upgrades take", 2, 20),
        },
        projects: specs,
    }
}

fn project(dice: Dice, index: usize) -> ProjectSpec {
    let user = if dice.chance("one user for all", 0.5) { 0 } else { index };
    ProjectSpec {
        user_id: format!("d53977d1adfb49c5b025ba7d33a13f{user:02}").into(),
        ..ProjectSpec::new(project_name(index), project_id(index))
    }
}

fn instance(dice: Dice, number: usize) -> InstanceSpec {
    let named = |what: &str| format!("{what} {number}");
    let app = dice.pick(&named("app"), &["shop", "search", "mail", ""]);
    let mut tags = BTreeMap::new();
    if !app.is_empty() {
        tags.insert("app".into(), (*app).into());
    }
    let mut zones: Vec<Arc<str>> = vec![(*dice.pick(&named("zone"), &["z1", "z2", "z3"])).into()];
    if dice.chance(&named("two zones"), 0.3) {
        zones.push("z4".into());
    }
    let mut spec = InstanceSpec {
        name: format!("cache-{number:02}").into(),
        tags,
        zones,
        cache_mode: *dice.pick(&named("mode"), &[CacheMode::Ha, CacheMode::Cluster, CacheMode::Ha]),
        ..InstanceSpec::default()
    };
    if dice.chance(&named("proxy"), 0.2) {
        spec.cache_mode = CacheMode::Proxy;
        spec.proxy_minor = Some("3.1".into());
        let latest = if dice.chance(&named("proxy current"), 0.3) { "3.1" } else { "3.9" };
        spec.proxy_latest = Some(latest.into());
    }
    match dice.number(&named("oddity"), 0, 19) {
        0 => spec.engine_minor = spec.engine_latest.clone(),
        1 => spec.upgradable = false,
        2 => spec.cache_mode = CacheMode::Single,
        3 => spec.status = "FROZEN".into(),
        4 => spec.edition = Edition::Enterprise,
        5 => spec.task = Some("BACKUPING".into()),
        _ => {}
    }
    spec
}

/// Settings that fit the world.
pub fn settings(dice: Dice, world: &WorldSpec) -> Settings {
    let mut settings = Settings::default();
    let credentials =
        if dice.chance("one credential each", 0.4) { world.projects.len() } else { 1 };
    for index in 0..credentials {
        let policy = CredentialPolicy {
            renewable: dice.chance("renewable", 0.7),
            fingerprint: format!("f{index}").into(),
        };
        settings.credentials.insert(format!("key{index}").into(), policy);
    }
    for (index, spec) in world.projects.iter().enumerate() {
        let policy = project_policy(dice, index, credentials);
        settings.projects.insert((&*spec.name).into(), policy);
    }
    add_windows(dice, &mut settings);
    for index in 0..dice.number("campaigns", 1, 2) as usize {
        let name: CampaignName = format!("c{index}").into();
        let policy = campaign(dice, index, &settings);
        settings.campaigns.insert(name, policy);
    }
    settings
}

fn project_policy(dice: Dice, index: usize, credentials: usize) -> ProjectPolicy {
    let named = |what: &str| format!("{what} of project {index}");
    ProjectPolicy {
        region: "sim-1".into(),
        project_id: project_id(index),
        credential: format!("key{}", index % credentials).into(),
        host: "dcs.sim".into(),
        starts: Starts::On,
        max_in_flight: dice.small(&named("cap"), 1, 20),
        upgrade_rate: Rate {
            events: dice.small(&named("rate"), 1, 30),
            per: Millis::from_mins(1),
            burst: dice.small(&named("burst"), 1, 5),
        },
        read_rate: Rate {
            events: dice.small(&named("read rate"), 30, 200),
            per: Millis::from_mins(1),
            burst: dice.small(&named("read burst"), 1, 20),
        },
        poll_interval: dice.seconds(&named("poll"), 15, 120),
        request_timeout: dice.seconds(&named("timeout"), 10, 30),
    }
}

fn add_windows(dice: Dice, settings: &mut Settings) {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Singapore"];
    let zone: &str = dice.pick::<&str>("zone", &zones);
    let zone = TimeZone::get(zone).expect("the bundled database has it");
    for index in 0..dice.number("windows", 1, 2) {
        let named = |what: &str| format!("{what} of window {index}");
        let duration = dice.minutes(&named("duration"), 60, 360);
        let start = time(
            dice.number(&named("hour"), 0, 23) as i8,
            dice.number(&named("minute"), 0, 59) as i8,
            0,
            0,
        );
        let window = Window {
            name: format!("w{index}").into(),
            rule: Rule::Weekly { days: DAYS.to_vec(), start },
            duration,
            cutoff: Millis(duration.0 / dice.number(&named("cutoff"), 3, 10)),
            zone: zone.clone(),
        };
        settings.windows.insert(window.name.clone(), window);
    }
    if dice.chance("a freeze", 0.2) {
        let freeze = Freeze {
            name: "f0".into(),
            from: date(2026, 3, 28).at(12, 0, 0, 0),
            until: date(2026, 3, 30).at(3, 0, 0, 0),
            every_year: false,
            zone,
            projects: Vec::new(),
            campaigns: Vec::new(),
        };
        settings.freezes.insert(freeze.name.clone(), freeze);
    }
}

fn campaign(dice: Dice, index: usize, settings: &Settings) -> CampaignPolicy {
    let named = |what: &str| format!("{what} of campaign {index}");
    let select = Select {
        names: vec![Glob::new("*").expect("it is a good pattern")],
        tags: if dice.chance(&named("select"), 0.3) {
            BTreeMap::from([("app".into(), vec!["shop".into(), "mail".into()])])
        } else {
            BTreeMap::new()
        },
        ..Select::default()
    };
    CampaignPolicy {
        projects: settings.projects.keys().cloned().collect(),
        windows: settings.windows.keys().cloned().collect(),
        engine: Some("latest".into()),
        proxy: dice.chance(&named("proxy"), 0.5).then(|| "latest".into()),
        select,
        max_in_flight: dice.small(&named("cap"), 1, 20),
        max_unavailable: groups(dice, index),
        task_timeout: dice.minutes(&named("task timeout"), 15, 90),
        settle: dice.seconds(&named("settle"), 0, 120),
        fit: *dice.pick(&named("fit"), &[Fit::P95, Fit::P95, Fit::P50, Fit::Off]),
        expected_duration: dice
            .chance(&named("duration declared"), 0.5)
            .then(|| dice.minutes(&named("declared duration"), 5, 45)),
        deadline: None,
        observe_for: dice.seconds(&named("observe"), 60, 300),
        start: if dice.chance(&named("approve"), 0.2) { Start::Approve } else { Start::Automatic },
        membership: if dice.chance(&named("live"), 0.5) {
            Membership::Live
        } else {
            Membership::Frozen
        },
        allow_single_node: dice.chance(&named("single"), 0.5),
        retry: Retry {
            max_attempts: dice.small(&named("attempts"), 1, 5),
            initial: dice.seconds(&named("initial"), 1, 30),
            max: dice.minutes(&named("max"), 1, 15),
        },
        failure_budget: budget(dice, index),
        waves: waves(dice, index),
    }
}

fn groups(dice: Dice, index: usize) -> Vec<GroupLimit> {
    let named = |what: &str| format!("{what} of campaign {index}");
    let untagged =
        if dice.chance(&named("refuse"), 0.3) { Untagged::Refuse } else { Untagged::Alone };
    let all = [
        GroupLimit { per: GroupKey::Tag("app".into()), limit: 1, untagged },
        GroupLimit { per: GroupKey::Zone, limit: dice.small(&named("per zone"), 1, 4), untagged },
        GroupLimit { per: GroupKey::Project, limit: 5, untagged },
    ];
    let kept =
        |(place, _): &(usize, GroupLimit)| dice.chance(&named(&format!("group {place}")), 0.3);
    all.into_iter().enumerate().filter(kept).map(|(_, group)| group).collect()
}

fn budget(dice: Dice, index: usize) -> FailureBudget {
    let named = |what: &str| format!("{what} of campaign {index}");
    let percent = dice.chance(&named("percent"), 0.4);
    FailureBudget {
        max_failures: if percent {
            MaxFailures::Percent { percent: dice.small(&named("share"), 5, 50), min_executed: 5 }
        } else {
            MaxFailures::Count(dice.small(&named("failures"), 1, 6))
        },
        consecutive: dice.small(&named("consecutive"), 1, 4),
        strict: !percent && dice.chance(&named("strict"), 0.3),
    }
}

fn waves(dice: Dice, index: usize) -> Vec<Wave> {
    let named = |what: &str| format!("{what} of campaign {index}");
    let bake = |what: &str| dice.minutes(&named(what), 0, 90);
    let mut waves = Vec::new();
    if dice.chance(&named("canary"), 0.6) {
        let size = WaveSize::Count(dice.small(&named("canaries"), 1, 3));
        waves.push(Wave { name: "canary".into(), size, bake: bake("canary bake") });
    }
    if dice.chance(&named("early"), 0.4) {
        let size = WaveSize::Percent(dice.small(&named("early share"), 10, 50));
        waves.push(Wave { name: "early".into(), size, bake: bake("early bake") });
    }
    waves.push(Wave { name: "rest".into(), size: WaveSize::Rest, bake: bake("last bake") });
    waves
}
