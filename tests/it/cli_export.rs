//! `refit plan --export`, and what is made of it: the same plan in a rehearsal, a forecast from the
//! same store.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use refit::cli::scenario;
use refit::model::duration::SAMPLES_ENOUGH;
use refit::rehearse::{Fleet, Host, Mischief, Setup};
use refit::sim::world::{FaultProfile, Knobs, World};
use serde_json::Value;
use sqlx::{Connection, Executor};

use crate::cli_fleet::refit;
use crate::cli_process::{command, refit_with};
use crate::daemon_process::{Site, Wishes};

async fn json(site: &Site, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
    let ran = refit(site, &arguments).await;
    assert!(ran.exit <= 1, "{arguments:?}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_exports_is_rehearsed_as_that_plan() {
    let site = Site::new(Wishes::default()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let ran = refit(&site, &["plan", "--export", path]).await;
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("holds the 3 instances of the plan"), "{}", ran.stderr);
    let plan = json(&site, &["plan"]).await;
    let digest = &plan["campaigns"][0]["digest"];
    let short = ["--seeds", "2", "--takes", "5m"];
    let of_file = ["rehearse", "--fleet", path].iter().chain(&short).copied().collect::<Vec<_>>();
    let rehearsed = json(&site, &of_file).await;
    assert_eq!(rehearsed["campaigns"][0]["digest"], *digest, "{rehearsed}");
    let of_store = ["rehearse"].iter().chain(&short).copied().collect::<Vec<_>>();
    let stored = json(&site, &of_store).await;
    assert_eq!(stored["campaigns"][0]["digest"], *digest, "{stored}");
    assert_eq!(stored["broken"], serde_json::json!([]));
    assert_eq!(stored["durations"]["learned"], 0, "{stored}");
    let learned = learned_of_each(&site).await;
    assert_eq!(learned["durations"]["learned"], 3, "{learned}");
    assert!(site.upgrades().is_empty(), "nothing of it upgrades anything");

    let forecast = json(&site, &["forecast", "weekly"]).await;
    let campaign = &forecast["campaigns"][0];
    assert_eq!(
        (&campaign["name"], &campaign["unfinished"]),
        (&"weekly".into(), &3.into()),
        "{forecast}"
    );
    assert!(campaign["completes"]["p50"].as_str().unwrap().ends_with('Z'), "{forecast}");
    let human = refit(&site, &["forecast"]).await;
    assert_eq!(human.exit, 0, "{}", human.stderr);
    assert!(human.stdout.contains("campaign weekly: running, 3 targets to go"), "{}", human.stdout);
    assert!(human.stdout.lines().all(|line| line.chars().count() <= 80), "{}", human.stdout);
    let declared = tempfile::NamedTempFile::new().unwrap();
    fs::write(declared.path(), "class = [{ takes = \"5s\" }]\n").unwrap();
    let declared = ["forecast", "--durations", declared.path().to_str().unwrap()];
    let short = json(&site, &declared).await;
    assert!(completes(&short) < completes(&forecast), "{short}");
    assert!(completes(&json(&site, &["forecast", "--takes", "5s"]).await) < completes(&forecast));
    let unknown = refit(&site, &["forecast", "weakly"]).await;
    assert_eq!(unknown.exit, 2, "{}", unknown.stderr);
}

/// What stops the daemon as a whole is told as what has to happen first.
#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_of_a_shadow_and_of_a_frozen_daemon_says_what_it_takes() {
    // Polled each second, an hour would take long to play.
    let campaign = "expected_duration = \"1m\"\n";
    let site = Site::new(Wishes { campaign, ..Wishes::default() }).await;
    let mut daemon = site.run_with(|command| command.arg("--no-starts")).await;
    daemon.says("planned 3 targets").await;
    daemon.stop().await;
    let file = site.path("FREEZE");
    fs::write(&file, "").unwrap();
    // Whatever it forecasts by itself, it finds both.
    let daemon = site.run_with(|command| command.arg("--no-starts")).await;
    let needs = |forecast: &Value| -> Vec<String> {
        assert!(forecast["campaigns"][0]["completes"]["p50"].is_string(), "{forecast}");
        let provided = forecast["campaigns"][0]["provided"].as_array().unwrap().iter();
        provided.map(|proviso| proviso["if"].as_str().unwrap().to_owned()).collect()
    };
    let forecast = json(&site, &["forecast"]).await;
    assert_eq!(needs(&forecast), ["freeze_file_removed", "daemon_starts"], "{forecast}");
    let human = refit(&site, &["forecast"]).await;
    let without = "the daemon runs with --no-starts: if it runs without from now on";
    assert!(human.stdout.contains(without), "{}", human.stdout);
    let here = json(&site, &["forecast", "--takes", "5s"]).await;
    let notes = here["notes"].to_string();
    assert!(notes.contains("the daemon starts nothing now (shadow mode"), "{here}");

    daemon.stop().await;
    let forecast = json(&site, &["forecast"]).await;
    assert_eq!(needs(&forecast), ["freeze_file_removed"], "{forecast}");
    fs::remove_file(&file).unwrap();
    assert!(needs(&json(&site, &["forecast"]).await).is_empty());
}

