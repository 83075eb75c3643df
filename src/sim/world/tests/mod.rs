//! What the world promises to those who test against it.

mod any_order;
mod turned;

use super::*;
use crate::model::answer::Answered;
use crate::model::classify::CredentialForm;
use crate::model::{
    CurrentTask, Instance, ReadAnswer, ReadCall, ReadFailure, SubmitAnswer, Task, UpgradeBody,
    Versions,
};

const START: Wall = Wall(1_800_000_000_000);
const PATIENCE: Millis = Millis::from_secs(30);

/// One project with one instance `only`, whose upgrades take ten seconds.
struct Small {
    world: World,
    project: Arc<str>,
    instance: InstanceId,
}

impl Small {
    fn new(change: impl FnOnce(&mut InstanceSpec), knobs: &[&str], faults: FaultProfile) -> Small {
        let takes = SpanRange { least: Millis(10_000), most: Millis(10_000) };
        let mut spec = WorldSpec::fleet(1, takes);
        spec.projects[0].instances[0].name = "only".into();
        change(&mut spec.projects[0].instances[0]);
        let mut set = Knobs::default();
        for knob in knobs {
            set.set(knob).unwrap();
        }
        let project = spec.projects[0].id.clone();
        let world = World::new(spec, set, faults, 7);
        let instance = world.instance_id("only").unwrap();
        Small { world, project, instance }
    }

    fn calm(knobs: &[&str]) -> Small {
        Small::new(|_| {}, knobs, FaultProfile::calm())
    }

    fn upgrade(&mut self, at: i64) -> SubmitAnswer {
        self.reply(at).heard_of_upgrade(PATIENCE, CredentialForm::StaticKey).answer
    }

    fn reply(&mut self, at: i64) -> WorldReply {
        let body = UpgradeBody { engine: Some("latest".into()), proxy: None };
        let now = START + Millis(at);
        self.world.upgrade(now, &self.project, &self.instance, &body, Some("c/p/i/1.1"))
    }

    fn heard(&mut self, at: i64, call: ReadCall) -> Result<ReadAnswer, ReadFailure> {
        let reply = self.world.read(START + Millis(at), &self.project, &call);
        let Answered { answer, .. } = reply.heard_of_read(PATIENCE, CredentialForm::StaticKey);
        answer
    }

    fn show(&mut self, at: i64) -> Result<Instance, ReadFailure> {
        let instance = self.instance.clone();
        self.heard(at, ReadCall::Instance { instance }).map(|answer| match answer {
            ReadAnswer::Instance(shown) => shown,
            other => panic!("not an instance: {other:?}"),
        })
    }

    fn versions(&mut self, at: i64) -> Versions {
        let instance = self.instance.clone();
        match self.heard(at, ReadCall::Versions { instance }).unwrap() {
            ReadAnswer::Versions(versions) => versions,
            other => panic!("not versions: {other:?}"),
        }
    }

    fn tasks(&mut self, at: i64) -> Vec<Task> {
        let instance = self.instance.clone();
        let call = ReadCall::InstanceTasks { instance, since: START, offset: 0 };
        match self.heard(at, call).unwrap() {
            ReadAnswer::Tasks { tasks, .. } => tasks.to_vec(),
            other => panic!("not tasks: {other:?}"),
        }
    }

    fn centre(&mut self, at: i64) -> Result<Vec<Task>, ReadFailure> {
        self.heard(at, ReadCall::TaskCentre { since: START, offset: 0 }).map(
            |answer| match answer {
                ReadAnswer::Tasks { tasks, .. } => tasks.to_vec(),
                other => panic!("not tasks: {other:?}"),
            },
        )
    }

    fn applied(&self) -> usize {
        self.world.truth(&self.project, self.instance.as_str()).unwrap().applied.len()
    }
}

fn script(calls: CallFilter, steps: Vec<Step>) -> FaultProfile {
    FaultProfile {
        scripts: vec![Script { calls, steps, ..Script::default() }],
        ..FaultProfile::calm()
    }
}

fn upgrades(decisions: &[Decision]) -> FaultProfile {
    script(
        CallFilter::Only(CallKind::Upgrade),
        decisions.iter().map(|decision| Step::from(*decision)).collect(),
    )
}

