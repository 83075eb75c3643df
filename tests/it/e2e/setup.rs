//! What a test wants: which world, which faults, which configuration. Everything else is fast and
//! harmless: an open window, generous rates, one wave, short waits.

use refit::model::Millis;
use refit::sim::world::{
    CallFilter, CallKind, Decision, FaultProfile, Knobs, ProjectSpec, Script, SpanRange, Step,
    WorldSpec,
};
use toml::{Table, Value};

/// The name of the one campaign, credential and project, unless a test adds more.
pub const FLEET: &str = "fleet";

/// Upgrades take this long, unless a test says otherwise.
const TAKES: SpanRange = SpanRange { least: Millis(200), most: Millis(600) };

/// How long before now the open window opened: every clock agrees that it did.
const OPENED_AGO: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// What stands in every file; `{...}` is filled in by the site.
const CAMPAIGN: &str = r#"
    projects = ["fleet"]
    windows = ["open"]
    engine = "latest"
    settle = "100ms"
    observe_for = "1s"
    max_in_flight = 8
    select = { names = ["*"] }
    retry = { initial = "100ms", max = "1s" }
    failure_budget = { max_failures = 100, consecutive = 100 }
    waves = [{ name = "all" }]
"#;

const PROJECT: &str = r#"
    region = "sim-1"
    credentials = "fleet"
    upgrade_rate = { per_second = 50, burst = 50 }
    read_rate = { per_second = 200, burst = 200 }
    poll_interval = "200ms"
    request_timeout = "2s"
"#;

/// A test's wishes.
pub struct Setup {
    pub world: WorldSpec,
    pub knobs: Knobs,
    pub faults: FaultProfile,
    pub seed: u64,
    /// The configuration, without what only the site knows: addresses, ids and paths.
    pub file: Table,
}

impl Setup {
    /// `count` ordinary instances in one project.
    pub fn fleet(count: usize) -> Setup {
        let world = WorldSpec::fleet(count, TAKES);
        let mut setup = Setup {
            world,
            knobs: Knobs::default(),
            faults: FaultProfile::calm(),
            seed: 1,
            file: Table::new(),
        };
        let opened = jiff::Timestamp::now() - OPENED_AGO;
        setup.merge("campaigns.fleet", CAMPAIGN);
        setup.merge("projects.fleet", PROJECT);
        setup.set("windows.open.at", &local(opened));
        setup.set("windows.open.duration", "\"6h\"");
        setup.set("windows.open.cutoff", "\"1s\"");
        setup.set("api.listen", "\"off\"");
        setup
    }

    /// Sets one key, given by its path, to a value as TOML writes it.
    pub fn with(mut self, path: &str, value: &str) -> Setup {
        self.set(path, value);
        self
    }

    pub fn knob(mut self, setting: &str) -> Setup {
        self.knobs.set(setting).unwrap();
        self
    }

    /// How long upgrades take.
    pub fn takes(mut self, least: Millis, most: Millis) -> Setup {
        self.world.takes = SpanRange { least, most };
        self
    }

    /// The first upgrade request of each of these instances meets the decision beside it.
    pub fn first_upgrades_meet(mut self, decisions: &[(&str, Decision)]) -> Setup {
        for &(instance, decision) in decisions {
            self.faults.scripts.push(Script {
                calls: CallFilter::Only(CallKind::Upgrade),
                instance: Some(instance.into()),
                steps: vec![Step::from(decision)],
                ..Script::default()
            });
        }
        self
    }

    /// The first, second, … upgrade request of each instance meets these decisions.
    pub fn upgrades_meet(self, steps: &[Decision]) -> Setup {
        self.script(CallKind::Upgrade, steps.iter().copied().map(Step::from).collect())
    }

    pub fn script(mut self, call: CallKind, steps: Vec<Step>) -> Setup {
        let calls = CallFilter::Only(call);
        self.faults.scripts.push(Script { calls, steps, ..Script::default() });
        self
    }

    /// A second project like the first, with a key of its own, in the same campaign.
    pub fn with_project(mut self, name: &str, change: impl FnOnce(&mut ProjectSpec)) -> Setup {
        let mut project = self.world.projects[0].clone();
        project.name = name.into();
        project.id = format!("{:032x}", self.world.projects.len() + 1).into();
        project.access_keys[0].access = format!("SIMULATED{}", name.to_uppercase()).into();
        project.access_keys[0].secret = format!("simulated-secret-of-{name}").into();
        project.users.clear();
        for instance in &mut project.instances {
            instance.name = name.into();
        }
        change(&mut project);
        self.world.projects.push(project);
        self.merge(&format!("projects.{name}"), PROJECT);
        self.set(&format!("projects.{name}.credentials"), &format!("{name:?}"));
        let names: Vec<_> = self.world.projects.iter().map(|each| each.name.to_string()).collect();
        self.set("campaigns.fleet.projects", &format!("{names:?}"));
        self
    }

    pub fn set(&mut self, path: &str, value: &str) {
        set(&mut self.file, path, value);
    }

    fn merge(&mut self, path: &str, keys: &str) {
        let parsed: Table = keys.parse().unwrap();
        table(&mut self.file, path).extend(parsed);
    }
}

/// Sets the key of that path to a value as TOML writes it; what it was before.
pub fn set(file: &mut Table, path: &str, value: &str) -> Option<Value> {
    let parsed: Table = format!("value = {value}").parse().unwrap();
    let (tables, key) = path.rsplit_once('.').unwrap();
    table(file, tables).insert(key.to_owned(), parsed["value"].clone())
}

fn table<'a>(file: &'a mut Table, path: &str) -> &'a mut Table {
    path.split('.').fold(file, |table, key| {
        let entry = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
        entry.as_table_mut().unwrap()
    })
}

/// As a window's `at` wants it: in the file's zone, which is UTC, to the second.
pub fn local(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}
