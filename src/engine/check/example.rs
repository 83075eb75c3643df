//! A small campaign made by hand, step by step, for the tests of the rules: each test bends one
//! thing of it and expects exactly one rule to notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::date;
use jiff::tz::TimeZone;

use super::{Checker, Rule};
use crate::engine::Step;
use crate::engine::event::{Event, Fact, LearnedDuration};
use crate::engine::input::Input;
use crate::engine::request::{Read, ReadId, Request, Submit};
use crate::engine::rows::{
    AttemptOutcome, AttemptRow, CampaignDetail, CampaignRow, Changes, DurationRow, Rows,
    TargetDetail, TargetRow,
};
use crate::engine::state::{CampaignState, TargetState};
use crate::model::answer::Answered;
use crate::model::calendar::{Rule as WindowRule, Window};
use crate::model::duration::{DurationClass, Samples};
use crate::model::policy::{
    CampaignPolicy, CredentialPolicy, FailureBudget, Fit, MaxFailures, Membership, ProjectPolicy,
    Rate, Retry, Select, Start, Starts, Wave, WaveSize,
};
use crate::model::{
    AnswerNote, AttemptId, CacheMode, CurrentTask, Edition, Instance, InstanceStatus, Millis,
    PartVersion, ReadAnswer, ReadCall, Settings, Steady, SubmitAnswer, TargetId, Task, UpgradeBody,
    Versions, Wall,
};

/// Midnight of 2026-02-01, UTC: the window's opening, and when every scene begins.
pub(super) const OPEN: i64 = 1_769_904_000_000;

pub(super) struct Scene {
    pub checker: Checker,
    pub now: Steady,
    pub seq: u64,
    pub read: u64,
    pub settings: Settings,
    pub rows: BTreeMap<TargetId, TargetRow>,
    pub attempts: BTreeMap<TargetId, AttemptRow>,
    pub campaign: CampaignRow,
    pub durations: BTreeMap<DurationClass, Samples>,
}

pub(super) fn target(instance: &str) -> TargetId {
    TargetId { campaign: "c".into(), project: "p".into(), instance: instance.into() }
}

pub(super) fn attempt(instance: &str, number: u32) -> AttemptId {
    AttemptId { target: target(instance), round: 1, number }
}

pub(super) fn body() -> UpgradeBody {
    UpgradeBody { engine: Some("latest".into()), proxy: None }
}

pub(super) fn versions(current: &str) -> Versions {
    let engine = PartVersion {
        current: Some(current.into()),
        latest: Some("6.0.9".into()),
        upgradable: current != "6.0.9",
    };
    Versions { engine, proxy: PartVersion::default() }
}

pub(super) fn instance(id: &str) -> Instance {
    Instance {
        id: id.into(),
        name: id.into(),
        status: InstanceStatus::Running,
        engine: "Redis".into(),
        engine_version: "6.0".into(),
        cache_mode: CacheMode::Ha,
        edition: Edition::Basic,
        spec_code: "redis.ha".into(),
        tags: BTreeMap::from([("app".into(), "shop".into())]),
        zones: vec!["z1".into()],
        service_upgrade: false,
        service_task_id: None,
        current_task: CurrentTask::Idle,
    }
}

pub(super) fn answered<T>(answer: T) -> Answered<T> {
    Answered { answer, note: AnswerNote::default(), server_time: None }
}

