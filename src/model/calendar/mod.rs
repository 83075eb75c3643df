//! Windows, freezes and what is left of them: the intervals in which upgrades may start.
//!
//! A window is local time with a zone and an elapsed duration; an occurrence is one concrete
//! `[open, close)` of it. A campaign's occurrences are united and its freezes subtracted; the
//! cutoff counts from the end of the result (design: windows).

use std::sync::Arc;

use jiff::civil;
use jiff::tz::TimeZone;

use super::id::{CampaignName, ProjectName, WindowName};
use super::time::{Millis, Wall};

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

/// When a window opens, in its zone's local time.
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
    pub every_year: bool,
    pub zone: TimeZone,
    /// Empty: all.
    pub projects: Vec<ProjectName>,
    /// Empty: all.
    pub campaigns: Vec<CampaignName>,
}

/// One maximal stretch of time in which a campaign may have work started in a project: a union of
/// occurrences minus freezes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    pub open: Wall,
    /// First instant that is no longer inside.
    pub close: Wall,
    /// A target may start only before this: `close` minus the cutoff that counts there.
    pub last_start: Wall,
    /// The windows that contribute, in order.
    pub windows: Vec<WindowName>,
    /// The freeze whose start ends the interval, if one does.
    pub ended_by: Option<WindowName>,
}

/// One campaign's windows in one project, freezes in scope applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calendar {
    pub windows: Vec<Window>,
    pub freezes: Vec<Freeze>,
}
