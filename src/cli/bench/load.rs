//! The engine alone under load: a whole campaign in virtual time against a cloud that always says
//! yes. No store, no checker, no network: what is timed is deciding.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::{Weekday, time};
use jiff::tz::TimeZone;

use crate::clock;
use crate::engine::{Engine, Input, Request, Rows, Step};
use crate::model::answer::Answered;
use crate::model::calendar::{Rule, Window};
use crate::model::call::{PAGE_ROWS, ReadCall};
use crate::model::policy::{
    CampaignPolicy, CredentialPolicy, FailureBudget, Fit, Glob, GroupKey, GroupLimit, MaxFailures,
    Membership, ProjectPolicy, Rate, Retry, Select, Settings, Start, Starts, Untagged, Wave,
    WaveSize,
};
use crate::model::{
    AnswerNote, CacheMode, CurrentTask, Edition, Instance, InstanceStatus, Millis, PartVersion,
    ReadAnswer, Steady, SubmitAnswer, Task, TaskId, TaskStatus, Versions, Wall, WindowName,
};

/// 2026-03-02T00:00:00Z, a Monday.
const BEGIN: i64 = 1_772_409_600_000;

/// Every answer of the cloud takes this long.
const LATENCY: Millis = Millis(20);

/// One load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub targets: usize,
    pub max_in_flight: u32,
    /// Starts per minute.
    pub starts_per_minute: u32,
    pub burst: u32,
    /// How long the cloud's task takes.
    pub task: Millis,
    pub settle: Millis,
    pub poll_interval: Millis,
    /// Members per tag value, each of which may have one unavailable; 0: no groups.
    pub group_size: usize,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Steps timed; inventory pages are not among them.
    pub steps: u64,
    pub total: Duration,
    /// In processor time: one step may well wait for its turn on a core.
    pub longest: Duration,
    pub longest_input: String,
    pub reads: u64,
    pub versions_read: u64,
    pub submits: u64,
    pub succeeded: u64,
    /// From the first intent to the last success, in virtual time.
    pub makespan: Millis,
    pub first_intent: Option<Wall>,
}

/// A campaign being run.
pub struct Campaign {
    load: Load,
    pub engine: Engine,
    now: Steady,
    answers: BinaryHeap<Reverse<(Steady, u64)>>,
    inputs: BTreeMap<u64, Input>,
    next: u64,
    /// Tasks by id, with the instance's number and the instant they end.
    tasks: BTreeMap<TaskId, (usize, Steady, Steady)>,
    upgraded: Vec<Option<Steady>>,
    pub measured: Measured,
}

impl Campaign {
    /// Plans the campaign: every target is in the engine, no version is read yet.
    pub fn begin(load: Load) -> Campaign {
        let mut campaign = Campaign {
            load,
            engine: Engine::restore(Rows::default(), Millis::ZERO, 7),
            now: Steady(BEGIN),
            answers: BinaryHeap::new(),
            inputs: BTreeMap::new(),
            next: 0,
            tasks: BTreeMap::new(),
            upgraded: vec![None; load.targets],
            measured: Measured::default(),
        };
        campaign.step(Input::Settings(Arc::new(settings(&load))));
        campaign.step(Input::Restarted);
        campaign
    }

    /// Runs until every target has ended.
    pub fn run(&mut self) {
        while self.measured.succeeded < self.load.targets as u64 && self.advance() {}
    }

    /// Runs until as many versions were read as there are targets.
    pub fn run_until_read(&mut self) {
        while self.measured.versions_read < self.load.targets as u64 && self.advance() {}
    }

    /// Jumps to the next answer or timer; `false` if there is none.
    fn advance(&mut self) -> bool {
        let answer = self.answers.peek().map(|Reverse((at, _))| *at);
        let Some(at) = answer.into_iter().chain(self.engine.wake_at()).min() else { return false };
        self.now = self.now.max(at);
        let input = match self.answers.peek() {
            Some(Reverse((at, _))) if *at <= self.now => {
                let Some(Reverse((_, id))) = self.answers.pop() else { return false };
                self.inputs.remove(&id).unwrap_or(Input::Tick)
            }
            _ => Input::Tick,
        };
        self.step(input);
        true
    }

    fn step(&mut self, input: Input) {
        let is_inventory = matches!(
            &input,
            Input::Read { result: Ok(Answered { answer: ReadAnswer::InventoryPage(_), .. }), .. }
        );
        let name = kind(&input);
        let (of_thread, begun) = (clock::thread_time(), Instant::now());
        let step = self.engine.step(self.now, input);
        let (elapsed, took) = (begun.elapsed(), clock::thread_time().saturating_sub(of_thread));
        if !is_inventory {
            self.measured.steps += 1;
            self.measured.total += elapsed;
            if took > self.measured.longest {
                self.measured.longest = took;
                self.measured.longest_input = name.to_owned();
            }
        }
        self.obey(step);
    }

