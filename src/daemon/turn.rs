//! The loop: one closed enum of what can happen, one place where the engine steps.
//!
//! A turn takes one happening in, steps the engine, publishes the gate, sends reads at once and
//! puts the unit into the backlog; submissions leave when the committer says that their unit is
//! durable (rule S2). Nothing here waits for anything but the next happening: not for the store,
//! not for the network, not for a log.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::{Clock, ClockGuard, ClockNews};
use crate::engine::input::{FreezeFile, StoreHealth};
use crate::engine::narrate::seen;
use crate::engine::order::Refusal;
use crate::engine::{Gate, Input, Order, Reply, Request, Status};
use crate::failpoint::{self, Point};
use crate::model::{Millis, Settings, Steady};
use crate::store::{self, CommitError};

use super::backlog::{Backlog, Consequences};
use super::checked::CheckedEngine;
use super::committer::{Committer, Report, Work, tell_unstored};
use super::forecasts::{Forecasts, Made};
use super::freeze_file::FreezePlaces;
use super::handle::{Beat, Health, Phase, Question};
use super::housekeeping::{Chore, Verification};
use super::sender::{Answer, Sender};
use super::shadow::shade;
use super::status_line::status_line;
use super::systemd::Notifier;
use super::{DaemonError, Ended, evidence, narrate};

/// The loop looks at the clock and the `FREEZE` file this often.
const PULSE: Duration = Duration::from_secs(1);

/// The same when somebody watches the progress.
const WATCHED_PULSE: Duration = Duration::from_millis(250);

/// An alarm rings no later than this: the timer's clock stands still in suspend, the engine's not.
const ALARM_LATEST: Millis = Millis::from_secs(1);

/// And no earlier: an engine that asks for an alarm in the past must not spin.
const ALARM_EARLIEST: Millis = Millis(1);

/// A clean stop waits no longer than this for answers and commits (rule L2 says 45 s in all).
const STOP_WITHIN: Millis = Millis::from_secs(43);

/// What a stop waits beyond the longest request timeout, for the last commit.
const STOP_MARGIN: Millis = Millis::from_secs(2);

/// What may happen to the loop.
#[derive(Debug)]
enum Happening {
    Answered(Box<Answer>),
    Asked(Question),
    Reported(Report),
    Due(Chore),
    Forecast(Made),
    StopAsked,
    /// The regular look around.
    Pulse,
    /// systemd is due a sign of life.
    Ping,
    /// The engine's `wake_at`.
    Alarm,
    /// The committer's task is gone without a word.
    CommitterGone,
}

/// Where happenings come from.
#[derive(Debug)]
pub(super) struct Intake {
    pub answers: mpsc::Receiver<Answer>,
    pub questions: mpsc::Receiver<Question>,
    pub chores: mpsc::Receiver<Chore>,
    pub forecasts: mpsc::Receiver<Made>,
    pub stop: CancellationToken,
}

/// Where the loop shows what it knows.
#[derive(Debug)]
pub(super) struct Outlets {
    pub gate: watch::Sender<Gate>,
    pub health: watch::Sender<Health>,
    pub progress: Option<watch::Sender<Status>>,
    pub notifier: Notifier,
    pub beat: Beat,
}

/// The loop's state. The engine is its own; everything else it reaches by message.
#[derive(Debug)]
pub(super) struct Loop {
    pub engine: CheckedEngine,
    pub settings: Arc<Settings>,
    /// Of times in the log's sentences.
    pub zone: TimeZone,
    /// Why nothing is started here at all, or in some projects.
    pub shadow: Option<String>,
    pub clock: Clock,
    pub intake: Intake,
    pub outlets: Outlets,
    pub sender: Sender,
    pub committer: Committer,
    pub verification: Verification,
    pub forecasts: Forecasts,
    pub freeze: FreezePlaces,
    pub state: State,
}

/// What changes from turn to turn.
#[derive(Debug, Default)]
pub(super) struct State {
    guard: ClockGuard,
    backlog: Backlog,
    /// The first inputs are durable.
    has_begun: bool,
    /// The committer has work under way.
    is_committing: bool,
    is_store_failing: bool,
    is_frozen: bool,
    /// Submissions handed to the sender whose answers are not in yet.
    submits_out: usize,
    /// When a clean stop gives up waiting; set once it was asked for.
    stop_by: Option<Steady>,
    status_line: String,
}

