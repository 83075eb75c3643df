//! Which instances exist: sweeps whose pages are short, and answers that say an instance is gone.

use std::sync::Arc;

use refit::engine::rows::Rows;
use refit::engine::{Engine, Event, Fact, Input, Read, ReadId, Reason, Request, TargetState};
use refit::model::answer::Answered;
use refit::model::policy::{Settings, Starts};
use refit::model::{
    AnswerNote, CacheMode, CurrentTask, Edition, Instance, InstanceStatus, Millis, ReadAnswer,
    ReadCall, Steady, TargetId,
};
use refit::rehearse::Host;
use refit::sim::world::{CallFilter, CallKind, Decision, Script, Step};

use crate::engine_scene::{BEGIN, Scene};

/// An engine whose list of instances is answered by hand; no other read is answered.
struct Lister {
    settings: Arc<Settings>,
    engine: Engine,
    now: Steady,
    asked: Vec<(ReadId, usize)>,
    events: Vec<Event>,
}

impl Lister {
    fn new() -> Lister {
        // Nothing starts: the looks before a start, never answered, would leave no read to the list.
        let scene = Scene::new(0, |draft| draft.project().starts = Starts::Off);
        let settings = Arc::new(scene.host.settings().clone());
        let mut lister = Lister {
            settings: settings.clone(),
            engine: Engine::restore(Rows::default(), Millis::ZERO, 1),
            now: Steady(BEGIN.0),
            asked: Vec::new(),
            events: Vec::new(),
        };
        lister.give(Input::Settings(settings));
        lister.give(Input::Restarted);
        lister
    }

    fn give(&mut self, input: Input) {
        let step = self.engine.step(self.now, input);
        self.events.extend(step.events);
        for request in step.requests {
            if let Request::Read(Read { id, call: ReadCall::InventoryPage { offset }, .. }) =
                request
            {
                self.asked.push((id, offset));
            }
        }
    }

    /// Answers the next page with these rows; tells the offset that was asked for.
    fn page(&mut self, names: &[&str], total: Option<usize>) -> usize {
        while self.asked.is_empty() {
            self.now = self.engine.wake_at().expect("a sweep is due some day");
            self.give(Input::Tick);
        }
        let (id, offset) = self.asked.remove(0);
        let instances: Vec<Instance> = names.iter().map(|name| instance(name)).collect();
        let rows = instances.len();
        let answer = ReadAnswer::page(instances, rows, total);
        let note = AnswerNote { status: Some(200), ..AnswerNote::default() };
        let result = Ok(Answered { answer, note, server_time: None });
        self.give(Input::Read { id, result });
        offset
    }

    fn swept(&self) -> Vec<u32> {
        let swept = self.events.iter().filter_map(|event| match event.fact {
            Fact::InventorySwept { instances, .. } => Some(instances),
            _ => None,
        });
        swept.collect()
    }

    fn is_gone(&self, name: &str) -> bool {
        self.is_skipped_as(name, &Reason::Gone)
    }

    fn is_skipped_as(&self, name: &str, reason: &Reason) -> bool {
        let row = self.engine.target_row(&target(name)).expect("it was planned");
        (row.state, row.reason.as_ref()) == (TargetState::Skipped, Some(reason))
    }

    /// Another file, whose campaign takes only these.
    fn select_ids(&mut self, ids: &[&str]) {
        let mut settings = (*self.settings).clone();
        let policy = settings.campaigns.get_mut(&"c".into()).expect("every draft has it");
        policy.select.ids = ids.iter().map(|&id| id.into()).collect();
        self.settings = Arc::new(settings);
        self.give(Input::Settings(self.settings.clone()));
    }
}

fn target(name: &str) -> TargetId {
    TargetId { campaign: "c".into(), project: "p".into(), instance: name.into() }
}

fn instance(name: &str) -> Instance {
    Instance {
        id: name.into(),
        name: name.into(),
        status: InstanceStatus::Running,
        engine: "Redis".into(),
        engine_version: "6.0".into(),
        cache_mode: CacheMode::Ha,
        edition: Edition::Basic,
        spec_code: "redis.ha.xu1.large.r2.2".into(),
        tags: Default::default(),
        zones: Vec::new(),
        service_upgrade: false,
        service_task_id: None,
        current_task: CurrentTask::Idle,
    }
}

