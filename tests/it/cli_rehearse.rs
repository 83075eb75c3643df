//! `refit rehearse`: what it tells, that the same seeds tell the same, and how it refuses files.

use std::fs;
use std::path::Path;

use crate::cli_process::{Ran, golden, refit, refit_with};

const HERE: &str = "--config tests/fixtures/cli/rehearse/refit.toml \
                    --fleet tests/fixtures/cli/rehearse/fleet.toml --begin 2026-03-27T12:00";

fn rehearse(arguments: &str) -> Ran {
    refit(&format!("rehearse {HERE} {arguments}"))
}

fn fits_80_columns(ran: &Ran) {
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

#[test]
fn a_rehearsal_tells_windows_waves_ends_groups_and_calls_without_any_secret() {
    let ran = rehearse("--seeds 5");
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    fits_80_columns(&ran);
    assert!(ran.stdout.contains("campaign weekly is taken to be approved at once"));
    assert!(ran.stdout.contains("Every rule was kept"), "{}", ran.stdout);
    golden("rehearse.txt", &ran.stdout);
}

#[test]
fn the_same_seeds_and_files_give_the_same_report_byte_for_byte() {
    let arguments = "--seeds 2 --faults hostile --crashes 2 --until 2026-03-28T06:00";
    let one = rehearse(&format!("{arguments} --seed 7"));
    assert_eq!(one.stdout, rehearse(&format!("{arguments} --seed 7")).stdout);
    assert_ne!(one.stdout, rehearse(&format!("{arguments} --seed 8")).stdout);
    assert!(one.stdout.contains("crashes of the daemon"), "{}", one.stdout);
    assert!(!one.stdout.contains(", 0 crashes"), "{}", one.stdout);
}

#[test]
fn a_campaign_that_never_completes_is_exit_1_with_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let acts = folder.path().join("acts.toml");
    fs::write(&acts, "acts = [{ at = 2026-03-28T01:30:00, do = \"pause weekly\" }]\n").unwrap();
    let ran = rehearse(&format!("--seeds 2 --acts {}", acts.display()));
    assert_eq!(ran.exit, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("operator: pause weekly: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("in 2 of 2 seeds: paused: operator"), "{}", ran.stdout);
    assert!(ran.stdout.contains("nothing that is left goes on by itself"), "{}", ran.stdout);
    fits_80_columns(&ran);
}

/// With the option's file, what it holds, the reason and the most steps of a run that ends soon.
#[test]
fn what_cannot_go_on_ends_soon_with_what_a_person_has_to_lift() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.toml");
    let act = |what: &str| format!("acts = [{{ at = 2026-03-27T12:30:00, do = \"{what}\" }}]\n");
    for (option, text, told) in [
        (
            "--faults",
            "outcomes = { stuck = 1.0 }\n".to_owned(),
            "never in 1 of 1 seeds: needs_operator: ",
        ),
        ("--acts", act("hold cart-0001"), "never in 1 of 1 seeds: held: held by operator"),
        ("--acts", act("freeze --all"), "never in 1 of 1 seeds: frozen: everything by operator"),
        ("--acts", act("touch FREEZE"), "never in 1 of 1 seeds: frozen: the file FREEZE is there"),
    ] {
        fs::write(&path, &text).unwrap();
        let ran = rehearse(&format!("--seeds 1 {option} {}", path.display()));
        assert_eq!((ran.exit, ran.stderr.as_str()), (1, ""), "{text}: {}", ran.stdout);
        let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(told), "{text}: {}", ran.stdout);
        assert!(words.contains("nothing that is left goes on by itself"), "{}", ran.stdout);
        // Both canaries started in the shop; neither ended.
        let rows = [
            "Sat 2026-03-28 01:00 +01:00 02:00 search 0 0 0 0 -",
            "Sat 2026-03-28 01:00 +01:00 03:30 shop 2 0 2 2 ",
        ];
        if option == "--faults" {
            assert!(rows.iter().all(|row| words.contains(row)), "{}", ran.stdout);
        }
        let windows = ran
            .stdout
            .lines()
            .filter(|line| line.starts_with("Sat ") || line.starts_with("Sun "))
            .count();
        assert!(windows <= 4, "{text}: {}", ran.stdout);
    }
}

#[test]
fn what_is_only_cut_off_is_not_said_to_be_over_never() {
    let ran = rehearse("--seeds 1 --takes 20d --until 2026-04-02T00:00");
    assert_eq!(ran.exit, 1, "{}", ran.stdout);
    let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("not over in 1 of 1 seeds: by Thu 2026-04-02 00:00"), "{}", ran.stdout);
    assert!(!words.contains(" completes never"), "{}", ran.stdout);
    assert!(!words.contains(" outside_window"), "{}", ran.stdout);
}

