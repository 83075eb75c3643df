//! A quiet fleet in virtual time, for the scenarios of the engine: each test changes what it is
//! about, runs, and reads the ledger and the cloud's truth.

use std::collections::BTreeMap;

use jiff::civil::{DateTime, Weekday, time};
use jiff::tz::TimeZone;
use refit::engine::{Event, Fact, TargetState};
use refit::model::calendar::{Freeze, Rule, Window};
use refit::model::policy::{
    CampaignPolicy, CredentialPolicy, FailureBudget, Fit, MaxFailures, Membership, ProjectPolicy,
    Rate, Retry, Select, Start, Starts, Wave, WaveSize,
};
use refit::model::{Millis, Settings, TargetId, Wall};
use refit::rehearse::{Host, Mischief, Setup};
use refit::sim::world::{
    CallFilter, CallKind, Capability, Decision, FaultProfile, InstanceSpec, Knobs, ProjectSpec,
    Script, SpanRange, Step, World, WorldSpec,
};

/// 2026-03-01T23:00:00Z: an hour before the nightly window opens.
pub const BEGIN: Wall = Wall(1_772_406_000_000);

/// Steps that no scenario needs.
const STEPS_MAX: u64 = 200_000;

const PROJECT_ID: &str = "00000000000000000000000000000001";
const NEIGHBOUR_ID: &str = "00000000000000000000000000000002";

pub struct Draft {
    pub settings: Settings,
    pub instances: Vec<InstanceSpec>,
    /// Those of a second project `q`, which is there only if it has any.
    pub neighbours: Vec<InstanceSpec>,
    pub knobs: Knobs,
    pub faults: FaultProfile,
    pub mischief: Mischief,
}

impl Draft {
    pub fn campaign(&mut self) -> &mut CampaignPolicy {
        self.settings.campaigns.get_mut(&"c".into()).expect("every draft has it")
    }

    pub fn project(&mut self) -> &mut ProjectPolicy {
        self.settings.projects.get_mut(&"p".into()).expect("every draft has it")
    }

    /// A configured freeze of everything.
    pub fn freeze(&mut self, from: DateTime, until: DateTime) {
        let stop = Freeze {
            name: "stop".into(),
            from,
            until,
            every_year: false,
            zone: TimeZone::UTC,
            projects: Vec::new(),
            campaigns: Vec::new(),
        };
        self.settings.freezes.insert(stop.name.clone(), stop);
    }

    /// A second project like the first, in the same campaign.
    pub fn with_neighbours(&mut self, count: usize) {
        self.neighbours = cache(count, "neighbour");
        let mut policy = self.project().clone();
        policy.project_id = NEIGHBOUR_ID.into();
        policy.credential = "other".into();
        let credential = CredentialPolicy { renewable: false, fingerprint: "g".into() };
        self.settings.credentials.insert("other".into(), credential);
        self.settings.projects.insert("q".into(), policy);
        self.campaign().projects = vec!["p".into(), "q".into()];
    }

    /// What happens to the first, second, … upgrade call of each instance.
    pub fn script(&mut self, decisions: &[Decision]) {
        self.faults.scripts.push(Script {
            calls: CallFilter::Only(CallKind::Upgrade),
            steps: decisions.iter().map(|decision| Step::from(*decision)).collect(),
            ..Script::default()
        });
    }
}

pub struct Scene {
    pub host: Host,
}

impl Scene {
    /// `count` instances, all alike but for the change.
    pub fn new(count: usize, change: impl FnOnce(&mut Draft)) -> Scene {
        let mut draft = Draft {
            settings: settings(),
            instances: cache(count, "cache"),
            neighbours: Vec::new(),
            knobs: Knobs::default(),
            faults: FaultProfile::calm(),
            mischief: Mischief::default(),
        };
        change(&mut draft);
        let fixed = |time| SpanRange { least: time, most: time };
        let world = WorldSpec {
            name: "scene".into(),
            latency: fixed(Millis(100)),
            takes: fixed(Millis::from_mins(5)),
            projects: vec![
                project("p", PROJECT_ID, draft.instances),
                project("q", NEIGHBOUR_ID, draft.neighbours),
            ],
        };
        let host = Host::new(Setup {
            world: World::new(world, draft.knobs, draft.faults, 1),
            settings: draft.settings,
            begin: BEGIN,
            seed: 1,
            mischief: draft.mischief,
        });
        Scene { host }
    }

    /// Runs until the campaign is over; at most five days.
    pub fn run(&mut self) {
        self.run_for(Millis::from_hours(5 * 24), |host| {
            host.store().campaigns().next().is_some_and(|row| row.state.is_over())
        });
    }

    pub fn run_for(&mut self, time: Millis, is_enough: impl FnMut(&Host) -> bool) {
        let until = self.host.now() + time;
        self.host.run(until, STEPS_MAX, is_enough);
    }

