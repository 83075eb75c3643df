//! Whether an upgrade still fits before its interval ends: a cutoff for each class of durations,
//! beside the window's own (rule S4).
//!
//! What a target needs is the duration predicted for its class, and the settling. It is worked out
//! for a campaign, a project and a class when one of them changes, never for a target: so the end
//! of a window costs as much as it has classes. One outlier must not close every window to a class:
//! a measured p95 is lowered until a target may start in the first quarter of the longest interval
//! to come, though never below the median.

use crate::model::calendar::{Calendar, Interval};
use crate::model::policy::Fit;
use crate::model::{Millis, Wall};

use super::Engine;
use super::hold::HoldKind;
use super::index::{CampaignIx, ClassIx, ProjectIx, TargetIx};
use super::tables::CampaignCalendar;

/// Intervals that are looked at for the longest, the one that counts now included.
const INTERVALS_AHEAD: usize = 64;

/// They open within this time from the end of that one: a month and a few days, so that a window of
/// once a month is among them. The next one counts however far away it is.
const LOOKED_AHEAD: Millis = Millis::from_hours(35 * 24);

/// Where none of these is long enough, intervals are looked at that open within this time, a year
/// and some weeks, …
const SOUGHT_AHEAD: Millis = Millis::from_hours(400 * 24);

/// … and so many of them, before it is said that an upgrade never fits.
const INTERVALS_SOUGHT: usize = 500;

/// Longer than any duration that can be written or measured.
const ENDLESS: Millis = Millis(i64::MAX / 4);

/// How long the intervals are that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outlook {
    /// Of the interval that counts now.
    open: Wall,
    first: Millis,
    /// The longest of those after it.
    later: Millis,
}

impl Outlook {
    fn new(calendar: &Calendar, interval: &Interval) -> Outlook {
        let later = interval.close().into_iter().flat_map(|close| {
            let coming = calendar.intervals_after(close).take(INTERVALS_AHEAD - 1).enumerate();
            coming.take_while(move |(at, next)| *at == 0 || next.open <= close + LOOKED_AHEAD)
        });
        let later = later.map(|(_, interval)| interval);
        let later = later.map(|interval| length(&interval)).max();
        let (open, first) = (interval.open, length(interval));
        Outlook { open, first, later: later.unwrap_or(Millis::ZERO) }
    }

    fn longest(&self) -> Millis {
        self.first.max(self.later)
    }
}

/// Nothing, where a freeze left less than the cutoff: nothing starts there.
fn length(interval: &Interval) -> Millis {
    match interval.close() {
        Some(close) if interval.allows_starts_after(interval.open) => close - interval.open,
        Some(_) => Millis::ZERO,
        None => ENDLESS,
    }
}

/// What a class needs of an interval, and the longest interval that comes after the one that counts
/// now; where that is long enough, no longer one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    needed: Millis,
    longest_to_come: Millis,
}

impl Room {
    fn new(needed: Millis, later: Millis, calendar: &CampaignCalendar) -> Room {
        let mut longest_to_come = later;
        if let Some(close) = calendar.interval.as_ref().and_then(Interval::close) {
            let coming = calendar.calendar.intervals_after(close).take(INTERVALS_SOUGHT);
            for interval in coming.take_while(|next| next.open <= close + SOUGHT_AHEAD) {
                if longest_to_come >= needed {
                    break;
                }
                longest_to_come = longest_to_come.max(length(&interval));
            }
        }
        Room { needed, longest_to_come }
    }
}

/// What an upgrade of a class needs before the end of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) takes: Millis,
    pub(super) settle: Millis,
    pub(super) basis: Basis,
}

/// Where the prediction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// `expected_duration`.
    Declared,
    /// This percentile of so many, which is what it says here.
    Measured { fit: Fit, samples: usize, says: Millis },
}

impl Need {
    pub(super) fn room(&self) -> Millis {
        self.takes + self.settle
    }
}

/// The measured percentile, but so much less that a target may start in the first quarter of the
/// longest interval; not less than the median.
fn clamped(says: Millis, median: Millis, settle: Millis, longest: Millis) -> Millis {
    let most = Millis(longest.0 / 4 * 3) - settle;
    says.min(most.max(median))
}

impl Engine {
    /// What a class needs; `None` where nothing is predicted.
    pub(super) fn need(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        class: ClassIx,
    ) -> Option<Need> {
        let policy = self.settings.campaigns.get(&self.campaigns[campaign.at()].name)?;
        policy.fit.percent()?;
        let (settle, measured) = (policy.settle, self.durations.get(class));
        let says = if policy.fit == Fit::P50 { measured.p50 } else { measured.p95 };
        let Some((says, median)) = says.zip(measured.p50) else {
            let declared = |takes| Need { takes, settle, basis: Basis::Declared };
            return policy.expected_duration.map(declared);
        };
        let longest = self.outlook(campaign, project).map_or(ENDLESS, |found| found.longest());
        let takes = clamped(says, median, settle, longest);
        let samples = measured.samples.len();
        Some(Need { takes, settle, basis: Basis::Measured { fit: policy.fit, samples, says } })
    }

    /// The intervals to come; `None` where none is.
    pub(super) fn outlook(&self, campaign: CampaignIx, project: ProjectIx) -> Option<Outlook> {
        let calendar = self.campaigns[campaign.at()].calendars.get(&project)?;
        let interval = calendar.interval.as_ref()?;
        let known = calendar.outlook.filter(|known| known.open == interval.open);
        Some(known.unwrap_or_else(|| Outlook::new(&calendar.calendar, interval)))
    }

