//! What sentences are built from: answers, versions, lists of names, instants.

use std::fmt::Write;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::engine::event::Quota;
use crate::engine::input::SendRefusal;
use crate::engine::order::Verdict;
use crate::engine::rows::WatchStrategy;
use crate::model::{
    AnswerNote, InstanceId, LearnedLimit, Millis, Part, UpgradeBody, Versions, Wall,
};

/// Events that name targets name this many and count the rest.
const NAMED: usize = 5;

/// Up to here a time of day has one meaning.
const HALF_A_DAY: Millis = Millis::from_hours(12);

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

pub(super) fn parts(body: &UpgradeBody, versions: &Versions) -> String {
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

pub(super) fn running(versions: &Versions) -> String {
    let part = |word: &str, part| {
        versions.part(part).current.as_ref().map(|version| format!("{word} {version}"))
    };
    let found: Vec<_> =
        [part("engine", Part::Engine), part("proxy", Part::Proxy)].into_iter().flatten().collect();
    if found.is_empty() { "a version that is not shown".into() } else { found.join(", ") }
}

pub(super) fn moved(before: &Option<Versions>, after: &Option<Versions>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!(": {} to {}", running(before), running(after)),
        (None, Some(after)) => format!(": runs {}", running(after)),
        _ => String::new(),
    }
}

pub(super) fn refusal(why: SendRefusal) -> &'static str {
    match why {
        SendRefusal::TooLate => "its time had passed",
        SendRefusal::GateClosed => "starts were stopped meanwhile",
        SendRefusal::FreezeFile => "the file FREEZE is there",
        SendRefusal::Stopping => "the daemon stops",
    }
}

pub(super) fn resolved(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Applied { task: Some(task) } => format!("applied, task {task}"),
        Verdict::Applied { task: None } => "applied".into(),
        Verdict::NotApplied => "not applied".into(),
        Verdict::Succeeded => "succeeded".into(),
        Verdict::Failed => "failed".into(),
    }
}

pub(super) fn quota_word(quota: Quota) -> &'static str {
    match quota {
        Quota::Starts => "starts",
        Quota::Reads => "reads",
    }
}

pub(super) fn watch(strategy: WatchStrategy) -> &'static str {
    match strategy {
        WatchStrategy::PerInstance => "each instance",
        WatchStrategy::TaskCentre => "the task centre",
        WatchStrategy::InstanceList => "the instance list",
    }
}

pub(super) fn stated(limit: &Option<LearnedLimit>) -> String {
    match limit {
        Some(limit) => format!(" (limit {} per {})", limit.limit, limit.per),
        None => String::new(),
    }
}

/// `: cache-1, cache-2 and 3 more`. Ledgers of earlier versions hold ids without names.
/// When nine of ten forecast runs are over.
pub(super) fn completes(p90: Option<Wall>, times: &Times<'_>) -> String {
    match p90 {
        Some(p90) => format!("nine runs in ten complete by {}", times.date(p90)),
        None => "more than one run in ten never completes".to_owned(),
    }
}

pub(super) fn named(targets: &[InstanceId], names: &[Arc<str>]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let ids: Vec<&str> = targets.iter().map(InstanceId::as_str).collect();
    let known: Vec<&str> = names.iter().map(|name| &**name).collect();
    let shown = if known.len() == ids.len() { known } else { ids };
    let mut text = format!(": {}", shown[..shown.len().min(NAMED)].join(", "));
    if shown.len() > NAMED {
        push(&mut text, format_args!(" and {} more", shown.len() - NAMED));
    }
    text
}

pub(super) fn listed<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// `1 campaign`, `2 campaigns`.
pub(super) fn counted(count: impl Into<u64>, what: &str) -> String {
    let count = count.into();
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn in_brackets<T: std::fmt::Display>(value: &Option<T>) -> String {
    value.as_ref().map(|value| format!(" ({value})")).unwrap_or_default()
}

/// Instants as the sentences of one event show them: local, and always with their offset.
pub(super) struct Times<'a> {
    pub zone: &'a TimeZone,
    /// When the event happened.
    pub event: Wall,
}

impl Times<'_> {
    /// `01:37:20 +08:00`, with its date where half a day or more lies between.
    pub fn time(&self, at: Wall) -> String {
        let is_near = (at - self.event).0.abs() < HALF_A_DAY.0;
        self.show(at, if is_near { "%H:%M:%S" } else { "%F %H:%M:%S" })
    }

    /// `2026-11-29 01:37:20 +08:00`.
    pub fn date(&self, at: Wall) -> String {
        self.show(at, "%F %H:%M:%S")
    }

    fn show(&self, at: Wall, format: &str) -> String {
        let Some(zoned) = self.zoned(at) else { return at.rfc3339() };
        let text = zoned.strftime(format);
        match zoned.time_zone() == &TimeZone::UTC {
            true => format!("{text} UTC"),
            false => format!("{text} {}", zoned.strftime("%:z")),
        }
    }

    fn zoned(&self, at: Wall) -> Option<jiff::ZonedDateTime> {
        Some(jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned_datetime(self.zone.clone()))
    }
}

pub(super) fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes any text");
}
