//! Ledger events in words: one sentence each, the same in the log and in `refit events`.
//!
//! A sentence reads alone but for its subject: `refit events` puts that in front, and the log in
//! front and in fields (campaign, target, attempt). What came from outside (codes, words, messages,
//! names) is escaped here once more, so that no answer of a cloud can move a terminal's cursor.

mod sentences;
mod words;

use std::sync::Arc;

use jiff::tz::TimeZone;
use tracing::{debug, info, warn};

use crate::engine::{Event, Fact};
use crate::model::TargetId;

use crate::model::text::one_line;

use words::{Times, push};

pub use words::seen;

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

/// Writes one line for the event, with fields to search by; `name_of` knows the instances' names.
/// Nothing is put together for a line that nobody reads.
pub fn log(event: &Event, zone: &TimeZone, name_of: impl Fn(&TargetId) -> Option<Arc<str>>) {
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
    let target = event.target();
    let name = target.as_ref().and_then(name_of);
    let text = match subject(event, name.as_deref()) {
        Some(subject) => format!("{subject}: {}", sentence(event, zone)),
        None => sentence(event, zone),
    };
    let target = target.map(|target| target.to_string());
    let target = target.as_deref();
    let attempt = event.attempt.as_ref().map(|attempt| attempt.to_string());
    let attempt = attempt.as_deref();
    let (seq, actor) = (event.seq, event.actor.as_deref());
    match loudness {
        Loudness::Warning => warn!(campaign, project, target, attempt, actor, seq, "{text}"),
        Loudness::News => info!(campaign, project, target, attempt, actor, seq, "{text}"),
        Loudness::Detail => debug!(campaign, project, target, attempt, actor, seq, "{text}"),
    }
}

/// Whom it happened to, as people call it.
fn subject(event: &Event, name: Option<&str>) -> Option<String> {
    let subject = match (&event.instance, &event.campaign, &event.project) {
        (Some(id), ..) => name.unwrap_or(id.as_str()).to_owned(),
        (None, Some(campaign), None) => format!("campaign {campaign}"),
        (None, Some(campaign), Some(project)) => format!("campaign {campaign} in {project}"),
        (None, None, Some(project)) => format!("project {project}"),
        (None, None, None) => return None,
    };
    Some(one_line(&subject))
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
        | Fact::WindowsMissed { .. }
        | Fact::ProjectStopped { .. }
        | Fact::CircuitOpened { .. }
        | Fact::InventoryRefused { .. }
        | Fact::CloudUnreachable { .. }
        | Fact::CredentialStopped { .. }
        | Fact::ClockBehindStore { .. }
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
        Fact::Intent { .. }
        | Fact::SendRefused { .. }
        | Fact::Accepted { .. }
        | Fact::Conflict { .. }
        | Fact::ReportedCurrent { .. }
        | Fact::LookedBusy { .. }
        | Fact::Adopted { .. }
        | Fact::Inferred { .. }
        | Fact::NotApplied { .. }
        | Fact::TaskEnded { .. }
        | Fact::Settling { .. }
        | Fact::Succeeded { .. }
        | Fact::Skipped { .. }
        | Fact::Cancelled { .. }
        | Fact::Held
        | Fact::Released
        | Fact::Resolved { .. }
        | Fact::RetryOrdered { .. }
        | Fact::Planned { .. }
        | Fact::Started
        | Fact::ApprovalNeeded { .. }
        | Fact::Approved { .. }
        | Fact::WaveEnded { .. }
        | Fact::BakeStarted { .. }
        | Fact::WaveOpened { .. }
        | Fact::Promoted { .. }
        | Fact::Resumed { .. }
        | Fact::Acknowledged { .. }
        | Fact::AbortOrdered
        | Fact::Aborted
        | Fact::Completed { .. }
        | Fact::Reopened
        | Fact::WindowOpened { .. }
        | Fact::WindowClosed { .. }
        | Fact::ProjectResumed
        | Fact::CircuitClosed
        | Fact::CloudReachable { .. }
        | Fact::QuotaPaused { .. }
        | Fact::WatchChanged { .. }
        | Fact::OwnUserLearned { .. }
        | Fact::CredentialResumed { .. }
        | Fact::CredentialProven { .. }
        | Fact::Restarted
        | Fact::SettingsLoaded { .. }
        | Fact::ClockAgreed
        | Fact::StoreWorking
        | Fact::Frozen { .. }
        | Fact::Unfrozen { .. }
        | Fact::UnfrozenByFile
        | Fact::OwnershipGained
        | Fact::Stopping => Loudness::News,
    }
}

