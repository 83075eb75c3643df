//! What the engine wants done outside. The host obeys; it never decides.

use serde::{Deserialize, Serialize};

use crate::model::{
    AttemptId, CredentialName, InstanceId, ProjectName, ReadCall, Steady, UpgradeBody,
};

/// Numbers the reads of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReadId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Only after the step that asked for it is durable (rule S2); at most once (rule S3).
    Submit(Submit),
    /// May leave before the commit.
    Read(Read),
    /// Fetch a new token or agency key, then answer with [`super::Input::Renewed`].
    Renew { credential: CredentialName },
}

/// The one-shot ticket: only the process whose step issued it may send, once, before `not_after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    pub attempt: AttemptId,
    pub project: ProjectName,
    pub instance: InstanceId,
    pub body: UpgradeBody,
    /// Five seconds after the intent, or the interval's last start if that is earlier.
    pub not_after: Steady,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub id: ReadId,
    pub project: ProjectName,
    pub call: ReadCall,
    /// The answer speaks for or against one upgrade: it is kept as evidence. What only looks again
    /// until something has changed is not: the ledger tells of the change.
    pub is_proof: bool,
}
