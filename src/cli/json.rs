//! The JSON that commands print: the engine's views, with instants and durations made readable.
//!
//! Inside, instants are milliseconds since 1970 and durations bare milliseconds. Printed, an
//! instant is RFC 3339 in UTC and the key of a duration ends in `_ms`. Shapes are stable: keys get
//! added, never renamed or removed.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::engine::view::{CampaignPlan, PlanVerdict, PlannedTarget};
use crate::engine::{Event, Plan, Status};
use crate::model::calendar::LONG_AGO;
use crate::model::{CampaignName, Wall};

use super::target;

/// Keys of views and events that hold an instant.
const INSTANTS: [&str; 22] = [
    "at",
    "not_after",
    "project_backoff_until",
    "until",
    "not_before",
    "earliest_resend",
    "open",
    "close",
    "last_start",
    "bake_until",
    "circuit_open_until",
    "backoff_until",
    "starts_paused_until",
    "reads_paused_until",
    "since",
    "earliest",
    "next_try",
    "stopped_since",
    "credential_stopped_since",
    "p50",
    "p90",
    "deadline",
];

/// Keys of views and events that hold a duration.
const DURATIONS: [&str; 6] = ["after", "ahead", "took", "offset", "skew", "per"];

/// Those of them that may be unknown. Others share their key with something else that may: an
/// upgrade that succeeded has no versions `after` it where they were not read.
const NULL_DURATIONS: [&str; 1] = ["skew"];

/// A view as it is printed.
pub fn readable(view: &impl Serialize) -> Value {
    let value = serde_json::to_value(view).expect("views hold nothing that JSON cannot say");
    convert(value)
}

fn convert(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(convert).collect(),
        Value::Object(fields) => fields.into_iter().map(field).collect(),
        other => other,
    }
}

fn field((key, value): (String, Value)) -> (String, Value) {
    match value.as_i64() {
        Some(at) if INSTANTS.contains(&key.as_str()) => (key, json!(instant(Wall(at)))),
        Some(_) if DURATIONS.contains(&key.as_str()) => (format!("{key}_ms"), value),
        None if value.is_null() && NULL_DURATIONS.contains(&key.as_str()) => {
            (format!("{key}_ms"), value)
        }
        _ => (key, convert(value)),
    }
}

/// `null` where nobody looked back far enough to know.
pub fn instant(at: Wall) -> Option<String> {
    (at != LONG_AGO).then(|| at.rfc3339())
}

/// `refit status`: the engine's [`Status`], each freeze as an object.
pub fn status(status: &Status) -> Value {
    let freezes = status.freezes.iter().zip(&status.frozen_by).map(|((scope, until), by)| {
        let mut value = readable(by);
        value["scope"] = json!(scope);
        value["until"] = json!(until.map(Wall::rfc3339));
        value
    });
    let freezes: Vec<Value> = freezes.collect();
    let mut value = readable(status);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("frozen_by");
    }
    value["freezes"] = freezes.into();
    value
}

/// `refit events`: one line of the ledger, its target spelt out.
pub fn event(event: &Event) -> Value {
    let mut value = readable(event);
    value["target"] = json!(event.target());
    value
}

/// `refit plan`: per campaign every target with its `verdict` as a word and what belongs to it.
pub fn plan(plan: &Plan, approvals: &BTreeSet<CampaignName>) -> Value {
    let campaigns = plan.campaigns.iter().map(|campaign| {
        let targets = campaign.targets.iter().map(|target| planned(campaign, target));
        json!({
            "name": campaign.name,
            "digest": campaign.digest,
            "complete": campaign.complete,
            "awaits_approval": approvals.contains(&campaign.name),
            "selection_empty": campaign.selection_empty,
            "waves": campaign.waves,
            "targets": targets.collect::<Vec<_>>(),
        })
    });
    json!({ "at": plan.at.rfc3339(), "campaigns": campaigns.collect::<Vec<_>>() })
}

