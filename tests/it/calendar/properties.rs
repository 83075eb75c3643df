//! The calendar agrees with the oracle on generated windows and freezes, around the clock changes
//! of many zones.

use std::cell::Cell;
use std::ops::Range;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use refit::model::calendar::Calendar;
use refit::model::{Millis, Wall};

use super::oracle::{
    FreezePlan, LONGEST, MINUTES_PER_DAY, Marks, Opens, Plan, REACH, WindowPlan, Zoned,
};

/// Zones with a day worth walking around: the usual changes, and every odd kind there has been.
const PLACES: &[(&str, &str)] = &[
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("Europe/London", "2026-03-29"),
    ("Europe/Dublin", "2026-10-25"),
    ("Europe/Istanbul", "2015-11-08"),
    ("Europe/Volgograd", "2020-12-27"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    // At 00:01, back across midnight.
    ("America/St_Johns", "2010-03-14"),
    ("America/St_Johns", "2010-11-07"),
    // At midnight, both ways.
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("America/Asuncion", "2024-10-06"),
    ("America/Santiago", "2026-09-06"),
    // Forward across midnight.
    ("America/Nuuk", "2026-03-28"),
    ("America/Nuuk", "2026-10-24"),
    ("America/Scoresbysund", "2024-03-31"),
    // Half an hour, for good.
    ("America/Caracas", "2007-12-09"),
    ("America/Caracas", "2016-05-01"),
    // Ramadan.
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
    ("Africa/Juba", "2021-02-01"),
    ("Africa/Sao_Tome", "2018-01-01"),
    ("Asia/Beirut", "2026-03-29"),
    ("Asia/Jerusalem", "2026-03-27"),
    ("Asia/Tehran", "2022-03-22"),
    ("Asia/Tehran", "2022-09-22"),
    ("Asia/Pyongyang", "2015-08-15"),
    ("Asia/Pyongyang", "2018-05-05"),
    ("Asia/Almaty", "2024-03-01"),
    ("Asia/Kathmandu", "2026-12-31"),
    ("Asia/Kolkata", "2024-02-29"),
    ("Asia/Singapore", "2026-12-31"),
    // Half an hour of summer time.
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Australia/Adelaide", "2026-10-04"),
    // Two hours of summer time, and three for good.
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Antarctica/Casey", "2020-10-04"),
    ("Antarctica/Casey", "2021-03-14"),
    // A skipped date.
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Fakaofo", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Pacific/Kanton", "1994-12-31"),
    // A repeated one.
    ("Pacific/Kwajalein", "1969-10-01"),
    ("Pacific/Chatham", "2026-04-05"),
    ("Pacific/Norfolk", "2015-10-04"),
    ("Pacific/Bougainville", "2014-12-28"),
    ("Pacific/Easter", "2026-04-05"),
    ("Etc/GMT+12", "2026-12-31"),
    ("UTC", "2024-02-29"),
];

/// Of each property.
const CASES: u32 = 120;

/// Instants near the change itself are asked for as often as all others together.
fn minutes_after_start() -> impl Strategy<Value = i64> {
    prop_oneof![0..2 * REACH, REACH - 900..REACH + 2_400]
}

fn opens() -> impl Strategy<Value = Opens> {
    let some = |range: Range<i64>, count: Range<usize>| {
        btree_set(range, count).prop_map(|set| set.into_iter().collect::<Vec<_>>())
    };
    // Most clocks change between 23:00 and 03:00.
    let minute_of_day = prop_oneof![0..MINUTES_PER_DAY, 0..200_i64, 1_360..MINUTES_PER_DAY];
    let hour = prop_oneof![btree_set(0..24_i64, 1..4), btree_set(0..4_i64, 1..5)]
        .prop_map(|set| set.into_iter().collect::<Vec<_>>());
    prop_oneof![
        (some(0..7, 1..8), minute_of_day)
            .prop_map(|(weekdays, minute_of_day)| Opens::Weekly { weekdays, minute_of_day }),
        (some(0..60, 1..5), hour, some(1..32, 0..6), some(0..7, 0..5), any::<bool>()).prop_map(
            |(minutes, hours, days, weekdays, every_month)| Opens::Cron {
                minutes,
                hours,
                // A day that exists in every month, so that each pattern fires.
                days: days.iter().map(|day| (*day).min(28)).collect(),
                months: if every_month { vec![] } else { vec![2, 3, 4, 9, 10, 12] },
                weekdays,
            }
        ),
        minutes_after_start().prop_map(|after| Opens::Once { after }),
    ]
}

fn zoned() -> impl Strategy<Value = Zoned> {
    prop_oneof![3 => Just(Zoned::Place), 1 => Just(Zoned::Elsewhere)]
}

