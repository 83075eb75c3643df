//! The forecast, made anew now and then and when somebody asks: what the store holds is played on in
//! virtual time, by a process of its own.
//!
//! Not in this one: it costs the memory of a second fleet and seconds of a processor, and a bug in
//! it would end the daemon. The child reads the store as any reader does, lowers its own priority,
//! and is killed if it takes too long or the daemon stops. One runs at a time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::input::Forecast;
use crate::engine::{CampaignState, Input};
use crate::model::{CampaignName, Millis, Steady, Wall};

/// From then on a forecast is made anew, if anything happened since.
const MADE_EVERY: Millis = Millis::from_mins(5);

/// And if nothing did: windows come nearer by themselves.
const MADE_ANYWAY: Millis = Millis::from_hours(1);

/// Whoever asks has the next one tried no sooner than so long after one that failed.
const TRIED_AGAIN: Millis = Millis::from_mins(1);

/// A forecast that takes longer is called off.
const MADE_WITHIN: Duration = Duration::from_secs(300);

/// What the daemon says to itself, and no child of it may hear.
const OWN_VARIABLES: [&str; 4] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "REFIT_FAILPOINT"];

/// The program that makes a forecast of what the store holds, and prints it as JSON.
#[derive(Debug, Clone)]
pub struct Forecaster {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// The text of a forecast; `None`: none could be made.
pub type ForecastText = Option<Arc<str>>;

/// What became of one run.
pub(super) type Made = Result<Arc<str>, String>;

/// What the engine is told of it.
#[derive(Debug, Deserialize)]
struct Told {
    at: Wall,
    #[serde(default)]
    cut_off: u64,
    campaigns: Vec<ToldCampaign>,
}

#[derive(Debug, Deserialize)]
struct ToldCampaign {
    name: CampaignName,
    state: CampaignState,
    completes: Completes,
}

#[derive(Debug, Deserialize)]
struct Completes {
    p50: Option<Wall>,
    p90: Option<Wall>,
}

/// The latest forecast, and who waits for the next.
#[derive(Debug)]
pub(super) struct Forecasts {
    pub forecaster: Option<Forecaster>,
    stop: CancellationToken,
    tasks: TaskTracker,
    made: mpsc::Sender<Made>,
    latest: ForecastText,
    begun_at: Option<Steady>,
    /// When the last one failed, if it did.
    failed_at: Option<Steady>,
    is_under_way: bool,
    has_changed: bool,
    askers: Vec<oneshot::Sender<ForecastText>>,
}

impl Forecasts {
    /// Makes none until there is a forecaster.
    pub fn new(stop: CancellationToken, tasks: TaskTracker) -> (Forecasts, mpsc::Receiver<Made>) {
        let (made, results) = mpsc::channel(1);
        let forecasts = Forecasts {
            forecaster: None,
            stop,
            tasks,
            made,
            latest: None,
            begun_at: None,
            failed_at: None,
            is_under_way: false,
            has_changed: true,
            askers: Vec::new(),
        };
        (forecasts, results)
    }

    /// Something happened that another forecast may differ by.
    pub fn note_change(&mut self) {
        self.has_changed = true;
    }

    pub fn make_if_due(&mut self, now: Steady) {
        // One that is called off has taken long: the machine gets a rest after it.
        let age = self.failed_at.or(self.begun_at).map(|at| now - at);
        let wait = if self.has_changed { MADE_EVERY } else { MADE_ANYWAY };
        if age.is_none_or(|age| age >= wait) {
            self.begin(now);
        }
    }

    /// Answers at once where the latest is still good, or the next has just failed; else once the
    /// next is made.
    pub fn asked(&mut self, asker: oneshot::Sender<ForecastText>, now: Steady) {
        let is_answered = self.forecaster.is_none()
            || match self.failed_at.filter(|_| !self.is_under_way) {
                Some(at) => now - at < TRIED_AGAIN,
                None => self.latest.is_some() && self.is_fresh(now),
            };
        if is_answered {
            return tell(asker, self.latest.clone());
        }
        self.askers.push(asker);
        self.begin(now);
    }

    fn is_fresh(&self, now: Steady) -> bool {
        self.failed_at.is_none()
            && (self.begun_at.is_some_and(|at| now - at < MADE_EVERY) || !self.has_changed)
    }