    fn obey(&mut self, step: Step) {
        for event in &step.events {
            match event.fact {
                crate::engine::Fact::Succeeded { .. } => {
                    self.measured.succeeded += 1;
                    let first = *self.measured.first_intent.get_or_insert(event.at);
                    self.measured.makespan = event.at - first;
                }
                crate::engine::Fact::Intent { .. } => {
                    self.measured.first_intent.get_or_insert(event.at);
                }
                _ => {}
            }
        }
        for request in step.requests {
            let at = self.now + LATENCY;
            let input = match request {
                Request::Submit(submit) => {
                    self.measured.submits += 1;
                    let number = number_of(submit.instance.as_str());
                    let task = TaskId::from(format!("task-{number:07}"));
                    self.tasks.insert(task.clone(), (number, at, at + self.load.task));
                    self.upgraded[number] = Some(at + self.load.task);
                    let answer = answered(SubmitAnswer::Accepted { task }, at);
                    Input::Submitted { attempt: submit.attempt, answer }
                }
                Request::Read(read) => {
                    self.measured.reads += 1;
                    let answer = answered(self.answer(&read.call, at), at);
                    Input::Read { id: read.id, result: Ok(answer) }
                }
                Request::Renew { credential } => Input::Renewed { credential, result: Ok(()) },
            };
            self.next += 1;
            self.inputs.insert(self.next, input);
            self.answers.push(Reverse((at, self.next)));
        }
    }

    fn answer(&mut self, call: &ReadCall, at: Steady) -> ReadAnswer {
        match call {
            ReadCall::InventoryPage { offset } => {
                let end = (offset + PAGE_ROWS).min(self.load.targets);
                let instances: Vec<Instance> =
                    (*offset..end).map(|number| self.instance(number, at)).collect();
                let rows = instances.len();
                ReadAnswer::page(instances, rows, Some(self.load.targets))
            }
            ReadCall::Instance { instance } => {
                let number = number_of(instance.as_str());
                let current_task = CurrentTask::Idle;
                ReadAnswer::Instance(Instance { current_task, ..self.instance(number, at) })
            }
            ReadCall::Versions { instance } => {
                self.measured.versions_read += 1;
                let moved = self.upgraded[number_of(instance.as_str())];
                ReadAnswer::Versions(versions(moved.is_some_and(|end| end <= at)))
            }
            ReadCall::InstanceTasks { .. } | ReadCall::TaskCentre { .. } => {
                let since = match call {
                    ReadCall::TaskCentre { since, .. } | ReadCall::InstanceTasks { since, .. } => {
                        *since
                    }
                    _ => Wall(0),
                };
                self.tasks.retain(|_, (_, begun, _)| begun.0 >= since.0);
                let tasks: Arc<[Task]> =
                    self.tasks.iter().map(|(id, task)| shown(id, task, at)).collect();
                let rows = tasks.len();
                // One page is enough here: the caps are at most a page.
                ReadAnswer::Tasks { tasks, rows: rows.min(PAGE_ROWS - 1) }
            }
        }
    }

    fn instance(&self, number: usize, at: Steady) -> Instance {
        let group = number.checked_div(self.load.group_size);
        Instance {
            id: format!("instance-{number:07}").as_str().into(),
            // Forty bytes, as the budget for memory has it.
            name: format!("cache-of-some-team-in-production-{number:07}").into(),
            status: InstanceStatus::Running,
            engine: "Redis".into(),
            engine_version: "5.0".into(),
            cache_mode: CacheMode::Ha,
            edition: Edition::Basic,
            spec_code: "redis.ha.xu1.large.r2.8".into(),
            tags: group
                .map(|group| ("app".into(), format!("app-{group}").into()))
                .into_iter()
                .collect(),
            zones: vec!["az1".into()],
            service_upgrade: self.upgraded[number].is_some_and(|end| end > at),
            service_task_id: None,
            current_task: CurrentTask::NotShown,
        }
    }
}

fn kind(input: &Input) -> &'static str {
    match input {
        Input::Tick => "tick",
        Input::Settings(_) => "settings",
        Input::Restarted => "restarted",
        Input::Submitted { .. } => "submitted",
        Input::Read { result: Ok(answered), .. } => match answered.answer {
            ReadAnswer::InventoryPage(_) => "inventory page",
            ReadAnswer::Instance(_) => "instance",
            ReadAnswer::Versions(_) => "versions",
            ReadAnswer::Tasks { .. } => "tasks",
        },
        _ => "other",
    }
}

