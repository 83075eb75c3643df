//! Forecasts: what they tell comes true. From every state of a simulated life: `tests/pure`.

use std::path::Path;

use refit::cli::scenario;
use refit::engine::{Command, Fact, TargetState};
use refit::model::duration::{DurationClass, Parts, SAMPLES_ENOUGH, Samples};
use refit::model::{CacheMode, Millis, TargetId, Wall};
use refit::rehearse::forecast::{
    Ask, CampaignForecast, Forecast, Proviso, Reason, TargetForecast, forecast,
};
use refit::rehearse::rehearsal::{Crashes, Rehearsal, Report};
use refit::rehearse::scenario::Scenario;
use refit::rehearse::{Durations, Fleet, Host, Mischief, Setup, Spread};
use refit::sim::world::{FaultProfile, Knobs, SpanRange, World};

/// Twelve instances, two a night in flight at once, a canary that bakes, two windows needed.
const STORY: &str = r#"
begin = 2026-03-01T23:40:00
[world]
takes = "10m"
latency = "100ms"
[[world.project]]
instance = [{ name = "cache", count = 12 }]
[windows]
nightly = { cron = "0 0 0 * * *", duration = "1h", cutoff = "15m" }
[campaigns.minor]
max_in_flight = 3
waves = [{ name = "canary", count = 1, bake = "5m" }, { name = "rest" }]
"#;

const TEN_MINUTES: SpanRange = SpanRange { least: Millis(600_000), most: Millis(600_000) };

/// A process that begins anew finds the end of a task at another moment of its polling, reads
/// versions again and draws other waits; no more than so much.
const POLLS: Millis = Millis::from_secs(45);

fn story() -> Scenario {
    let read = scenario::read(Path::new("story.toml"), STORY.to_owned());
    read.unwrap_or_else(|findings| panic!("{findings}")).scenario
}

fn host(story: &Scenario) -> Host {
    Host::new(Setup {
        settings: story.settings.clone(),
        world: World::new(story.world.clone(), Knobs::default(), FaultProfile::calm(), 1),
        begin: story.begin,
        seed: 1,
        mischief: Mischief::default(),
    })
}

fn run(host: &mut Host, until: Wall) {
    host.run(until, 1_000_000, |_| false);
}

fn ask(seeds: u64) -> Ask {
    let durations = Durations { declared: Some(TEN_MINUTES), ..Durations::default() };
    Ask { seeds, durations, ..Ask::default() }
}

fn told(host: &Host, ask: &Ask) -> Forecast {
    let forecast = forecast(&host.store().rows(), host.settings(), host.wall(), ask);
    assert!(forecast.broken.is_empty(), "{:?}", forecast.broken);
    forecast
}

fn only(forecast: &Forecast) -> &CampaignForecast {
    let [campaign] = &forecast.campaigns[..] else { panic!("{forecast:?}") };
    campaign
}

/// The instant of the target's first event that fits.
fn at(host: &Host, target: &TargetId, fits: impl Fn(&Fact) -> bool) -> Option<Wall> {
    let mut events = host.store().ledger().iter();
    events.find(|it| it.target().as_ref() == Some(target) && fits(&it.fact)).map(|it| it.at)
}

fn close(one: Option<Wall>, other: Option<Wall>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Millis((one - other).0.abs()) <= POLLS,
        (one, other) => one == other,
    }
}

#[test]
fn a_forecast_in_the_middle_tells_what_then_happens() {
    let story = story();
    let mut states = std::collections::BTreeSet::new();
    for minutes in [5, 15, 20, 21, 30, 31, 32, 37, 43, 50, 54, 75, 600, 1_465, 1_470] {
        let mut host = host(&story);
        run(&mut host, story.begin + Millis::from_mins(minutes) + Millis(7_500));
        let forecast = told(&host, &ask(1));
        let campaign = only(&forecast);
        states.extend(campaign.targets.iter().map(|target| target.state));
        run(&mut host, story.begin + Millis::from_hours(24 * 7));
        let over =
            host.store().ledger().iter().find(|it| matches!(it.fact, Fact::Completed { .. }));
        assert!(
            close(campaign.completes.p50, over.map(|it| it.at)),
            "{minutes}: {:?} and then {over:?}",
            campaign.completes.p50.map(Wall::rfc3339)
        );
        assert!(!campaign.targets.is_empty(), "{minutes}: something is left");
        for target in &campaign.targets {
            let id = TargetId {
                campaign: campaign.name.clone(),
                project: target.project.clone(),
                instance: target.instance.clone(),
            };
            let started = at(&host, &id, |fact| matches!(fact, Fact::Intent { .. }));
            let ended = at(&host, &id, |fact| matches!(fact, Fact::Succeeded { .. }));
            assert!(close(target.starts.p50, started), "{minutes}: {target:?} began {started:?}");
            assert!(close(target.ends.p50, ended), "{minutes}: {target:?} ended {ended:?}");
        }
    }
    let passed = [TargetState::Pending, TargetState::Running, TargetState::Verifying];
    assert!(passed.iter().all(|state| states.contains(state)), "{states:?}");
}