#[test]
fn a_list_that_stays_as_it_is_is_gone_through_again_after_a_reload() {
    let mut lister = Lister::new();
    for _ in 0..2 {
        lister.page(&["a", "b"], Some(2));
    }
    assert!(!lister.is_skipped_as("b", &Reason::Excluded));
    lister.select_ids(&["a"]);
    lister.page(&["a", "b"], Some(2));
    assert!(lister.is_skipped_as("b", &Reason::Excluded));
    assert!(!lister.is_skipped_as("a", &Reason::Excluded));
}

#[test]
fn a_short_page_ends_no_sweep_while_the_total_says_more() {
    let mut lister = Lister::new();
    assert_eq!(lister.page(&["a"], Some(3)), 0);
    assert_eq!(lister.page(&["b"], Some(3)), 1);
    assert!(lister.swept().is_empty());
    assert_eq!(lister.page(&["c"], Some(3)), 2);
    assert_eq!(lister.swept(), [3]);
}

#[test]
fn a_short_page_without_a_total_ends_the_sweep() {
    let mut lister = Lister::new();
    assert_eq!(lister.page(&["a", "b"], None), 0);
    assert_eq!(lister.swept(), [2]);
}

#[test]
fn no_instance_is_gone_for_sweeps_that_end_before_their_total() {
    let mut lister = Lister::new();
    lister.page(&["a", "b"], Some(2));
    for _ in 0..5 {
        lister.page(&["a"], Some(2));
        lister.page(&[], Some(2));
    }
    assert!(!lister.is_gone("b"));
    assert_eq!(lister.swept(), [2]);
    lister.page(&["a"], Some(1));
    assert!(!lister.is_gone("b"), "one full sweep is not enough");
    lister.page(&["a"], Some(1));
    assert!(lister.is_gone("b"));
    assert!(!lister.is_gone("a"));
}

#[test]
fn a_list_that_never_reaches_its_total_is_planned_from_when_it_ends_short_again() {
    let mut lister = Lister::new();
    let is_planned = |lister: &Lister| {
        lister.events.iter().any(|event| matches!(event.fact, Fact::TargetPlanned { .. }))
    };
    for planned in [false, true] {
        lister.page(&["a"], Some(2));
        lister.page(&[], Some(2));
        assert_eq!(is_planned(&lister), planned);
    }
    let told = |event: &&Event| matches!(event.fact, Fact::Anomaly { .. });
    assert_eq!(lister.events.iter().filter(told).count(), 2, "and not in silence");
}

/// One instance, whose n-th look answers "no such instance".
fn missing_once(look: usize, upgrade: Decision) -> Scene {
    Scene::new(1, |draft| {
        draft.script(&[upgrade]);
        let mut steps = vec![Step::from(Decision::Ok); look];
        steps[look - 1] = Step {
            status: Some(404),
            code: Some("DCS.3022".into()),
            ..Step::from(Decision::Rejected)
        };
        let calls = CallFilter::Only(CallKind::Show);
        draft.faults.scripts.push(Script { calls, steps, ..Script::default() });
    })
}

fn gone_looks(host: &Host) -> u32 {
    let flights = host.store().targets().filter_map(|row| row.detail.flight.as_deref());
    flights.map(|flight| flight.gone_looks).sum()
}

#[test]
fn a_look_that_finds_the_instance_ends_the_run_of_gone_answers() {
    for (upgrade, found) in [
        (Decision::Ok, (|fact| matches!(fact, Fact::Settling { .. })) as fn(&Fact) -> bool),
        (Decision::Error500Before, |fact| matches!(fact, Fact::LookedClean { .. })),
    ] {
        // The first look is the last one before the intent.
        let mut scene = missing_once(2, upgrade);
        scene.run_for(Millis::from_hours(3), |host| gone_looks(host) > 0);
        assert_eq!(gone_looks(&scene.host), 1, "{upgrade:?}");
        scene.run_to(found);
        assert_eq!(gone_looks(&scene.host), 0, "{upgrade:?}");
        scene.run();
        assert_eq!(scene.count(TargetState::Succeeded), 1);
        scene.expect_sound();
    }
}
