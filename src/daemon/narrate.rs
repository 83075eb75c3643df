//! Ledger events in words: one sentence each, the same in the log and in `refit events`.
//!
//! A sentence reads alone but for its subject, which stands in the fields beside it (campaign,
//! target, attempt). What came from outside (codes, words, messages, names) is escaped here once
//! more, so that no answer of a cloud can move a terminal's cursor.

use std::fmt::Write;

use tracing::{debug, info, warn};

use crate::engine::event::Quota;
use crate::engine::input::SendRefusal;
use crate::engine::order::Verdict;
use crate::engine::rows::WatchStrategy;
use crate::engine::{Event, Fact};
use crate::model::calendar::LONG_AGO;
use crate::model::{AnswerNote, InstanceId, LearnedLimit, Part, UpgradeBody, Versions, Wall};

/// Events that name targets name this many and count the rest.
const NAMED: usize = 5;

/// How loud an event is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loudness {
    /// Someone may have to act, or will ask later why this happened.
    Warning,
    /// The course of the work.
    News,
    /// One per target or per read: for whoever follows one target.
    Detail,
}

/// Writes one line for the event, with fields to search by. Nothing is put together for a line
/// that nobody reads.
pub fn log(event: &Event) {
    let loudness = loudness(&event.fact);
    let is_read = match loudness {
        Loudness::Warning => tracing::enabled!(tracing::Level::WARN),
        Loudness::News => tracing::enabled!(tracing::Level::INFO),
        Loudness::Detail => tracing::enabled!(tracing::Level::DEBUG),
    };
    if !is_read {
        return;
    }
    let campaign = event.campaign.as_ref().map(|name| name.as_str());
    let project = event.project.as_ref().map(|name| name.as_str());
    let target = event.target().map(|target| target.to_string());
    let target = target.as_deref();
    let attempt = event.attempt.as_ref().map(|attempt| attempt.to_string());
    let attempt = attempt.as_deref();
    let (seq, actor, text) = (event.seq, event.actor.as_deref(), sentence(event));
    match loudness {
        Loudness::Warning => warn!(campaign, project, target, attempt, actor, seq, "{text}"),
        Loudness::News => info!(campaign, project, target, attempt, actor, seq, "{text}"),
        Loudness::Detail => debug!(campaign, project, target, attempt, actor, seq, "{text}"),
    }
}

fn loudness(fact: &Fact) -> Loudness {
    match fact {
        Fact::NotSent { .. }
        | Fact::Throttled { .. }
        | Fact::CredentialRefused { .. }
        | Fact::CapabilityAbsent { .. }
        | Fact::Rejected { .. }
        | Fact::BecameUncertain { .. }
        | Fact::NeedsOperator { .. }
        | Fact::Overdue { .. }
        | Fact::TaskVanished { .. }
        | Fact::Failed { .. }
        | Fact::EvidenceLate { .. }
        | Fact::SelectionEmpty
        | Fact::ApprovalVoid { .. }
        | Fact::Paused { .. }
        | Fact::BudgetTripped { .. }
        | Fact::WindowMissed { .. }
        | Fact::ProjectStopped { .. }
        | Fact::CircuitOpened { .. }
        | Fact::CredentialStopped { .. }
        | Fact::ClockStepped { .. }
        | Fact::StoreFailing
        | Fact::FrozenByFile
        | Fact::OwnershipLost
        | Fact::Anomaly { .. } => Loudness::Warning,
        Fact::TargetPlanned { .. }
        | Fact::Joined { .. }
        | Fact::LookedClean { .. }
        | Fact::TaskStatus { .. }
        | Fact::Unsettled { .. }
        | Fact::InventorySwept { .. } => Loudness::Detail,
        _ => Loudness::News,
    }
}

/// What happened, in words, on one line.
pub fn sentence(event: &Event) -> String {
    let mut text = one_line(&fact(&event.fact));
    if let Some(actor) = &event.actor {
        push(&mut text, format_args!(" (by {}", one_line(actor)));
        if let Some(comment) = &event.comment {
            push(&mut text, format_args!(": {}", one_line(comment)));
        }
        text.push(')');
    }
    text
}

