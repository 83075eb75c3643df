//! Occurrences become intervals: midnight, unions, cutoffs, downtime, nothing ahead.

use super::*;

#[test]
fn sat_2300_for_3h_covers_sunday_0000_to_0200_and_not_saturday_0000_to_0200() {
    let weekend =
        calendar(&[window("sat", "Asia/Singapore", weekly(&[Weekday::Saturday], "23:00"), 3)], &[]);
    // 2026-11-28 is a Saturday; Singapore is eight hours ahead of UTC.
    let interval = weekend.interval_at_or_after(wall("2026-11-27T16:00:00Z")).unwrap();
    assert_eq!(shown(&interval), "2026-11-28T15:00Z / 2026-11-28T17:50Z / 2026-11-28T18:00Z");
    let covers = |at: &str| {
        let at = wall(at);
        weekend.interval_at_or_after(at).is_some_and(|interval| interval.open <= at)
    };
    for (local, instant, inside) in [
        ("Sat 00:00", "2026-11-27T16:00:00Z", false),
        ("Sat 01:59", "2026-11-27T17:59:00Z", false),
        ("Sat 22:59", "2026-11-28T14:59:59Z", false),
        ("Sat 23:00", "2026-11-28T15:00:00Z", true),
        ("Sun 00:00", "2026-11-28T16:00:00Z", true),
        ("Sun 01:59", "2026-11-28T17:59:59Z", true),
        ("Sun 02:00", "2026-11-28T18:00:00Z", false),
        ("Sun 23:30", "2026-11-29T15:30:00Z", false),
    ] {
        assert_eq!(covers(instant), inside, "{local}");
    }
}

#[test]
fn a_window_crosses_the_end_of_a_month_and_of_a_year() {
    for (rule, after, expected) in [
        (
            cron("0 23 31 * *"),
            "2026-08-30T00:00:00Z",
            "2026-08-31T23:00Z / 2026-09-01T02:50Z / 2026-09-01T03:00Z",
        ),
        (
            cron("0 22 L * *"),
            "2028-02-10T00:00:00Z",
            "2028-02-29T22:00Z / 2028-03-01T01:50Z / 2028-03-01T02:00Z",
        ),
        (
            weekly(&[Weekday::Thursday], "23:30"),
            "2026-12-31T00:00:00Z",
            "2026-12-31T23:30Z / 2027-01-01T03:20Z / 2027-01-01T03:30Z",
        ),
        (
            once("2026-12-31T23:30:00"),
            "2027-01-01T01:00:00Z",
            "2026-12-31T23:30Z / 2027-01-01T03:20Z / 2027-01-01T03:30Z",
        ),
    ] {
        assert_eq!(next(&calendar(&[window("end", "UTC", rule, 4)], &[]), after), expected);
    }
}

#[test]
fn an_interval_is_left_behind_exactly_at_its_close() {
    let nightly = calendar(&[window("nightly", "UTC", every_day("01:00"), 2)], &[]);
    let today = "2026-11-24T01:00Z / 2026-11-24T02:50Z / 2026-11-24T03:00Z";
    for (at, expected) in [
        ("2026-11-24T00:59:59.999Z", today),
        ("2026-11-24T01:00:00Z", today),
        ("2026-11-24T02:59:59.999Z", today),
        ("2026-11-24T03:00:00Z", "2026-11-25T01:00Z / 2026-11-25T02:50Z / 2026-11-25T03:00Z"),
    ] {
        assert_eq!(next(&nightly, at), expected, "{at}");
    }
}

#[test]
fn overlapping_and_touching_windows_are_one_interval() {
    let windows = [
        window("late", "UTC", every_day("04:00"), 2),
        window("early", "UTC", every_day("01:00"), 2),
        window("middle", "UTC", every_day("02:00"), 2),
        window("elsewhere", "UTC", every_day("12:00"), 2),
    ];
    let united =
        calendar(&windows, &[]).interval_at_or_after(wall("2026-11-24T03:30:00Z")).unwrap();
    assert_eq!(shown(&united), "2026-11-24T01:00Z / 2026-11-24T05:50Z / 2026-11-24T06:00Z");
    assert_eq!(united.windows, ["late".into(), "early".into(), "middle".into()]);
    assert_eq!(united.ended_by(), None);
}

