//! What a clock change does to a window: gaps, overlaps, skipped dates.

use super::*;

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
