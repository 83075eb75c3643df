//! What no machine lifts: who would have to do what, for a campaign to go on. A forecast says it
//! and tells what comes if it is done now.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::order::{Order, ResumeScope};
use crate::engine::rows::{CampaignRow, Rows};
use crate::engine::{CampaignState, Command, Scope};
use crate::model::policy::Starts;
use crate::model::{CampaignName, CredentialName, ProjectName, Settings};

/// What is taken to happen now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "if", rename_all = "snake_case")]
pub enum Proviso {
    /// The file `FREEZE` is removed.
    FreezeFileRemoved { file: Arc<str> },
    /// The daemon runs without `--no-starts`.
    DaemonStarts,
    /// A paused campaign is resumed, and its failures are acknowledged.
    CampaignResumed { causes: Vec<Arc<str>> },
    /// The plan is approved.
    Approved,
    /// A stopped project is resumed.
    ProjectResumed { project: ProjectName },
    /// A stopped credential is mended and resumed.
    CredentialResumed { credential: CredentialName },
    /// An operator's freeze without an end is lifted.
    Unfrozen { scope: Scope },
    /// The project's starts are switched on.
    StartsOn { project: ProjectName },
}

impl fmt::Display for Proviso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proviso::FreezeFileRemoved { file } => {
                write!(f, "the file {file} freezes everything: if it is removed now")
            }
            Proviso::DaemonStarts => {
                f.write_str("the daemon runs with --no-starts: if it runs without from now on")
            }
            Proviso::CampaignResumed { causes } => {
                write!(f, "paused ({}): if it is resumed now", causes.join(", "))
            }
            Proviso::Approved => f.write_str("awaits approval: if it is approved now"),
            Proviso::ProjectResumed { project } => {
                write!(f, "project {project} is stopped: if it is resumed now")
            }
            Proviso::CredentialResumed { credential } => {
                write!(f, "credential {credential} is stopped: if it works from now on")
            }
            Proviso::Unfrozen { scope } => write!(f, "{scope} is frozen: if it is unfrozen now"),
            Proviso::StartsOn { project } => {
                write!(f, "project {project} starts nothing: if its starts are on from now on")
            }
        }
    }
}

/// What a campaign needs from people; in the order in which it is done. `besides` is what each one
/// needs.
pub(super) fn provisos(
    rows: &Rows,
    settings: &Settings,
    row: &CampaignRow,
    besides: &[Proviso],
) -> Vec<Proviso> {
    let Some(policy) = settings.campaigns.get(&row.name) else { return Vec::new() };
    let mut provisos = besides.to_vec();
    let covers = |scope: &Scope| match scope {
        Scope::All => true,
        Scope::Project(project) => policy.projects.contains(project),
        Scope::Campaign(campaign) => *campaign == row.name,
    };
    for freeze in rows.freezes.iter().filter(|it| it.until.is_none() && covers(&it.scope)) {
        provisos.push(Proviso::Unfrozen { scope: freeze.scope.clone() });
    }
    for project in rows.projects.iter().filter(|it| policy.projects.contains(&it.name)) {
        let credential = settings.projects.get(&project.name).map(|it| &it.credential);
        let stopped =
            rows.credentials.iter().find(|it| Some(&it.name) == credential && it.stopped.is_some());
        if let Some(credential) = stopped.map(|it| it.name.clone()) {
            let proviso = Proviso::CredentialResumed { credential };
            if !provisos.contains(&proviso) {
                provisos.push(proviso);
            }
        }
        if project.detail.stopped.is_some() {
            provisos.push(Proviso::ProjectResumed { project: project.name.clone() });
        }
    }
    for project in &policy.projects {
        if settings.projects.get(project).is_some_and(|it| it.starts != Starts::On) {
            provisos.push(Proviso::StartsOn { project: project.clone() });
        }
    }
    if row.state == CampaignState::Paused {
        let causes = row.detail.causes.iter().map(|cause| cause.to_string().into()).collect();
        provisos.push(Proviso::CampaignResumed { causes });
    }
    let awaiting = Some(CampaignState::AwaitingApproval);
    if Some(row.state) == awaiting || row.detail.paused_from == awaiting {
        provisos.push(Proviso::Approved);
    }
    provisos
}

impl Proviso {
    /// What an operator would order; `None` of what only a file or a new start decides.
    pub(super) fn order(&self, row: &CampaignRow) -> Option<Order> {
        let campaign = || -> CampaignName { row.name.clone() };
        let command = match self {
            Proviso::CampaignResumed { .. } => {
                Command::Resume { scope: ResumeScope::Campaign(campaign()) }
            }
            Proviso::Approved => {
                Command::Approve { campaign: campaign(), digest: row.detail.digest.clone() }
            }
            Proviso::ProjectResumed { project } => {
                Command::Resume { scope: ResumeScope::Project(project.clone()) }
            }
            Proviso::CredentialResumed { credential } => {
                Command::Resume { scope: ResumeScope::Credential(credential.clone()) }
            }
            Proviso::Unfrozen { scope } => Command::Unfreeze { scope: scope.clone() },
            Proviso::FreezeFileRemoved { .. }
            | Proviso::DaemonStarts
            | Proviso::StartsOn { .. } => return None,
        };
        Some(Order { actor: "forecast".into(), reason: None, command })
    }
}

/// The settings as the provisos want them.
pub(super) fn switched_on(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.projects.values_mut().for_each(|project| project.starts = Starts::On);
    settings
}