/// The table of sentences: every fact has one, in the order in which `Fact` lists them.
fn fact(fact: &Fact) -> String {
    match fact {
        Fact::TargetPlanned { wave, name, .. } => format!("{name} planned, wave {}", wave + 1),
        Fact::Joined { wave, name, .. } => format!("{name} joined wave {}", wave + 1),
        Fact::Intent { body, not_after, versions, .. } => {
            format!("starting {} (to be sent before {})", parts(body, versions), time(*not_after))
        }
        Fact::SendRefused { why } => format!("not sent after all: {}", refusal(*why)),
        Fact::Accepted { task, late: false, .. } => format!("accepted as task {task}"),
        Fact::Accepted { task, late: true, .. } => format!("late answer: accepted as task {task}"),
        Fact::NotSent { note, project_backoff_until } => {
            format!(
                "{}: not sent; project waits until {}",
                seen(note),
                time(*project_backoff_until)
            )
        }
        Fact::Throttled { limit, until, note } => {
            format!("{}: throttled{}; waits until {}", seen(note), stated(limit), time(*until))
        }
        Fact::Conflict { count, not_before, note } => {
            format!("{}: busy ({count}); looked at again {}", seen(note), time(*not_before))
        }
        Fact::ReportedCurrent { note } => format!("{}: said to be current; verifying", seen(note)),
        Fact::CredentialRefused { note } => format!("{}: credential refused", seen(note)),
        Fact::CapabilityAbsent { note } => format!("{}: the call does not exist here", seen(note)),
        Fact::Rejected { note } => format!("{}: rejected", seen(note)),
        Fact::BecameUncertain { why, earliest_resend, number, of, note } => format!(
            "{}: may have started; looking; earliest resend {}, attempt {number} of {of}",
            if *note == AnswerNote::default() { why.to_string() } else { seen(note) },
            time(*earliest_resend),
        ),
        Fact::LookedClean { clean } => format!("clean look {clean}: nothing was started"),
        Fact::LookedBusy { word } => format!("busy ({word}) without a task of ours"),
        Fact::Adopted { task } => format!("had started: adopted task {task}"),
        Fact::Inferred { versions } => format!("had been applied: runs {}", running(versions)),
        Fact::NotApplied { not_before: Some(at) } => {
            format!("not applied; sent again from {}", time(*at))
        }
        Fact::NotApplied { not_before: None } => "not applied; no attempt is left".into(),
        Fact::NeedsOperator { why } => format!("needs an operator: {why}"),
        Fact::Overdue { after } => format!("overdue: not over after {after}"),
        Fact::TaskStatus { word } => format!("task is {word}"),
        Fact::TaskEnded { succeeded: true, .. } => "task succeeded; verifying".into(),
        Fact::TaskEnded { code, .. } => format!("task failed{}; verifying", in_brackets(code)),
        Fact::TaskVanished { misses } => {
            format!("task no longer shown ({misses} looks); the version decides")
        }
        Fact::Settling { until } => format!("upgraded; settles until {}", time(*until)),
        Fact::Unsettled { word } => format!("not settled: {word}"),
        Fact::Succeeded { reason, before, after, took } => {
            format!("succeeded ({reason}) in {took}{}", moved(before, after))
        }
        Fact::Failed { reason } => format!("failed: {reason}"),
        Fact::Skipped { reason } => format!("skipped: {reason}"),
        Fact::Cancelled { reason } => format!("cancelled: {reason}"),
        Fact::Held => "held".into(),
        Fact::Released => "released".into(),
        Fact::Resolved { verdict } => format!("resolved: {}", resolved(verdict)),
        Fact::RetryOrdered { round } => format!("opened again, round {round}"),
        Fact::EvidenceLate { what } => format!("late evidence: {what}"),
        Fact::Planned { digest, targets, waves } => {
            let names: Vec<_> = waves.iter().map(|(name, size)| format!("{name} {size}")).collect();
            format!("planned {targets} targets ({}), digest {digest}", names.join(", "))
        }
        Fact::SelectionEmpty => "selects no instance".into(),
        Fact::Started => "started".into(),
        Fact::ApprovalNeeded { digest } => format!("waits for approval of {digest}"),
        Fact::Approved { digest } => format!("approved {digest}"),
        Fact::ApprovalVoid { digest } => {
            format!("plan changed: approvals are void, the digest is now {digest}")
        }
        Fact::WaveEnded { wave, succeeded, failed, skipped } => format!(
            "wave {} ended: {succeeded} succeeded, {failed} failed, {skipped} skipped",
            wave + 1
        ),
        Fact::BakeStarted { wave, until } => {
            format!("wave {} bakes until {}", wave + 1, date_and_time(*until))
        }
        Fact::WaveOpened { wave, name } => format!("wave {} ({name}) opened", wave + 1),
        Fact::Promoted { wave } => format!("wave {} promoted: its bake ended early", wave + 1),
        Fact::Paused { cause, targets } => format!("paused: {cause}{}", named(targets)),
        Fact::BudgetTripped { targets } => format!("failure budget tripped{}", named(targets)),
        Fact::Resumed { to, left } if left.is_empty() => format!("resumed: {to}"),
        Fact::Resumed { to, left } => {
            let left: Vec<_> = left.iter().map(ToString::to_string).collect();
            format!("still {to}: {} cannot be cleared", left.join(", "))
        }
        Fact::Acknowledged { targets } => format!("failures acknowledged{}", named(targets)),
        Fact::AbortOrdered => "abort ordered: nothing new starts, work in flight drains".into(),
        Fact::Aborted => "aborted".into(),
        Fact::Completed { with_failures: false } => "completed".into(),
        Fact::Completed { with_failures: true } => "completed with failures".into(),
        Fact::Reopened => "reopened".into(),
        Fact::WindowOpened {
            close: Some(close), last_start: Some(last_start), windows, ..
        } => {
            format!(
                "window {} open until {}, last start before {}",
                listed(windows),
                date_and_time(*close),
                date_and_time(*last_start)
            )
        }
        Fact::WindowOpened { open, windows, .. } => match *open {
            LONG_AGO => format!("always open: window {}", listed(windows)),
            _ => format!("open with no end in sight: window {}", listed(windows)),
        },
        Fact::WindowClosed { in_flight, .. } => format!("window closed, {in_flight} in flight"),
        Fact::WindowMissed { open, close, windows } => format!(
            "window {} missed: {} to {}",
            listed(windows),
            date_and_time(*open),
            date_and_time(*close)
        ),
        Fact::InventorySwept { instances, sweep } => {
            format!("sweep {sweep}: {instances} instances")
        }
        Fact::ProjectStopped { why } => format!("project stopped: {why}"),
        Fact::ProjectResumed => "project resumed".into(),
        Fact::CircuitOpened { until } => {
            format!("too many unclear answers: no start before {}", time(*until))
        }
        Fact::CircuitClosed => "answers are clear again".into(),
        Fact::QuotaPaused { quota, until, limit } => {
            format!("{} paused until {}{}", quota_word(*quota), time(*until), stated(limit))
        }
        Fact::WatchChanged { strategy, why } => format!("watches {}: {why}", watch(*strategy)),
        Fact::OwnUserLearned { user, task_name } => {
            format!("our tasks are {task_name} by user {user}")
        }
        Fact::CredentialStopped { credential, why } => {
            format!("credential {credential} stopped: {why}")
        }
        Fact::CredentialResumed { credential } => format!("credential {credential} resumed"),
        Fact::CredentialProven { credential } => format!("credential {credential} works"),
        Fact::Restarted => "started; everything outstanding is looked at again".into(),
        Fact::SettingsLoaded { campaigns, projects } => {
            format!("settings loaded: {campaigns} campaigns, {projects} projects")
        }
        Fact::ClockStepped { offset } => {
            format!("wall clock stepped by {offset}: no start until it agrees with itself")
        }
        Fact::ClockAgreed => "wall clock agrees again".into(),
        Fact::StoreFailing => "the store cannot be written: nothing starts".into(),
        Fact::StoreWorking => "the store can be written again".into(),
        Fact::Frozen { scope, until: Some(at) } => {
            format!("{scope} frozen until {}", date_and_time(*at))
        }
        Fact::Frozen { scope, until: None } => format!("{scope} frozen until lifted"),
        Fact::Unfrozen { scope } => format!("{scope} no longer frozen"),
        Fact::FrozenByFile => "frozen: the file FREEZE is there".into(),
        Fact::UnfrozenByFile => "no longer frozen: the file FREEZE is gone".into(),
        Fact::OwnershipLost => "no longer the owner: nothing starts".into(),
        Fact::OwnershipGained => "owner".into(),
        Fact::Stopping => "stopping: nothing new begins".into(),
        Fact::Anomaly { what } => format!("makes no sense, ignored: {what}"),
    }
}