#[test]
fn windows_of_several_zones_are_united() {
    let windows = [
        window("berlin", "Europe/Berlin", every_day("01:00"), 2),
        window("london", "Europe/London", every_day("02:00"), 1),
    ];
    assert_eq!(
        next(&calendar(&windows, &[]), "2026-11-24T12:00:00Z"),
        "2026-11-25T00:00Z / 2026-11-25T02:50Z / 2026-11-25T03:00Z"
    );
}

#[test]
fn an_inner_edge_that_another_occurrence_bridges_has_no_cutoff() {
    let long = with_cutoff(window("long", "UTC", every_day("01:00"), 2), 90);
    let next_door = with_cutoff(window("next-door", "UTC", every_day("03:00"), 2), 15);
    assert_eq!(
        next(&calendar(&[long, next_door], &[]), "2026-11-24T00:00:00Z"),
        "2026-11-24T01:00Z / 2026-11-24T04:45Z / 2026-11-24T05:00Z"
    );
}

#[test]
fn the_cutoff_is_the_largest_of_the_occurrences_that_reach_the_end() {
    let shared_end = with_cutoff(window("shared-end", "UTC", every_day("03:00"), 2), 45);
    let short = with_cutoff(window("short", "UTC", every_day("02:00"), 3), 15);
    let gone_before = with_cutoff(window("gone-before", "UTC", every_day("01:00"), 3), 120);
    assert_eq!(
        next(&calendar(&[short, shared_end, gone_before], &[]), "2026-11-24T00:00:00Z"),
        "2026-11-24T01:00Z / 2026-11-24T04:15Z / 2026-11-24T05:00Z"
    );
}

#[test]
fn nothing_ahead_is_never_and_ends_by_itself() {
    let at = "2026-11-24T00:00:00Z";
    let nightly = || window("nightly", "UTC", every_day("01:00"), 2);
    let past = window("past", "UTC", once("2026-11-23T00:00:00"), 2);
    let all_year = yearly("all-year", "UTC", "2026-01-01T00:00", "2027-01-01T00:00");
    let century = freeze("century", "UTC", "2000-01-01T00:00", "2100-01-01T00:00");
    let each_second =
        Window { duration: Millis(1_000), ..window("s", "UTC", cron("* * * * * *"), 1) };
    assert!(all_year.covers_everything());
    assert!(!yearly("most", "UTC", "2026-01-01T00:00", "2026-12-31T23:59").covers_everything());
    for (windows, freezes) in [
        (vec![], vec![]),
        (vec![past], vec![]),
        (vec![nightly()], vec![all_year.clone()]),
        (vec![nightly()], vec![century]),
        (vec![each_second], vec![all_year]),
        (vec![window("far", "UTC", once("2090-01-01T00:00:00"), 2)], vec![]),
    ] {
        assert_eq!(next(&Calendar { windows, freezes }, at), "never");
    }
}

#[test]
fn a_leap_day_on_a_given_weekday_is_found_decades_ahead() {
    // The next 29 February on a Monday after 2024 is in 2044.
    let rare = window("rare", "UTC", cron("0 3 29 2 +MON"), 1);
    assert_eq!(
        openings(&rare, "2024-01-01T00:00:00Z", 2),
        ["2044-02-29T03:00Z", "2072-02-29T03:00Z"]
    );
}

