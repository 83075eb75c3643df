//! Ledger events in words: one sentence each, the same in the log, in `refit events` and in the
//! timelines of rehearsals.
//!
//! A sentence reads alone but for its subject, which whoever tells it puts in front. What came from
//! outside (codes, words, messages, names) is escaped here once more, so that no answer of a cloud
//! can move a terminal's cursor.

mod sentences;
mod words;

use jiff::tz::TimeZone;

use super::Event;
use crate::model::text::one_line;

use words::{Times, push};

pub use words::seen;

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

/// Whom it happened to, as people call it.
pub fn subject(event: &Event, name: Option<&str>) -> Option<String> {
    let subject = match (&event.instance, &event.campaign, &event.project) {
        (Some(id), ..) => name.unwrap_or(id.as_str()).to_owned(),
        (None, Some(campaign), None) => format!("campaign {campaign}"),
        (None, Some(campaign), Some(project)) => format!("campaign {campaign} in {project}"),
        (None, None, Some(project)) => format!("project {project}"),
        (None, None, None) => return None,
    };
    Some(one_line(&subject))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Fact;
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
    fn what_a_look_found_busy_is_not_said_to_have_given_no_answer() {
        let conflict = |status| Fact::Conflict {
            count: 2,
            not_before: Wall(1_769_909_840_000),
            note: AnswerNote { status, message: Some("BACKUPING".into()), ..AnswerNote::default() },
        };
        let said = |status| sentence(&event(conflict(status)), &TimeZone::UTC);
        assert_eq!(said(None), "busy (BACKUPING, 2); looked at again 01:37:20 UTC");
        assert_eq!(said(Some(400)), "400: busy (2); looked at again 01:37:20 UTC");
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
