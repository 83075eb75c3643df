//! Prechecks: what must be known of an instance before it is sent anything (rule S10).

use std::sync::Arc;

use crate::model::policy::CampaignPolicy;
use crate::model::{
    AnswerNote, CacheMode, Instance, InstanceStatus, Millis, PartVersion, Steady, Versions,
};

use super::Engine;
use super::index::TargetIx;
use super::read_queue::Purpose;
use super::reconcile::busy_word;
use super::state::{Reason, TargetState};
use super::tables::Preparing;

/// Between the two looks that make FROZEN, ERROR or CREATEFAILED final.
const NOT_RUNNING_FOR: Millis = Millis::from_secs(60);

/// Distinct version answers that are shared; the newest are kept.
const VERSIONS_KNOWN_MAX: usize = 32;

impl Engine {
    /// Reads the versions ahead: the plan tells what is current already.
    pub(super) fn want_verdict(&mut self, ix: TargetIx) {
        let target = &self.targets[ix.at()];
        if target.row.state == TargetState::Pending && !target.verdict_read {
            let project = target.project;
            self.want(project, Purpose::Versions(ix));
        }
    }

    /// Two reads of one target may be on their way at once: the later question counts.
    pub(super) fn precheck_versions(&mut self, ix: TargetIx, versions: Versions, asked_at: Steady) {
        let asked_at = self.wall_at(asked_at);
        let target = &self.targets[ix.at()];
        if target.row.state != TargetState::Pending {
            return;
        }
        let known = target.row.detail.versions.clone().zip(target.row.detail.versions_at);
        let newer = known.filter(|(_, at)| target.versions_own && *at > asked_at);
        let (versions, asked_at) = newer.unwrap_or_else(|| (self.share(versions), asked_at));
        let verdict = self.verdict(ix, &versions);
        self.doubt_other_versions(ix, &versions);
        self.edit(ix, |target| {
            target.row.detail.versions = Some(versions);
            target.row.detail.versions_at = Some(asked_at);
            target.verdict_read = true;
            target.versions_own = true;
        });
        if let Some(reason) = verdict {
            return self.skip(ix, reason);
        }
        if self.targets[ix.at()].preparing == Preparing::Versions {
            self.set_preparing(ix, Preparing::Look);
            let project = self.targets[ix.at()].project;
            self.want(project, Purpose::LastLook(ix));
        }
    }

    /// One copy for all targets that show the same versions.
    pub(super) fn share(&mut self, versions: Versions) -> Arc<Versions> {
        if let Some(known) = self.known_versions.iter().find(|known| ***known == versions) {
            return Arc::clone(known);
        }
        let versions = Arc::new(versions);
        self.known_versions.truncate(VERSIONS_KNOWN_MAX - 1);
        self.known_versions.insert(0, Arc::clone(&versions));
        versions
    }

    /// Why there is nothing to upgrade, if there is nothing.
    fn verdict(&self, ix: TargetIx, versions: &Versions) -> Option<Reason> {
        let policy = self.settings.campaigns.get(&self.targets[ix.at()].row.id.campaign)?;
        let wishes = [(&policy.engine, &versions.engine), (&policy.proxy, &versions.proxy)];
        let asked = wishes.into_iter().filter_map(|(wish, part)| Some((wish.as_ref()?, part)));
        let asked: Vec<(&Arc<str>, &PartVersion)> = asked
            // An instance without a proxy has nothing to say of one.
            .filter(|(_, part)| part.upgradable || part.current.is_some())
            .collect();
        let has_wish = |wish: &Arc<str>, part: &PartVersion| part.current.as_ref() == Some(wish);
        if asked.iter().any(|(wish, part)| part.upgradable && !has_wish(wish, part)) {
            return None;
        }
        let current =
            |(wish, part): &(&Arc<str>, &PartVersion)| part.is_current() || has_wish(wish, part);
        let all_current = !asked.is_empty() && asked.iter().all(current);
        Some(if all_current { Reason::AlreadyCurrent } else { Reason::NotUpgradable })
    }

    /// The last look before an intent.
    pub(super) fn last_look(&mut self, ix: TargetIx, instance: &Instance, asked_at: Steady) {
        if self.targets[ix.at()].preparing != Preparing::Look {
            return;
        }
        if let Some(reason) = self.look_refusal(ix, instance) {
            return self.skip(ix, reason);
        }
        match &instance.status {
            InstanceStatus::Frozen | InstanceStatus::Error | InstanceStatus::CreateFailed => {
                self.not_running(ix, instance.status.word());
            }
            _ if instance.is_idle() => {
                self.edit(ix, |target| {
                    if let Some(history) = &mut target.row.detail.history {
                        history.not_running_at = None;
                    }
                });
                match self.task_come_late(ix, instance) {
                    Some(task) => self.doubt_looks(ix, &task),
                    None => self.arm(ix, instance.service_task_id.clone(), asked_at),
                }
            }
            _ => {
                let word = busy_word(instance);
                let note = AnswerNote { message: Some(word.clone()), ..AnswerNote::default() };
                self.busy(ix, word, note);
            }
        }
    }

    /// What the list could not show, or what has changed since.
    fn look_refusal(&self, ix: TargetIx, instance: &Instance) -> Option<Reason> {
        let policy = self.settings.campaigns.get(&self.targets[ix.at()].row.id.campaign)?;
        kind_refusal(policy, instance)
    }

    fn not_running(&mut self, ix: TargetIx, word: &str) {
        let wall = self.wall;
        match self.targets[ix.at()].row.detail.history().not_running_at {
            Some(at) if wall - at >= NOT_RUNNING_FOR => {
                self.skip(ix, Reason::NotRunning(word.into()));
            }
            first => self.edit(ix, |target| {
                let at = first.unwrap_or(wall);
                target.row.detail.history_mut().not_running_at = Some(at);
                target.row.not_before = Some(at + NOT_RUNNING_FOR);
                target.preparing = Preparing::No;
            }),
        }
    }
}

/// Why an instance of this kind is never sent, if it is not.
pub(super) fn kind_refusal(policy: &CampaignPolicy, instance: &Instance) -> Option<Reason> {
    if !instance.is_supported() {
        Some(Reason::Unsupported)
    } else if instance.cache_mode == CacheMode::Single && !policy.allow_single_node {
        Some(Reason::SingleNode)
    } else {
        None
    }
}
