//! The calendar against a brute-force oracle, over many zones and clock changes.
//!
//! The oracle walks every UTC minute of some weeks around a change, reads the zone's local time at
//! each, and marks the minute: which windows hold it, and is it frozen. Intervals and cutoffs are
//! read off the marks. It shares nothing with the code under test: no search, no gap or overlap
//! rule, no cron library. A window opens at the first minute whose local time has reached its
//! start, which says all about gaps and overlaps at once.

use std::ops::Range;

use jiff::civil::{Date, DateTime, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use refit::model::calendar::{Calendar, End, Freeze, Interval, Rule, Window};
use refit::model::{Millis, Wall};

pub const MINUTES_PER_DAY: i64 = 1_440;
/// The walk begins this long before the day and ends this long after it.
pub const REACH: i64 = 12 * MINUTES_PER_DAY;
/// Marks are complete from here on: nothing longer is generated.
pub const LONGEST: i64 = 4 * MINUTES_PER_DAY;
/// The end of a longer chain is out of sight, which tests of their own cover.
const OPENINGS_MAX: usize = 900;

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// A rule as the oracle understands it.
#[derive(Debug, Clone)]
pub enum Opens {
    Weekly {
        weekdays: Vec<i64>,
        minute_of_day: i64,
    },
    Cron {
        minutes: Vec<i64>,
        hours: Vec<i64>,
        days: Vec<i64>,
        months: Vec<i64>,
        weekdays: Vec<i64>,
    },
    /// Minutes after the walk's first local minute.
    Once {
        after: i64,
    },
}

/// Windows and freezes, and where to walk. Local times are relative to the walk, so that they fall
/// into it wherever that is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// A zone, and a UTC date to walk around.
    pub place: (&'static str, &'static str),
    pub other_zone: &'static str,
    pub windows: Vec<WindowPlan>,
    pub freezes: Vec<FreezePlan>,
    /// Where to ask, in milliseconds after the walk's beginning.
    pub asks: Vec<i64>,
}

/// A window; all in minutes.
#[derive(Debug, Clone)]
pub struct WindowPlan {
    pub opens: Opens,
    pub zoned: Zoned,
    pub duration: i64,
    pub cutoff: i64,
}

/// Which of the plan's two zones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Zoned {
    Place,
    Elsewhere,
}

#[derive(Debug, Clone)]
pub struct FreezePlan {
    pub zoned: Zoned,
    /// Minutes after the walk's first local minute.
    pub after: i64,
    pub minutes: i64,
    /// Written so many years from the walk's own, for every year.
    pub every_year: Option<i16>,
}

/// One zone's clock over the walk.
struct Clock {
    zone: TimeZone,
    /// Local minutes since 1970-01-01T00:00, one for each UTC minute of the walk.
    local: Vec<i64>,
}

fn local_minutes(local: DateTime) -> i64 {
    local.duration_since(EPOCH).as_mins()
}

fn local_time(minutes: i64) -> DateTime {
    EPOCH.checked_add(minutes.minutes()).unwrap()
}

impl Clock {
    fn read(zone_name: &str, walk: &Range<i64>) -> Clock {
        let zone = TimeZone::get(zone_name).unwrap();
        let local = walk
            .clone()
            .map(|minute| {
                let instant = Timestamp::from_second(minute * 60).unwrap();
                minute + i64::from(zone.to_offset(instant).seconds()) / 60
            })
            .collect();
        Clock { zone, local }
    }

    /// The minutes of the walk at which the rule opens: where the local time has reached a start
    /// that it had not reached before. A date of which no minute was ever shown does not count.
    fn openings(&self, opens: &Opens) -> Vec<usize> {
        let mut reached = self.local[0] - 1;
        let mut openings = Vec::new();
        for (minute, local) in self.local.iter().enumerate() {
            let shown = (day(reached), day(*local));
            let mut newly = (reached + 1)..=*local;
            if newly.any(|start| {
                let skipped_date = shown.0 < day(start) && day(start) < shown.1;
                !skipped_date && opens.at(start, self.local[0])
            }) {
                openings.push(minute);
            }
            reached = reached.max(*local);
        }
        openings
    }

    /// From the first minute not before `from` to the last that shows `until`; where none does, to
    /// the last one before it. A clock set back to `until` itself shows it twice.
    fn frozen(&self, from: i64, until: i64) -> Range<usize> {
        let begins = self.local.iter().position(|local| *local >= from);
        let shows = self.local.iter().rposition(|local| *local == until);
        let before = || self.local.iter().rposition(|local| *local < until).map(|last| last + 1);
        match (begins, shows.or_else(before)) {
            (Some(begins), Some(ends)) if begins < ends => begins..ends,
            _ => 0..0,
        }
    }
}