#[test]
fn json_and_a_page_tell_the_same_and_the_page_loads_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let ran = rehearse(&format!("--seeds 2 --format json --html {}", path.display()));
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let campaign = &value["campaigns"][0];
    assert_eq!((&campaign["targets"], &value["seeds"]), (&18.into(), &serde_json::json!([1, 2])));
    assert!(campaign["completes"]["p90"].as_str().unwrap().ends_with('Z'), "{campaign}");
    let window = &campaign["windows"][0];
    for key in ["open", "close", "starts", "ends", "in_flight_at_close", "longest_overrun_ms"] {
        assert!(!window[key].is_null(), "{key} in {window}");
    }
    assert_eq!(value["groups"].as_array().unwrap().len(), 6, "{value}");
    assert_eq!(value["broken"], serde_json::json!([]));

    let page = fs::read_to_string(&path).unwrap();
    assert_eq!(page.matches("<svg").count(), 6, "one Gantt, one course, four groups");
    assert!(page.contains(campaign["digest"].as_str().unwrap()));
    // On paper it is light, whatever the screen is.
    assert_eq!(page.matches("prefers-color-scheme").count(), 1);
    assert!(page.contains("@media screen and (prefers-color-scheme: dark)"));
    for word in ["<script", "http:", "https:", "src=", "href=", "url(", "@import", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
    for tag in ["svg", "table", "thead", "h2", "text", "title", "tr", "p"] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

/// Each with the part of the file's line that carries the caret.
#[test]
fn a_mistake_in_a_file_is_exit_65_with_line_column_and_caret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let name = path.to_str().unwrap();
    for (option, text, place, line) in [
        ("--fleet", "takes = \"soon\"\nproject = []\n", ":1:9", "1 | takes = \"soon\" | ^^^^^^"),
        ("--fleet", "project = [\n", ":1:12", "1 | project = [ | ^"),
        ("--fleet", "project = []\n[[campaign]]\nname = \"a\"\nseed = \"x\"\n", ":4:8", "| ^^^"),
        ("--faults", "[[rule]]\ncalls = \"all\"\ndecisions = {}\n", ":2:9", "| ^^^^^"),
        ("--durations", "[[class]]\ncache_mode = \"raft\"\n", ":2:14", "| ^^^^^^"),
        ("--durations", "[[class]]\ntakes = \"1h..5m\"\n", ":2:9", "| ^^^^^^^^"),
        ("--durations", "[[class]]\np50 = \"5m\"\np95 = \"4m\"\n", ":3:7", "| ^^^^"),
        ("--durations", "[[class]]\np50 = \"5m\"\n", ":1:1", "| ^^^"),
        ("--durations", "class = [{ takes = \"5m\" }, { takes = \"6m\" }]\n", ":1:28", "| ^^^"),
        ("--acts", "acts = [{ at = 12:00:00, do = \"dance\" }]\n", ":1:31", "| ^^^^^^^"),
        (
            "--acts",
            "acts = [{ at = 2026-03-01T12:00:00, do = \"resume weekly\" }]\n",
            ":1:16",
            "^^",
        ),
        ("--acts", "acts = [{ at = 12:00:00, do = \"cloud none deleted\" }]\n", ":1:31", "^^"),
    ] {
        fs::write(&path, text).unwrap();
        let fleet = match option {
            "--fleet" => "",
            _ => "--fleet tests/fixtures/cli/rehearse/fleet.toml",
        };
        let config = "--config tests/fixtures/cli/rehearse/refit.toml --begin 2026-03-27T12:00";
        let ran = refit(&format!("rehearse {config} {fleet} {option} {name}"));
        assert_eq!((ran.exit, ran.stdout.as_str()), (65, ""), "{option} {text}: {}", ran.stderr);
        let said = ran.said();
        assert!(said.contains(&format!("{name}{place} ")), "{option} {text}: {}", ran.stderr);
        assert!(said.contains(line), "{option} {text}: {}", ran.stderr);
    }
}

#[test]
fn bytes_that_are_no_text_are_shown_where_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let name = path.to_str().unwrap();
    fs::write(&path, b"project = []\nname = \"\xff\xfe\"\n").unwrap();
    let config = "--config tests/fixtures/cli/rehearse/refit.toml --begin 2026-03-27T12:00";
    for command in [
        format!("rehearse {config} --fleet {name}"),
        format!("rehearse {config} --fleet tests/fixtures/cli/rehearse/fleet.toml --faults {name}"),
        format!("rehearse --scenario {name}"),
    ] {
        let ran = refit(&command);
        assert_eq!((ran.exit, ran.stdout.as_str()), (65, ""), "{command}: {}", ran.stderr);
        let said = ran.said();
        assert!(said.contains(&format!("{name}:2:9 ")), "{command}: {}", ran.stderr);
        assert!(said.contains("not UTF-8"), "{command}: {}", ran.stderr);
    }
}

