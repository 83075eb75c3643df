//! What freezes take from windows, and which cutoff counts where one begins.

use refit::model::policy::{
    CampaignPolicy, FailureBudget, Fit, MaxFailures, Membership, Retry, Select, Settings, Start,
};

use super::*;

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
    assert_eq!(before.ended_by(), Some(&"audit".into()));
    let after = cut.interval_at_or_after(before.known_until()).unwrap();
    assert_eq!(shown(&after), "2026-11-24T04:30Z / 2026-11-24T05:20Z / 2026-11-24T06:00Z");
    assert_eq!(after.ended_by(), None);
    assert_eq!(after.windows, ["a".into(), "b".into()]);
}

#[test]
fn a_piece_shorter_than_the_cutoff_is_shown_and_starts_nothing() {
    let windows = [with_cutoff(window("night", "UTC", every_day("01:00"), 4), 30)];
    let freezes = [freeze("audit", "UTC", "2026-11-24T01:20", "2026-11-24T03:00")];
    let piece = calendar(&windows, &freezes).interval_at_or_after(wall("2026-11-24T00:00:00Z"));
    let piece = piece.unwrap();
    assert_eq!(shown(&piece), "2026-11-24T01:00Z / 2026-11-24T00:50Z / 2026-11-24T01:20Z");
    assert!(!piece.allows_starts_after(piece.open));
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
fn a_freeze_that_ends_where_an_overlap_begins_holds_through_its_first_pass() {
    // At 02:00 of 2020-12-27 the clock went back to 01:00: 01:00 came at 21:00Z and at 22:00Z.
    let freezes = [freeze("audit", "Europe/Volgograd", "2020-12-26T22:00", "2020-12-27T01:00")];
    let frozen = calendar(&[], &freezes);
    assert!(frozen.freeze_at(wall("2020-12-26T21:59:00Z")).is_some());
    assert!(frozen.freeze_at(wall("2020-12-26T22:00:00Z")).is_none());
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
fn a_campaign_sees_its_own_windows_and_the_freezes_in_its_scope() {
    let scoped = |name: &str, projects: &[&str], campaigns: &[&str]| Freeze {
        projects: projects.iter().map(|name| (*name).into()).collect(),
        campaigns: campaigns.iter().map(|name| (*name).into()).collect(),
        ..freeze(name, "UTC", "2026-11-24", "2026-11-25")
    };
    let freezes = [
        scoped("everyone", &[], &[]),
        scoped("project", &["sg-prod"], &[]),
        scoped("campaign", &["sg-prod", "eu-prod"], &["weekly"]),
        scoped("another", &[], &["monthly"]),
    ];
    let windows =
        ["night", "noon", "unused"].map(|name| window(name, "UTC", every_day("01:00"), 1));
    let mut settings = Settings {
        windows: windows.map(|window| (window.name.clone(), window)).into(),
        freezes: freezes.map(|freeze| (freeze.name.clone(), freeze)).into(),
        ..Settings::default()
    };
    settings.campaigns.insert("weekly".into(), campaign(&["noon", "night"]));
    let names = |campaign: &str, project: &str| {
        let calendar = Calendar::for_campaign(&settings, &campaign.into(), &project.into());
        let windows = calendar.windows.iter().map(|window| window.name.to_string());
        windows
            .chain(calendar.freezes.iter().map(|freeze| freeze.name.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("weekly", "sg-prod"), ["noon", "night", "campaign", "everyone", "project"]);
    assert_eq!(names("weekly", "eu-prod"), ["noon", "night", "campaign", "everyone"]);
    assert_eq!(names("weekly", "us-prod"), ["noon", "night", "everyone"]);
    assert_eq!(names("gone", "us-prod"), ["everyone"]);
}

fn campaign(windows: &[&str]) -> CampaignPolicy {
    CampaignPolicy {
        projects: Vec::new(),
        windows: windows.iter().map(|name| (*name).into()).collect(),
        engine: None,
        proxy: None,
        select: Select::default(),
        max_in_flight: 5,
        max_unavailable: Vec::new(),
        task_timeout: Millis::from_hours(2),
        settle: Millis::from_mins(2),
        fit: Fit::P95,
        expected_duration: None,
        deadline: None,
        observe_for: Millis::from_mins(5),
        start: Start::Automatic,
        membership: Membership::Frozen,
        allow_single_node: false,
        retry: Retry {
            max_attempts: 4,
            initial: Millis::from_secs(10),
            max: Millis::from_mins(15),
        },
        failure_budget: FailureBudget {
            max_failures: MaxFailures::Count(3),
            consecutive: 2,
            strict: false,
        },
        waves: Vec::new(),
    }
}
