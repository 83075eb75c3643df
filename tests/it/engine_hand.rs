//! One engine whose every question is answered by hand, beside the checker: for what the simulated
//! cloud never does. An instance `a` (and more, if asked for) needs an upgrade.

use std::collections::BTreeMap;

use refit::engine::check::Checker;
use refit::engine::rows::{Rows, TargetRow};
use refit::engine::{Engine, Event, Fact, Input, Read, Request, Submit};
use refit::model::answer::Answered;
use refit::model::{
    AnswerNote, AttemptId, CacheMode, CurrentTask, Edition, Instance, InstanceStatus, Millis,
    PartVersion, ReadAnswer, ReadCall, ReadFailure, Settings, Steady, SubmitAnswer, TargetId, Task,
    TaskStatus, Versions, Wall,
};
use refit::rehearse::MemoryStore;

use crate::engine_scene::{BEGIN, Scene};

/// When the nightly window opens.
pub const WINDOW: Wall = Wall(BEGIN.0 + 3_600_000);

/// What one read takes.
const READ_TAKES: Millis = Millis(50);

/// What the cloud shows, at any time as it stands then.
pub struct Shown {
    pub names: Vec<&'static str>,
    pub current: &'static str,
    pub is_busy: bool,
    pub service_task: Option<&'static str>,
    pub tasks: BTreeMap<&'static str, Vec<Task>>,
}

pub type IsRefused = fn(&ReadCall) -> bool;

pub struct Hand {
    pub engine: Engine,
    pub checker: Checker,
    pub store: MemoryStore,
    pub now: Steady,
    pub shown: Shown,
    /// Reads that were not answered yet, in order.
    pub asked: Vec<Read>,
    pub submits: Vec<Submit>,
    pub events: Vec<Event>,
    /// Calls that fail, each time, and how.
    pub refused: Option<(IsRefused, ReadFailure)>,
}

impl Hand {
    pub fn new(change: impl FnOnce(&mut Settings)) -> Hand {
        Hand::of(MemoryStore::default(), BEGIN, change)
    }

    /// Another process, on what `store` holds.
    pub fn of(store: MemoryStore, begin: Wall, change: impl FnOnce(&mut Settings)) -> Hand {
        let mut settings = Scene::new(0, |_| {}).host.settings().clone();
        change(&mut settings);
        let rows: Rows = store.rows();
        let mut hand = Hand {
            checker: Checker::new(&rows, Millis::ZERO),
            engine: Engine::restore(rows, Millis::ZERO, 1),
            store,
            now: Steady(begin.0),
            shown: Shown {
                names: vec!["a"],
                current: "6.0.1",
                is_busy: false,
                service_task: None,
                tasks: BTreeMap::new(),
            },
            asked: Vec::new(),
            submits: Vec::new(),
            events: Vec::new(),
            refused: None,
        };
        hand.give(Input::Settings(settings.into()));
        hand.give(Input::Restarted);
        hand
    }

    pub fn give(&mut self, input: Input) {
        let step = self.engine.step(self.now, input.clone());
        self.store.commit(&step);
        self.checker.observe(self.now, &input, &step);
        self.events.extend(step.events);
        for request in step.requests {
            match request {
                Request::Read(read) => self.asked.push(read),
                Request::Submit(submit) => self.submits.push(submit),
                Request::Renew { .. } => {}
            }
        }
    }

    /// Until there are `submits` submissions in all, or until `until`.
    pub fn run(&mut self, until: Wall, submits: usize) {
        self.run_while(until, |hand| hand.submits.len() < submits);
    }

    pub fn run_while(&mut self, until: Wall, goes_on: impl Fn(&Hand) -> bool) {
        while goes_on(self) {
            if !self.asked.is_empty() {
                let read = self.asked.remove(0);
                self.now += READ_TAKES;
                match self.refused.clone().filter(|(is_refused, _)| is_refused(&read.call)) {
                    Some((_, failure)) => self.refuse_as(read, failure, 404),
                    None => self.answer(read),
                }
                continue;
            }
            let at = self.engine.wake_at().filter(|at| at.0 <= until.0);
            let Some(at) = at else {
                self.now = Steady(until.0);
                return;
            };
            self.now = self.now.max(at);
            self.give(Input::Tick);
        }
    }