/// Of 18 instances all but one are of the kind ha.
#[test]
fn each_class_takes_as_long_as_a_file_declares_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (fleet, path) = (folder.path().join("fleet.toml"), folder.path().join("durations.toml"));
    let text = fs::read_to_string("tests/fixtures/cli/rehearse/fleet.toml").unwrap();
    fs::write(&fleet, text.replace("\"single\"", "\"cluster\"")).unwrap();
    let tell = |text: &str, more: &str| {
        fs::write(&path, text).unwrap();
        let arguments = format!(
            "rehearse --config tests/fixtures/cli/rehearse/refit.toml --begin 2026-03-27T12:00 \
             --seeds 1 --format json --fleet {} --durations {} {more}",
            fleet.display(),
            path.display(),
        );
        let ran = refit(&arguments);
        assert_eq!(ran.stderr, "", "{arguments}");
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()
    };
    let ha = "cache_mode = \"ha\", parts = \"engine\", p50 = \"20m\", p95 = \"25m\"";
    let cluster = "cache_mode = \"cluster\", takes = \"2h30m\"";
    let both = tell(&format!("class = [{{ {ha} }}, {{ {cluster} }}]\n"), "");
    assert_eq!(both["durations"]["classes"], 18, "{both}");
    let longest = |value: &serde_json::Value| {
        let windows = value["campaigns"][0]["windows"].as_array().unwrap().iter();
        windows.filter_map(|it| it["longest_overrun_ms"].as_i64()).max().unwrap()
    };
    assert!(longest(&both) > 0, "an upgrade as long as its window runs over: {both}");
    let one = tell(&format!("class = [{{ {ha} }}]\n"), "--takes 5m");
    let sources = &one["durations"];
    assert_eq!((&sources["classes"], &sources["declared"]), (&17.into(), &1.into()));
    assert_eq!(longest(&one), 0, "{one}");
    let page = fs::read_to_string("docs/rehearsal.md").unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(tell(example, "")["durations"]["classes"], 1, "the cluster");

    let ran = rehearse("--seeds 1 --durations lerned");
    assert_eq!(ran.exit, 65, "{}", ran.stderr);
    assert!(ran.said().contains("neither learned, declared nor a file"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_meant_is_exit_2_and_other_faults_of_the_configuration_stay_78() {
    for (arguments, said) in [
        ("nightly", "no campaign is called"),
        ("--seeds 0", "is not from 1 to"),
        ("--until 2026-03-27T11:00", "--until is not after the beginning"),
        ("--crashes often", "neither a count nor a share"),
        ("--takes 1h..5m", "a range that begins with its shorter end"),
    ] {
        let ran = rehearse(arguments);
        assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{arguments}: {}", ran.stderr);
        assert!(ran.said().contains(said), "{arguments}: {}", ran.stderr);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refit.toml");
    let text = fs::read_to_string("tests/fixtures/cli/rehearse/refit.toml").unwrap();
    fs::write(&path, text.replace("cutoff = \"30m\"", "cutoff = \"30h\"")).unwrap();
    let fleet = "tests/fixtures/cli/rehearse/fleet.toml";
    let ran = refit_with(&["rehearse", "--config", path.to_str().unwrap(), "--fleet", fleet]);
    assert_eq!(ran.exit, 78, "{}", ran.stderr);
}

#[test]
fn a_scenario_is_played_and_its_timeline_told() {
    let ran = refit("rehearse --scenario tests/scenarios/happy-upgrade.toml");
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    let file = fs::read_to_string(Path::new("tests/scenarios/happy-upgrade.toml")).unwrap();
    assert!(file.contains(&format!("'''\n{}'''", ran.stdout)), "{}", ran.stdout);
    assert!(ran.stdout.contains("cloud: asked to upgrade "), "{}", ran.stdout);

    // Whatever an instance is called, the timeline shows it and does not obey it.
    let name = "\"cart\\u001b[31m\\u202e\"";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.toml");
    fs::write(&path, file.replace("\"cart\"", name)).unwrap();
    let ran = refit(&format!("rehearse --scenario {}", path.display()));
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains(r"asked to upgrade cart\u{1b}[31m\u{202e}:"), "{}", ran.stdout);
    assert!(!ran.stdout.contains(['\u{1b}', '\u{202e}']), "{:?}", ran.stdout);

    let ran = refit("rehearse --scenario tests/fixtures/bad-scenario/act-on-a-day.toml");
    assert_eq!(ran.exit, 65, "{}", ran.stderr);
}