fn completes(forecast: &Value) -> String {
    forecast["campaigns"][0]["completes"]["p50"].as_str().unwrap().to_owned()
}

/// The exported file, served as a cloud: a daemon's view of it is that of the cloud it came from.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_exports_can_be_simulated_and_planned_again() {
    let site = Site::new(Wishes::default()).await;
    let exported = site.path("fleet.toml");
    let exported = exported.to_str().unwrap();
    let plan = json(&site, &["plan", "--export", exported]).await;
    let mut simulate = command(&["simulate", "--world", exported, "--format", "json"]);
    let mut cloud = Ends(simulate.stdout(Stdio::piped()).spawn().unwrap());
    let mut told = String::new();
    BufReader::new(cloud.0.stdout.take().unwrap()).read_line(&mut told).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|it| panic!("{it}: {told}"));
    let project = &told["projects"][0];
    assert_eq!(project["instances"], 3, "{told}");

    let file = fs::read_to_string(site.config()).unwrap();
    let file = file.replace(&site.cloud.url(), told["url"].as_str().unwrap());
    let again = tempfile::tempdir().unwrap();
    let config = again.path().join("refit.toml");
    let here = site.directory.path().to_str().unwrap();
    fs::write(&config, file.replace(here, again.path().to_str().unwrap())).unwrap();
    let plan_again = ["plan", "--format", "json", "--config", config.to_str().unwrap()];
    let output = command(&plan_again)
        .env("ACCESS_KEY", project["access_key"].as_str().unwrap())
        .env("SECRET_KEY", project["secret_key"].as_str().unwrap())
        .output()
        .unwrap();
    let planned: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|it| panic!("{it}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(instances(&planned), instances(&plan));
    assert_eq!(instances(&plan).len(), 3);
}