#[test]
fn a_window_that_never_closes_has_no_end_in_sight_and_only_one_interval() {
    let at = wall("2026-11-24T00:30:00Z");
    let halves = [
        window("day", "UTC", every_day("06:00"), 13),
        window("night", "UTC", every_day("18:00"), 13),
    ];
    for windows in [
        vec![window("days", "UTC", cron("0 0 * * *"), 24)],
        vec![window("hours", "UTC", cron("0 * * * *"), 1)],
        halves.to_vec(),
    ] {
        let intervals: Vec<Interval> = calendar(&windows, &[]).intervals_after(at).collect();
        let [always] = &intervals[..] else { panic!("{intervals:?}") };
        assert_eq!(shown(always), "long ago / no end in sight");
        assert!(always.allows_starts_after(at) && always.contains(at));
        assert!(always.known_until() - at > Millis::from_hours(24 * 20));
    }
}

#[test]
fn a_freeze_ends_a_window_that_never_closes_with_its_cutoff() {
    let always = window("days", "UTC", cron("0 0 * * *"), 24);
    let freezes = [freeze("stop", "UTC", "2027-06-01", "2027-06-02")];
    let always = calendar(&[always], &freezes);
    let intervals: Vec<Interval> = always.intervals_after(wall("2026-11-24T00:30:00Z")).collect();
    let shown: Vec<String> = intervals.iter().map(shown).collect();
    assert_eq!(
        shown,
        ["long ago / 2027-05-31T23:50Z / 2027-06-01T00:00Z", "2027-06-02T00:00Z / no end in sight"]
    );
    assert_eq!(intervals[0].ended_by(), Some(&"stop".into()));
}

#[test]
fn an_end_that_comes_into_sight_is_seen_before_its_cutoff() {
    // 4,344 hourly windows, the last until 1 July 00:30.
    let months =
        Window { duration: Millis::from_mins(90), ..window("h", "UTC", cron("0 * * 1-6 *"), 1) };
    let months = calendar(&[with_cutoff(months, 89)], &[]);
    let mut at = wall("2027-01-10T00:30:00Z");
    let mut out_of_sight = 0;
    let last = loop {
        let interval = months.interval_at_or_after(at).unwrap();
        if interval.close().is_some() {
            break interval;
        }
        assert!(interval.known_until() > at && interval.starts_until() > at);
        at = interval.known_until();
        out_of_sight += 1;
    };
    assert!(out_of_sight > 3);
    assert!(last.contains(at) && last.allows_starts_after(at));
    assert_eq!(shown(&last), "long ago / 2027-06-30T23:01Z / 2027-07-01T00:30Z");
}

#[test]
fn an_interval_missed_in_downtime_lies_wholly_inside_it() {
    let nightly = calendar(&[window("nightly", "UTC", every_day("01:00"), 2)], &[]);
    let missed = |from: &str, until: &str| -> Vec<String> {
        let intervals = nightly.intervals_between(wall(from), wall(until));
        intervals.iter().map(|interval| minute(interval.open)).collect()
    };
    assert_eq!(
        missed("2026-11-24T02:00:00Z", "2026-11-27T02:59:59Z"),
        ["2026-11-25T01:00Z", "2026-11-26T01:00Z"]
    );
    assert_eq!(missed("2026-11-24T01:00:00Z", "2026-11-24T03:00:00Z"), ["2026-11-24T01:00Z"]);
    assert!(missed("2026-11-24T01:00:01Z", "2026-11-24T23:00:00Z").is_empty());
}

#[test]
fn windows_that_never_close_are_never_missed() {
    let always = calendar(&[window("always", "UTC", cron("0 * * * *"), 1)], &[]);
    let (from, until) = (wall("2026-01-01T00:00:00Z"), wall("2027-01-01T00:00:00Z"));
    assert!(always.intervals_between(from, until).is_empty());
}

#[test]
fn a_long_interval_is_missed_once_and_whole() {
    let months = calendar(&[window("h", "UTC", cron("0 * * 1-6 *"), 1)], &[]);
    let (from, until) = (wall("2026-12-01T00:00:00Z"), wall("2027-09-01T00:00:00Z"));
    let missed: Vec<String> = months.intervals_between(from, until).iter().map(shown).collect();
    assert_eq!(missed, ["2027-01-01T00:00Z / 2027-06-30T23:50Z / 2027-07-01T00:00Z"]);
}