fn answered<T>(answer: T, at: Steady) -> Answered<T> {
    let note = AnswerNote { status: Some(200), ..AnswerNote::default() };
    Answered { answer, note, server_time: Some(Wall(at.0)) }
}

fn number_of(id: &str) -> usize {
    id.rsplit('-').next().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn shown(id: &TaskId, (_, begun, end): &(usize, Steady, Steady), at: Steady) -> Task {
    Task {
        id: id.clone(),
        name: "UpgradeMinorVersion".into(),
        status: if *end <= at { TaskStatus::Succeeded } else { TaskStatus::Open },
        created_at: Some(Wall(begun.0)),
        updated_at: None,
        user_id: Some("us".into()),
        error_code: None,
    }
}

fn versions(moved: bool) -> Versions {
    let current = if moved { "5.0.14.2" } else { "5.0.9.1" };
    Versions {
        engine: PartVersion {
            current: Some(current.into()),
            latest: Some("5.0.14.2".into()),
            upgradable: !moved,
        },
        proxy: PartVersion::default(),
    }
}

/// One project, one campaign, a window that never closes.
pub fn settings(load: &Load) -> Settings {
    let window = WindowName::from("always");
    let days = vec![
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];
    let windows = Window {
        name: window.clone(),
        rule: Rule::Weekly { days, start: time(0, 0, 0, 0) },
        duration: Millis::from_hours(24),
        cutoff: Millis::from_secs(1),
        zone: TimeZone::UTC,
    };
    let credential = CredentialPolicy { renewable: false, fingerprint: "bench".into() };
    Settings {
        credentials: [("key".into(), credential)].into(),
        projects: [("fleet".into(), project(load))].into(),
        windows: [(window.clone(), windows)].into(),
        freezes: BTreeMap::new(),
        campaigns: [("all".into(), campaign(load, window))].into(),
    }
}

fn project(load: &Load) -> ProjectPolicy {
    ProjectPolicy {
        region: "sim-1".into(),
        project_id: "2b73a340cc2246094babe22670929d13".into(),
        credential: "key".into(),
        host: "127.0.0.1".into(),
        starts: Starts::On,
        max_in_flight: load.max_in_flight,
        upgrade_rate: Rate {
            events: load.starts_per_minute,
            per: Millis::from_mins(1),
            burst: load.burst,
        },
        read_rate: Rate { events: 1_000, per: Millis::from_secs(1), burst: 100 },
        poll_interval: load.poll_interval,
        request_timeout: Millis::from_secs(30),
    }
}

fn campaign(load: &Load, window: WindowName) -> CampaignPolicy {
    let per_app =
        GroupLimit { per: GroupKey::Tag("app".into()), limit: 1, untagged: Untagged::Alone };
    CampaignPolicy {
        projects: vec!["fleet".into()],
        windows: vec![window],
        engine: Some("latest".into()),
        proxy: None,
        select: Select {
            names: vec![Glob::new("*").expect("a star is a pattern")],
            ..Select::default()
        },
        max_in_flight: load.max_in_flight,
        max_unavailable: if load.group_size > 0 { vec![per_app] } else { Vec::new() },
        task_timeout: Millis::from_hours(2),
        settle: load.settle,
        fit: Fit::P95,
        expected_duration: None,
        deadline: None,
        observe_for: Millis::from_mins(5),
        start: Start::Automatic,
        membership: Membership::Frozen,
        allow_single_node: false,
        retry: Retry {
            max_attempts: 4,
            initial: Millis::from_secs(10),
            max: Millis::from_mins(15),
        },
        failure_budget: FailureBudget {
            max_failures: MaxFailures::Count(3),
            consecutive: 2,
            strict: false,
        },
        waves: vec![Wave { name: "all".into(), size: WaveSize::Rest, bake: Millis::ZERO }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(group_size: usize) -> Campaign {
        Campaign::begin(Load {
            targets: 300,
            max_in_flight: 50,
            starts_per_minute: 1_000,
            burst: 5,
            task: Millis::from_mins(30),
            settle: Millis::from_mins(2),
            poll_interval: Millis::from_secs(15),
            group_size,
        })
    }

    #[test]
    fn a_whole_campaign_runs_to_its_end() {
        let mut campaign = small(10);
        campaign.run();
        assert_eq!(campaign.measured.succeeded, 300);
        assert_eq!(campaign.measured.submits, 300);
    }

    /// Two reads before a start and two after its end are its own; watches and the first look
    /// after the end are shared, once the first tasks have shown how long they take.
    #[test]
    fn targets_in_flight_together_share_their_watches_and_first_looks() {
        let mut campaign = small(0);
        campaign.run();
        let shared = campaign.measured.reads - 4 * 300;
        assert!(shared < 300, "{shared} shared reads for 300 targets");
    }
}
