//! Upgrades in flight that the file would have Refit lose sight of.
//!
//! Attempts are kept by the project's name. Were the project renamed in the file, removed from it,
//! or its name given to another cloud project, nobody would look at them again, and the same
//! instance could be sent a second upgrade under another name (rule S1).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::rows::Rows;
use crate::model::{ProjectName, Settings, TargetId};

/// Shown by name; of more, the number.
const NAMED: usize = 3;

/// A project that the file no longer has as it was, with upgrades in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphans {
    pub project: ProjectName,
    /// The cloud's id under which they were sent, if it is known, and the one that the file now
    /// gives the name, if it does.
    pub was: Option<Arc<str>>,
    pub is: Option<Arc<str>>,
    pub targets: Vec<TargetId>,
}

/// Per project; empty if the file may be obeyed.
pub fn orphans(rows: &Rows, settings: &Settings) -> Vec<Orphans> {
    let mut in_flight: BTreeMap<&ProjectName, Vec<TargetId>> = BTreeMap::new();
    for target in rows.targets.iter().filter(|target| target.state.is_in_flight()) {
        in_flight.entry(&target.id.project).or_default().push(target.id.clone());
    }
    let left = in_flight.into_iter().filter_map(|(name, targets)| {
        let row = rows.projects.iter().find(|row| row.name == *name);
        let was = row.and_then(|row| row.detail.cloud_id.clone());
        let is = settings.projects.get(name).map(|policy| policy.project_id.clone());
        let is_same = is.is_some() && (was.is_none() || was == is);
        (!is_same).then(|| Orphans { project: name.clone(), was, is, targets })
    });
    left.collect()
}

impl fmt::Display for Orphans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.targets.iter().take(NAMED).map(ToString::to_string).collect();
        write!(f, "upgrades are in flight in project {} ({}", self.project, named.join(", "))?;
        match self.targets.len().saturating_sub(NAMED) {
            0 => f.write_str(")")?,
            more => write!(f, " and {more} more)")?,
        }
        match (&self.was, &self.is) {
            (Some(was), Some(is)) => {
                write!(f, ", sent under project_id {was}; the file now says {is}")
            }
            _ => f.write_str(", which the file no longer has"),
        }
    }
}