    fn begin(&mut self, now: Steady) {
        let Some(forecaster) = self.forecaster.clone().filter(|_| !self.is_under_way) else {
            return;
        };
        (self.is_under_way, self.has_changed, self.begun_at) = (true, false, Some(now));
        let (stop, results) = (self.stop.clone(), self.made.clone());
        self.tasks.spawn(async move {
            if let Some(made) = stop.run_until_cancelled(make(forecaster)).await {
                // The loop has ended otherwise, and nobody waits any more.
                results.send(made).await.ok();
            }
        });
    }

    /// Takes the result over; tells what the engine has to hear.
    pub fn made(&mut self, made: Made, now: Steady) -> Vec<Input> {
        (self.is_under_way, self.failed_at) = (false, None);
        let told = made.and_then(|text| {
            let told: Told = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            Ok((text, told))
        });
        let inputs = match told {
            Ok((text, told)) => {
                self.latest = Some(text);
                told.inputs()
            }
            Err(error) => {
                tracing::warn!(error, "no forecast could be made");
                // The latest knows nothing of what this one was to tell.
                (self.failed_at, self.has_changed) = (Some(now), true);
                Vec::new()
            }
        };
        self.askers.drain(..).for_each(|asker| tell(asker, self.latest.clone()));
        inputs
    }
}

impl Told {
    fn inputs(self) -> Vec<Input> {
        let Told { at, cut_off, campaigns } = self;
        // Of one that was given up nobody knows whether it meets its deadline.
        let is_known = |campaign: &ToldCampaign| cut_off == 0 || campaign.completes.p90.is_some();
        let open = campaigns.into_iter().filter(|it| !it.state.is_over() && is_known(it));
        let inputs =
            open.map(|ToldCampaign { name, completes: Completes { p50, p90 }, .. }| {
                Input::Forecast(Forecast { campaign: name, at, p50, p90 })
            });
        inputs.collect()
    }
}

/// An asker that has gone needs no answer.
fn tell(asker: oneshot::Sender<ForecastText>, text: ForecastText) {
    asker.send(text).ok();
}

async fn make(forecaster: Forecaster) -> Made {
    let mut command = Command::new(&forecaster.program);
    command.args(&forecaster.arguments).stdin(Stdio::null()).kill_on_drop(true);
    for name in OWN_VARIABLES {
        command.env_remove(name);
    }
    match tokio::time::timeout(MADE_WITHIN, command.output()).await {
        Err(_) => Err(format!("not made within {} s", MADE_WITHIN.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(Output { status, stdout, .. })) if status.success() => {
            String::from_utf8(stdout).map(Arc::from).map_err(|error| error.to_string())
        }
        Ok(Ok(Output { status, stderr, .. })) => {
            let said = String::from_utf8_lossy(&stderr);
            let first = said.lines().next().unwrap_or_default();
            Err(format!("{status}: {first}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str = r#"{"at":5,"seeds":1,"campaigns":[
        {"name":"open","state":"running","completes":{"p50":7,"p90":null},"targets":[]},
        {"name":"over","state":"completed","completes":{"p50":null,"p90":null},"targets":[]}]}"#;

    fn forecasts(program: &str) -> (Forecasts, mpsc::Receiver<Made>) {
        let (mut forecasts, results) = Forecasts::new(CancellationToken::new(), TaskTracker::new());
        let arguments = vec!["-c".into(), program.into()];
        forecasts.forecaster = Some(Forecaster { program: "/bin/sh".into(), arguments });
        (forecasts, results)
    }

    #[tokio::test]
    async fn who_asks_gets_the_next_one_and_later_the_latest() {
        let (mut forecasts, mut results) = forecasts(&format!("echo '{MADE}'"));
        let (asker, answer) = oneshot::channel();
        forecasts.asked(asker, Steady(0));
        let inputs = forecasts.made(results.recv().await.unwrap(), Steady(0));
        let [Input::Forecast(told)] = &inputs[..] else { panic!("{inputs:?}") };
        assert_eq!((told.campaign.as_str(), told.at), ("open", Wall(5)));
        assert_eq!((told.p50, told.p90), (Some(Wall(7)), None));
        assert!(answer.await.unwrap().unwrap().contains("\"seeds\":1"));
        forecasts.note_change();
        let (asker, answer) = oneshot::channel();
        forecasts.asked(asker, Steady(MADE_EVERY.0 - 1));
        assert!(answer.await.unwrap().is_some(), "at once");
        assert!(!forecasts.is_under_way);
    }

    #[test]
    fn one_that_was_given_up_says_nothing_of_a_deadline() {
        let inputs = |text: &str| serde_json::from_str::<Told>(text).unwrap().inputs().len();
        assert_eq!(inputs(MADE), 1);
        assert_eq!(inputs(&MADE.replace("\"seeds\":1", "\"cut_off\":1")), 0);
        let known = MADE.replace("\"seeds\":1", "\"cut_off\":1");
        assert_eq!(inputs(&known.replace("\"p90\":null", "\"p90\":9")), 1);
    }

    #[tokio::test]
    async fn one_is_made_when_something_happened_and_seldom_when_nothing_did() {
        let (mut forecasts, mut results) = forecasts(&format!("echo '{MADE}'"));
        forecasts.make_if_due(Steady(0));
        assert!(forecasts.is_under_way, "the first at once");
        let made = results.recv().await.unwrap();
        drop(forecasts.made(made, Steady(0)));
        for (changed, after, is_due) in [
            (false, MADE_EVERY, false),
            (false, MADE_ANYWAY, true),
            (true, MADE_EVERY - Millis(1), false),
            (true, MADE_EVERY, true),
        ] {
            (forecasts.begun_at, forecasts.has_changed) = (Some(Steady(0)), changed);
            forecasts.is_under_way = false;
            forecasts.make_if_due(Steady(0) + after);
            assert_eq!(forecasts.is_under_way, is_due, "{changed} {after}");
        }
    }

    #[tokio::test]
    async fn a_program_that_fails_or_talks_nonsense_leaves_the_latest() {
        for program in ["echo no store >&2; exit 1", "echo '{'", "echo '{}'"] {
            let (mut forecasts, mut results) = forecasts(program);
            forecasts.latest = Some("before".into());
            forecasts.make_if_due(Steady(0));
            assert!(forecasts.made(results.recv().await.unwrap(), Steady(0)).is_empty());
            assert_eq!(forecasts.latest.as_deref(), Some("before"), "{program}");
        }
    }

    #[tokio::test]
    async fn after_a_failure_the_next_is_tried_as_if_something_had_happened() {
        let (mut forecasts, mut results) = forecasts("exit 1");
        forecasts.latest = Some("before".into());
        forecasts.make_if_due(Steady(0));
        // It was called off late.
        let failed_at = Steady(0) + MADE_EVERY;
        forecasts.made(results.recv().await.unwrap(), failed_at);
        forecasts.make_if_due(failed_at + MADE_EVERY - Millis(1));
        assert!(!forecasts.is_under_way, "not at once");
        forecasts.make_if_due(failed_at + MADE_EVERY);
        assert!(forecasts.is_under_way, "and not only after an hour");
    }

    #[tokio::test]
    async fn who_asks_after_a_failure_starts_no_process_at_once_and_is_told_nothing_old_later() {
        for latest in [None, Some("before".into())] {
            let (mut forecasts, mut results) = forecasts("exit 1");
            forecasts.latest = latest.clone();
            forecasts.begin(Steady(0));
            forecasts.made(results.recv().await.unwrap(), Steady(0));
            let (asker, answer) = oneshot::channel();
            forecasts.asked(asker, Steady(TRIED_AGAIN.0 - 1));
            assert_eq!(answer.await.unwrap(), latest, "at once");
            assert!(!forecasts.is_under_way);
            let (asker, mut answer) = oneshot::channel();
            forecasts.asked(asker, Steady(0) + TRIED_AGAIN);
            assert!(forecasts.is_under_way);
            let (second, mut also) = oneshot::channel();
            forecasts.asked(second, Steady(0) + TRIED_AGAIN);
            assert!(answer.try_recv().is_err() && also.try_recv().is_err(), "both wait for it");
        }
    }

    #[tokio::test]
    async fn a_daemon_without_a_forecaster_answers_that_it_has_none() {
        let (mut forecasts, _results) = forecasts("true");
        forecasts.forecaster = None;
        let (asker, answer) = oneshot::channel();
        forecasts.asked(asker, Steady(0));
        assert_eq!(answer.await.unwrap(), None);
        forecasts.make_if_due(Steady(0));
        assert!(!forecasts.is_under_way);
    }
}