fn planned(campaign: &CampaignPlan, target: &PlannedTarget) -> Value {
    let mut fields = Map::new();
    fields.insert("target".into(), json!(target::id(campaign, target)));
    fields.insert("project".into(), json!(target.project));
    fields.insert("instance".into(), json!(target.instance));
    fields.insert("name".into(), json!(target.name));
    fields.insert("wave".into(), json!(campaign.waves.get(target.wave as usize)));
    let (word, rest) = match &target.verdict {
        PlanVerdict::Upgrade { engine, proxy, interval } => {
            ("upgrade", json!({ "engine": engine, "proxy": proxy, "interval": interval }))
        }
        PlanVerdict::Skipped { reason } => ("skipped", json!({ "reason": reason.to_string() })),
        PlanVerdict::Blocked { hold, engine, proxy, interval } => (
            "blocked",
            json!({ "hold": hold, "engine": engine, "proxy": proxy, "interval": interval }),
        ),
        PlanVerdict::Unread => ("unread", json!({})),
        PlanVerdict::State { state, reason } => {
            let reason = reason.as_ref().map(ToString::to_string);
            ("state", json!({ "state": state, "reason": reason }))
        }
    };
    fields.insert("verdict".into(), json!(word));
    if let Value::Object(rest) = convert(rest) {
        fields.extend(rest);
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use crate::engine::view::FrozenBy;
    use crate::engine::{Fact, Hold, HoldKind, Scope};
    use crate::model::{AnswerNote, Millis};

    use super::*;

    /// An instant and a duration that nothing else in a view looks like.
    const INSTANT: Wall = Wall(1_796_000_123_456);
    const DURATION: Millis = Millis(987_654_321);

    fn happened(fact: Fact) -> String {
        let event = Event {
            seq: 1,
            at: INSTANT,
            campaign: Some("weekly".into()),
            project: Some("sg".into()),
            instance: Some("i-1".into()),
            attempt: None,
            actor: None,
            comment: None,
            state: None,
            fact,
        };
        super::event(&event).to_string()
    }

    #[test]
    fn every_instant_and_duration_of_an_event_is_readable() {
        let note = AnswerNote::default;
        let facts = [
            Fact::NotSent { note: note(), project_backoff_until: INSTANT },
            Fact::CloudUnreachable { since: INSTANT, cause: "refused".into(), next_try: INSTANT },
            Fact::Throttled { limit: None, until: INSTANT, note: note() },
            Fact::Conflict { count: 1, not_before: INSTANT, note: note() },
            Fact::BecameUncertain {
                why: "500".into(),
                earliest_resend: INSTANT,
                number: 1,
                of: 4,
                note: note(),
            },
            Fact::Overdue { after: DURATION },
            Fact::Settling { until: INSTANT },
            Fact::BakeStarted { wave: 0, until: INSTANT },
            Fact::WindowMissed { open: INSTANT, close: INSTANT, windows: Vec::new() },
            Fact::ClockBehindStore { ahead: DURATION },
            Fact::ClockStepped { offset: DURATION },
            Fact::Frozen { scope: Scope::All, until: Some(INSTANT) },
            Fact::ForecastLate { deadline: INSTANT, p50: Some(INSTANT), p90: Some(INSTANT) },
        ];
        for fact in facts {
            let text = happened(fact);
            assert!(!text.contains("1796000123456"), "{text}");
            assert!(text.contains("\"target\":\"weekly/sg/i-1\""), "{text}");
            let durations = text.matches("987654321").count();
            assert_eq!(durations, text.matches("_ms\":987654321").count(), "{text}");
        }
    }

    #[test]
    fn a_duration_that_is_not_known_keeps_its_key() {
        let known = readable(&json!({ "skew": 7 }));
        let unknown = readable(&json!({ "skew": null, "after": null }));
        assert_eq!(known, json!({ "skew_ms": 7 }));
        assert_eq!(unknown, json!({ "skew_ms": null, "after": null }));
    }

    #[test]
    fn a_status_shows_freezes_as_objects() {
        let by = FrozenBy { actor: "0/root".into(), reason: None, since: INSTANT };
        let status = Status {
            freezes: vec![(Scope::All, Some(INSTANT))],
            frozen_by: vec![by],
            ..Status::default()
        };
        let value = super::status(&status);
        assert_eq!(value["freezes"][0]["scope"], "all");
        assert_eq!(value["freezes"][0]["until"], INSTANT.rfc3339());
        assert_eq!(value["freezes"][0]["since"], INSTANT.rfc3339());
        assert_eq!(value["freezes"][0]["actor"], "0/root");
        assert_eq!(value.get("frozen_by"), None);
    }

    #[test]
    fn a_blocked_target_carries_its_hold_with_readable_instants() {
        let hold = Hold {
            kind: HoldKind::Credential,
            detail: "refused".into(),
            since: Some(INSTANT),
            earliest: None,
            next_command: None,
            alternatives: Vec::new(),
        };
        let target = PlannedTarget {
            project: "sg".into(),
            instance: "i-1".into(),
            name: "cache".into(),
            wave: 0,
            verdict: PlanVerdict::Blocked { hold, engine: None, proxy: None, interval: None },
        };
        let campaign = CampaignPlan {
            name: "weekly".into(),
            digest: "d".into(),
            complete: true,
            selection_empty: false,
            waves: vec!["all".into()],
            targets: vec![target],
        };
        let value = plan(&Plan { at: INSTANT, campaigns: vec![campaign] }, &BTreeSet::new());
        let target = &value["campaigns"][0]["targets"][0];
        assert_eq!((&target["verdict"], &target["wave"]), (&"blocked".into(), &"all".into()));
        assert_eq!(target["hold"]["since"], INSTANT.rfc3339());
        assert_eq!(target["target"], "weekly/sg/i-1");
    }
}
