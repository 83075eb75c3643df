//! What happens to the machine, the file, the store and the fleet; some of it ends by itself.

use std::sync::Arc;

use refit::engine::input::{FreezeFile, Ownership, StoreHealth};
use refit::model::policy::{Fit, Glob, GroupKey, GroupLimit, Starts, Untagged};
use refit::model::{Millis, Settings, Wall};
use refit::rehearse::{Act, Host, Network};
use refit::sim::world::Change;

use super::dice::Dice;

/// What somebody else does to an instance.
pub const CHANGES: [Change; 11] = [
    Change::Deleted,
    Change::Frozen,
    Change::Unfrozen,
    Change::Faulty,
    Change::Recovered,
    Change::UpgradedByOther,
    Change::FinishedByOther,
    Change::Busy,
    Change::Released,
    Change::Retagged,
    Change::Busy,
];

/// Arranges all that the seed has in store within `during`.
pub fn arrange(host: &mut Host, dice: Dice, during: Millis) {
    let begin = host.now();
    let minutes = during.0 / 60_000;
    let mut maybe = |purpose: &str, share: f64, act: Act, end: Option<Act>| {
        if !dice.chance(purpose, share) {
            return;
        }
        let at = begin + dice.minutes(&format!("{purpose} at"), 1, minutes);
        host.arrange(at, act);
        if let Some(end) = end {
            host.arrange(at + dice.minutes(&format!("{purpose} lasts"), 1, 60), end);
        }
    };
    let step = |purpose: &str| Act::ClockStep(Millis(dice.number(purpose, -7_200_000, 7_200_000)));
    maybe("clock steps", 0.2, step("clock step"), None);
    maybe("clock steps again", 0.1, step("second step"), None);
    let (failing, working) = (Act::Store(StoreHealth::Failing), Act::Store(StoreHealth::Working));
    maybe("store fails", 0.2, failing, Some(working));
    let present = Act::FreezeFile(FreezeFile::Present("FREEZE".into()));
    maybe("freeze file", 0.1, present, Some(Act::FreezeFile(FreezeFile::Absent)));
    maybe("network down", 0.3, Act::Network(Network::Down), Some(Act::Network(Network::Up)));
    let (lost, gained) = (Act::Ownership(Ownership::NotOwner), Act::Ownership(Ownership::Owner));
    maybe("ownership lost", 0.1, lost, Some(gained));
    let back_after = dice.seconds("stopped for", 1, 3_600);
    maybe("clean stop", 0.3, Act::Stop { back_after }, None);
    maybe("killed", 0.2, Act::Crash { back_after: dice.seconds("killed for", 1, 3_600) }, None);
    let restore = Act::RestoreStore { back_after: dice.seconds("restoring takes", 10, 3_600) };
    maybe("an older store", 0.05, Act::CopyStore, Some(restore));
    if dice.chance("the network flaps", 0.1) {
        flap(host, dice, minutes);
    }
    if dice.chance("another file", 0.3) {
        let settings = Arc::new(another_file(dice, host.settings()));
        replace_file(host, begin + dice.minutes("another file at", 1, minutes), settings);
    } else {
        let settings = Arc::new(other_limits(dice, host.settings()));
        maybe_at(host, dice, "other limits", 0.3, Act::Settings(settings), minutes);
    }
    for number in 0..dice.number("changes", 0, 6) {
        change(host, dice, number, minutes);
    }
}

/// The network is down a hundred times for a minute.
fn flap(host: &mut Host, dice: Dice, minutes: i64) {
    for number in 0..100 {
        let at = host.now() + dice.minutes(&format!("flap {number}"), 1, minutes);
        host.arrange(at, Act::Network(Network::Down));
        host.arrange(at + Millis::from_mins(1), Act::Network(Network::Up));
    }
}

fn maybe_at(host: &mut Host, dice: Dice, purpose: &str, share: f64, act: Act, minutes: i64) {
    if dice.chance(purpose, share) {
        let at = host.now() + dice.minutes(&format!("{purpose} at"), 1, minutes);
        host.arrange(at, act);
    }
}

fn change(host: &mut Host, dice: Dice, number: i64, minutes: i64) {
    let named = |what: &str| format!("{what} of change {number}");
    let all: Vec<(Arc<str>, Arc<str>)> = host
        .world()
        .truths()
        .map(|(project, instance, _)| (project.into(), instance.into()))
        .collect();
    let (project, instance) = dice.pick(&named("instance"), &all).clone();
    let what = *dice.pick(&named("kind"), &CHANGES);
    let act = Act::Change { project, instance, what };
    maybe_at(host, dice, &named("whether"), 0.3, act, minutes);
}

/// The file as it was comes back.
pub fn put_back(host: &mut Host, settings: Arc<Settings>) {
    replace_file(host, host.now(), settings);
}

/// The file changes while no process runs: it is read at a start.
fn replace_file(host: &mut Host, at: Wall, settings: Arc<Settings>) {
    host.arrange(at, Act::Crash { back_after: Millis::from_secs(10) });
    host.arrange(at + Millis::from_secs(5), Act::Settings(settings));
}

/// Other limits than before; what was selected stays.
fn other_limits(dice: Dice, settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    let named = |what: &str, name: &str| format!("other {what} of {name}");
    for (name, project) in &mut settings.projects {
        project.max_in_flight = dice.small(&named("cap", name.as_str()), 1, 20);
        project.upgrade_rate.events = dice.small(&named("rate", name.as_str()), 1, 40);
        project.read_rate.events = dice.small(&named("reads", name.as_str()), 30, 200);
    }
    for (name, campaign) in &mut settings.campaigns {
        campaign.max_in_flight = dice.small(&named("cap", name.as_str()), 1, 20);
        campaign.failure_budget.consecutive = dice.small(&named("run", name.as_str()), 1, 5);
        let fits = [Fit::P95, Fit::P50, Fit::Off];
        campaign.fit = *dice.pick(&named("fit", name.as_str()), &fits);
        campaign.expected_duration = dice
            .chance(&named("declaration", name.as_str()), 0.5)
            .then(|| dice.minutes(&named("duration", name.as_str()), 5, 45));
    }
    settings
}

/// Other limits, and by chance other windows, groups and selections, a project that starts nothing
/// any more, a campaign under another name.
fn another_file(dice: Dice, settings: &Settings) -> Settings {
    let mut settings = other_limits(dice, settings);
    let named = |what: &str, name: &str| format!("another {what} of {name}");
    for (name, project) in &mut settings.projects {
        if dice.chance(&named("mode", name.as_str()), 0.15) {
            project.starts = Starts::Off;
        }
    }
    for (name, window) in &mut settings.windows {
        if dice.chance(&named("window", name.as_str()), 0.3) {
            window.duration = dice.minutes(&named("duration", name.as_str()), 60, 360);
            window.cutoff = Millis(window.duration.0 / 4);
        }
    }
    for (name, campaign) in &mut settings.campaigns {
        let named = |what: &str| named(what, name.as_str());
        if dice.chance(&named("select"), 0.3) {
            campaign.select.names = vec![Glob::new("cache-[0-2]*").expect("it is a good pattern")];
        }
        if dice.chance(&named("groups"), 0.3) {
            let (per, limit) = (GroupKey::Zone, dice.small(&named("group limit"), 1, 3));
            campaign.max_unavailable = vec![GroupLimit { per, limit, untagged: Untagged::Alone }];
        }
    }
    if dice.chance("another name", 0.2)
        && let Some((_, policy)) = settings.campaigns.pop_first()
    {
        settings.campaigns.insert("renamed".into(), policy);
    }
    settings
}