/// Status and code, or what the transport said: `500 DCS.5006`, `no answer (connection reset)`.
pub fn seen(note: &AnswerNote) -> String {
    match (note.status, &note.code) {
        (Some(status), Some(code)) => format!("{status} {code}"),
        (Some(status), None) => status.to_string(),
        (None, _) => match &note.message {
            Some(message) => format!("no answer ({message})"),
            None => "no answer".into(),
        },
    }
}

fn parts(body: &UpgradeBody, versions: &Versions) -> String {
    let moves = body.parts().map(|part| {
        let (word, to) = match part {
            Part::Engine => ("engine", &body.engine),
            Part::Proxy => ("proxy", &body.proxy),
        };
        let from = versions.part(part).current.as_deref().unwrap_or("?");
        format!("{word} {from} to {}", to.as_deref().unwrap_or("?"))
    });
    moves.collect::<Vec<_>>().join(", ")
}

fn running(versions: &Versions) -> String {
    let part = |word: &str, part| {
        versions.part(part).current.as_ref().map(|version| format!("{word} {version}"))
    };
    let found: Vec<_> =
        [part("engine", Part::Engine), part("proxy", Part::Proxy)].into_iter().flatten().collect();
    if found.is_empty() { "a version that is not shown".into() } else { found.join(", ") }
}