#[test]
fn an_upgrade_runs_for_its_time_and_moves_the_version() {
    let mut small = Small::calm(&[]);
    assert!(small.versions(0).engine.upgradable);
    let SubmitAnswer::Accepted { task } = small.upgrade(0) else { panic!("not accepted") };
    let shown = small.show(1).unwrap();
    assert_eq!(shown.status.word(), "UPGRADING");
    assert_eq!(shown.current_task, CurrentTask::Busy("UPGRADING".into()));
    assert_eq!(shown.service_task_id.as_ref(), Some(&task));
    let [open] = &small.tasks(1)[..] else { panic!("not one task") };
    assert_eq!((&open.id, &open.status), (&task, &crate::model::TaskStatus::Open));
    assert_eq!(small.world.next_change(), Some(START + Millis(5_000)));
    assert!(!small.versions(9_999).engine.is_current());
    assert!(small.versions(10_000).engine.is_current());
    assert!(small.show(10_000).unwrap().is_idle());
    assert_eq!(small.centre(10_000).unwrap()[0].id, task);
    assert_eq!(small.world.peak_in_flight(None), 1);
    assert_eq!(small.world.in_flight(), 0);
}

#[test]
fn the_same_seed_and_calls_give_the_same_answers() {
    let run = || {
        let spec = WorldSpec::demo(3);
        let (project, mut log) = (spec.projects[0].id.clone(), Vec::new());
        let mut world = World::new(spec, Knobs::default(), FaultProfile::hostile(), 3);
        let ids: Vec<String> = world.truths().map(|(_, id, _)| id.to_owned()).collect();
        for (step, id) in ids.iter().cycle().take(600).enumerate() {
            let now = START + Millis(step as i64 * 50);
            let body = UpgradeBody { engine: Some("latest".into()), proxy: None };
            let id = InstanceId::from(id.as_str());
            log.push(format!("{:?}", world.upgrade(now, &project, &id, &body, None)));
            let call = ReadCall::Instance { instance: id };
            log.push(format!("{:?}", world.read(now, &project, &call)));
        }
        log
    };
    assert_eq!(run(), run());
}

#[test]
fn errors_before_applying_start_nothing_and_those_after_start_one() {
    let before = Decision::Error500Before;
    let mut small = Small::new(|_| {}, &[], upgrades(&[before, before, Decision::Ok]));
    assert_eq!(small.upgrade(0), SubmitAnswer::Uncertain);
    assert_eq!(small.upgrade(1), SubmitAnswer::Uncertain);
    assert_eq!(small.applied(), 0);
    assert!(matches!(small.upgrade(2), SubmitAnswer::Accepted { .. }));
    assert_eq!(small.applied(), 1);
    for decision in [Decision::ApplyThen500, Decision::ApplyThenDrop, Decision::Truncated] {
        let mut small = Small::new(|_| {}, &[], upgrades(&[decision]));
        let reply = small.reply(0);
        assert!(reply.applied && reply.task.is_some(), "{decision:?}");
        let heard = reply.heard_of_upgrade(PATIENCE, CredentialForm::StaticKey);
        assert_eq!(heard.answer, SubmitAnswer::Uncertain, "{decision:?}");
        assert_eq!(small.applied(), 1, "{decision:?}");
    }
}

#[test]
fn a_second_upgrade_meets_the_refusal_of_its_knob_or_runs_twice() {
    for (value, upgrading) in [("4116", true), ("4026", false), ("4017", false)] {
        let mut small = Small::calm(&[&format!("duplicate={value}")]);
        assert!(matches!(small.upgrade(0), SubmitAnswer::Accepted { .. }));
        assert_eq!(small.upgrade(1), SubmitAnswer::Conflict { upgrading }, "{value}");
        assert_eq!(small.applied(), 1);
    }
    let mut small = Small::calm(&["duplicate=runs_twice"]);
    assert!(matches!(small.upgrade(0), SubmitAnswer::Accepted { .. }));
    assert!(matches!(small.upgrade(1), SubmitAnswer::Accepted { .. }));
    assert_eq!((small.applied(), small.world.peak_in_flight(None)), (2, 2));
}

