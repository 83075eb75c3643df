//! Every key of the contract: its default, and that it is one of the effective keys.

use std::collections::BTreeMap;
use std::path::Path;

use refit::config::{self, EffectiveKey, Origin, Setting};

use crate::config_environment::FakeEnvironment;

fn effective(text: &str, environment: FakeEnvironment) -> BTreeMap<String, EffectiveKey> {
    let mut environment = environment;
    environment.write("/etc/refit/refit.toml", text, 0o644);
    let loaded = config::load(Path::new("/etc/refit/refit.toml"), &environment)
        .unwrap_or_else(|findings| panic!("{findings}"));
    config::effective(&loaded).into_iter().map(|key| (key.key.clone(), key)).collect()
}

/// Keys that the smallest file leaves to their defaults. Not set: `none`, `all`, `any`.
const DEFAULTS: [(&str, &str); 49] = [
    ("time_zone", r#""UTC""#),
    ("store.url", r#""sqlite:///var/lib/refit/refit.db""#),
    ("api.listen", r#""127.0.0.1:7300""#),
    ("api.socket", r#""/var/lib/refit/refit.sock""#),
    ("credentials.ops.security_token", "none"),
    ("projects.sg.credentials", r#""ops""#),
    ("projects.sg.dcs_endpoint", r#""https://dcs.ap-southeast-3.myhuaweicloud.com""#),
    ("projects.sg.iam_endpoint", r#""https://iam.ap-southeast-3.myhuaweicloud.com""#),
    ("projects.sg.ca_file", "none"),
    ("projects.sg.proxy", "none"),
    ("projects.sg.starts", r#""on""#),
    ("projects.sg.max_in_flight", "20"),
    ("projects.sg.upgrade_rate", "{ per_minute = 10, burst = 1 }"),
    ("projects.sg.read_rate", "{ per_minute = 60, burst = 10 }"),
    ("projects.sg.poll_interval", r#""15s""#),
    ("projects.sg.request_timeout", r#""30s""#),
    ("windows.night.cutoff", r#""30m""#),
    ("windows.night.time_zone", r#""UTC""#),
    ("windows.short.cutoff", r#""15m""#),
    ("freezes.june.every_year", "false"),
    ("freezes.june.projects", "all"),
    ("freezes.june.campaigns", "all"),
    ("campaigns.weekly.projects", "all"),
    ("campaigns.weekly.proxy", "none"),
    ("campaigns.weekly.select.not_names", "none"),
    ("campaigns.weekly.select.ids", "any"),
    ("campaigns.weekly.select.tags", "any"),
    ("campaigns.weekly.select.engine_versions", "any"),
    ("campaigns.weekly.max_in_flight", "5"),
    ("campaigns.weekly.max_unavailable", "[]"),
    ("campaigns.weekly.task_timeout", r#""2h""#),
    ("campaigns.weekly.settle", r#""2m""#),
    ("campaigns.weekly.fit", r#""p95""#),
    ("campaigns.weekly.expected_duration", "none"),
    ("campaigns.weekly.deadline", "none"),
    ("campaigns.weekly.observe_for", r#""5m""#),
    ("campaigns.weekly.start", r#""automatic""#),
    ("campaigns.weekly.membership", r#""frozen""#),
    ("campaigns.weekly.allow_single_node", "false"),
    ("campaigns.weekly.retry.max_attempts", "4"),
    ("campaigns.weekly.retry.initial", r#""10s""#),
    ("campaigns.weekly.retry.max", r#""15m""#),
    ("campaigns.weekly.failure_budget.max_failures", "3"),
    ("campaigns.weekly.failure_budget.consecutive", "2"),
    ("campaigns.weekly.failure_budget.strict", "false"),
    ("campaigns.share.failure_budget.min_executed", "10"),
    (
        "campaigns.weekly.waves",
        r#"[{ name = "canary", count = 1, bake = "15m" }, { name = "rest", bake = "0s" }]"#,
    ),
    ("credentials.vm.metadata_endpoint", r#""http://169.254.169.254""#),
    ("campaigns.share.max_in_flight", "5"),
];

/// The smallest file, and what else has defaults.
fn text() -> String {
    let more = r#"
[windows.short]
at = 2027-05-01
duration = "1h"
[freezes.june]
from = 2027-06-01
until = 2027-07-01
[campaigns.share]
windows = ["short"]
proxy = "latest"
select = { names = "*" }
failure_budget = { max_failures = "5%" }
"#;
    format!("{}{more}", crate::config_load::SMALLEST)
}

#[test]
fn every_default_is_the_documented_one() {
    let keys = effective(&text(), FakeEnvironment::usual());
    let agency = text()
        .replace("[credentials.ops]", "[credentials.vm]")
        .replace("\"access-key\"", "\"agency\"")
        .lines()
        .filter(|line| !line.contains("_key"))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let agency = effective(&agency, FakeEnvironment::usual());
    for (key, value) in DEFAULTS {
        let found = keys.get(key).or(agency.get(key)).unwrap_or_else(|| panic!("{key} is missing"));
        assert_eq!(found.value, value, "{key}");
        assert_eq!(found.origin, Origin::Default, "{key}");
        let is_word = ["none", "all", "any"].contains(&value);
        assert_eq!(found.setting == Setting::Unset, is_word, "{key}");
    }
}

#[test]
fn every_effective_key_is_written_or_has_a_documented_default() {
    for (key, found) in effective(&text(), FakeEnvironment::usual()) {
        let is_known = DEFAULTS.iter().any(|(known, _)| *known == key)
            || key.starts_with("campaigns.share.")
            || key.starts_with("windows.short.");
        let is_written = matches!(found.origin, Origin::File { .. });
        assert!(is_known || is_written, "{key} = {}", found.value);
    }
}

#[test]
fn a_written_key_names_its_line() {
    let keys = effective(&text(), FakeEnvironment::usual());
    let line = text().lines().position(|line| line.starts_with("duration")).unwrap() + 1;
    assert_eq!(keys["windows.night.duration"].origin, Origin::File { line });
}

#[test]
fn directories_of_systemd_place_the_store_and_the_socket() {
    let mut environment = FakeEnvironment::usual();
    environment.set("STATE_DIRECTORY", "/var/lib/private/refit:/var/lib/other");
    environment.set("RUNTIME_DIRECTORY", "/run/refit");
    let keys = effective(&text(), environment);
    assert_eq!(keys["store.url"].value, r#""sqlite:///var/lib/private/refit/refit.db""#);
    assert_eq!(keys["api.socket"].value, r#""/run/refit/refit.sock""#);
    assert_eq!(keys["store.url"].origin, Origin::Environment);
    assert_eq!(keys["api.socket"].origin, Origin::Environment);
}

#[test]
fn relative_paths_count_from_the_file() {
    let text =
        format!("store.url = \"sqlite://state/refit.db\"\napi.socket = \"refit.sock\"\n{}", text());
    let mut environment = FakeEnvironment::usual();
    environment.write("/etc/refit/refit.toml", text, 0o644);
    let config = config::load(Path::new("/etc/refit/refit.toml"), &environment).unwrap().config;
    assert_eq!(config.store.path, Path::new("/etc/refit/state/refit.db"));
    assert_eq!(config.api.socket, Path::new("/etc/refit/refit.sock"));
}

#[test]
fn the_digest_changes_with_the_policy_and_not_with_its_wording() {
    let digest = |text: &str| {
        let mut environment = FakeEnvironment::usual();
        environment.write("refit.toml", text, 0o644);
        config::load(Path::new("refit.toml"), &environment).unwrap().config.digest
    };
    let first = digest(&text());
    assert_eq!(first, digest(&format!("# a comment\n{}", text())));
    assert_eq!(first, digest(&text().replace("\"1h\"", "\"60m\"")));
    assert_eq!(first, digest(&format!("api.listen = \"off\"\n{}", text())));
    assert_ne!(first, digest(&text().replace("\"1h\"", "\"61m\"")));
}
