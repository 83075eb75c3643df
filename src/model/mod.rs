//! Values that all other parts share: ids, instants, instances, versions, answers, windows, policy.
//!
//! Nothing here has behaviour over time: no clock, no I/O, no randomness. What the cloud said and
//! what the operator wrote meet in these types, so that the engine needs neither.

pub mod access;
pub mod answer;
pub mod calendar;
pub mod call;
pub mod classify;
pub mod closest;
pub mod draw;
pub mod duration;
pub mod id;
pub mod id_map;
pub mod instance;
pub mod policy;
pub mod task;
pub mod text;
pub mod time;
pub mod version;

pub use answer::{
    AnswerNote, InventoryPage, LearnedLimit, LimitScope, Listed, ReadAnswer, ReadFailure,
    SubmitAnswer,
};
pub use call::ReadCall;
pub use duration::{DurationClass, Parts, Samples};
pub use id::{
    AttemptId, CampaignName, CredentialName, InstanceId, ProjectName, TargetId, TaskId, WindowName,
};
pub use id_map::IdMap;
pub use instance::{CacheMode, CurrentTask, Edition, Instance, InstanceStatus};
pub use policy::Settings;
pub use task::{Task, TaskStatus};
pub use time::{Millis, Steady, Wall};
pub use version::{Part, PartVersion, UpgradeBody, Versions};