#[test]
fn each_end_of_an_upgrade_shows_as_it_is_told() {
    use crate::model::TaskStatus;
    let cases = [
        (Outcome::Success, Some(TaskStatus::Succeeded), true),
        (Outcome::Failed, Some(TaskStatus::Failed), false),
        (Outcome::FailedButMoved, Some(TaskStatus::Failed), true),
        (Outcome::VersionUnchanged, Some(TaskStatus::Succeeded), false),
        (Outcome::Stuck, Some(TaskStatus::Open), false),
        (Outcome::Vanishes, None, true),
        (Outcome::VanishesUnchanged, None, false),
        (Outcome::UnknownWord, Some(TaskStatus::Succeeded), true),
    ];
    for (outcome, status, moved) in cases {
        let mut small = Small::new(|spec| spec.outcomes = vec![outcome], &[], FaultProfile::calm());
        assert!(matches!(small.upgrade(0), SubmitAnswer::Accepted { .. }));
        let task = small.tasks(20_000).pop();
        assert_eq!(task.map(|task| task.status), status, "{outcome:?}");
        assert_eq!(small.versions(20_000).engine.is_current(), moved, "{outcome:?}");
    }
    let mut small =
        Small::new(|spec| spec.outcomes = vec![Outcome::Deleted], &[], FaultProfile::calm());
    small.upgrade(0);
    assert_eq!(small.show(5_000), Err(ReadFailure::Gone));
    let mut small =
        Small::new(|spec| spec.outcomes = vec![Outcome::TurnsFaulty], &[], FaultProfile::calm());
    small.upgrade(0);
    assert_eq!(small.show(5_000).unwrap().status, crate::model::InstanceStatus::Error);
}

#[test]
fn signs_of_an_upgrade_show_as_the_knobs_say() {
    let mut small =
        Small::calm(&["status_during=RUNNING", "task_during=null", "service_task=never"]);
    small.upgrade(0);
    assert!(small.show(1).unwrap().is_idle());
    assert_eq!(small.tasks(1).len(), 1);

    let mut small = Small::calm(&["task_appears_after=4s", "task_centre=other_id"]);
    let SubmitAnswer::Accepted { task } = small.upgrade(0) else { panic!("not accepted") };
    assert!(small.show(3_999).unwrap().is_idle());
    assert!(small.tasks(3_999).is_empty());
    assert_eq!(small.tasks(4_000)[0].id, task);
    assert_ne!(small.centre(4_000).unwrap()[0].id, task);

    let mut small = Small::calm(&["task_centre=absent", "records_kept=5s"]);
    small.upgrade(0);
    assert_eq!(small.centre(1), Err(ReadFailure::CapabilityAbsent));
    assert_eq!(small.tasks(14_999).len(), 1);
    assert!(small.tasks(15_000).is_empty());

    let mut small = Small::calm(&["version_moves=at_start"]);
    small.upgrade(0);
    assert!(small.versions(0).engine.is_current());
}

#[test]
fn what_cannot_be_upgraded_is_refused() {
    type Change = fn(&mut InstanceSpec);
    let cases: [(Change, SubmitAnswer); 6] = [
        (|spec| spec.status = "ERROR".into(), SubmitAnswer::Conflict { upgrading: false }),
        (|spec| spec.task = Some("BACKUPING".into()), SubmitAnswer::Conflict { upgrading: false }),
        (|spec| spec.engine_version = "3.0".into(), SubmitAnswer::Rejected { suspicious: false }),
        (|spec| spec.engine = "Memcached".into(), SubmitAnswer::Rejected { suspicious: false }),
        (|spec| spec.upgradable = false, SubmitAnswer::Rejected { suspicious: false }),
        (|spec| spec.engine_minor = spec.engine_latest.clone(), SubmitAnswer::ReportedCurrent),
    ];
    for (index, (change, answer)) in cases.into_iter().enumerate() {
        let mut small = Small::new(change, &[], FaultProfile::calm());
        assert_eq!(small.upgrade(0), answer, "case {index}");
        assert_eq!(small.applied(), 0);
    }
}

#[test]
fn a_project_without_the_call_says_so_in_each_form() {
    for knobs in [&["upgrade_call=absent_gateway"], &["upgrade_call=absent_service"]] {
        let mut small = Small::calm(knobs);
        assert_eq!(small.upgrade(0), SubmitAnswer::CapabilityAbsent);
    }
    let mut small = Small::calm(&["forbidden=fleet"]);
    assert_eq!(small.upgrade(0), SubmitAnswer::Forbidden);
}