/// When a rehearsal of five seeds completes that begins where the host stands.
fn rehearsed(story: &Scenario, host: &Host, durations: Durations) -> Spread<Wall> {
    let rehearsal = Rehearsal {
        settings: story.settings.clone(),
        fleet: Fleet::from_rows(&host.store().rows(), &story.settings),
        durations,
        faults: FaultProfile::calm(),
        crashes: Crashes::None,
        acts: Vec::new(),
        begin: host.now(),
        until: host.now() + Millis::from_hours(24 * 30),
        campaign: None,
    };
    let runs: Vec<_> = (1..=5).map(|seed| rehearsal.run(seed, false, 0)).collect();
    Report::of(&runs, host.now(), None).campaigns[0].completes
}

/// Of upgrades that took 50 minutes none starts late in a window of an hour.
#[test]
fn a_rehearsal_predicts_by_what_the_store_has_learned_even_where_durations_are_declared() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(1));
    let class = DurationClass { cache_mode: CacheMode::Ha, parts: Parts::Engine };
    let mut samples = Samples::default();
    (0..SAMPLES_ENOUGH).for_each(|_| samples.push(Millis::from_mins(50)));
    let durations = Durations { declared: Some(TEN_MINUTES), ..Durations::default() };
    let unknown = rehearsed(&story, &host, durations.clone());
    let learned = Durations { learned: [(class, samples)].into(), ..durations };
    assert!(rehearsed(&story, &host, learned).p50 > unknown.p50, "{unknown:?}");
}

#[test]
fn a_forecast_from_the_start_equals_a_rehearsal() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(1));
    let range = SpanRange { least: Millis::from_mins(5), most: Millis::from_mins(20) };
    let durations = Durations { declared: Some(range), ..Durations::default() };
    let ask = Ask { seeds: 5, durations: durations.clone(), ..Ask::default() };
    let forecast = told(&host, &ask);
    let (one, other) = (only(&forecast).completes, rehearsed(&story, &host, durations));
    assert!(one.p50.is_some() && close(one.p50, other.p50), "{one:?} {other:?}");
    assert!(close(one.p90, other.p90), "{one:?} {other:?}");
}

/// Whatever waits keeps its length: the clock that was set back shows the same course, earlier.
#[test]
fn a_clock_that_was_set_back_moves_what_is_under_way_with_it() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(25));
    let by = Millis::from_mins(15);
    let rows = host.store().rows();
    let wall = rows.last_at.expect("something happened");
    let sound = forecast(&rows, host.settings(), wall, &ask(1));
    let behind = forecast(&rows, host.settings(), wall + (Millis::ZERO - by), &ask(1));
    let in_flight = |forecast: &Forecast| -> Vec<(Option<Wall>, Option<Wall>)> {
        let running = |it: &&TargetForecast| it.state == TargetState::Running;
        let targets = only(forecast).targets.iter().filter(running);
        targets.map(|it| (it.starts.p50, it.ends.p50)).collect()
    };
    let (sound, behind) = (in_flight(&sound), in_flight(&behind));
    assert!(!sound.is_empty() && sound.len() == behind.len(), "{sound:?} {behind:?}");
    for ((starts, ends), (starts_behind, ends_behind)) in sound.into_iter().zip(behind) {
        assert_eq!(starts_behind.map(|at| at + by), starts);
        assert!(close(ends_behind.map(|at| at + by), ends), "{ends_behind:?} {ends:?}");
    }
}