impl Loop {
    /// Turns until a clean stop is over or the store can no longer be trusted.
    pub async fn run(mut self) -> Result<Ended, DaemonError> {
        let mut timers = Timers::new(&self.outlets);
        self.begin();
        loop {
            self.outlets.beat.set(self.clock.steady());
            self.hand_over();
            self.announce();
            if let Some(how) = self.is_over() {
                return self.end(how).await;
            }
            match self.next(&mut timers).await {
                Happening::Answered(answer) => self.answered(*answer),
                Happening::Asked(question) => self.asked(question),
                Happening::Reported(report) => {
                    if let Err(error) = self.reported(report) {
                        self.committer.abandon();
                        return Err(error);
                    }
                }
                Happening::Due(Chore::CheckFiles) => self.give(Work::CheckFiles),
                Happening::Due(Chore::Forecast) => {
                    self.forecasts.make_if_due(self.clock.steady());
                }
                Happening::Forecast(made) => {
                    let now = self.clock.steady();
                    self.forecasts.made(made, now).into_iter().for_each(|input| self.step(input));
                }
                Happening::Due(Chore::VerifyLedger) => self.verification.begin(),
                Happening::StopAsked => self.stop_asked(),
                Happening::Pulse => self.pulse(),
                Happening::Ping => self.outlets.notifier.alive(),
                Happening::Alarm => self.step(Input::Tick),
                Happening::CommitterGone => return Err(DaemonError::CommitterGone),
            }
        }
    }

    /// The first inputs of every process, in the order that the engine wants.
    fn begin(&mut self) {
        self.step(Input::Settings(Arc::clone(&self.settings)));
        self.step(Input::Restarted);
        self.look_for_freeze_file();
        if let Some(shadow) = &self.shadow {
            info!("nothing starts: {shadow}");
        }
        self.state.has_begun = self.state.backlog.is_empty();
        failpoint::hit(Point::RestoreEnds);
    }

    async fn next(&mut self, timers: &mut Timers) -> Happening {
        let has_room = self.state.backlog.has_room();
        let alarm = self.engine.wake_at().map(|at| at - self.clock.steady());
        let alarm = alarm.map(|wait| wait.clamp(ALARM_EARLIEST, ALARM_LATEST).to_std());
        tokio::select! {
            report = self.committer.reports.recv() => {
                report.map_or(Happening::CommitterGone, Happening::Reported)
            }
            // A full backlog takes nothing in: answers then wait with their tasks.
            Some(answer) = self.intake.answers.recv(), if has_room => {
                Happening::Answered(Box::new(answer))
            }
            Some(question) = self.intake.questions.recv() => Happening::Asked(question),
            Some(chore) = self.intake.chores.recv() => Happening::Due(chore),
            Some(made) = self.intake.forecasts.recv(), if has_room => Happening::Forecast(made),
            () = self.intake.stop.cancelled(), if self.state.stop_by.is_none() => {
                Happening::StopAsked
            }
            _ = timers.pulse.tick() => Happening::Pulse,
            () = due(&mut timers.ping) => Happening::Ping,
            () = tokio::time::sleep(alarm.unwrap_or_default()), if alarm.is_some() && has_room => {
                Happening::Alarm
            }
        }
    }

    fn step(&mut self, input: Input) {
        self.step_with(input, Vec::new(), None);
    }

    /// The one place where the engine steps.
    fn step_with(
        &mut self,
        input: Input,
        evidence: Vec<store::Evidence>,
        asker: Option<oneshot::Sender<Reply>>,
    ) {
        let step = self.engine.step(self.clock.steady(), input);
        self.outlets.gate.send_if_modified(|shown| replace_if_new(shown, self.engine.gate()));
        let mut submits = Vec::new();
        for request in step.requests {
            match request {
                Request::Submit(submit) => submits.push(submit),
                Request::Read(read) => self.sender.read(read),
                Request::Renew { credential } => self.sender.renew(credential),
            }
        }
        if !step.events.is_empty() {
            self.forecasts.note_change();
        }
        let reply = asker.zip(step.reply);
        let unit = store::Unit { events: step.events, changes: step.changes, evidence };
        self.state.backlog.push(unit, Consequences { submits, reply });
    }