fn settings() -> Settings {
    let rate = |events| Rate { events, per: Millis::from_mins(1), burst: 20 };
    let project = ProjectPolicy {
        region: "r".into(),
        project_id: "0".into(),
        credential: "ops".into(),
        host: "h".into(),
        starts: Starts::On,
        max_in_flight: 10,
        upgrade_rate: rate(60),
        read_rate: rate(6_000),
        poll_interval: Millis::from_secs(15),
        request_timeout: Millis::from_secs(30),
    };
    let wave = |name: &str, size| Wave { name: name.into(), size, bake: Millis::from_mins(10) };
    let campaign = CampaignPolicy {
        projects: vec!["p".into()],
        windows: vec!["night".into()],
        engine: Some("latest".into()),
        proxy: None,
        select: Select::default(),
        max_in_flight: 10,
        max_unavailable: Vec::new(),
        task_timeout: Millis::from_hours(2),
        settle: Millis::from_mins(2),
        fit: Fit::P95,
        expected_duration: None,
        deadline: None,
        observe_for: Millis::from_mins(5),
        start: Start::Automatic,
        membership: Membership::Frozen,
        allow_single_node: false,
        retry: Retry {
            max_attempts: 3,
            initial: Millis::from_secs(10),
            max: Millis::from_mins(15),
        },
        failure_budget: FailureBudget {
            max_failures: MaxFailures::Count(3),
            consecutive: 3,
            strict: false,
        },
        waves: vec![wave("canary", WaveSize::Count(3)), wave("rest", WaveSize::Rest)],
    };
    let window = Window {
        name: "night".into(),
        rule: WindowRule::Once { at: date(2026, 2, 1).at(0, 0, 0, 0) },
        duration: Millis::from_hours(6),
        cutoff: Millis::from_mins(30),
        zone: TimeZone::UTC,
    };
    let credential = CredentialPolicy { renewable: false, fingerprint: "f".into() };
    Settings {
        credentials: BTreeMap::from([("ops".into(), credential)]),
        projects: BTreeMap::from([("p".into(), project)]),
        windows: BTreeMap::from([("night".into(), window)]),
        freezes: BTreeMap::new(),
        campaigns: BTreeMap::from([("c".into(), campaign)]),
    }
}