fn day(minutes: i64) -> i64 {
    minutes.div_euclid(MINUTES_PER_DAY)
}

impl Opens {
    fn at(&self, local: i64, walk_start: i64) -> bool {
        let minute_now = local.rem_euclid(MINUTES_PER_DAY);
        // 1970-01-01 was a Thursday; Sunday is 0.
        let weekday = (day(local) + 4).rem_euclid(7);
        match self {
            Opens::Weekly { weekdays, minute_of_day } => {
                minute_now == *minute_of_day && weekdays.contains(&weekday)
            }
            Opens::Cron { minutes, hours, days, months, weekdays } => {
                if !minutes.contains(&(minute_now % 60)) || !hours.contains(&(minute_now / 60)) {
                    return false;
                }
                let date = local_time(local).date();
                let (on_day, on_weekday) =
                    (days.contains(&date.day().into()), weekdays.contains(&weekday));
                let day_fits = match (days.is_empty(), weekdays.is_empty()) {
                    (true, true) => true,
                    (true, false) => on_weekday,
                    (false, true) => on_day,
                    (false, false) => on_day || on_weekday,
                };
                day_fits && (months.is_empty() || months.contains(&date.month().into()))
            }
            Opens::Once { after } => local == walk_start + after,
        }
    }

    fn rule(&self, walk_start: i64) -> Rule {
        match self {
            Opens::Weekly { weekdays, minute_of_day } => Rule::Weekly {
                days: weekdays
                    .iter()
                    .map(|day| Weekday::from_sunday_zero_offset(i8::try_from(*day).unwrap()))
                    .map(Result::unwrap)
                    .collect(),
                start: local_time(*minute_of_day).time(),
            },
            Opens::Cron { minutes, hours, days, months, weekdays } => {
                let fields = [minutes, hours, days, months, weekdays].map(|field| {
                    let texts: Vec<_> = field.iter().map(i64::to_string).collect();
                    if texts.is_empty() { "*".into() } else { texts.join(",") }
                });
                Rule::cron(&fields.join(" ")).unwrap()
            }
            Opens::Once { after } => Rule::Once { at: local_time(walk_start + after) },
        }
    }
}

impl FreezePlan {
    fn written(&self, clock: &Clock) -> (DateTime, DateTime) {
        let from = clock.local[0] + self.after;
        let bounds = [from, from + self.minutes].map(local_time);
        let moved = bounds.map(|bound| {
            let year = bound.year() + self.every_year.unwrap_or(0);
            bound.with().year(year).build().ok()
        });
        match moved {
            [Some(from), Some(until)] if from < until => (from, until),
            // A 29 February that the other year does not have.
            _ => (bounds[0], bounds[1]),
        }
    }

    /// In local minutes, one for each year that may touch the walk.
    fn stretches(&self, clock: &Clock) -> Vec<(i64, i64)> {
        let (from, until) = self.written(clock);
        if self.every_year.is_none() {
            return vec![(local_minutes(from), local_minutes(until))];
        }
        let this_year = local_time(clock.local[0]).year();
        let in_year = |bound: DateTime, year: i16| {
            let date = Date::new(year, bound.month(), bound.day())
                .unwrap_or_else(|_| Date::new(year, 2, 28).unwrap());
            local_minutes(date.to_datetime(bound.time()))
        };
        (this_year - 2..=this_year + 2)
            .map(|year| (in_year(from, year), in_year(until, year + until.year() - from.year())))
            .collect()
    }
}

/// What each minute of the walk is.
pub struct Marks {
    walk: Range<i64>,
    /// Bit n: the nth window holds the minute.
    held: Vec<u8>,
    pub frozen: Vec<bool>,
    /// Of each window, the minutes at which it opens.
    pub openings: Vec<Vec<usize>>,
}

impl Marks {
    fn is_free(&self, minute: usize) -> bool {
        self.held[minute] != 0 && !self.frozen[minute]
    }

    pub fn wall(&self, minute: usize) -> Wall {
        Wall((self.walk.start + i64::try_from(minute).unwrap()) * 60_000)
    }

