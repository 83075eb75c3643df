//! Plays a scenario: the host runs from act to act, and the timeline is told as it goes.

use super::Scenario;
use super::deed::{Deed, TargetOrder};
use super::script::ActAt;
use super::timeline::Timeline;
use crate::engine::{Command, Reply};
use crate::model::{Millis, TargetId, Wall};
use crate::rehearse::{Act, Host, complaints};

/// Steps that no story of people's size needs.
const STEPS_MAX: u64 = 2_000_000;

/// What an operator is told while the process is down.
const NO_DAEMON: &str = "no daemon runs";

/// After the last act; a campaign that is not over by then is told to be waiting.
const LASTS_AT_MOST: Millis = Millis::from_hours(14 * 24);

/// What came of a scenario.
pub struct Played {
    /// One line for each thing that happened, and what is left at the end.
    pub timeline: String,
    /// The rules that were broken, and whatever else is wrong.
    pub complaints: Vec<String>,
    pub host: Host,
}

impl Scenario {
    /// From the beginning to the end; the same scenario always gives the same.
    pub fn play(&self) -> Played {
        let mut host = self.host();
        let mut timeline = Timeline::new(self.zone.clone());
        for act in &self.acts {
            run(&mut host, &mut timeline, act.at, |_| false);
            let said = act.perform(&mut host);
            timeline.say(&host, said.by, &said.text);
        }
        let last = self.until.unwrap_or(host.now() + LASTS_AT_MOST);
        let may_end_early = self.until.is_none();
        run(&mut host, &mut timeline, last, |host| may_end_early && is_over(host));
        timeline.end(&host);
        Played { timeline: timeline.text(), complaints: complaints(&host), host }
    }
}

fn run(
    host: &mut Host,
    timeline: &mut Timeline,
    until: Wall,
    mut is_enough: impl FnMut(&Host) -> bool,
) {
    host.run(until, STEPS_MAX, |host| {
        timeline.observe(host);
        is_enough(host)
    });
    timeline.observe(host);
}

/// Every campaign of the file was planned and is over.
fn is_over(host: &Host) -> bool {
    let mut names = host.settings().campaigns.keys();
    names.all(|name| host.store().campaign(name).is_some_and(|row| row.state.is_over()))
}

/// What is told of something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `act` or `operator`.
    pub by: &'static str,
    pub text: String,
}

impl ActAt {
    /// Does it, now.
    pub fn perform(&self, host: &mut Host) -> Said {
        let words = &self.words;
        let act = || Said { by: "act", text: words.clone() };
        match &self.deed {
            Deed::Act(what) => {
                host.arrange(host.now(), what.clone());
                act()
            }
            Deed::Change(name, what) => {
                let (project, instance) =
                    host.world().place_of(name).expect("an act was checked against its world");
                host.arrange(host.now(), Act::Change { project, instance, what: *what });
                act()
            }
            Deed::Why(target) => {
                let said = named(host, target).map_or_else(|why| why, |target| hold(host, &target));
                Said { by: "operator", text: format!("{words}? {said}") }
            }
            Deed::Order(command) => order(host, words, Ok(command.clone())),
            Deed::Approve(campaign) => {
                let row = host.store().campaign(campaign);
                let digest = row.map(|row| row.detail.digest.clone()).unwrap_or_default();
                let command = Command::Approve { campaign: campaign.clone(), digest };
                order(host, words, Ok(command))
            }
            Deed::OrderAbout(what, target) => {
                let command = named(host, target).map(|target| about(what, target));
                order(host, words, command)
            }
        }
    }
}

/// Gives the order and tells the reply, or why it cannot be given.
fn order(host: &mut Host, words: &str, command: Result<Command, String>) -> Said {
    let said = match command.map(|command| host.order(command)) {
        Ok(Some(Reply::Done { message, .. })) => message,
        Ok(Some(Reply::Refused { message, .. })) => format!("refused: {message}"),
        Ok(None) => NO_DAEMON.to_owned(),
        Err(why) => format!("refused: {why}"),
    };
    Said { by: "operator", text: format!("{words}: {said}") }
}

fn about(order: &TargetOrder, target: TargetId) -> Command {
    match order {
        TargetOrder::Hold => Command::Hold { target },
        TargetOrder::Release => Command::Release { target },
        TargetOrder::Skip => Command::Skip { target },
        TargetOrder::Retry => Command::Retry { target },
        TargetOrder::Resolve(verdict) => Command::Resolve { target, verdict: verdict.clone() },
    }
}

/// The one target that is called so.
fn named(host: &Host, text: &str) -> Result<TargetId, String> {
    let engine = host.engine().ok_or(NO_DAEMON)?;
    match &engine.called(text)[..] {
        [only] => Ok(only.target.clone()),
        [] => Err(format!("no target is called {text}")),
        _ => Err(format!("several targets are called {text}")),
    }
}

/// Why the target is not moving, on one line.
pub(super) fn hold(host: &Host, target: &TargetId) -> String {
    let found = host.engine().zip(host.steady());
    match found.and_then(|(engine, now)| engine.hold(target, now)) {
        Some(hold) if hold.detail.is_empty() => hold.kind.word().to_owned(),
        Some(hold) => format!("{} ({})", hold.kind.word(), hold.detail),
        None => "nothing holds it".to_owned(),
    }
}