#[test]
fn what_an_operator_paused_is_told_as_if_resumed_now() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(10));
    let running = told(&host, &ask(1));
    host.order(Command::Pause { campaign: "minor".into() });
    run(&mut host, story.begin + Millis::from_mins(11));
    let forecast = told(&host, &ask(1));
    let campaign = only(&forecast);
    let causes = vec!["operator".into()];
    assert_eq!(campaign.provided, [Proviso::CampaignResumed { causes }]);
    assert!(close(campaign.completes.p50, only(&running).completes.p50), "{campaign:?}");
    assert_eq!(only(&running).provided, []);
}

#[test]
fn what_is_held_never_ends_and_says_why() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(10));
    let target = host.store().targets().last().unwrap().id.clone();
    host.order(Command::Hold { target: target.clone() });
    let ask = Ask { lasts: Millis::from_hours(24 * 7), ..ask(2) };
    let forecast = told(&host, &ask);
    let campaign = only(&forecast);
    assert_eq!((campaign.never, campaign.completes.p50), (1, None), "{campaign:?}");
    let held = campaign.targets.iter().find(|it| it.instance == target.instance).unwrap();
    assert!(held.never.as_deref().is_some_and(|why| why == "held by operator"), "{held:?}");
    let reason = Reason { why: "held by operator".into(), targets: 1, first: held.name.clone() };
    assert_eq!(campaign.reasons, [reason]);
    let text = serde_json::to_string(&forecast).unwrap();
    assert_eq!(serde_json::from_str::<Forecast>(&text).unwrap(), forecast);
}

/// And is not played to the end of time for it.
#[test]
fn what_waits_behind_a_held_canary_says_so() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(1));
    let canary = host.store().targets().find(|row| row.wave == 0).unwrap().id.clone();
    host.order(Command::Hold { target: canary.clone() });
    let forecast = told(&host, &Ask { lasts: Millis::from_hours(24 * 20), ..ask(1) });
    let campaign = only(&forecast);
    let name = |id: &TargetId| {
        campaign.targets.iter().find(|it| it.instance == id.instance).unwrap().name.clone()
    };
    let [behind, held] = &campaign.reasons[..] else { panic!("{:?}", campaign.reasons) };
    assert_eq!((held.targets, &*held.why, &held.first), (1, "held by operator", &name(&canary)));
    assert!(behind.targets == 11 && behind.why.starts_with("wave_not_open"), "{behind:?}");
}

#[test]
fn a_run_that_was_cut_short_is_told_apart_from_one_in_which_nothing_goes_on() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(10));
    let why = |forecast: &Forecast| {
        let pending =
            |it: &&TargetForecast| it.state == TargetState::Pending && it.ends.p50.is_none();
        only(forecast).targets.iter().find(pending).and_then(|it| it.never.clone()).unwrap()
    };
    let forecast = told(&host, &Ask { steps: 5, ..ask(2) });
    assert_eq!(forecast.cut_off, 2, "{forecast:?}");
    let note = "2 of 2 seeds were given up after 5 steps";
    assert!(forecast.notes.iter().any(|it| it.starts_with(note)), "{:?}", forecast.notes);
    assert!(why(&forecast).starts_with("given up at 2026-03-0"), "{}", why(&forecast));
    let forecast = told(&host, &Ask { lasts: Millis::from_hours(2), ..ask(2) });
    assert_eq!(forecast.cut_off, 0, "{forecast:?}");
    assert!(why(&forecast).starts_with("not over by 2026-03-0"), "{}", why(&forecast));
}

#[test]
fn a_larger_fleet_is_played_less_often_and_a_forecast_says_so() {
    let story = story();
    let mut host = host(&story);
    run(&mut host, story.begin + Millis::from_mins(1));
    let rows = host.store().rows();
    let seeds = |times: usize| {
        let mut rows = rows.clone();
        rows.targets = std::iter::repeat_n(rows.targets, times).flatten().collect();
        Ask::usual(&rows).seeds
    };
    let open = rows.targets.len();
    assert_eq!(open, 12, "{:?}", rows.targets);
    assert_eq!([seeds(1), seeds(2_000 / open), seeds(100_000 / open)], [20, 10, 1]);
    let says =
        |seeds, note: &str| told(&host, &ask(seeds)).notes.iter().any(|told| told.contains(note));
    assert!(says(1, "p50 and p90 are that one run"));
    assert!(says(9, "of 9 seeds the p90 is the last"));
    assert!(!says(10, "p90"));
}
