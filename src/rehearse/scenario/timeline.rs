//! The timeline: what happened, one line each, as a reader would tell it.
//!
//! Lines carry the true time, which is the cloud's; a machine's clock that is wrong shows in the
//! sentences. What several targets do in one instant, in one sentence, is one line. Left out is
//! what no reader asks for: plans target by target, sweeps, words of tasks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::play::hold;
use crate::engine::narrate::{sentence, subject};
use crate::engine::rows::TargetRow;
use crate::engine::{Event, Fact};
use crate::model::text::one_line;
use crate::model::{InstanceId, ProjectName, Wall};
use crate::rehearse::{Host, UpgradeCall};
use crate::sim::world::Fate;

/// Subjects of one line; the rest is counted.
const NAMED: usize = 4;

/// Where an instance is: that its id is unique beyond its project is not known.
type Place = (ProjectName, InstanceId);

pub(super) struct Timeline {
    zone: TimeZone,
    lines: Vec<Line>,
    names: BTreeMap<Place, Arc<str>>,
    events_told: usize,
    calls_told: usize,
    was_up: bool,
}

#[derive(Debug)]
struct Line {
    /// `None`: how it stands in the end.
    at: Option<Wall>,
    subjects: Vec<String>,
    text: String,
}

impl Timeline {
    pub fn new(zone: TimeZone) -> Timeline {
        Timeline {
            zone,
            lines: Vec::new(),
            names: BTreeMap::new(),
            events_told: 0,
            calls_told: 0,
            was_up: false,
        }
    }

    /// Tells what is new since it last looked.
    pub fn observe(&mut self, host: &Host) {
        for call in &host.upgrade_calls()[self.calls_told..] {
            let text = format!("asked to upgrade {}: {}", self.name(&place(call)), outcome(call));
            self.push(Some(call.at), "cloud".into(), text);
        }
        self.calls_told = host.upgrade_calls().len();
        // What an older copy holds has been told: behind the end of a shorter ledger is nothing.
        for event in host.store().ledger().iter().skip(self.events_told) {
            self.tell(host.now(), event);
        }
        self.events_told = host.store().ledger().len();
        let is_up = host.engine().is_some();
        if self.was_up && !is_up {
            self.say(host, "refit", "the process ends");
        }
        self.was_up = is_up;
    }

    pub fn say(&mut self, host: &Host, subject: &str, text: &str) {
        self.push(Some(host.now()), subject.to_owned(), text.to_owned());
    }

    fn tell(&mut self, at: Wall, event: &Event) {
        let place = event.project.clone().zip(event.instance.clone());
        if let (Fact::TargetPlanned { name, .. } | Fact::Joined { name, .. }, Some(place)) =
            (&event.fact, &place)
        {
            self.names.insert(place.clone(), name.clone());
        }
        if !is_told(&event.fact) {
            return;
        }
        let name = place.as_ref().and_then(|place| self.names.get(place));
        let subject = subject(event, name.map(|name| &**name));
        let subject = subject.unwrap_or_else(|| "refit".into());
        self.push(Some(at), subject, sentence(event, &self.zone));
    }

    fn push(&mut self, at: Option<Wall>, subject: String, text: String) {
        match self.lines.last_mut() {
            Some(last) if last.at == at && last.text == text => last.subjects.push(subject),
            _ => self.lines.push(Line { at, subjects: vec![subject], text }),
        }
    }

    fn name(&self, place: &Place) -> String {
        self.names.get(place).map_or_else(|| place.1.to_string(), ToString::to_string)
    }

    /// What is left at the end: each campaign, and its targets with what they cost the cloud.
    pub fn end(&mut self, host: &Host) {
        for campaign in host.store().campaigns() {
            let name = &campaign.name;
            self.push(None, format!("campaign {name}"), campaign.state.to_string());
            let rows = host.store().targets().filter(|row| row.id.campaign == *name);
            let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for row in rows {
                ends.entry(end(host, row)).or_default().push(self.name(&place_of(row)));
            }
            for (text, mut subjects) in ends {
                subjects.sort();
                self.lines.push(Line { at: None, subjects, text });
            }
        }
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for Line { at, subjects, text: said } in &self.lines {
            let at = at.map_or_else(|| "in the end".to_owned(), |at| self.local(at));
            // Names and words of the cloud are anybody's text.
            let told = one_line(&format!("{}: {said}", listed(subjects)));
            writeln!(text, "{at:26}  {told}").expect("a string takes any text");
        }
        text
    }

    /// `2026-03-29 03:00:00 +02:00`.
    fn local(&self, at: Wall) -> String {
        match Timestamp::from_millisecond(at.0) {
            Ok(instant) => {
                let zoned = instant.to_zoned_datetime(self.zone.clone());
                zoned.strftime("%F %H:%M:%S %:z").to_string()
            }
            Err(_) => at.rfc3339(),
        }
    }
}

/// How it ended, or what it waits for; and what the cloud was asked and did.
fn end(host: &Host, row: &TargetRow) -> String {
    let state = match (&row.needs_operator, row.state.is_terminal()) {
        (Some(why), _) => format!("{}, needs an operator: {why}", row.state),
        (None, true) => row
            .reason
            .as_ref()
            .map_or(row.state.to_string(), |reason| format!("{} ({reason})", row.state)),
        (None, false) => format!("{}: {}", row.state, hold(host, &row.id)),
    };
    let place = place_of(row);
    let calls = host.upgrade_calls().iter();
    let (mut requests, mut upgrades) = (0, 0);
    for call in calls.filter(|call| (&call.project, &call.instance) == (&place.0, &place.1)) {
        requests += 1;
        upgrades += usize::from(call.applied);
    }
    format!("{state}; requests {requests}, upgrades {upgrades}")
}

fn place(call: &UpgradeCall) -> Place {
    (call.project.clone(), call.instance.clone())
}

fn place_of(row: &TargetRow) -> Place {
    (row.id.project.clone(), row.id.instance.clone())
}

fn outcome(call: &UpgradeCall) -> String {
    let begun = if call.applied { "begins it" } else { "begins nothing" };
    match call.fate {
        Fate::Answered => format!("{begun}, answers {}", call.status),
        Fate::Lost => format!("{begun}, the answer is lost"),
        Fate::Garbled => format!("{begun}, the answer cannot be read"),
    }
}

/// `cache-1, cache-2 and 3 more`.
fn listed(subjects: &[String]) -> String {
    match subjects.split_at_checked(NAMED) {
        Some((named, rest)) if !rest.is_empty() => {
            format!("{} and {} more", named.join(", "), rest.len())
        }
        _ => subjects.join(", "),
    }
}

fn is_told(fact: &Fact) -> bool {
    !matches!(
        fact,
        Fact::TargetPlanned { .. }
            | Fact::TaskStatus { .. }
            | Fact::InventorySwept { .. }
            | Fact::SettingsLoaded { .. }
            | Fact::CredentialProven { .. }
            | Fact::OwnUserLearned { .. }
            | Fact::WatchChanged { .. }
    )
}
