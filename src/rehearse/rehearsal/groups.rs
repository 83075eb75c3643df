//! How much is in flight at once: of each group that a cap counts, and when it was most.
//!
//! In flight is what the caps count (rule S5): from the intent until the target ended or its
//! attempt was found not applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::rows::InstanceRow;
use crate::model::policy::{GroupKey, Settings};
use crate::model::{CampaignName, TargetId, Wall};

/// What a cap is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupOf {
    Campaign,
    /// A project, over all campaigns.
    Project(Arc<str>),
    /// One group of `max_unavailable`: `app=shop`, `zone az1`, `project sg`.
    Unavailable(Arc<str>),
}

/// The most of one group that was in flight at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRun {
    /// `None` of a project.
    pub campaign: Option<CampaignName>,
    pub of: GroupOf,
    pub limit: u32,
    pub most: u32,
    pub most_at: Option<Wall>,
    /// How many were in flight from each instant on.
    pub course: Vec<(Wall, u32)>,
}

/// The counters of all groups that something was in flight of.
#[derive(Debug, Default)]
pub(super) struct Groups {
    index: BTreeMap<(Option<CampaignName>, GroupOf), usize>,
    all: Vec<(GroupRun, u32)>,
    /// Keeps every change: for a picture.
    keeps_course: bool,
}

impl Groups {
    pub fn new(keeps_course: bool) -> Groups {
        Groups { keeps_course, ..Groups::default() }
    }

    /// One more in flight of each group that the target is in; which those are.
    pub fn enter(
        &mut self,
        at: Wall,
        settings: &Settings,
        target: &TargetId,
        labels: Option<&InstanceRow>,
    ) -> Vec<usize> {
        let groups = self.groups_of(settings, target, labels);
        for &group in &groups {
            self.change(group, at, 1);
        }
        groups
    }

    pub fn leave(&mut self, at: Wall, groups: &[usize]) {
        for &group in groups {
            self.change(group, at, -1);
        }
    }

    fn change(&mut self, group: usize, at: Wall, by: i32) {
        let (run, count) = &mut self.all[group];
        *count = count.saturating_add_signed(by);
        if *count > run.most {
            (run.most, run.most_at) = (*count, Some(at));
        }
        if self.keeps_course {
            match run.course.last_mut() {
                Some(last) if last.0 == at => last.1 = *count,
                _ => run.course.push((at, *count)),
            }
        }
    }

    fn groups_of(
        &mut self,
        settings: &Settings,
        target: &TargetId,
        labels: Option<&InstanceRow>,
    ) -> Vec<usize> {
        let mut groups = Vec::new();
        if let Some(project) = settings.projects.get(&target.project) {
            let of = GroupOf::Project(target.project.0.clone());
            groups.push(self.group(None, of, project.max_in_flight));
        }
        let Some(policy) = settings.campaigns.get(&target.campaign) else { return groups };
        let campaign = || Some(target.campaign.clone());
        groups.push(self.group(campaign(), GroupOf::Campaign, policy.max_in_flight));
        for limit in &policy.max_unavailable {
            let names: Vec<String> = match (&limit.per, labels) {
                (GroupKey::Tag(key), Some(labels)) => {
                    labels.tags.get(key).map(|value| format!("{key}={value}")).into_iter().collect()
                }
                (GroupKey::Zone, Some(labels)) => {
                    labels.zones.iter().map(|zone| format!("zone {zone}")).collect()
                }
                (GroupKey::Project, _) => vec![format!("project {}", target.project)],
                // Without the tag it is a group of its own, which never fills.
                (_, None) => Vec::new(),
            };
            for name in names {
                let of = GroupOf::Unavailable(name.into());
                groups.push(self.group(campaign(), of, limit.limit));
            }
        }
        groups
    }

    fn group(&mut self, campaign: Option<CampaignName>, of: GroupOf, limit: u32) -> usize {
        let all = &mut self.all;
        *self.index.entry((campaign.clone(), of.clone())).or_insert_with(|| {
            let run = GroupRun { campaign, of, limit, most: 0, most_at: None, course: Vec::new() };
            all.push((run, 0));
            all.len() - 1
        })
    }

    /// In the order of campaigns and groups, projects first.
    pub fn finish(self) -> Vec<GroupRun> {
        let Groups { index, mut all, .. } = self;
        let take = |at: &usize| {
            let empty = GroupRun {
                campaign: None,
                of: GroupOf::Campaign,
                limit: 0,
                most: 0,
                most_at: None,
                course: Vec::new(),
            };
            std::mem::replace(&mut all[*at].0, empty)
        };
        index.values().map(take).collect()
    }
}
