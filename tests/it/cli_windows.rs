//! `refit windows`: golden outputs around clock changes for a fixed instant.

use crate::cli_process::{Ran, golden, refit};

fn windows(arguments: &str) -> Ran {
    let ran = refit(&format!("windows --config tests/fixtures/cli/windows.toml {arguments}"));
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    ran
}

#[test]
fn a_start_in_the_spring_gap_is_marked_as_moved() {
    let spring = windows("--from 2026-03-28 --count 2").stdout;
    assert!(spring.contains("moved: the clock change skips 02:30 that day"), "{spring}");
    golden("windows-spring.txt", &spring);
}

#[test]
fn a_start_in_the_autumn_overlap_is_marked_as_the_first_of_two() {
    let autumn = windows("--from 2026-10-24 --count 2").stdout;
    assert!(autumn.contains("02:30 comes twice that day"), "{autumn}");
    golden("windows-autumn.txt", &autumn);
}

#[test]
fn projects_with_a_freeze_of_their_own_are_listed_apart() {
    let autumn = windows("--from 2026-10-24 --count 2").stdout;
    assert!(autumn.contains("campaign weekly in berlin"), "{autumn}");
    assert!(autumn.contains("campaign weekly in spare"), "{autumn}");
    assert!(autumn.contains("freeze handover: "), "{autumn}");
}

#[test]
fn utc_shows_the_same_instants_without_a_second_column() {
    golden("windows-utc.txt", &windows("--from 2026-10-24T00:00:00Z --count 1 --utc").stdout);
}

#[test]
fn json_carries_instants_cutoffs_and_marks() {
    let ran = windows("--from 2026-03-28 --count 1 --format json");
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["from"], "2026-03-27T23:00:00.000Z");
    let sunday = &value["windows"][2];
    assert_eq!(
        (&sunday["name"], &sunday["time_zone"]),
        (&"sunday".into(), &"Europe/Berlin".into())
    );
    assert_eq!(sunday["cutoff_ms"], 1_800_000);
    assert_eq!(sunday["occurrences"][0]["open"], "2026-03-29T01:00:00.000Z");
    assert_eq!(sunday["occurrences"][0]["shifted_by_gap"], true);
    let interval = &value["campaigns"][0]["intervals"][0];
    for key in ["open", "open_local", "last_start", "close", "close_local", "windows", "ended_by"] {
        assert!(interval.get(key).is_some(), "{key} in {interval}");
    }
}

#[test]
fn a_window_that_never_closes_is_shown_as_always_open() {
    let arguments = "windows --config tests/fixtures/cli/always.toml --from 2026-11-24 --count 2";
    let ran = refit(arguments);
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("always open"), "{}", ran.stdout);
    golden("windows-always.txt", &ran.stdout);

    let ran = refit(&format!("{arguments} --campaign whole --format json"));
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let [free, stopped] = &value["campaigns"].as_array().unwrap()[..] else { panic!("{value}") };
    let [always] = &free["intervals"].as_array().unwrap()[..] else { panic!("{free}") };
    assert_eq!(always["open_ended"], true);
    for key in ["open", "open_local", "last_start", "close", "close_local", "ended_by"] {
        assert!(always[key].is_null(), "{key} in {always}");
    }
    let [before, after] = &stopped["intervals"].as_array().unwrap()[..] else {
        panic!("{stopped}")
    };
    assert_eq!(before["open_ended"], false);
    assert_eq!(before["last_start"], "2027-05-31T23:30:00.000Z");
    assert_eq!(before["ended_by"], "stock-taking");
    assert_eq!(
        (&after["open"], &after["close"]),
        (&"2027-06-02T00:00:00.000Z".into(), &serde_json::Value::Null)
    );
}

#[test]
fn utc_says_which_day_it_means_and_every_row_fits() {
    let file = "tests/fixtures/cli/far.toml";
    let ran = refit(&format!("windows --config {file} --from 2027-03-26 --count 2"));
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    golden("windows-far.txt", &ran.stdout);
}

#[test]
fn an_unknown_campaign_names_the_closest() {
    let ran = refit("windows --config tests/fixtures/cli/windows.toml --campaign weakly");
    assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("did you mean weekly?"), "{}", ran.stderr);
}

#[test]
fn a_time_that_cannot_be_read_shows_what_could() {
    let ran = refit("windows --config tests/fixtures/cli/windows.toml --from soon");
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("--from 2026-12-01T09:30"), "{}", ran.stderr);
    let ran = refit("windows --config tests/fixtures/cli/windows.toml --from -2h");
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("\"-2h\" is neither a time"), "{}", ran.stderr);
}