fn moved(before: &Option<Versions>, after: &Option<Versions>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!(": {} to {}", running(before), running(after)),
        (None, Some(after)) => format!(": runs {}", running(after)),
        _ => String::new(),
    }
}

fn refusal(why: SendRefusal) -> &'static str {
    match why {
        SendRefusal::TooLate => "its time had passed",
        SendRefusal::GateClosed => "starts were stopped meanwhile",
        SendRefusal::FreezeFile => "the file FREEZE is there",
        SendRefusal::Stopping => "the daemon stops",
    }
}

fn resolved(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Applied { task: Some(task) } => format!("applied, task {task}"),
        Verdict::Applied { task: None } => "applied".into(),
        Verdict::NotApplied => "not applied".into(),
        Verdict::Succeeded => "succeeded".into(),
        Verdict::Failed => "failed".into(),
    }
}

fn quota_word(quota: Quota) -> &'static str {
    match quota {
        Quota::Starts => "starts",
        Quota::Reads => "reads",
    }
}

fn watch(strategy: WatchStrategy) -> &'static str {
    match strategy {
        WatchStrategy::PerInstance => "each instance",
        WatchStrategy::TaskCentre => "the task centre",
        WatchStrategy::InstanceList => "the instance list",
    }
}

fn stated(limit: &Option<LearnedLimit>) -> String {
    match limit {
        Some(limit) => format!(" (limit {} per {})", limit.limit, limit.per),
        None => String::new(),
    }
}

fn named(targets: &[InstanceId]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let mut text = format!(": {}", listed(&targets[..targets.len().min(NAMED)]));
    if targets.len() > NAMED {
        push(&mut text, format_args!(" and {} more", targets.len() - NAMED));
    }
    text
}

fn listed<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn in_brackets<T: std::fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map(|value| format!(" ({value})")).unwrap_or_default()
}

/// The time of day in UTC, as in every log line.
fn time(at: Wall) -> String {
    at.rfc3339().get(11..19).map_or_else(|| at.rfc3339(), str::to_owned)
}

fn date_and_time(at: Wall) -> String {
    let text = at.rfc3339();
    match (text.get(..10), text.get(11..19)) {
        (Some(date), Some(time)) => format!("{date} {time}Z"),
        _ => text,
    }
}

/// Control characters as escapes: a line stays one line, and a terminal stays as it is.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(fact: Fact) -> Event {
        Event {
            seq: 7,
            at: Wall(1_769_903_999_000),
            campaign: Some("weekly".into()),
            project: Some("sg".into()),
            instance: Some("i-1".into()),
            attempt: None,
            actor: None,
            comment: None,
            state: None,
            fact,
        }
    }

    #[test]
    fn a_500_says_what_happens_next_and_when() {
        let note = AnswerNote {
            status: Some(500),
            code: Some("DCS.5006".into()),
            ..AnswerNote::default()
        };
        let fact = Fact::BecameUncertain {
            why: "500".into(),
            earliest_resend: Wall(1_769_909_840_000),
            number: 2,
            of: 4,
            note,
        };
        assert_eq!(
            sentence(&event(fact)),
            "500 DCS.5006: may have started; looking; earliest resend 01:37:20, attempt 2 of 4"
        );
    }

    #[test]
    fn a_restart_says_so_where_no_answer_came() {
        let fact = Fact::BecameUncertain {
            why: "restart".into(),
            earliest_resend: Wall(0),
            number: 1,
            of: 4,
            note: AnswerNote::default(),
        };
        assert!(sentence(&event(fact)).starts_with("restart: may have started"));
    }

    #[test]
    fn an_order_names_its_actor_and_reason() {
        let ordered = Event {
            actor: Some("0/root".into()),
            comment: Some("night shift".into()),
            ..event(Fact::Held)
        };
        assert_eq!(sentence(&ordered), "held (by 0/root: night shift)");
    }

    #[test]
    fn no_answer_moves_the_cursor() {
        let fact = Fact::TaskStatus { word: "x\u{1b}[2J\ny".into() };
        assert_eq!(sentence(&event(fact)), "task is x\\u{1b}[2J\\ny");
    }

    #[test]
    fn many_targets_are_counted_not_listed() {
        let targets = (0..7).map(|n| InstanceId::from(format!("i-{n}"))).collect();
        let text = sentence(&event(Fact::BudgetTripped { targets }));
        assert_eq!(text, "failure budget tripped: i-0, i-1, i-2, i-3, i-4 and 2 more");
    }
}
