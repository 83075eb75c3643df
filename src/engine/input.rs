//! Everything that can happen to the engine, as one closed enum.

use std::sync::Arc;

use crate::model::answer::Answered;
use crate::model::{
    AnswerNote, AttemptId, CampaignName, CredentialName, Millis, ReadAnswer, ReadFailure, Settings,
    SubmitAnswer, Wall,
};

use super::order::Order;
use super::request::ReadId;

#[derive(Debug, Clone)]
pub enum Input {
    /// Time passed: `wake_at` was reached.
    Tick,
    /// The first input of every process, after the rows were restored: what was submitting counts
    /// as sent, and every outstanding read is reopened.
    Restarted,
    /// The file was read, at start or at reload.
    Settings(Arc<Settings>),
    /// Wall and boot time have parted: `offset` is wall minus steady from now on. Nothing starts
    /// until [`Input::ClockAgreed`].
    ClockStepped {
        offset: Millis,
    },
    /// Two samples ten seconds apart agree.
    ClockAgreed,
    /// What became of a submission. May be late, repeated, or from an earlier process.
    Submitted {
        attempt: AttemptId,
        answer: Answered<SubmitAnswer>,
    },
    /// The sender's last check said no, before the request's first byte.
    SendRefused {
        attempt: AttemptId,
        why: SendRefusal,
    },
    /// What became of a read. Every [`super::Request::Read`] gets exactly one.
    Read {
        id: ReadId,
        result: Result<Answered<ReadAnswer>, Answered<ReadFailure>>,
    },
    /// What became of a renewal.
    Renewed {
        credential: CredentialName,
        result: Result<(), AnswerNote>,
    },
    Order(Order),
    Store(StoreHealth),
    FreezeFile(FreezeFile),
    Ownership(Ownership),
    /// The host has played the rows on: when a campaign will be over.
    Forecast(Forecast),
    /// A clean stop was asked for: nothing new begins.
    Stopping,
}

/// When a campaign completes, as seen from `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    pub campaign: CampaignName,
    pub at: Wall,
    /// In every other run it takes longer; `None`: it does not complete at all in so many.
    pub p50: Option<Wall>,
    /// In one of ten.
    pub p90: Option<Wall>,
}

/// Why the sender did not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendRefusal {
    /// `not_after` had passed: more than five seconds after the intent, or the cutoff.
    TooLate,
    /// Paused, frozen, aborted, stopped, or no longer the owner.
    GateClosed,
    /// The `FREEZE` file stands beside the store.
    FreezeFile,
    /// The process is stopping.
    Stopping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreHealth {
    Working,
    /// Commits fail; nothing starts.
    Failing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FreezeFile {
    /// Where it stands.
    Present(Arc<str>),
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    Owner,
    NotOwner,
}
