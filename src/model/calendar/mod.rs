//! Windows, freezes and what is left of them: the intervals in which upgrades may start.
//!
//! A window is local time with a zone and an elapsed duration; an occurrence is one concrete
//! `[open, close)` of it. A campaign's occurrences are united and its freezes subtracted; the
//! cutoff counts from the end of the result (docs/decisions.md: windows).
//!
//! Every rule, cron included, is searched in local time without a zone, and one function turns a
//! local start into an instant. So all rules agree on what a clock change does: a start inside a
//! gap opens at the first valid instant, a start in an overlap at the first of the two, once, and a
//! date that the zone skips has no occurrence.
//!
//! Not here: an operator's freeze (the engine's state) and "now" (always an argument).

mod cron;
mod freeze;
mod interval;
mod local;
mod occurrence;
mod rule;

use std::sync::Arc;

use jiff::civil;
use jiff::tz::TimeZone;

use super::id::{CampaignName, ProjectName, WindowName};
use super::policy::Settings;
use super::time::{Millis, Wall};

pub use cron::CronProblem;
pub use freeze::Frozen;
pub use occurrence::Occurrence;

/// How far ahead anything is searched for. A window that does not open within this time, or that a
/// freeze covers for this long, never opens. Fifty years hold every leap-day rule, 29 February on
/// a given weekday included (28 years, 40 across 2100).
pub const HORIZON: Millis = Millis::from_hours(50 * 366 * 24);

/// A recurring rule that allows starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub name: WindowName,
    pub rule: Rule,
    /// Elapsed time from the opening.
    pub duration: Millis,
    /// Time before the end after which nothing new starts; less than `duration`.
    pub cutoff: Millis,
    pub zone: TimeZone,
}

/// When a window opens, in its zone's local time. [`Rule::cron`] makes the cron form.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    Weekly {
        days: Vec<civil::Weekday>,
        start: civil::Time,
    },
    /// The text, so that rules compare; `pattern` is its parsed form.
    Cron {
        text: Arc<str>,
        pattern: Box<croner::Cron>,
    },
    Once {
        at: civil::DateTime,
    },
}

/// A configured interval that denies starts; always beats windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    pub name: WindowName,
    pub from: civil::DateTime,
    pub until: civil::DateTime,
    /// The written years only tell the length: it applies in every year, those before included.
    pub every_year: bool,
    pub zone: TimeZone,
    /// Empty: all.
    pub projects: Vec<ProjectName>,
    /// Empty: all.
    pub campaigns: Vec<CampaignName>,
}

/// The opening of an interval whose occurrences reach back further than anyone looks. No instant
/// that Refit keeps lies in 1970, and a constant is the same whenever it is asked for.
pub const LONG_AGO: Wall = Wall(0);

/// One maximal stretch of time in which a campaign may have work started in a project: a union of
/// occurrences minus freezes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// May be [`LONG_AGO`].
    pub open: Wall,
    pub end: End,
    /// The windows that contribute, in the campaign's order.
    pub windows: Vec<WindowName>,
}

/// Where an interval ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    At {
        /// First instant that is no longer inside.
        close: Wall,
        /// A target may start only before this: `close` minus the cutoff that counts there. Not
        /// after the opening where a freeze left less than the cutoff: then nothing starts in it.
        last_start: Wall,
        /// The freeze whose start ends the interval, if one does.
        freeze: Option<WindowName>,
    },
    /// The occurrences follow each other without a break as far as was looked: such windows are
    /// open for good, or for longer than anyone plans. An end that was not seen has its cutoff
    /// later than `known_until`; whoever gets there asks the calendar again.
    OutOfSight { known_until: Wall },
}

/// One campaign's windows in one project, freezes in scope applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calendar {
    pub windows: Vec<Window>,
    pub freezes: Vec<Freeze>,
}

impl Calendar {
    /// The calendar of `campaign` in `project`. A campaign that the settings do not have has no
    /// windows, so it never opens.
    pub fn for_campaign(
        settings: &Settings,
        campaign: &CampaignName,
        project: &ProjectName,
    ) -> Calendar {
        let named = settings.campaigns.get(campaign).map_or(&[][..], |policy| &policy.windows);
        Calendar {
            windows: named.iter().filter_map(|name| settings.windows.get(name)).cloned().collect(),
            freezes: settings
                .freezes
                .values()
                .filter(|freeze| freeze.applies_to(campaign, project))
                .cloned()
                .collect(),
        }
    }
}
