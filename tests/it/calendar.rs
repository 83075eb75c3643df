//! Windows and freezes as operators meet them: clock changes, midnight, unions, cutoffs. Expected
//! instants are worked out by hand from the zones' published changes.

use jiff::civil::{self, Weekday};
use jiff::tz::TimeZone;
use refit::model::calendar::{Calendar, Freeze, Interval, Occurrence, Rule, Window};
use refit::model::{Millis, Wall};

pub fn wall(text: &str) -> Wall {
    Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn weekly(days: &[Weekday], start: &str) -> Rule {
    Rule::Weekly { days: days.to_vec(), start: start.parse().unwrap() }
}

fn every_day(start: &str) -> Rule {
    weekly(&Weekday::Monday.cycle_forward().take(7).collect::<Vec<_>>(), start)
}

fn cron(text: &str) -> Rule {
    Rule::cron(text).unwrap()
}

fn once(at: &str) -> Rule {
    Rule::Once { at: at.parse().unwrap() }
}

/// With a cutoff of ten minutes.
fn window(name: &str, zone_name: &str, rule: Rule, hours: i64) -> Window {
    Window {
        name: name.into(),
        rule,
        duration: Millis::from_hours(hours),
        cutoff: Millis::from_mins(10),
        zone: zone(zone_name),
    }
}

fn with_cutoff(window: Window, minutes: i64) -> Window {
    Window { cutoff: Millis::from_mins(minutes), ..window }
}

fn freeze(name: &str, zone_name: &str, from: &str, until: &str) -> Freeze {
    Freeze {
        name: name.into(),
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
        every_year: false,
        zone: zone(zone_name),
        projects: Vec::new(),
        campaigns: Vec::new(),
    }
}

fn yearly(name: &str, zone_name: &str, from: &str, until: &str) -> Freeze {
    Freeze { every_year: true, ..freeze(name, zone_name, from, until) }
}

fn calendar(windows: &[Window], freezes: &[Freeze]) -> Calendar {
    Calendar { windows: windows.to_vec(), freezes: freezes.to_vec() }
}

fn minute(at: Wall) -> String {
    at.rfc3339().replace(":00.000Z", "Z")
}

/// `open / last start / close`, in UTC.
fn shown(interval: &Interval) -> String {
    format!(
        "{} / {} / {}",
        minute(interval.open),
        minute(interval.last_start),
        minute(interval.close)
    )
}

fn next(calendar: &Calendar, at: &str) -> String {
    calendar.interval_at_or_after(wall(at)).as_ref().map_or("never".into(), shown)
}

fn openings(window: &Window, after: &str, count: usize) -> Vec<String> {
    window.occurrences_after(wall(after)).take(count).map(|found| minute(found.open)).collect()
}

fn first(window: &Window, after: &str) -> Occurrence {
    window.occurrences_after(wall(after)).next().unwrap()
}

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
fn a_start_inside_a_gap_opens_where_the_clock_resumes() {
    for (zone_name, start, after, open, close) in [
        (
            "Europe/Berlin",
            "02:30",
            "2026-03-28T12:00:00Z",
            "2026-03-29T01:00Z",
            "2026-03-29T03:00Z",
        ),
        (
            "Europe/Berlin",
            "02:00",
            "2026-03-28T12:00:00Z",
            "2026-03-29T01:00Z",
            "2026-03-29T03:00Z",
        ),
        (
            "America/New_York",
            "02:59",
            "2026-03-07T12:00:00Z",
            "2026-03-08T07:00Z",
            "2026-03-08T09:00Z",
        ),
        // Half an hour only: 02:00 becomes 02:30.
        (
            "Australia/Lord_Howe",
            "02:10",
            "2026-10-03T12:00:00Z",
            "2026-10-03T15:30Z",
            "2026-10-03T17:30Z",
        ),
        // The end of Ramadan.
        (
            "Africa/Casablanca",
            "02:30",
            "2026-03-21T12:00:00Z",
            "2026-03-22T02:00Z",
            "2026-03-22T04:00Z",
        ),
    ] {
        for rule in [weekly(&[Weekday::Sunday], start), cron_at(start)] {
            let found = first(&window("gap", zone_name, rule, 2), after);
            assert!(found.shifted_by_gap, "{zone_name} {start}");
            assert_eq!((minute(found.open), minute(found.close)), (open.into(), close.into()));
            assert_eq!(found.local.time(), start.parse().unwrap());
        }
    }
}

/// Sundays at `start`, as cron.
fn cron_at(start: &str) -> Rule {
    let (hour, minute) = start.split_once(':').unwrap();
    cron(&format!("{minute} {hour} * * SUN"))
}

#[test]
fn a_start_in_an_overlap_opens_at_the_first_of_the_two_and_once() {
    for (zone_name, start, after, opens, next_week) in [
        (
            "Europe/Berlin",
            "02:30",
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:30Z",
            "2026-11-01T01:30Z",
        ),
        (
            "Europe/Berlin",
            "02:00",
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:00Z",
            "2026-11-01T01:00Z",
        ),
        (
            "America/New_York",
            "01:30",
            "2026-10-31T12:00:00Z",
            "2026-11-01T05:30Z",
            "2026-11-08T06:30Z",
        ),
        (
            "Australia/Lord_Howe",
            "01:45",
            "2026-04-04T12:00:00Z",
            "2026-04-04T14:45Z",
            "2026-04-11T15:15Z",
        ),
        (
            "Africa/Casablanca",
            "02:30",
            "2026-02-14T12:00:00Z",
            "2026-02-15T01:30Z",
            "2026-02-22T02:30Z",
        ),
    ] {
        for rule in [weekly(&[Weekday::Sunday], start), cron_at(start)] {
            let window = window("overlap", zone_name, rule, 1);
            assert!(first(&window, after).first_of_two, "{zone_name} {start}");
            assert_eq!(openings(&window, after, 2), [opens, next_week], "{zone_name} {start}");
        }
    }
}

#[test]
fn a_duration_is_elapsed_time_across_a_clock_change() {
    for (after, close_local) in [
        // 01:00 + 3 h is 05:00 when an hour is missing, 03:00 when one comes twice.
        ("2026-03-28T12:00:00Z", "2026-03-29T05:00:00"),
        ("2026-10-24T12:00:00Z", "2026-10-25T03:00:00"),
    ] {
        let window = window("night", "Europe/Berlin", weekly(&[Weekday::Sunday], "01:00"), 3);
        let found = first(&window, after);
        assert_eq!(found.close - found.open, Millis::from_hours(3));
        let close = jiff::Timestamp::from_millisecond(found.close.0).unwrap();
        assert_eq!(zone("Europe/Berlin").to_datetime(close), close_local.parse().unwrap());
    }
}

#[test]
fn a_date_that_the_zone_skips_has_no_occurrence() {
    // Samoa went from Thursday 2011-12-29 to Saturday 2011-12-31.
    let after = "2011-12-25T12:00:00Z";
    for (rule, opens) in [
        (weekly(&[Weekday::Friday], "12:00"), "2012-01-05T22:00Z"),
        (cron("0 12 * * FRI"), "2012-01-05T22:00Z"),
        (cron("0 0 30 12 *"), "2012-12-29T10:00Z"),
        (weekly(&[Weekday::Saturday], "00:00"), "2011-12-30T10:00Z"),
    ] {
        let window = window("apia", "Pacific/Apia", rule, 1);
        assert_eq!(openings(&window, after, 1), [opens]);
    }
    let gone = window("apia", "Pacific/Apia", once("2011-12-30T12:00:00"), 1);
    assert_eq!(next(&calendar(&[gone], &[]), after), "never");
}

#[test]
fn a_window_runs_on_across_a_skipped_date() {
    let thursday = window("apia", "Pacific/Apia", weekly(&[Weekday::Thursday], "23:00"), 3);
    assert_eq!(
        next(&calendar(&[thursday], &[]), "2011-12-29T12:00:00Z"),
        "2011-12-30T09:00Z / 2011-12-30T11:50Z / 2011-12-30T12:00Z"
    );
}

#[test]
fn a_gap_across_midnight_moves_the_start_to_the_next_date() {
    // In Nuuk the clock goes from Saturday 23:00 to Sunday 00:00; Saturday itself exists.
    let found = first(
        &window("nuuk", "America/Nuuk", weekly(&[Weekday::Saturday], "23:30"), 1),
        "2026-03-28T12:00:00Z",
    );
    assert_eq!(found.local, civil::datetime(2026, 3, 28, 23, 30, 0, 0));
    assert_eq!(minute(found.open), "2026-03-29T01:00Z");
}

#[test]
fn starts_that_a_gap_moves_together_are_one_occurrence() {
    let hourly = window("hourly", "Europe/Berlin", cron("0,20,40 * * * *"), 1);
    assert_eq!(
        openings(&hourly, "2026-03-29T01:40:00Z", 7),
        [
            "2026-03-29T01:00Z",
            "2026-03-29T01:20Z",
            "2026-03-29T01:40Z",
            "2026-03-29T02:00Z",
            "2026-03-29T02:20Z",
            "2026-03-29T02:40Z",
            "2026-03-29T03:00Z",
        ]
    );
}

#[test]
fn an_hourly_cron_opens_once_for_each_local_time_of_an_overlap() {
    let hourly = Window {
        duration: Millis::from_mins(20),
        ..window("hourly", "Europe/Berlin", cron("30 * * * *"), 1)
    };
    assert_eq!(
        openings(&hourly, "2026-10-24T23:00:00Z", 4),
        ["2026-10-24T23:30Z", "2026-10-25T00:30Z", "2026-10-25T02:30Z", "2026-10-25T03:30Z"]
    );
}

#[test]
fn an_odd_offset_opens_on_its_own_minute() {
    let window = window("ktm", "Asia/Kathmandu", weekly(&[Weekday::Saturday], "23:00"), 3);
    assert_eq!(openings(&window, "2026-11-27T00:00:00Z", 1), ["2026-11-28T17:15Z"]);
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
    assert_eq!(united.ended_by, None);
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
fn a_freezes_start_has_the_cutoff_of_what_it_interrupts() {
    let windows = [
        with_cutoff(window("a", "UTC", every_day("01:00"), 4), 20),
        with_cutoff(window("b", "UTC", every_day("02:00"), 4), 40),
        with_cutoff(window("not-there", "UTC", every_day("00:00"), 2), 110),
    ];
    let freezes = [freeze("audit", "UTC", "2026-11-24T03:00", "2026-11-24T04:30")];
    let cut = calendar(&windows, &freezes);
    let before = cut.interval_at_or_after(wall("2026-11-23T12:00:00Z")).unwrap();
    assert_eq!(shown(&before), "2026-11-24T00:00Z / 2026-11-24T02:20Z / 2026-11-24T03:00Z");
    assert_eq!(before.ended_by, Some("audit".into()));
    let after = cut.interval_at_or_after(before.close).unwrap();
    assert_eq!(shown(&after), "2026-11-24T04:30Z / 2026-11-24T05:20Z / 2026-11-24T06:00Z");
    assert_eq!(after.ended_by, None);
    assert_eq!(after.windows, ["a".into(), "b".into()]);
}

#[test]
fn a_piece_shorter_than_the_cutoff_is_shown_and_starts_nothing() {
    let windows = [with_cutoff(window("night", "UTC", every_day("01:00"), 4), 30)];
    let freezes = [freeze("audit", "UTC", "2026-11-24T01:20", "2026-11-24T03:00")];
    let piece = calendar(&windows, &freezes).interval_at_or_after(wall("2026-11-24T00:00:00Z"));
    let piece = piece.unwrap();
    assert_eq!(shown(&piece), "2026-11-24T01:00Z / 2026-11-24T00:50Z / 2026-11-24T01:20Z");
    assert!(piece.last_start <= piece.open);
}

#[test]
fn a_freeze_that_ends_where_a_window_closes_leaves_no_empty_interval() {
    let windows = [window("night", "UTC", every_day("01:00"), 2)];
    let freezes = [freeze("exact", "UTC", "2026-11-24T01:00", "2026-11-24T03:00")];
    let intervals = calendar(&windows, &freezes);
    assert_eq!(
        next(&intervals, "2026-11-24T00:00:00Z"),
        "2026-11-25T01:00Z / 2026-11-25T02:50Z / 2026-11-25T03:00Z"
    );
}

#[test]
fn freezes_that_touch_deny_as_one() {
    let windows = [window("night", "UTC", every_day("01:00"), 2)];
    let freezes = [
        freeze("second", "UTC", "2026-11-24T02:00", "2026-11-25T02:00"),
        freeze("first", "UTC", "2026-11-24T00:00", "2026-11-24T02:00"),
    ];
    assert_eq!(
        next(&calendar(&windows, &freezes), "2026-11-24T01:00:00Z"),
        "2026-11-25T02:00Z / 2026-11-25T02:50Z / 2026-11-25T03:00Z"
    );
}

#[test]
fn a_yearly_freeze_spans_new_year_in_every_year() {
    let windows = [window("noon", "Europe/Berlin", every_day("12:00"), 2)];
    let freezes = [yearly("year-end", "Europe/Berlin", "2026-12-20T00:00", "2027-01-04T00:00")];
    let noons = calendar(&windows, &freezes);
    for (at, expected) in [
        ("2024-12-30T00:00:00Z", "2025-01-04T11:00Z / 2025-01-04T12:50Z / 2025-01-04T13:00Z"),
        ("2026-12-19T13:00:00Z", "2027-01-04T11:00Z / 2027-01-04T12:50Z / 2027-01-04T13:00Z"),
        ("2031-01-03T00:00:00Z", "2031-01-04T11:00Z / 2031-01-04T12:50Z / 2031-01-04T13:00Z"),
        ("2031-12-19T00:00:00Z", "2031-12-19T11:00Z / 2031-12-19T12:50Z / 2031-12-19T13:00Z"),
    ] {
        assert_eq!(next(&noons, at), expected, "{at}");
    }
}

#[test]
fn a_freeze_knows_when_it_ends_and_the_longest_of_several_answers() {
    let freezes = [
        freeze("short", "Asia/Singapore", "2026-12-24T00:00", "2026-12-25T00:00"),
        yearly("long", "Asia/Singapore", "2020-12-20T00:00", "2021-01-04T00:00"),
    ];
    let frozen = calendar(&[], &freezes);
    let at = |text: &str| {
        frozen.freeze_at(wall(text)).map(|(freeze, until)| (freeze.name.to_string(), minute(until)))
    };
    assert_eq!(at("2026-12-24T12:00:00Z"), Some(("long".into(), "2027-01-03T16:00Z".into())));
    assert_eq!(at("2026-12-19T15:59:59Z"), None);
    assert_eq!(at("2027-01-03T16:00:00Z"), None);
    let listed: Vec<String> = frozen
        .freezes_between(wall("2026-12-24T00:00:00Z"), wall("2027-12-19T16:00:01Z"))
        .iter()
        .map(|found| format!("{} {}", found.freeze.name, minute(found.from)))
        .collect();
    assert_eq!(
        listed,
        ["long 2026-12-19T16:00Z", "short 2026-12-23T16:00Z", "long 2027-12-19T16:00Z"]
    );
}

#[test]
fn a_yearly_29_february_falls_on_the_28th_in_common_years() {
    let leap_day = calendar(&[], &[yearly("leap", "UTC", "2028-02-29T00:00", "2028-03-01T00:00")]);
    let into = calendar(&[], &[yearly("into", "UTC", "2028-02-20T00:00", "2028-02-29T06:00")]);
    let eve = calendar(&[], &[yearly("eve", "UTC", "2028-02-28T12:00", "2028-02-29T06:00")]);
    for (calendar, year, from, until) in [
        (&leap_day, 2027, "2027-02-28T00:00Z", "2027-03-01T00:00Z"),
        (&leap_day, 2032, "2032-02-29T00:00Z", "2032-03-01T00:00Z"),
        (&into, 2027, "2027-02-20T00:00Z", "2027-02-28T06:00Z"),
        (&into, 2028, "2028-02-20T00:00Z", "2028-02-29T06:00Z"),
        // On the 28th it would end before it begins.
        (&eve, 2027, "2027-02-28T12:00Z", "2027-03-01T06:00Z"),
    ] {
        let (start, end) = (format!("{year}-01-01T00:00:00Z"), format!("{year}-12-31T00:00:00Z"));
        let found = calendar.freezes_between(wall(&start), wall(&end));
        let bounds: Vec<_> =
            found.iter().map(|found| (minute(found.from), minute(found.until))).collect();
        assert_eq!(bounds, [(from.to_string(), until.to_string())]);
    }
}

#[test]
fn a_freezes_bound_is_exact_in_a_gap_and_generous_in_an_overlap() {
    for (from, until, expected) in [
        // 02:30 does not exist: the clock resumes at 01:00 UTC.
        ("2026-03-29T02:30", "2026-03-29T04:00", "2026-03-29T01:00Z 2026-03-29T02:00Z"),
        ("2026-03-29T00:00", "2026-03-29T02:30", "2026-03-28T23:00Z 2026-03-29T01:00Z"),
        // 02:30 comes twice: from the first, until the second.
        ("2026-10-25T02:30", "2026-10-25T04:00", "2026-10-25T00:30Z 2026-10-25T03:00Z"),
        ("2026-10-25T00:00", "2026-10-25T02:30", "2026-10-24T22:00Z 2026-10-25T01:30Z"),
    ] {
        let frozen = calendar(&[], &[freeze("dst", "Europe/Berlin", from, until)]);
        let found =
            frozen.freezes_between(wall("2026-01-01T00:00:00Z"), wall("2027-01-01T00:00:00Z"));
        let bounds = format!("{} {}", minute(found[0].from), minute(found[0].until));
        assert_eq!(bounds, expected, "{from} to {until}");
    }
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
fn windows_that_never_close_are_reported_in_parts_without_a_cutoff() {
    let always = with_cutoff(window("always", "UTC", cron("0 * * * *"), 1), 20);
    let open_ended = calendar(&[always], &[freeze("stop", "UTC", "2027-06-01", "2027-06-02")]);
    let at = wall("2026-11-24T00:30:00Z");
    let part = open_ended.interval_at_or_after(at).unwrap();
    assert!(part.open <= at && part.close - at > Millis::from_hours(24 * 30));
    assert_eq!(part.last_start, part.close);
    let last = open_ended.intervals_after(at).find(|part| part.ended_by.is_some()).unwrap();
    assert_eq!(minute(last.close), "2027-06-01T00:00Z");
    assert_eq!(last.close - last.last_start, Millis::from_mins(20));
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