    /// Runs until the ledger has such a fact.
    #[track_caller]
    pub fn run_to(&mut self, is_wanted: impl Fn(&Fact) -> bool) {
        let has = |host: &Host| host.store().ledger().iter().any(|event| is_wanted(&event.fact));
        self.run_for(Millis::from_hours(5 * 24), has);
        assert!(has(&self.host), "it never happened");
    }

    pub fn target(&self, name: &str) -> TargetId {
        let instance = self.host.world().instance_id(name).expect("the world has it");
        TargetId { campaign: "c".into(), project: "p".into(), instance }
    }

    pub fn events(&self, is_wanted: impl Fn(&Fact) -> bool) -> Vec<&Event> {
        self.host.store().ledger().iter().filter(|event| is_wanted(&event.fact)).collect()
    }

    /// When each intent was committed.
    pub fn intents(&self) -> Vec<Wall> {
        self.events(|fact| matches!(fact, Fact::Intent { .. })).iter().map(|each| each.at).collect()
    }

    /// Upgrades that the cloud took, of one instance.
    pub fn applied(&self, name: &str) -> usize {
        let id = self.target(name).instance;
        self.host.world().truth(PROJECT_ID, id.as_str()).expect("it is there").applied.len()
    }

    pub fn state(&self, name: &str) -> TargetState {
        self.host.store().target(&self.target(name)).expect("it is planned").state
    }

    pub fn count(&self, state: TargetState) -> usize {
        self.host.store().targets().filter(|row| row.state == state).count()
    }

    /// No rule was broken on the way.
    #[track_caller]
    pub fn expect_sound(&self) {
        assert_eq!(self.host.violations(), []);
        assert_eq!(self.host.recount(), []);
        assert!(self.host.problems().is_empty(), "{:?}", self.host.problems());
    }
}

fn cache(count: usize, name: &str) -> Vec<InstanceSpec> {
    let spec = |number| InstanceSpec {
        name: format!("{name}-{number}").into(),
        ..InstanceSpec::default()
    };
    (0..count).map(spec).collect()
}

fn project(name: &str, id: &str, instances: Vec<InstanceSpec>) -> ProjectSpec {
    ProjectSpec {
        name: name.into(),
        id: id.into(),
        region: "sim-1".into(),
        user_id: "u".into(),
        access_keys: Vec::new(),
        users: Vec::new(),
        agency: false,
        upgrade_call: Capability::Present,
        limits: Vec::new(),
        instances,
    }
}

fn settings() -> Settings {
    let rate = |events, burst| Rate { events, per: Millis::from_mins(1), burst };
    let project = ProjectPolicy {
        region: "sim-1".into(),
        project_id: PROJECT_ID.into(),
        credential: "key".into(),
        host: "dcs.sim".into(),
        starts: Starts::On,
        max_in_flight: 50,
        upgrade_rate: rate(600, 50),
        read_rate: rate(6_000, 100),
        poll_interval: Millis::from_secs(15),
        request_timeout: Millis::from_secs(30),
    };
    let campaign = CampaignPolicy {
        projects: vec!["p".into()],
        windows: vec!["nightly".into()],
        engine: Some("latest".into()),
        proxy: None,
        select: Select::default(),
        max_in_flight: 50,
        max_unavailable: Vec::new(),
        task_timeout: Millis::from_hours(1),
        settle: Millis::from_mins(1),
        fit: Fit::P95,
        expected_duration: None,
        deadline: None,
        observe_for: Millis::from_mins(2),
        start: Start::Automatic,
        membership: Membership::Frozen,
        allow_single_node: false,
        retry: Retry { max_attempts: 4, initial: Millis::from_secs(10), max: Millis::from_mins(1) },
        failure_budget: FailureBudget {
            max_failures: MaxFailures::Count(100),
            consecutive: 100,
            strict: false,
        },
        waves: vec![Wave { name: "all".into(), size: WaveSize::Rest, bake: Millis::ZERO }],
    };
    let window = Window {
        name: "nightly".into(),
        rule: Rule::Weekly {
            days: vec![
                Weekday::Monday,
                Weekday::Tuesday,
                Weekday::Wednesday,
                Weekday::Thursday,
                Weekday::Friday,
                Weekday::Saturday,
                Weekday::Sunday,
            ],
            start: time(0, 0, 0, 0),
        },
        duration: Millis::from_hours(4),
        cutoff: Millis::from_mins(30),
        zone: TimeZone::UTC,
    };
    let credential = CredentialPolicy { renewable: false, fingerprint: "f".into() };
    Settings {
        credentials: BTreeMap::from([("key".into(), credential)]),
        projects: BTreeMap::from([("p".into(), project)]),
        windows: BTreeMap::from([("nightly".into(), window)]),
        freezes: BTreeMap::new(),
        campaigns: BTreeMap::from([("c".into(), campaign)]),
    }
}