    fn answered(&mut self, answer: Answer) {
        failpoint::hit(Point::BeforeAnswer);
        if let Input::Submitted { attempt, answer: answered } = &answer.input {
            self.state.submits_out -= 1;
            if self.state.is_store_failing {
                let task = evidence::task_of(&answered.answer).map(|task| task.as_str());
                let said = seen(&answered.note);
                error!(attempt = attempt.to_string(), task, "{said}: answer not stored yet");
            }
        } else if let Input::SendRefused { .. } = &answer.input {
            self.state.submits_out -= 1;
        }
        self.step_with(answer.input, answer.evidence.into_iter().collect(), None);
    }

    fn asked(&mut self, question: Question) {
        let now = self.clock.steady();
        match question {
            Question::Status(asker) => answer(asker, self.shaded(self.engine.status(now))),
            Question::Plan(asker) => answer(asker, self.engine.plan(now)),
            Question::Why(target, asker) => {
                let why = self.engine.why(&target, now);
                answer(asker, why.map(|why| shade(why, &self.settings)));
            }
            Question::Called(text, asker) => answer(asker, self.engine.called(&text)),
            Question::Names(targets, asker) => answer(asker, self.engine.named(targets)),
            Question::Forecast(asker) => self.forecasts.asked(asker, now),
            Question::Order(order, asker) => self.ordered(order, asker),
        }
    }

    /// The engine's answer, with what this process adds to it.
    fn shaded(&self, mut status: Status) -> Status {
        status.doubts.extend(self.shadow.clone());
        status
    }

    fn ordered(&mut self, order: Order, asker: oneshot::Sender<Reply>) {
        if self.state.backlog.has_room() {
            self.step_with(Input::Order(order), Vec::new(), Some(asker));
            return;
        }
        let message = "the store cannot be written: nothing starts, and no order can be recorded";
        answer(asker, Reply::Refused { refusal: Refusal::NotNow, message: message.into() });
    }

    fn reported(&mut self, report: Report) -> Result<(), DaemonError> {
        match report {
            Report::Durable(group) => {
                self.state.is_committing = false;
                self.state.has_begun = true;
                for event in group.units.iter().flat_map(|unit| &unit.events) {
                    narrate::log(event, &self.zone, |target| {
                        self.engine.instance_name(target).cloned()
                    });
                }
                for follows in group.consequences {
                    self.let_happen(follows);
                }
                if std::mem::take(&mut self.state.is_store_failing) {
                    self.show_health(|health| health.store = StoreHealth::Working);
                    self.step(Input::Store(StoreHealth::Working));
                }
            }
            Report::Failing(error) => self.store_failed(&error),
            Report::FilesAreOurs => self.state.is_committing = false,
            Report::Fatal(error) => {
                tell_unstored(self.state.backlog.units());
                return Err(DaemonError::Untrusted(error));
            }
        }
        Ok(())
    }

    fn let_happen(&mut self, follows: Consequences) {
        for submit in follows.submits {
            self.state.submits_out += 1;
            self.sender.submit(submit);
        }
        if let Some((asker, reply)) = follows.reply {
            answer(asker, reply);
        }
    }

    fn store_failed(&mut self, error: &CommitError) {
        error!(error = chain(error), "the store cannot be written; trying again");
        tell_unstored(self.state.backlog.units());
        self.state.is_store_failing = true;
        self.show_health(|health| health.store = StoreHealth::Failing);
        self.step(Input::Store(StoreHealth::Failing));
    }

    /// Gives the committer the next group, if it has nothing to do.
    fn hand_over(&mut self) {
        if !self.state.is_committing
            && let Some(group) = self.state.backlog.take_group()
        {
            self.give(Work::Commit(group));
        }
    }

    /// Work that finds the committer busy is a file check, and every commit makes that too.
    fn give(&mut self, work: Work) {
        if self.state.is_committing {
            return;
        }
        match self.committer.work.try_send(work) {
            Ok(()) => self.state.is_committing = true,
            // Its reports end too, and the next turn sees that.
            Err(error) => error!(%error, "the committer takes no work"),
        }
    }

