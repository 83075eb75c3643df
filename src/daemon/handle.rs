//! How the rest of the process talks to the loop: questions by message, health by snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::forecasts::ForecastText;
use crate::clock::Clock;
use crate::engine::input::{Ownership, StoreHealth};
use crate::engine::view::{Candidate, Why};
use crate::engine::{Command, Order, Plan, Reply, Status};
use crate::model::{Millis, Steady, TargetId};

/// Questions that may wait for the loop; askers beyond that wait for room.
pub(super) const QUESTIONS: usize = 64;

/// A loop that has not turned for this long stands still (rule L3).
pub const STILL_AFTER: Millis = Millis::from_secs(60);

/// The longest wait for an answer of the loop. An order is answered when it is durable, so a store
/// that hangs shows here first. Shorter than the command line's patience: who asks is told why.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The same for what takes as long as there are targets: a plan, an abort.
pub const LONG_ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// What the loop is asked, with where the answer goes.
#[derive(Debug)]
pub enum Question {
    Status(oneshot::Sender<Status>),
    Plan(oneshot::Sender<Plan>),
    /// `None`: unknown.
    Why(TargetId, oneshot::Sender<Option<Why>>),
    /// The targets that a text may mean.
    Called(String, oneshot::Sender<Vec<Candidate>>),
    /// Those of the targets that are known, with their instances' names.
    Names(Vec<TargetId>, oneshot::Sender<Vec<Candidate>>),
    /// When the campaigns complete, as the forecaster's JSON.
    Forecast(oneshot::Sender<ForecastText>),
    /// Answered once what it changed is durable.
    Order(Order, oneshot::Sender<Reply>),
}

/// Where the daemon stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Running,
    Stopping,
}

/// What readiness is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    pub phase: Phase,
    pub store: StoreHealth,
    pub ownership: Ownership,
}

/// The loop did not answer in time, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("the daemon has ended")]
    Ended,
    /// An order may have been taken, and not be durable yet.
    #[error(
        "no answer within {} s, as when the store cannot be written; orders may be repeated",
        .0.as_secs()
    )]
    TooSlow(Duration),
}

/// The instant at which the loop last turned.
#[derive(Debug, Clone, Default)]
pub(super) struct Beat(Arc<AtomicI64>);

impl Beat {
    pub fn set(&self, now: Steady) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    pub fn get(&self) -> Steady {
        Steady(self.0.load(Ordering::Relaxed))
    }
}

/// Cheap to clone; outlives the loop, and then says so.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) beat: Beat,
    pub(super) clock: Clock,
}

impl Handle {
    /// # Errors
    /// [`NoAnswer`], as for every question here.
    pub async fn status(&self) -> Result<Status, NoAnswer> {
        self.ask(Question::Status).await
    }

    /// # Errors
    /// [`NoAnswer`].
    pub async fn plan(&self) -> Result<Plan, NoAnswer> {
        self.ask_within(LONG_ANSWER_WITHIN, Question::Plan).await
    }

    /// Where the target stands and why it is not moving; `None` if it is unknown.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn why(&self, target: TargetId) -> Result<Option<Why>, NoAnswer> {
        self.ask(|answer| Question::Why(target, answer)).await
    }

    /// The targets that a name or an id, alone or after `campaign/project/`, may mean.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn called(&self, text: String) -> Result<Vec<Candidate>, NoAnswer> {
        self.ask(|answer| Question::Called(text, answer)).await
    }

    /// Those of the targets that are known, with their instances' names.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn names(&self, targets: Vec<TargetId>) -> Result<Vec<Candidate>, NoAnswer> {
        self.ask(|answer| Question::Names(targets, answer)).await
    }

    /// The latest forecast, or the next where that is old, as JSON; `None` where none can be made.
    ///
    /// # Errors
    /// [`NoAnswer`]: it takes long in a large fleet, and is there the next time.
    pub async fn forecast(&self) -> Result<ForecastText, NoAnswer> {
        self.ask_within(LONG_ANSWER_WITHIN, Question::Forecast).await
    }

    /// # Errors
    /// [`NoAnswer`]. The order may have been taken all the same: orders are idempotent, repeat it.
    pub async fn order(&self, order: Order) -> Result<Reply, NoAnswer> {
        let within = match order.command {
            Command::Abort { .. } => LONG_ANSWER_WITHIN,
            _ => ANSWER_WITHIN,
        };
        self.ask_within(within, |answer| Question::Order(order, answer)).await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, NoAnswer> {
        self.ask_within(ANSWER_WITHIN, question).await
    }

    async fn ask_within<T>(
        &self,
        within: Duration,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.questions.send(question(answer)).await.map_err(|_| NoAnswer::Ended)?;
            answered.await.map_err(|_| NoAnswer::Ended)
        };
        tokio::time::timeout(within, asked).await.unwrap_or(Err(NoAnswer::TooSlow(within)))
    }

    /// Whether the loop turned within the last minute.
    pub fn is_turning(&self) -> bool {
        self.clock.steady() - self.beat.get() <= STILL_AFTER
    }

    /// Why work cannot be taken on right now, in words; empty when ready.
    pub fn not_ready_because(&self) -> Vec<&'static str> {
        let health = *self.health.borrow();
        let doubts = [
            (!self.is_turning()).then_some("the loop stands still"),
            match health.phase {
                Phase::Starting => Some("starting"),
                Phase::Running => None,
                Phase::Stopping => Some("stopping"),
            },
            (health.store == StoreHealth::Failing).then_some("the store cannot be written"),
            (health.ownership == Ownership::NotOwner).then_some("another process owns the store"),
        ];
        doubts.into_iter().flatten().collect()
    }
}