    pub fn wall(&self) -> Wall {
        Wall(self.now.0)
    }

    pub fn answer(&mut self, read: Read) {
        let answer = match &read.call {
            ReadCall::InventoryPage { offset } => {
                let names = if *offset == 0 { &self.shown.names[..] } else { &[] };
                let instances: Vec<Instance> =
                    names.iter().map(|name| self.instance(name)).collect();
                let rows = instances.len();
                ReadAnswer::page(instances, rows, Some(self.shown.names.len()))
            }
            ReadCall::Instance { instance } => {
                ReadAnswer::Instance(self.instance(instance.as_str()))
            }
            ReadCall::Versions { .. } => ReadAnswer::Versions(self.versions()),
            ReadCall::InstanceTasks { instance, offset, .. } => {
                let tasks = self.shown.tasks.get(instance.as_str()).filter(|_| *offset == 0);
                let tasks = tasks.cloned().unwrap_or_default();
                ReadAnswer::Tasks { rows: tasks.len(), tasks: tasks.into() }
            }
            ReadCall::TaskCentre { .. } => ReadAnswer::Tasks { rows: 0, tasks: [].into() },
        };
        self.give(Input::Read { id: read.id, result: Ok(self.answered(answer, 200)) });
    }

    /// A server in between answers 502.
    pub fn refuse(&mut self, read: Read) {
        self.refuse_as(read, ReadFailure::Unreachable, 502);
    }

    fn refuse_as(&mut self, read: Read, failure: ReadFailure, status: u16) {
        let failure = self.answered(failure, status);
        self.give(Input::Read { id: read.id, result: Err(failure) });
    }

    /// The answer to the last submission.
    pub fn submitted(&mut self, answer: SubmitAnswer, status: u16) -> AttemptId {
        let attempt = self.submits.last().expect("something was sent").attempt.clone();
        self.submitted_of(attempt.clone(), answer, status);
        attempt
    }

    pub fn submitted_of(&mut self, attempt: AttemptId, answer: SubmitAnswer, status: u16) {
        let answer = self.answered(answer, status);
        self.give(Input::Submitted { attempt, answer });
    }

    pub fn row(&self) -> &TargetRow {
        let target = TargetId { campaign: "c".into(), project: "p".into(), instance: "a".into() };
        self.engine.target_row(&target).expect("it is planned")
    }

    pub fn has(&self, is_wanted: impl Fn(&Fact) -> bool) -> bool {
        self.events.iter().any(|event| is_wanted(&event.fact))
    }

    /// No rule was broken on the way.
    #[track_caller]
    pub fn expect_sound(&self) {
        assert_eq!(self.checker.violations(), []);
    }

    fn answered<T>(&self, answer: T, status: u16) -> Answered<T> {
        let note = AnswerNote { status: Some(status), ..AnswerNote::default() };
        Answered { answer, note, server_time: Some(self.wall()) }
    }

    fn versions(&self) -> Versions {
        let engine = PartVersion {
            current: Some(self.shown.current.into()),
            latest: Some("6.0.9".into()),
            upgradable: self.shown.current != "6.0.9",
        };
        Versions { engine, proxy: PartVersion::default() }
    }

    fn instance(&self, name: &str) -> Instance {
        let is_busy = self.shown.is_busy;
        Instance {
            id: name.into(),
            name: name.into(),
            status: InstanceStatus::Running,
            engine: "Redis".into(),
            engine_version: "6.0".into(),
            cache_mode: CacheMode::Ha,
            edition: Edition::Basic,
            spec_code: "redis.ha.xu1.large.r2.2".into(),
            tags: BTreeMap::new(),
            zones: Vec::new(),
            service_upgrade: is_busy,
            service_task_id: self.shown.service_task.map(Into::into),
            current_task: match is_busy {
                true => CurrentTask::Busy("UPGRADING".into()),
                false => CurrentTask::Idle,
            },
        }
    }
}

/// An upgrade's task that was created at `at`.
pub fn task(id: &str, user: &str, status: TaskStatus, at: Wall) -> Task {
    Task {
        id: id.into(),
        name: "upgradeMinorVersion".into(),
        status,
        created_at: Some(at),
        updated_at: None,
        user_id: Some(user.into()),
        error_code: None,
    }
}
