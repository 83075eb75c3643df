//! Large, empty and repetitive files: bounded work, and never a finding that hides another.

use std::fmt::Write;
use std::path::Path;

use refit::config::{self, Findings, Loaded, Severity};

use crate::config_environment::FakeEnvironment;
use crate::config_load::SMALLEST;

fn load(text: &str) -> Result<Loaded, Findings> {
    let mut environment = FakeEnvironment::usual();
    environment.write("refit.toml", text, 0o644);
    config::load(Path::new("refit.toml"), &environment)
}

fn campaigns(count: usize, more: &str) -> String {
    let mut text = SMALLEST.to_owned();
    for number in 0..count {
        write!(
            text,
            "[campaigns.c{number}]\nwindows = [\"night\"]\nengine = \"latest\"\n{more}\n\
             select.names = \"*\"\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn no_number_of_warnings_hides_an_error() {
    let text = format!("{}[campaigns.last]\n", campaigns(300, "observe_for = \"10s\""));
    let findings = load(&text).unwrap_err();
    assert_eq!(findings.exit().code(), 78);
    let errors = findings.list.iter().filter(|finding| finding.severity == Severity::Error);
    assert_eq!(errors.count(), 3, "windows, versions and select are missing: {findings}");
}

#[test]
fn a_file_wrong_in_a_thousand_places_is_told_so_in_a_few() {
    let wrong = (0..5_000)
        .fold(SMALLEST.to_owned(), |text, number| format!("{text}[windows.w{number}]\nx = 1\n"));
    let findings = load(&wrong).unwrap_err();
    assert!((1..=200).contains(&findings.list.len()), "{}", findings.list.len());
}

#[test]
fn a_thousand_campaigns_load_and_more_are_refused() {
    let loaded = load(&campaigns(999, "")).unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(loaded.config.settings.campaigns.len(), 1_000);
    let findings = load(&campaigns(1_000, "")).unwrap_err();
    assert!(findings.to_string().contains("more than 1000 campaigns"), "{findings}");
}

#[test]
fn a_thousand_campaigns_with_a_freeze_are_each_looked_at() {
    let freeze = "[freezes.f]\nfrom = 2026-01-01\nuntil = 2099-01-01\ncampaigns = [\"c998\"]\n";
    let findings = load(&format!("{}{freeze}", campaigns(999, ""))).unwrap_err();
    assert_eq!(findings.list.len(), 1, "{findings}");
    assert!(findings.list[0].message.contains("campaign c998"), "{findings}");
}

#[test]
fn an_empty_list_is_the_same_as_no_key() {
    let campaign = "[campaigns.weekly]\n";
    for key in ["projects", "proxy", "max_unavailable", "waves", "start", "max_in_flight"] {
        let text = SMALLEST.replace(campaign, &format!("{campaign}{key} = []\n"));
        let loaded = load(&text).unwrap_or_else(|findings| panic!("{key}\n{findings}"));
        assert_eq!(loaded.config.digest, load(SMALLEST).unwrap().config.digest, "{key}");
    }
    for (text, missing) in [("engine = []\n", "neither engine nor proxy"), ("", "neither")] {
        let text = SMALLEST.replace("engine = \"latest\"\n", text);
        assert!(load(&text).unwrap_err().to_string().contains(missing));
    }
    let wave = "[[campaigns.weekly.waves]]\nname = \"a\"\ncount = []\n\
                [[campaigns.weekly.waves]]\nname = \"rest\"\n";
    let findings = load(&format!("{SMALLEST}{wave}")).unwrap_err();
    assert!(findings.to_string().contains("needs count or percent"), "{findings}");
}