#[test]
fn a_limit_that_is_reached_is_stated_and_passes() {
    let mut small = Small::calm(&["upgrade_limit=1/1m", "retry_after=seconds"]);
    assert!(matches!(small.upgrade(0), SubmitAnswer::Accepted { .. }));
    let SubmitAnswer::Throttled { limit: Some(limit), retry_after } = small.upgrade(20_000) else {
        panic!("not throttled");
    };
    assert_eq!((limit.limit, limit.per), (1, Millis::from_mins(1)));
    assert_eq!(retry_after, Some(Millis::from_secs(40)));
    assert!(matches!(small.upgrade(60_000), SubmitAnswer::ReportedCurrent));
}

#[test]
fn others_change_an_instance_between_the_look_and_the_upgrade() {
    for (kind, answer) in [
        ("delete", SubmitAnswer::Rejected { suspicious: false }),
        ("upgrade", SubmitAnswer::Conflict { upgrading: true }),
        ("finish", SubmitAnswer::ReportedCurrent),
    ] {
        let mut small = Small::calm(&["others=1", &format!("others_do={kind}")]);
        assert!(small.show(0).unwrap().is_idle(), "{kind}");
        assert_eq!(small.upgrade(1), answer, "{kind}");
    }
}

#[test]
fn healing_ends_the_faults_and_frees_what_is_stuck() {
    let mut profile = FaultProfile {
        rules: vec![Rule {
            decisions: BTreeMap::from([(Decision::Error500Before, Share(1.0))]),
            ..Rule::default()
        }],
        heal_after: Some("1m".parse().unwrap()),
        ..FaultProfile::calm()
    };
    let mut small = Small::new(|_| {}, &[], profile.clone());
    assert_eq!(small.show(0), Err(ReadFailure::Unreachable));
    assert_eq!(small.show(59_999), Err(ReadFailure::Unreachable));
    assert!(small.show(60_000).is_ok());

    profile.rules.clear();
    profile.outcomes = BTreeMap::from([(Outcome::Stuck, Share(1.0))]);
    let mut small = Small::new(|_| {}, &[], profile);
    small.upgrade(0);
    assert!(!small.versions(69_999).engine.is_current());
    assert!(small.versions(70_000).engine.is_current());
}

#[test]
fn pages_may_shift_so_that_rows_repeat_and_are_missed() {
    let sweep = |knob: &str| {
        let mut knobs = Knobs::default();
        knobs.set(knob).unwrap();
        let spec = WorldSpec::fleet(40, SpanRange::default());
        let project = spec.projects[0].id.clone();
        let mut world = World::new(spec, knobs, FaultProfile::calm(), 1);
        let mut seen = std::collections::BTreeSet::new();
        for offset in (0..40).step_by(10) {
            let query = ListQuery { offset, limit: 10, ..ListQuery::default() };
            let reply = world.ask(START, &project, &Ask::List(query));
            let Content::Read(ReadAnswer::InventoryPage(page)) = reply.content else {
                panic!("not a page")
            };
            assert_eq!(page.total, Some(40));
            seen.extend(page.instances.iter().map(|instance| instance.id.clone()));
        }
        seen.len()
    };
    assert_eq!(sweep("paging=stable"), 40);
    assert!(sweep("paging=shifting") < 40);
}

#[test]
fn the_demonstration_has_every_kind_of_instance() {
    let world = World::new(WorldSpec::demo(1), Knobs::default(), FaultProfile::calm(), 1);
    let count = world.truths().count();
    assert!((195..=215).contains(&count), "{count} instances");
    for name in ["faulty-0001", "frozen-0001", "single-0001", "enterprise-0001", "current-0001"] {
        assert!(world.instance_id(name).is_some(), "{name}");
    }
}

#[test]
fn a_record_is_deleted_only_once_its_task_is_over() {
    let mut small = Small::calm(&[]);
    let SubmitAnswer::Accepted { task } = small.upgrade(0) else { panic!("not accepted") };
    let ask = Ask::DeleteTask { instance: Some(small.instance.clone()), task };
    let (project, begun) = (small.project.clone(), START + Millis(1));
    let early = small.world.ask(begun, &project, &ask);
    assert_eq!(early.error.unwrap().code.as_ref(), "DCS.4957");
    assert_eq!(small.world.ask(START + Millis(10_000), &project, &ask).status, 200);
    assert!(small.tasks(10_001).is_empty());
}