    fn pulse(&mut self) {
        let now = self.clock.steady();
        match self.state.guard.sample(now, self.clock.offset()) {
            Some(ClockNews::Stepped { offset }) => self.step(Input::ClockStepped { offset }),
            Some(ClockNews::Agreed) => self.step(Input::ClockAgreed),
            None => {}
        }
        self.look_for_freeze_file();
        let status = self.shaded(self.engine.overview(now));
        let line = status_line(&status, &self.settings);
        if line != self.state.status_line && self.state.stop_by.is_none() {
            self.outlets.notifier.status(line.clone());
            self.state.status_line = line;
        }
        if let Some(progress) = &self.outlets.progress {
            progress.send_replace(status);
        }
    }

    fn look_for_freeze_file(&mut self) {
        let found = self.freeze.look();
        let is_frozen = found != FreezeFile::Absent;
        if is_frozen != self.state.is_frozen {
            self.state.is_frozen = is_frozen;
            self.step(Input::FreezeFile(found));
        }
    }

    fn stop_asked(&mut self) {
        self.outlets.notifier.stopping();
        self.show_health(|health| health.phase = Phase::Stopping);
        let timeouts = self.settings.projects.values().map(|project| project.request_timeout);
        let wait = (timeouts.max().unwrap_or(Millis::ZERO) + STOP_MARGIN).min(STOP_WITHIN);
        self.state.stop_by = Some(self.clock.steady() + wait);
        info!(in_flight = self.state.submits_out, "stopping: waiting for requests under way");
        self.step(Input::Stopping);
    }

    /// READY, once the first inputs are durable: they are the first group.
    fn announce(&mut self) {
        let is_starting = self.outlets.health.borrow().phase == Phase::Starting;
        if is_starting && self.state.has_begun {
            failpoint::hit(Point::BeforeReady);
            self.show_health(|health| health.phase = Phase::Running);
            self.outlets.notifier.ready();
            info!(version = env!("CARGO_PKG_VERSION"), "ready");
        }
    }

    fn show_health(&self, change: impl FnOnce(&mut Health)) {
        self.outlets.health.send_modify(change);
    }

    /// Everything decided so far is durable.
    fn is_settled(&self) -> bool {
        !self.state.is_committing && self.state.backlog.is_empty()
    }

    fn is_over(&self) -> Option<Stop> {
        let stop_by = self.state.stop_by?;
        if self.state.submits_out == 0 && self.is_settled() {
            Some(Stop::Clean)
        } else if self.clock.steady() >= stop_by {
            Some(Stop::TimeIsUp)
        } else {
            None
        }
    }

    async fn end(self, how: Stop) -> Result<Ended, DaemonError> {
        let left_in_flight = self.state.submits_out;
        if how == Stop::TimeIsUp {
            warn!(left_in_flight, "stopped before every answer was in: the next start looks");
            if !self.is_settled() {
                tell_unstored(self.state.backlog.units());
                self.committer.abandon();
                return Err(DaemonError::NotStored);
            }
        }
        failpoint::hit(Point::BeforeExit);
        let store = self.committer.end().await.ok_or(DaemonError::CommitterGone)?;
        store.close(crate::clock::wall()).await?;
        Ok(Ended { left_in_flight })
    }
}

/// How a stop came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Clean,
    TimeIsUp,
}

/// The loop's regular alarms.
struct Timers {
    pulse: Interval,
    ping: Option<Interval>,
}

impl Timers {
    fn new(outlets: &Outlets) -> Timers {
        let pulse = if outlets.progress.is_some() { WATCHED_PULSE } else { PULSE };
        Timers { pulse: every(pulse), ping: outlets.notifier.ping_every().map(every) }
    }
}

/// Never, without an alarm.
async fn due(alarm: &mut Option<Interval>) {
    match alarm {
        Some(alarm) => drop(alarm.tick().await),
        None => std::future::pending().await,
    }
}

/// Late alarms are not made up for: one look around is as good as three.
fn every(period: Duration) -> Interval {
    let mut alarm = interval_at(Instant::now() + period, period);
    alarm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    alarm
}

fn replace_if_new<T: PartialEq + Clone>(shown: &mut T, new: &T) -> bool {
    let is_new = shown != new;
    if is_new {
        shown.clone_from(new);
    }
    is_new
}

/// An asker that has gone needs no answer; it can ask again, since orders are idempotent.
fn answer<T>(asker: oneshot::Sender<T>, answer: T) {
    asker.send(answer).ok();
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