/// What happened, in words, on one line, with times in that zone.
pub fn sentence(event: &Event, zone: &TimeZone) -> String {
    let mut text = one_line(&sentences::of(&event.fact, &Times { zone, event: event.at }));
    if let Some(actor) = &event.actor {
        push(&mut text, format_args!(" (by {}", one_line(actor)));
        if let Some(comment) = &event.comment {
            push(&mut text, format_args!(": {}", one_line(comment)));
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AnswerNote, InstanceId, Wall};

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
            sentence(&event(fact), &TimeZone::UTC),
            "500 DCS.5006: may have started; looking; earliest resend 01:37:20 UTC, attempt 2 of 4"
        );
    }

    #[test]
    fn the_last_attempt_promises_no_resend() {
        let fact = |number| Fact::BecameUncertain {
            why: "500".into(),
            earliest_resend: Wall(1_769_909_840_000),
            number,
            of: 3,
            note: AnswerNote { status: Some(500), ..AnswerNote::default() },
        };
        let said = |number| sentence(&event(fact(number)), &TimeZone::UTC);
        assert!(said(2).contains("earliest resend 01:37:20 UTC, attempt 2 of 3"), "{}", said(2));
        assert_eq!(
            said(3),
            "500: may have started; looking; no further attempt follows, attempt 3 of 3"
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
        assert!(sentence(&event(fact), &TimeZone::UTC).starts_with("restart: may have started"));
    }

    #[test]
    fn an_order_names_its_actor_and_reason() {
        let ordered = Event {
            actor: Some("0/root".into()),
            comment: Some("night shift".into()),
            ..event(Fact::Held)
        };
        assert_eq!(sentence(&ordered, &TimeZone::UTC), "held (by 0/root: night shift)");
    }

    #[test]
    fn no_answer_moves_the_cursor() {
        let fact = Fact::TaskStatus { word: "x\u{1b}[2J\ny\u{202e}\u{200b}z".into() };
        let shown = "task is x\\u{1b}[2J\\ny\\u{202e}\\u{200b}z";
        assert_eq!(sentence(&event(fact), &TimeZone::UTC), shown);
    }

    #[test]
    fn many_targets_are_counted_not_listed() {
        let targets = (0..7).map(|n| InstanceId::from(format!("i-{n}"))).collect();
        let names = Vec::new();
        let text = sentence(&event(Fact::BudgetTripped { targets, names }), &TimeZone::UTC);
        assert_eq!(text, "failure budget tripped: i-0, i-1, i-2, i-3, i-4 and 2 more");
    }

    #[test]
    fn targets_are_told_by_the_names_of_their_instances() {
        let (targets, names) = (vec!["i-1".into()], vec!["cache-orders".into()]);
        let text = sentence(&event(Fact::BudgetTripped { targets, names }), &TimeZone::UTC);
        assert_eq!(text, "failure budget tripped: cache-orders");
    }

    #[test]
    fn every_instant_carries_its_offset_and_another_day_its_date() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let fact = Fact::CloudUnreachable {
            since: Wall(1_769_903_999_000),
            cause: "connection refused".into(),
            next_try: Wall(1_769_990_400_000),
        };
        assert_eq!(
            sentence(&event(fact), &zone),
            "cloud unreachable since 07:59:59 +08:00: connection refused; backing off, next try \
             2026-02-02 08:00:00 +08:00"
        );
    }
}