fn windows() -> impl Strategy<Value = Vec<WindowPlan>> {
    let duration = prop_oneof![1..300_i64, 1..MINUTES_PER_DAY, 1..LONGEST];
    let window = (opens(), zoned(), duration, any::<Index>()).prop_map(
        |(opens, zoned, duration, cutoff)| {
            let cutoff = i64::try_from(cutoff.index(usize::try_from(duration).unwrap())).unwrap();
            WindowPlan { opens, zoned, duration, cutoff }
        },
    );
    vec(window, 1..5)
}

fn freezes() -> impl Strategy<Value = Vec<FreezePlan>> {
    let minutes = prop_oneof![1..400_i64, 1..3 * MINUTES_PER_DAY];
    let every_year = prop_oneof![2 => Just(None), 1 => (-3..4_i16).prop_map(Some)];
    let freeze = (zoned(), minutes_after_start(), minutes, every_year).prop_map(
        |(zoned, after, minutes, every_year)| FreezePlan { zoned, after, minutes, every_year },
    );
    vec(freeze, 0..4)
}

fn plans() -> impl Strategy<Value = Plan> {
    let elsewhere: Vec<&str> = PLACES.iter().map(|place| place.0).collect();
    let asks = vec(
        minutes_after_start().prop_flat_map(|minute| minute * 60_000..minute * 60_000 + 60_000),
        8,
    );
    let plan = (select(PLACES), select(elsewhere), windows(), freezes(), asks).prop_map(
        |(place, other_zone, windows, freezes, asks)| Plan {
            place,
            other_zone,
            windows,
            freezes,
            asks,
        },
    );
    (plan, any::<bool>()).prop_map(|(plan, on_the_hour)| match on_the_hour {
        true => plan.on_the_hour(),
        false => plan,
    })
}

/// Runs `check` on plans with their marks; every plan tells how much it compared, so that the
/// property cannot hold by comparing nothing.
fn against_the_marks(
    least_compared: usize,
    check: impl Fn(&Plan, &Calendar, &Marks) -> Result<usize, TestCaseError>,
) {
    let compared = Cell::new(0);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&plans(), |plan| {
        let (calendar, marks) = plan.carry_out();
        compared.set(compared.get() + check(&plan, &calendar, &marks)?);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(compared.get() >= least_compared, "only {} compared", compared.get());
}

#[test]
fn every_interval_is_what_walking_minute_by_minute_shows() {
    against_the_marks(200, |plan, calendar, marks| {
        let settled = usize::try_from(LONGEST).unwrap();
        let runs = marks.runs();
        let closes = runs.iter().map(|run| marks.wall(run.end));
        let asks = plan.asks.iter().map(|ask| marks.wall(0) + Millis(*ask));
        let mut compared = 0;
        for at in closes.chain(asks).filter(|at| *at >= marks.wall(settled)) {
            let found = calendar.interval_at_or_after(at);
            match runs.iter().find(|run| marks.wall(run.end) > at) {
                Some(run) if marks.is_complete(run) => {
                    prop_assert_eq!(
                        found,
                        Some(marks.interval(run, calendar)),
                        "at {}",
                        at.rfc3339()
                    );
                    compared += 1;
                }
                Some(_) => {}
                None => {
                    let beyond = found
                        .is_none_or(|found| found.known_until() >= marks.wall(marks.frozen.len()));
                    prop_assert!(beyond, "nothing after {}", at.rfc3339());
                }
            }
        }
        Ok(compared)
    });
}

#[test]
fn every_occurrence_opens_at_the_first_minute_that_has_reached_its_start() {
    against_the_marks(1_000, |_, calendar, marks| {
        let mut compared = 0;
        let end = marks.wall(marks.frozen.len());
        for (window, openings) in calendar.windows.iter().zip(&marks.openings) {
            let expected: Vec<Wall> = openings
                .iter()
                .map(|opening| marks.wall(*opening))
                .filter(|open| *open > marks.wall(0))
                .collect();
            let found: Vec<Wall> = window
                .occurrences_after(marks.wall(0) + window.duration)
                .map(|occurrence| occurrence.open)
                .take_while(|open| *open < end)
                .collect();
            prop_assert_eq!(&found, &expected);
            compared += found.len();
        }
        Ok(compared)
    });
}

#[test]
fn every_frozen_minute_is_frozen_and_no_other() {
    against_the_marks(1_000, |_, calendar, marks| {
        let mut compared = 0;
        for minute in 0..marks.frozen.len() {
            // Every minute of the day of the change, some of the others.
            let near = i64::try_from(minute).unwrap().abs_diff(REACH) < 120;
            let edge = minute > 0 && marks.frozen[minute] != marks.frozen[minute - 1];
            if near || edge || minute % 97 == 0 {
                let found = calendar.freeze_at(marks.wall(minute));
                prop_assert_eq!(found.is_some(), marks.frozen[minute], "minute {}", minute);
                compared += usize::from(marks.frozen[minute]);
            }
        }
        Ok(compared)
    });
}
