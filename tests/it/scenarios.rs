//! Every file of `tests/scenarios`: its timeline is what the file expects, byte for byte; no rule
//! was broken; and the same file gives the same ledger again.
//!
//! `REFIT_GOLDEN=write` writes the timelines anew; read the difference before it is committed.
//! `REFIT_SCENARIO=name` plays one file and prints its ledger.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use refit::cli::scenario::{self, ScenarioFile};
use refit::config::Colour;
use refit::rehearse::Host;
use refit::rehearse::scenario::FORMS;

/// As many stories as the product promises to tell, at the least.
const SCENARIOS_MIN: usize = 25;

/// A longer file is no story any more.
const LINES_MAX: usize = 80;

fn files() -> Vec<PathBuf> {
    toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios"))
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("toml")))
        .collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn read(path: &Path) -> (String, ScenarioFile) {
    let text = fs::read_to_string(path).unwrap();
    let file = scenario::read(Path::new(&name(path)), text.clone());
    (text, file.unwrap_or_else(|findings| panic!("{findings}")))
}

fn ledger(host: &Host) -> String {
    let lines = host.store().ledger().iter().map(|event| serde_json::to_string(event).unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// No instance of a scenario is asked for twice after a store was put back to an older copy.
fn sent_twice(text: &str, host: &Host) -> Option<String> {
    let mut asked = host.upgrade_calls().iter().map(|call| &call.instance).collect::<Vec<_>>();
    let all = asked.len();
    asked.sort();
    asked.dedup();
    let is_twice = text.contains("store restored") && asked.len() < all;
    is_twice.then(|| "an upgrade was sent twice".to_owned())
}

/// Where two texts part, and how they go on from there.
fn parting(wanted: &str, found: &str) -> String {
    let same = wanted.lines().zip(found.lines()).take_while(|(one, other)| one == other).count();
    let rest = |text: &str| text.lines().skip(same).collect::<Vec<_>>().join("\n");
    format!("\n--- wanted from line {}\n{}\n--- found\n{}", same + 1, rest(wanted), rest(found))
}

fn is_to_be_written() -> bool {
    std::env::var_os("REFIT_GOLDEN").is_some_and(|value| value == "write")
}

/// The file with that timeline.
fn rewritten(text: &str, file: &ScenarioFile, timeline: &str) -> String {
    let quoted = format!("'''\n{timeline}'''");
    match &file.expected {
        Some((_, span)) => format!("{}{quoted}{}", &text[..span.start], &text[span.end..]),
        None => format!("{}\n\n[expected]\ntimeline = {quoted}\n", text.trim_end()),
    }
}

#[test]
fn every_scenario_goes_as_its_file_expects() {
    let only = std::env::var("REFIT_SCENARIO").ok();
    let mut wrong = Vec::new();
    for path in files() {
        let name = name(&path);
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let (text, file) = read(&path);
        let played = file.scenario.play();
        if only.is_some() {
            println!("{}\n\n{}", ledger(&played.host), played.timeline);
        }
        if is_to_be_written() {
            fs::write(&path, rewritten(&text, &file, &played.timeline)).unwrap();
        } else {
            let wanted = file.expected.map(|(timeline, _)| timeline).unwrap_or_default();
            if wanted != played.timeline {
                wrong.push(format!("{name}{}", parting(&wanted, &played.timeline)));
            }
        }
        let mut complaints = played.complaints;
        complaints.extend(sent_twice(&text, &played.host));
        if !complaints.is_empty() {
            wrong.push(format!("{name}: {complaints:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_scenario_gives_the_same_ledger_again() {
    for path in files() {
        let (_, file) = read(&path);
        let (first, second) = (file.scenario.play(), file.scenario.play());
        assert_eq!(ledger(&first.host), ledger(&second.host), "{}", name(&path));
        assert!(!first.host.store().ledger().is_empty(), "{}", name(&path));
    }
}

#[test]
fn every_scenario_is_short_and_opens_with_the_guarantee_it_shows() {
    let files = files();
    assert!(files.len() >= SCENARIOS_MIN, "only {} scenarios", files.len());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() < LINES_MAX, "{} is long", name(&path));
        assert!(text.starts_with("# "), "{} does not say what it shows", name(&path));
    }
}

/// The messages that each file of `bad-scenario` gets.
#[test]
fn every_mistake_in_a_scenario_is_shown_where_it_stands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad-scenario");
    let (files, mut wrong) = (toml_files(&folder), Vec::new());
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let findings = scenario::read(Path::new(&name(path)), text).unwrap_err();
        let found = findings.render(Colour::Plain);
        assert!(findings.list.iter().all(|one| one.position.is_some()), "{found}");
        let golden = path.with_extension("stderr");
        if is_to_be_written() {
            fs::write(&golden, &found).unwrap();
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        if found != wanted {
            wrong.push(format!("{}{}", name(path), parting(&wanted, &found)));
        }
    }
    assert!(files.len() >= 20, "only {} bad files", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_about_scenarios_has_an_example_that_reads_and_every_act() {
    let page = include_str!("../../docs/scenarios.md");
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let file = scenario::read(Path::new("example.toml"), example.to_owned());
    let played = file.unwrap_or_else(|findings| panic!("{findings}")).scenario.play();
    assert!(played.complaints.is_empty(), "{:?}", played.complaints);
    assert!(played.timeline.contains("sent again"), "{}", played.timeline);
    for form in FORMS {
        let form = form.replace('|', "\\|");
        assert!(page.contains(&format!("| `{form}` |")), "{form} is not explained");
    }
}

#[test]
fn odd_scenarios_are_played_or_refused_and_nothing_panics() {
    for text in [
        "begin = 0001-01-01T00:00:00",
        "begin = 9999-12-20T23:50:00",
        "begin = 2100-12-31T23:59:59Z",
        "begin = 2026-03-01T23:50:00\nacts = [{ at = 9999-12-31T00:00:00Z, do = \"why c\" }]",
        "begin = 2026-03-01T23:50:00\nacts = [{ at = 23:55:00, do = \"clock -366d\" }]",
        "begin = 2026-03-29T02:30:00\ntime_zone = \"Europe/Berlin\"",
        "begin = 2026-03-01T23:50:00\nacts = [{ at = 23:55:00, do = \"clock +366d\" }]",
        "begin = 2026-03-01T23:50:00\nacts = [{ at = 23:55:00, do = \"crash 366d\" }]",
        "begin = 2026-03-01T23:50:00\nacts = [{ at = 23:55:00, do = \"\" }]",
        "begin = 2026-03-01T23:50:00\n[[world.project]]\nid = \"\"",
        "begin = 2026-03-01T23:50:00\n[[world.project]]\nname = \"a b\"",
        "begin = 2026-03-01T23:50:00\n[[world.project]]\ninstance = []",
        "begin = 2026-03-01T23:50:00\n[world]\nproject = []",
        "begin = 2026-03-01T23:50:00\n[world]\nproject = 3",
        "begin = 2026-03-01T23:50:00\n[campaigns]",
        "begin = 2026-03-01T23:50:00\n[windows]",
        "",
    ] {
        if let Ok(file) = scenario::read(Path::new("odd.toml"), text.to_owned()) {
            let played = file.scenario.play();
            assert!(played.timeline.len() < 100_000, "{text}");
        }
    }
}
