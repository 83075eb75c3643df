//! What a scenario's file says beside its world, its faults and its settings: when it begins, who
//! does what when, where a process dies, and the timeline that is expected.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::deed::Deed;
use crate::engine::Fact;
use crate::engine::rows::DurationRow;
use crate::model::duration::{DurationClass, Parts, Samples};
use crate::model::{CacheMode, Millis, Wall, closest};
use crate::rehearse::{Boundary, PlannedCrash};
use crate::sim::file::Misfit;
use crate::sim::world::{Span, World};

/// Years in which a story may begin: limiters count nanoseconds, and no farther.
const YEARS: std::ops::RangeInclusive<u16> = 2000..=2100;

/// A story that lasts longer is a slip of the keyboard.
const LASTS_AT_MOST: Millis = Millis::from_hours(10 * 366 * 24);

/// The keys as they stand in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub begin: Spanned<Datetime>,
    /// Without it, the run ends when every campaign is over.
    #[serde(default)]
    pub until: Option<Spanned<Datetime>>,
    /// Keys every draw, the engine's and the cloud's.
    #[serde(default = "first")]
    pub seed: u64,
    /// What upgrades took before the story begins.
    #[serde(default)]
    pub learned: Vec<LearnedLine>,
    #[serde(default)]
    pub acts: Vec<ActLine>,
    #[serde(default)]
    pub crashes: Vec<CrashLine>,
    #[serde(default)]
    pub expected: Option<Expected>,
}

fn first() -> u64 {
    1
}

/// What upgrades of one class took, oldest first.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedLine {
    pub cache_mode: CacheMode,
    pub parts: Parts,
    pub took: Vec<Span>,
}

/// Somebody does something.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActLine {
    pub at: Spanned<Datetime>,
    #[serde(rename = "do")]
    pub deed: Spanned<String>,
}

/// A process dies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrashLine {
    pub boundary: Boundary,
    /// Of the step that decides this event …
    pub event: Spanned<String>,
    /// … for the first, second, … time.
    #[serde(default = "once")]
    pub number: u32,
    #[serde(default = "half_a_minute")]
    pub down_for: Span,
}

fn once() -> u32 {
    1
}

/// About what a service manager takes to notice and to start anew, generously.
fn half_a_minute() -> Span {
    Span(Millis::from_secs(30))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    pub timeline: Spanned<String>,
}

/// A deed and its instant.
#[derive(Debug, Clone)]
pub struct ActAt {
    pub at: Wall,
    pub deed: Deed,
    /// The deed in the file's words.
    pub words: String,
}

impl Script {
    /// When it begins, in that zone.
    ///
    /// # Errors
    /// It is no instant there, or in a year of another age.
    pub fn begins(&self, zone: &TimeZone) -> Result<Wall, Misfit> {
        if self.begin.get_ref().date.is_some_and(|date| !YEARS.contains(&date.year)) {
            return Err(Misfit::new(self.begin.span(), "a story begins in 2000 to 2100"));
        }
        instant(&self.begin, zone, None)
    }

    /// When it ends at the latest, if the file says so.
    ///
    /// # Errors
    /// It is no instant, or none after the beginning.
    pub fn ends(&self, zone: &TimeZone, begin: Wall) -> Result<Option<Wall>, Misfit> {
        self.until.as_ref().map(|until| later(until, zone, begin)).transpose()
    }

    /// What upgrades took before, as a store keeps it.
    pub fn durations(&self) -> Vec<DurationRow> {
        let mut classes: BTreeMap<DurationClass, Samples> = BTreeMap::new();
        for LearnedLine { cache_mode, parts, took } in &self.learned {
            let class = DurationClass { cache_mode: *cache_mode, parts: *parts };
            let samples = classes.entry(class).or_default();
            took.iter().for_each(|took| samples.push(took.0));
        }
        classes.into_iter().map(|(class, samples)| DurationRow { class, samples }).collect()
    }

    /// The acts in the order of their instants.
    ///
    /// # Errors
    /// As [`acts`].
    pub fn acts(&self, zone: &TimeZone, begin: Wall, world: &World) -> Result<Vec<ActAt>, Misfit> {
        let stage = Stage { zone, begin, end: self.ends(zone, begin)? };
        acts(&self.acts, stage, world)
    }