    /// The last instant at which an upgrade of the class fits before the interval's end; `None` if
    /// nothing is predicted, or no end is in sight.
    pub(super) fn fits_until(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        class: ClassIx,
    ) -> Option<Wall> {
        let calendar = self.campaigns[campaign.at()].calendars.get(&project)?;
        let room = calendar.room(class)?;
        Some(calendar.interval.as_ref()?.close()? + (Millis::ZERO - room.needed))
    }

    /// Whether one that starts at `at`, or at the opening where that is later, fits.
    pub(super) fn fits(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        class: ClassIx,
        at: Wall,
    ) -> bool {
        let Some(until) = self.fits_until(campaign, project, class) else { return true };
        let interval = self.campaigns[campaign.at()].calendars[&project].interval.as_ref();
        interval.is_none_or(|interval| at.max(interval.open) <= until)
    }

    /// Whether every class does.
    pub(super) fn all_fit(&self, campaign: CampaignIx, project: ProjectIx, at: Wall) -> bool {
        self.durations.all().all(|class| self.fits(campaign, project, class, at))
    }

    /// Whether this target does.
    pub(super) fn target_fits(&self, ix: TargetIx, at: Wall) -> bool {
        let target = &self.targets[ix.at()];
        let class = self.known_class(ix);
        class.is_none_or(|class| self.fits(target.campaign, target.project, class, at))
    }

    /// Why a target of the class does not start at `at`, though the window would let it.
    pub(super) fn fit_kind(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        class: ClassIx,
        at: Wall,
    ) -> Option<HoldKind> {
        if self.fits(campaign, project, class, at) {
            return None;
        }
        let room = self.campaigns[campaign.at()].calendars.get(&project)?.room(class)?;
        let fits_some_day = room.needed <= room.longest_to_come;
        Some(if fits_some_day { HoldKind::DoesNotFit } else { HoldKind::NeverFits })
    }

    /// What one class needs has changed, in any campaign that is not over.
    pub(super) fn class_changed(&mut self, class: ClassIx) {
        for at in 0..self.campaigns.len() as u32 {
            let ix = CampaignIx(at);
            if self.campaigns[ix.at()].is_over() {
                continue;
            }
            let projects: Vec<ProjectIx> =
                self.campaigns[ix.at()].calendars.keys().copied().collect();
            for project in projects {
                self.keep_outlook(ix, project);
                if self.refresh_need(ix, project, class) {
                    self.mark_project(project);
                    self.wake_at_edge(ix, project);
                }
            }
        }
    }

    /// The interval or the settings have changed: every class may need something else.
    pub(super) fn refresh_needs(&mut self, campaign: CampaignIx, project: ProjectIx) {
        self.keep_outlook(campaign, project);
        for class in self.durations.all() {
            self.refresh_need(campaign, project, class);
        }
    }

    /// Whether it changed.
    fn refresh_need(&mut self, campaign: CampaignIx, project: ProjectIx, class: ClassIx) -> bool {
        let needed = self.need(campaign, project, class).map(|need| need.room());
        let later = self.outlook(campaign, project).map_or(Millis::ZERO, |outlook| outlook.later);
        let calendars = &mut self.campaigns[campaign.at()].calendars;
        let Some(calendar) = calendars.get_mut(&project) else { return false };
        let room = needed.map(|needed| Room::new(needed, later, calendar));
        if calendar.rooms.len() <= class.at() {
            calendar.rooms.resize(class.at() + 1, None);
        }
        std::mem::replace(&mut calendar.rooms[class.at()], room) != room
    }

    /// Looked for once per interval, and only where something is predicted.
    fn keep_outlook(&mut self, campaign: CampaignIx, project: ProjectIx) {
        let policy = self.settings.campaigns.get(&self.campaigns[campaign.at()].name);
        let is_declared = policy.is_some_and(|policy| policy.expected_duration.is_some());
        let is_measured = || self.durations.all().any(|ix| self.durations.get(ix).p50.is_some());
        if !is_declared && !is_measured() {
            return;
        }
        let outlook = self.outlook(campaign, project);
        if let Some(calendar) = self.campaigns[campaign.at()].calendars.get_mut(&project) {
            calendar.outlook = outlook;
        }
    }
}

impl CampaignCalendar {
    fn room(&self, class: ClassIx) -> Option<Room> {
        self.rooms.get(class.at()).copied().flatten()
    }

    /// The longest interval after the one that counts now, as far as the class has to know it.
    pub(super) fn longest_to_come(&self, class: ClassIx) -> Option<Millis> {
        self.room(class).map(|room| room.longest_to_come)
    }

    /// When classes cease to fit, each a millisecond after its last start.
    pub(super) fn fit_ends(&self) -> impl Iterator<Item = Wall> {
        let close = self.interval.as_ref().and_then(Interval::close);
        let rooms = self.rooms.iter().copied().flatten();
        rooms.filter_map(move |room| Some(close? + (Millis(1) - room.needed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_lowered_into_the_first_quarter_and_never_below_the_median() {
        let mins = Millis::from_mins;
        let of = |says, median, longest| clamped(mins(says), mins(median), mins(2), mins(longest));
        assert_eq!(of(60, 20, 240), mins(60), "it fits");
        assert_eq!(
            of(1_800, 20, 240),
            mins(178),
            "three quarters of four hours, less the settling"
        );
        assert_eq!(of(1_800, 200, 240), mins(200), "the median stands, though it starts later");
        assert_eq!(of(1_800, 300, 240), mins(300), "and where it never fits");
    }
}
