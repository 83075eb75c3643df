//! What each answer of the cloud is kept as: the proof, apart from what was concluded from it.
//!
//! Answers to submissions are kept whole. Of reads, those are kept that speak for or against an
//! upgrade, and refusals; of these, what decides: status, versions, tasks. Polls are not: they are
//! most of all reads, and what they find stands in the ledger.

use serde_json::{Value, json};

use crate::engine::Read;
use crate::model::answer::Answered;
use crate::model::{
    AnswerNote, AttemptId, InstanceId, ProjectName, ReadAnswer, ReadCall, ReadFailure,
    SubmitAnswer, TaskId, Wall,
};
use crate::store::Evidence;

/// The kind of the answer to a submission.
pub(super) const SUBMITTED: &str = "submitted";

/// The answer to an upgrade request, received at `at`.
pub(super) fn of_submission(
    at: Wall,
    attempt: &AttemptId,
    answered: &Answered<SubmitAnswer>,
) -> Evidence {
    let body = json!({
        "answer": answered.answer,
        "note": answered.note,
        "server_time": answered.server_time,
    });
    Evidence {
        at,
        project: attempt.target.project.clone(),
        instance: Some(attempt.target.instance.clone()),
        attempt: Some(attempt.clone()),
        kind: SUBMITTED.into(),
        body: body.to_string(),
    }
}

/// Whether more of the answer must be kept than what the ledger will say.
pub(super) fn is_worth_keeping(
    read: &Read,
    result: &Result<Answered<ReadAnswer>, Answered<ReadFailure>>,
) -> bool {
    let is_refusal = match result {
        Ok(_) => false,
        Err(failure) => match failure.answer {
            ReadFailure::Unreachable | ReadFailure::Throttled { .. } => false,
            ReadFailure::CredentialRefused { .. }
            | ReadFailure::Forbidden
            | ReadFailure::Gone
            | ReadFailure::CapabilityAbsent
            | ReadFailure::Rejected => true,
        },
    };
    read.is_proof || is_refusal
}

/// The answer to a read, received at `at`.
pub(super) fn of_read(
    at: Wall,
    project: &ProjectName,
    call: &ReadCall,
    result: &Result<Answered<ReadAnswer>, Answered<ReadFailure>>,
) -> Evidence {
    let (kind, instance) = asked(call);
    let body = match result {
        Ok(answered) => {
            around(&answered.note, answered.server_time, ("answer", shown(&answered.answer)))
        }
        Err(answered) => {
            around(&answered.note, answered.server_time, ("failure", json!(answered.answer)))
        }
    };
    Evidence {
        at,
        project: project.clone(),
        instance: instance.cloned(),
        attempt: None,
        kind: kind.into(),
        body: body.to_string(),
    }
}

/// The task that a submission's answer named, if one did: what must not be lost even when no store
/// takes it.
pub(super) fn task_of(answer: &SubmitAnswer) -> Option<&TaskId> {
    match answer {
        SubmitAnswer::Accepted { task } => Some(task),
        _ => None,
    }
}

fn around(note: &AnswerNote, server_time: Option<Wall>, (key, content): (&str, Value)) -> Value {
    json!({ key: content, "note": note, "server_time": server_time })
}

fn asked(call: &ReadCall) -> (&'static str, Option<&InstanceId>) {
    match call {
        ReadCall::InventoryPage { .. } => ("inventory_page", None),
        ReadCall::Instance { instance } => ("instance", Some(instance)),
        ReadCall::Versions { instance } => ("versions", Some(instance)),
        ReadCall::InstanceTasks { instance, .. } => ("instance_tasks", Some(instance)),
        ReadCall::TaskCentre { .. } => ("task_centre", None),
    }
}

fn shown(answer: &ReadAnswer) -> Value {
    match answer {
        ReadAnswer::InventoryPage(page) => json!({ "rows": page.rows, "total": page.total }),
        ReadAnswer::Instance(instance) => json!({
            "status": instance.status,
            "service_upgrade": instance.service_upgrade,
            "service_task_id": instance.service_task_id,
            "current_task": instance.current_task,
        }),
        ReadAnswer::Versions(versions) => json!(versions),
        ReadAnswer::Tasks { tasks, rows } => json!({ "rows": rows, "tasks": tasks }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::request::ReadId;

    #[test]
    fn a_submission_is_kept_with_its_task_and_its_attempt() {
        let attempt: AttemptId = "weekly/sg/i-1/1.2".parse().unwrap();
        let answered = Answered {
            answer: SubmitAnswer::Accepted { task: "t-7".into() },
            note: AnswerNote { status: Some(200), ..AnswerNote::default() },
            server_time: Some(Wall(5)),
        };
        let kept = of_submission(Wall(9), &attempt, &answered);
        assert_eq!((kept.at, &*kept.kind, kept.attempt), (Wall(9), SUBMITTED, Some(attempt)));
        let body: Value = serde_json::from_str(&kept.body).unwrap();
        assert_eq!(body["answer"]["accepted"]["task"], "t-7");
        assert_eq!(body["note"]["status"], 200);
    }

    #[test]
    fn a_poll_that_finds_nothing_leaves_no_evidence_and_a_refusal_does() {
        let poll = Read {
            id: ReadId(1),
            project: "sg".into(),
            call: ReadCall::TaskCentre { since: Wall(0), offset: 0 },
            is_proof: false,
        };
        let look = Read { is_proof: true, ..poll.clone() };
        let around = |answer| Answered { answer, note: AnswerNote::default(), server_time: None };
        let nothing = Ok(Answered {
            answer: ReadAnswer::Tasks { tasks: [].into(), rows: 0 },
            note: AnswerNote::default(),
            server_time: None,
        });
        assert!(!is_worth_keeping(&poll, &nothing));
        assert!(is_worth_keeping(&look, &nothing));
        assert!(!is_worth_keeping(&poll, &Err(around(ReadFailure::Unreachable))));
        assert!(is_worth_keeping(&look, &Err(around(ReadFailure::Unreachable))));
        assert!(is_worth_keeping(&poll, &Err(around(ReadFailure::Forbidden))));
    }

    #[test]
    fn a_failed_read_is_kept_too() {
        let failure =
            Answered { answer: ReadFailure::Gone, note: AnswerNote::default(), server_time: None };
        let call = ReadCall::Instance { instance: "i-1".into() };
        let kept = of_read(Wall(1), &"sg".into(), &call, &Err(failure));
        assert_eq!((&*kept.kind, kept.instance), ("instance", Some("i-1".into())));
        let body: Value = serde_json::from_str(&kept.body).unwrap();
        assert_eq!(body["failure"], "gone");
    }
}