    /// Maximal runs of free minutes, the first and last of the walk excepted.
    pub fn runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut from = None;
        for minute in 0..self.held.len() {
            match (self.is_free(minute), from) {
                (true, None) => from = Some(minute),
                (false, Some(opened)) => {
                    runs.push(opened..minute);
                    from = None;
                }
                _ => {}
            }
        }
        runs
    }

    /// Whether the calendar must agree about this run: its marks are complete and its chain short.
    pub fn is_complete(&self, run: &Range<usize>) -> bool {
        let inside = |opening: &&usize| run.contains(*opening);
        let openings: usize =
            self.openings.iter().map(|openings| openings.iter().filter(inside).count()).sum();
        run.start > usize::try_from(LONGEST).unwrap() && openings < OPENINGS_MAX
    }

    pub fn interval(&self, run: &Range<usize>, calendar: &Calendar) -> Interval {
        let with_bits = |bits: u8| {
            calendar
                .windows
                .iter()
                .enumerate()
                .filter(move |(index, _)| bits & (1 << index) != 0)
                .map(|(_, window)| window)
        };
        let cutoff = with_bits(self.held[run.end - 1]).map(|window| window.cutoff).max().unwrap();
        let contributing = run.clone().fold(0, |bits, minute| bits | self.held[minute]);
        let close = self.wall(run.end);
        let cut_short = self.held[run.end] != 0;
        Interval {
            open: self.wall(run.start),
            end: End::At {
                close,
                last_start: close - cutoff,
                freeze: cut_short.then(|| "freeze".into()),
            },
            windows: with_bits(contributing).map(|window| window.name.clone()).collect(),
        }
    }
}

impl Plan {
    /// The plan for the code under test, and as the oracle sees it.
    pub fn carry_out(&self) -> (Calendar, Marks) {
        let clocks = [self.place.0, self.other_zone].map(|name| Clock::read(name, &self.walk()));
        (self.calendar(&clocks), self.marks(&clocks))
    }

    /// Everything on the hour, so that edges meet.
    pub fn on_the_hour(mut self) -> Plan {
        let whole = |minutes: i64| minutes - minutes % 60;
        for window in &mut self.windows {
            match &mut window.opens {
                Opens::Weekly { minute_of_day, .. } => *minute_of_day = whole(*minute_of_day),
                Opens::Cron { minutes, .. } => *minutes = vec![0],
                Opens::Once { after } => *after = whole(*after),
            }
            window.duration = whole(window.duration + 59);
        }
        for freeze in &mut self.freezes {
            freeze.after = whole(freeze.after);
            freeze.minutes = whole(freeze.minutes + 59);
        }
        self
    }

    fn walk(&self) -> Range<i64> {
        let day: Date = self.place.1.parse().unwrap();
        let middle = local_minutes(day.at(0, 0, 0, 0));
        middle - REACH..middle + REACH
    }

    /// As the code under test gets it. All freezes bear one name: which of several that begin
    /// together ends an interval is nobody's concern.
    fn calendar(&self, clocks: &[Clock; 2]) -> Calendar {
        let window = |(index, plan): (usize, &WindowPlan)| {
            let clock = &clocks[plan.zoned as usize];
            Window {
                name: format!("window-{index}").into(),
                rule: plan.opens.rule(clock.local[0]),
                duration: Millis::from_mins(plan.duration),
                cutoff: Millis::from_mins(plan.cutoff),
                zone: clock.zone.clone(),
            }
        };
        let freeze = |plan: &FreezePlan| {
            let clock = &clocks[plan.zoned as usize];
            let (from, until) = plan.written(clock);
            Freeze {
                name: "freeze".into(),
                from,
                until,
                every_year: plan.every_year.is_some(),
                zone: clock.zone.clone(),
                projects: Vec::new(),
                campaigns: Vec::new(),
            }
        };
        Calendar {
            windows: self.windows.iter().enumerate().map(window).collect(),
            freezes: self.freezes.iter().map(freeze).collect(),
        }
    }

    fn marks(&self, clocks: &[Clock; 2]) -> Marks {
        let length = clocks[0].local.len();
        let mut held = vec![0_u8; length];
        let mut openings = Vec::new();
        for (index, plan) in self.windows.iter().enumerate() {
            let opened = clocks[plan.zoned as usize].openings(&plan.opens);
            for opening in &opened {
                let close = length.min(opening + usize::try_from(plan.duration).unwrap());
                held[*opening..close].iter_mut().for_each(|bits| *bits |= 1 << index);
            }
            openings.push(opened);
        }
        let mut frozen = vec![false; length];
        for plan in &self.freezes {
            let clock = &clocks[plan.zoned as usize];
            for (from, until) in plan.stretches(clock) {
                frozen[clock.frozen(from, until)].fill(true);
            }
        }
        Marks { walk: self.walk(), held, frozen, openings }
    }
}