/// Each target with the upgrade that awaits it.
fn instances(plan: &Value) -> BTreeMap<String, (String, String)> {
    let targets = plan["campaigns"][0]["targets"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    targets
        .map(|it| {
            let engine = it["upgrade"]["engine"].to_string();
            (text(&it["instance"]), (text(&it["name"]), engine))
        })
        .collect()
}

/// A process that ends with the test, however the test ends.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What is rehearsed once the store has enough samples of every class.
async fn learned_of_each(site: &Site) -> Value {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=rw", site.store().display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    let samples = serde_json::to_string(&[300_000; SAMPLES_ENOUGH]).unwrap();
    for mode in ["single", "ha", "cluster", "proxy", "ha_rw_split"] {
        for parts in ["engine", "proxy", "both"] {
            let row = format!("insert into durations values ('{mode}', '{parts}', '{samples}')");
            connection.execute(sqlx::AssertSqlSafe(row)).await.unwrap();
        }
    }
    connection.close().await.unwrap();
    json(site, &["rehearse", "--seeds", "1"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_store_cannot_be_read_the_daemon_tells_the_fleet() {
    let site = Site::new(Wishes { takes: 600_000, ..Wishes::default() }).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let mut file: toml::Table = fs::read_to_string(site.config()).unwrap().parse().unwrap();
    let url = format!("sqlite://{}/none.db", elsewhere.path().display());
    file["store"].as_table_mut().unwrap().insert("url".into(), url.into());
    let config = elsewhere.path().join("refit.toml");
    fs::write(&config, file.to_string()).unwrap();
    let arguments = ["rehearse", "--seeds", "1", "--takes", "5m", "--format", "json", "--config"];
    let arguments = [&arguments[..], &[config.to_str().unwrap()]].concat();
    let mut daemon = site.run().await;
    daemon.says("accepted").await;

    let socket = site.path("refit.sock");
    let through = [&arguments[..], &["--socket", socket.to_str().unwrap()]].concat();
    let ran = refit_with(&through);
    let value: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|it| panic!("{it}: {ran:?}"));
    assert_eq!(value["campaigns"][0]["targets"], 3, "{value}");
    daemon.stop().await;
    let alone = refit_with(&arguments);
    assert_eq!(alone.exit, 74, "{}", alone.stderr);
    assert!(alone.said().contains("--live"), "{}", alone.stderr);
}

/// Names that break quoting, tags with odd keys, two of one name.
const ODD: &str = r#"
begin = 2026-03-01T23:50:00
[[world.project]]
instance = [
  { name = "a \\ \"b\" \u0007 \n", id = "i-1", tags = { "k \"" = "v\n" } },
  { name = "twin", id = "i-2" }, { name = "twin", id = "i-3", cache_mode = "single" },
  { name = "proxy", id = "i-4", cache_mode = "proxy", proxy_minor = "1", proxy_latest = "2" },
  { name = "new", id = "i-5", engine_minor = "6.0.16.9", zones = ["z1", "z2"] },
  { name = "cold", id = "i-6", status = "FROZEN" }, { name = "big", id = "i-7", edition = "enterprise" },
]
[campaigns.minor]
engine = "latest"
proxy = "latest"
waves = [{ name = "canary", count = 2, bake = "5m" }, { name = "rest" }]
"#;

#[test]
fn a_fleet_reads_back_as_it_was_written_and_is_planned_in_the_same_order() {
    let text = ODD.replace("twin\", id = \"i-2\"", "twin-2\", id = \"i-2\"");
    let story = scenario::read(Path::new("odd.toml"), text).unwrap_or_else(|it| panic!("{it}"));
    let story = story.scenario;
    let run = |world, seed, planned: &Fleet| {
        let setup = Setup {
            settings: story.settings.clone(),
            world: World::new(world, Knobs::default(), FaultProfile::calm(), seed),
            begin: story.begin,
            seed,
            mischief: Mischief::default(),
        };
        let seeds = planned.planned.iter().map(|one| (one.name.clone(), one.seed)).collect();
        let mut host = Host::new(setup).with_campaign_seeds(seeds);
        host.run(story.begin + refit::model::Millis::from_mins(5), 100_000, |_| false);
        host
    };
    let nothing = Fleet { planned: Vec::new(), ..Fleet::new(story.world.clone(), Vec::new()) };
    let first = run(story.world.clone(), 1, &nothing);
    let fleet = Fleet::from_rows(&first.store().rows(), &story.settings);
    let written = fleet.to_toml("A fleet.");
    let read = refit::cli::data_file::fleet_of(Path::new("fleet.toml"), written.clone());
    let read = read.unwrap_or_else(|findings| panic!("{findings}\n{written}"));
    assert_eq!((&read.world, &read.planned), (&fleet.world, &fleet.planned), "{written}");
    let again = run(read.world.clone(), 99, &read);
    let order = |host: &Host| {
        let rows = host.store().targets();
        rows.map(|row| (row.id.clone(), row.wave, row.rank, row.state)).collect::<Vec<_>>()
    };
    assert_eq!(order(&again), order(&first));
    assert_ne!(order(&run(read.world.clone(), 99, &nothing)), order(&first));
}