    /// Where processes die.
    ///
    /// # Errors
    /// The first that names an unknown event or counts from zero.
    pub fn crashes(&self) -> Result<Vec<PlannedCrash>, Misfit> {
        let crash = |line: &CrashLine| {
            let CrashLine { boundary, event, number, down_for } = line;
            let known = Fact::NAMES.iter().find(|name| **name == event.get_ref());
            let Some(known) = known else {
                let hint = closest::hint(event.get_ref(), Fact::NAMES.iter().copied());
                let message = format!("no event is called {:?}{hint}", event.get_ref());
                return Err(Misfit::new(event.span(), message));
            };
            if *number == 0 {
                return Err(Misfit::new(event.span(), "number counts from 1"));
            }
            let down_for = down_for.0;
            Ok(PlannedCrash { boundary: *boundary, event: known, number: *number, down_for })
        };
        self.crashes.iter().map(crash).collect()
    }
}

/// When acts may be, and in which zone they are written.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    pub zone: &'a TimeZone,
    pub begin: Wall,
    pub end: Option<Wall>,
}

/// Acts as a file has them, in the order of their instants.
///
/// # Errors
/// The first that is no deed, is about no instance of the world, or is before the beginning or
/// after the end.
pub fn acts(lines: &[ActLine], stage: Stage<'_>, world: &World) -> Result<Vec<ActAt>, Misfit> {
    let act = |line: &ActLine| {
        let words = line.deed.get_ref().clone();
        let misfit = |message: String| Misfit::new(line.deed.span(), message);
        let deed = words.parse().map_err(misfit)?;
        if let Deed::Change(name, _) = &deed
            && world.place_of(name).is_none()
        {
            return Err(misfit(format!("the world has no instance {name:?}")));
        }
        let at = later(&line.at, stage.zone, stage.begin)?;
        if stage.end.is_some_and(|end| end < at) {
            return Err(Misfit::new(line.at.span(), "this is after the end"));
        }
        Ok(ActAt { at, deed, words })
    };
    let mut acts = lines.iter().map(act).collect::<Result<Vec<_>, Misfit>>()?;
    acts.sort_by_key(|act| act.at);
    Ok(acts)
}

fn later(written: &Spanned<Datetime>, zone: &TimeZone, begin: Wall) -> Result<Wall, Misfit> {
    let at = instant(written, zone, Some(begin))?;
    if at < begin {
        return Err(Misfit::new(written.span(), "this is before the beginning"));
    }
    if at - begin > LASTS_AT_MOST {
        return Err(Misfit::new(written.span(), "this is more than ten years after the beginning"));
    }
    Ok(at)
}

/// Of a time of day, the first after the beginning is meant; of a local time in an overlap, the
/// first of the two: with its offset either can be written.
fn instant(
    written: &Spanned<Datetime>,
    zone: &TimeZone,
    begin: Option<Wall>,
) -> Result<Wall, Misfit> {
    let text = written.get_ref().to_string();
    let misfit = |message: &str| Misfit::new(written.span(), message);
    let wrong = || misfit("this is no date and time in the scenario's zone");
    match (written.get_ref().date, written.get_ref().time, begin) {
        (Some(_), Some(_), _) if written.get_ref().offset.is_some() => {
            let at: Timestamp = text.parse().map_err(|_| wrong())?;
            Ok(Wall(at.as_millisecond()))
        }
        (Some(_), Some(_), _) => local(text.parse().map_err(|_| wrong())?, zone).ok_or_else(wrong),
        (None, Some(_), Some(begin)) => {
            let time: civil::Time = text.parse().map_err(|_| wrong())?;
            let begun = Timestamp::from_millisecond(begin.0).map_err(|_| wrong())?;
            let today = begun.to_zoned_datetime(zone.clone()).date();
            let tomorrow = today.tomorrow().map_err(|_| wrong())?;
            [today, tomorrow]
                .into_iter()
                .filter_map(|date| local(date.to_datetime(time), zone))
                .find(|at| *at >= begin)
                .ok_or_else(wrong)
        }
        (None, Some(_), None) => Err(misfit("the beginning needs a date")),
        _ => Err(misfit("this needs a time of day")),
    }
}

fn local(at: civil::DateTime, zone: &TimeZone) -> Option<Wall> {
    Some(Wall(zone.to_timestamp(at).ok()?.as_millisecond()))
}