impl Scene {
    /// A running campaign: `a`, `b` and `c` in the first wave, `d` in the second; nothing read yet.
    pub fn new() -> Scene {
        Scene::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Scene {
        let mut settings = settings();
        change(&mut settings);
        let campaign = CampaignRow {
            name: "c".into(),
            state: CampaignState::Running,
            detail: CampaignDetail::default(),
        };
        let mut scene = Scene {
            checker: Checker::new(&Rows::default(), Millis::ZERO),
            now: Steady(OPEN),
            seq: 0,
            read: 0,
            settings,
            rows: BTreeMap::new(),
            attempts: BTreeMap::new(),
            campaign,
            durations: BTreeMap::new(),
        };
        scene.settle_in();
        scene
    }

    fn settle_in(&mut self) {
        self.give(Input::Settings(Arc::new(self.settings.clone())), Step::default());
        self.give(Input::Restarted, Step::default());
        let ids = ["a", "b", "c", "d"];
        self.answer(
            ReadCall::InventoryPage { offset: 0 },
            ReadAnswer::page(ids.map(instance).to_vec(), 4, Some(4)),
        );
        let waves = vec![("canary".into(), 3), ("rest".into(), 1)];
        let planned = Fact::Planned { digest: "d".into(), targets: 4, waves };
        let mut events = vec![self.campaign_event(planned), self.campaign_event(Fact::Started)];
        let mut changes = Changes::default();
        for (rank, id) in ids.iter().enumerate() {
            let wave = u32::from(rank == 3);
            let fact = Fact::TargetPlanned { wave, rank: rank as u64, name: (*id).into() };
            events.push(self.event(id, fact, TargetState::Pending));
            let row = TargetRow {
                id: target(id),
                wave,
                rank: rank as u64,
                state: TargetState::Pending,
                reason: None,
                entered_at: self.wall(),
                round: 1,
                number: 0,
                not_applied: 0,
                not_before: None,
                task: None,
                overdue: false,
                needs_operator: None,
                held_by: None,
                acknowledged: false,
                detail: TargetDetail::default(),
            };
            self.rows.insert(row.id.clone(), row.clone());
            changes.targets.push(row);
        }
        changes.campaigns.push(self.campaign.clone());
        self.give(Input::Tick, Step { events, changes, ..Step::default() });
    }

    pub fn wall(&self) -> Wall {
        Wall(self.now.0)
    }

    pub fn wait(&mut self, time: Millis) {
        self.now += time;
    }

    pub fn give(&mut self, input: Input, step: Step) {
        self.checker.observe(self.now, &input, &step);
    }

    pub fn campaign_event(&mut self, fact: Fact) -> Event {
        self.seq += 1;
        Event {
            seq: self.seq,
            at: self.wall(),
            campaign: Some("c".into()),
            project: None,
            instance: None,
            attempt: None,
            actor: None,
            comment: None,
            state: None,
            fact,
        }
    }

    pub fn project_event(&mut self, fact: Fact) -> Event {
        let event = self.campaign_event(fact);
        Event { campaign: None, project: Some("p".into()), ..event }
    }

    pub fn event(&mut self, id: &str, fact: Fact, state: TargetState) -> Event {
        let number = self.rows.get(&target(id)).map_or(0, |row| row.number);
        let event = self.campaign_event(fact);
        Event {
            project: Some("p".into()),
            instance: Some(id.into()),
            attempt: (number > 0).then(|| attempt(id, number)),
            state: Some(state),
            ..event
        }
    }

    /// A step of one target's event and the rows that go with it.
    pub fn step(
        &mut self,
        id: &str,
        fact: Fact,
        state: TargetState,
        change: impl FnOnce(&mut TargetRow),
    ) -> Step {
        let row = self.rows.get_mut(&target(id)).expect("the scene has it");
        row.state = state;
        change(row);
        let mut changes = Changes { targets: vec![row.clone()], ..Changes::default() };
        if !state.is_in_flight()
            && let Some(mut attempt) = self.attempts.remove(&target(id))
        {
            attempt.ended_at = Some(Wall(self.now.0));
            attempt.outcome = AttemptOutcome::NotApplied;
            changes.attempts.push(attempt);
        }
        let events = vec![self.event(id, fact, state)];
        Step { events, changes, ..Step::default() }
    }

    pub fn campaign_step(&mut self, fact: Fact, change: impl FnOnce(&mut CampaignRow)) -> Step {
        change(&mut self.campaign);
        let changes = Changes { campaigns: vec![self.campaign.clone()], ..Changes::default() };
        let events = vec![self.campaign_event(fact)];
        Step { events, changes, ..Step::default() }
    }

    pub fn ask(&mut self, call: ReadCall) -> (ReadId, Request) {
        self.read += 1;
        let id = ReadId(self.read);
        (id, Request::Read(Read { id, project: "p".into(), call, is_proof: true }))
    }

    /// A read, asked and answered at once.
    pub fn answer(&mut self, call: ReadCall, answer: ReadAnswer) {
        let (id, request) = self.ask(call);
        self.give(Input::Tick, Step { requests: vec![request], ..Step::default() });
        let result = Ok(answered(answer));
        self.give(Input::Read { id, result }, Step::default());
    }

    pub fn show(&mut self, instance: Instance) {
        let call = ReadCall::Instance { instance: instance.id.clone() };
        self.answer(call, ReadAnswer::Instance(instance));
    }

    pub fn show_versions(&mut self, id: &str, current: &str) {
        let call = ReadCall::Versions { instance: id.into() };
        self.answer(call, ReadAnswer::Versions(versions(current)));
    }

    pub fn show_tasks(&mut self, id: &str, tasks: Vec<Task>) {
        let call = ReadCall::InstanceTasks { instance: id.into(), since: Wall(0), offset: 0 };
        let rows = tasks.len();
        self.answer(call, ReadAnswer::Tasks { tasks: tasks.into(), rows });
    }

    /// The reads that a precheck makes, all good.
    pub fn precheck(&mut self, id: &str) {
        self.show(instance(id));
        self.show_versions(id, "6.0.1");
        self.show_tasks(id, Vec::new());
    }

    /// A good intent with its row and its request, not yet given to the checker.
    pub fn intent(&mut self, id: &str) -> Step {
        let not_after = self.wall() + Millis::from_secs(5);
        let fact = Fact::Intent {
            body: body(),
            not_after,
            versions: versions("6.0.1"),
            known_tasks: Vec::new(),
        };
        let mut step = self.step(id, fact, TargetState::Submitting, |row| row.number += 1);
        let attempt = step.events[0].attempt.clone().expect("it has a number");
        let row = AttemptRow {
            id: attempt.clone(),
            body: body(),
            intent_at: self.wall(),
            not_after,
            versions_before: versions("6.0.1"),
            known_tasks: Vec::new(),
            cloud_intent_at: self.wall(),
            outcome: AttemptOutcome::Open,
            ended_at: None,
        };
        self.attempts.insert(target(id), row.clone());
        step.changes.attempts.push(row);
        step.requests.push(Request::Submit(Submit {
            attempt,
            project: "p".into(),
            instance: id.into(),
            body: body(),
            not_after: Steady(not_after.0),
        }));
        step
    }

    /// Prechecks and starts one target.
    pub fn start(&mut self, id: &str) {
        self.precheck(id);
        let step = self.intent(id);
        self.give(Input::Tick, step);
    }

    pub fn submitted(&self, id: &str, answer: SubmitAnswer) -> Input {
        let number = self.rows[&target(id)].number;
        Input::Submitted { attempt: attempt(id, number), answer: answered(answer) }
    }

    /// The cloud takes it.
    pub fn accept(&mut self, id: &str) {
        let task: crate::model::TaskId = format!("task-{id}").into();
        let input = self.submitted(id, SubmitAnswer::Accepted { task: task.clone() });
        let fact = Fact::Accepted { task: task.clone(), late: false, note: AnswerNote::default() };
        let step = self.step(id, fact, TargetState::Running, |row| row.task = Some(task));
        self.give(input, step);
    }

    /// A 500: nobody knows.
    pub fn lose(&mut self, id: &str) {
        let input = self.submitted(id, SubmitAnswer::Uncertain);
        let fact = Fact::BecameUncertain {
            why: "500".into(),
            earliest_resend: self.wall(),
            number: 1,
            of: 3,
            note: AnswerNote::default(),
        };
        let step = self.step(id, fact, TargetState::Uncertain, |_| {});
        self.give(input, step);
    }

    /// The task ends well, the version has moved, and it settles.
    pub fn verify(&mut self, id: &str) {
        let ended = Fact::TaskEnded { succeeded: true, code: None };
        let step = self.step(id, ended, TargetState::Verifying, |_| {});
        self.give(Input::Tick, step);
        self.show(instance(id));
        self.show_versions(id, "6.0.9");
        let until = self.wall() + Millis::from_mins(2);
        let step = self.step(id, Fact::Settling { until }, TargetState::Verifying, |_| {});
        self.give(Input::Tick, step);
    }

    pub fn succeed(&mut self, id: &str) {
        self.succeed_with(id, |_| {});
    }

    /// With the duration that the checker saw, bent.
    pub fn succeed_with(&mut self, id: &str, bend: fn(&mut Option<LearnedDuration>)) {
        let mut learned = self.checker.duration_of(&target(id));
        bend(&mut learned);
        let fact = Fact::Succeeded {
            reason: crate::engine::Reason::Verified,
            before: Some(versions("6.0.1")),
            after: Some(versions("6.0.9")),
            took: Millis::ZERO,
            learned,
        };
        let mut step = self.step(id, fact, TargetState::Succeeded, |_| {});
        if let Some(LearnedDuration { class, took }) = learned {
            self.durations.entry(class).or_default().push(took);
            let samples = self.durations[&class].clone();
            step.changes.durations.push(DurationRow { class, samples });
        }
        self.give(Input::Tick, step);
    }

    /// From start to success.
    pub fn upgrade(&mut self, id: &str) {
        self.start(id);
        self.accept(id);
        self.verify(id);
        self.wait(Millis::from_mins(2));
        self.show(instance(id));
        self.show_versions(id, "6.0.9");
        self.succeed(id);
    }

    /// The task fails and the version says so too.
    pub fn fail(&mut self, id: &str) {
        self.start(id);
        self.accept(id);
        let ended = Fact::TaskEnded { succeeded: false, code: None };
        let step = self.step(id, ended, TargetState::Verifying, |_| {});
        self.give(Input::Tick, step);
        let reason = crate::engine::Reason::TaskFailed(None);
        let step = self.step(id, Fact::Failed { reason }, TargetState::Failed, |_| {});
        self.give(Input::Tick, step);
    }

    #[track_caller]
    pub fn expect_good(&self) {
        assert_eq!(self.checker.violations(), []);
    }

    /// At least one violation, and all of this rule.
    #[track_caller]
    pub fn expect(&self, rule: Rule) {
        let violations = self.checker.violations();
        assert!(!violations.is_empty(), "nothing was noticed");
        assert!(violations.iter().all(|each| each.rule == rule), "{violations:#?}");
    }
}
