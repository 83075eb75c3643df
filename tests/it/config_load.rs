//! A good file becomes the settings it describes, and its effective keys read back the same.

use std::path::Path;

use refit::config::{self, Loaded, Setting};
use refit::model::policy::{GroupKey, MaxFailures, Membership, WaveSize};
use refit::model::{CampaignName, Millis, ProjectName, WindowName};

use crate::config_environment::FakeEnvironment;

const FILE: &str = "/etc/refit/refit.toml";

/// Ten lines are enough.
pub const SMALLEST: &str = r#"
[credentials.ops]
kind = "access-key"
access_key = "env:HUAWEICLOUD_SDK_AK"
secret_key = "env:HUAWEICLOUD_SDK_SK"
[projects.sg]
region = "ap-southeast-3"
project_id = "0aa10000000000000000000000000001"
[windows.night]
days = ["Sat"]
start = "23:00"
duration = "4h"
[campaigns.weekly]
windows = ["night"]
engine = "latest"
select = { names = ["*"] }
"#;

fn load(text: &str, environment: &FakeEnvironment) -> Loaded {
    let mut files = environment.files.clone();
    files.insert(FILE.into(), Ok((text.into(), 0o644)));
    let environment = FakeEnvironment { variables: environment.variables.clone(), files };
    config::load(Path::new(FILE), &environment).unwrap_or_else(|findings| panic!("{findings}"))
}

#[test]
fn the_example_loads_without_a_warning() {
    let loaded = load(config::EXAMPLE, &FakeEnvironment::usual());
    assert_eq!(loaded.warnings.list, []);
}

#[test]
fn the_example_decides_what_it_says() {
    let config = load(config::EXAMPLE, &FakeEnvironment::usual()).config;
    let project = &config.settings.projects[&ProjectName::from("sg-prod")];
    assert_eq!(project.max_in_flight, 50);
    assert_eq!((project.upgrade_rate.events, project.upgrade_rate.burst), (20, 5));
    assert_eq!(&*project.host, "dcs.ap-southeast-3.myhuaweicloud.com:443");
    let window = &config.settings.windows[&WindowName::from("nightly")];
    assert_eq!(window.zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(window.cutoff, Millis::from_mins(20));
    let campaign = &config.settings.campaigns[&CampaignName::from("redis-latest")];
    assert_eq!(campaign.membership, Membership::Live);
    assert_eq!(
        campaign.failure_budget.max_failures,
        MaxFailures::Percent { percent: 5, min_executed: 10 }
    );
    assert_eq!(campaign.max_unavailable[0].per, GroupKey::Tag("app".into()));
    let sizes: Vec<_> = campaign.waves.iter().map(|wave| wave.size).collect();
    assert_eq!(sizes, [WaveSize::Count(3), WaveSize::Percent(10), WaveSize::Rest]);
}

#[test]
fn effective_keys_read_back_as_the_same_settings() {
    let environment = FakeEnvironment::usual();
    for text in [config::EXAMPLE, SMALLEST] {
        let first = load(text, &environment);
        let printed = config::effective::render(&config::effective(&first));
        let second = load(&printed, &environment);
        assert_eq!(first.config.settings, second.config.settings, "{printed}");
        assert_eq!(first.config.store, second.config.store);
        assert_eq!(first.config.api, second.config.api);
        assert_eq!(first.config.digest, second.config.digest);
        let endpoints = |loaded: &Loaded| format!("{:?}", loaded.config.endpoints);
        assert_eq!(endpoints(&first), endpoints(&second));
        assert!(config::effective(&first).iter().any(|key| key.setting == Setting::Unset));
    }
}
