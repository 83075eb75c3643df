//! Rebuilding the tables from rows. What rows do not hold (caps in use, queues, timers) follows
//! from what they do; outstanding reads are reopened by the input `Restarted`, not here.

use std::collections::BTreeMap;

use crate::model::policy::Rate;
use crate::model::{CacheMode, InstanceId, ProjectName};

use super::Engine;
use super::event::Fact;
use super::index::{CampaignIx, CredentialIx, ProjectIx, TargetIx};
use super::inventory::SWEEP_EVERY;
use super::planning::lacks_tag;
use super::planted::Defect;
use super::quota::Bucket;
use super::rows::{
    BucketRow, CampaignRow, CredentialRow, InstanceRow, ProjectDetail, ProjectRow, Rows, TargetRow,
};
use super::state::{Reason, TargetState};
use super::tables::{Circuit, WaveCounts};

impl Engine {
    /// Takes over the rows, once the settings are known.
    pub(super) fn load_rows(&mut self, mut rows: Rows) {
        let ahead = rows.bring_back_to(self.wall);
        for row in rows.credentials {
            self.load_credential(row);
        }
        for row in rows.freezes {
            self.freezes.insert(row.scope.clone(), row);
        }
        self.load_durations(std::mem::take(&mut rows.durations));
        for row in rows.projects {
            self.load_project(row);
        }
        for row in rows.campaigns {
            self.load_campaign(row);
        }
        let labels: BTreeMap<(ProjectName, InstanceId), InstanceRow> = rows
            .instances
            .into_iter()
            .map(|row| ((row.project.clone(), row.instance.clone()), row))
            .collect();
        let mut targets = rows.targets;
        targets
            .sort_by(|a, b| (&a.id.campaign, a.rank, &a.id).cmp(&(&b.id.campaign, b.rank, &b.id)));
        let mut unwanted = Vec::new();
        self.targets.reserve_exact(targets.len());
        self.instances.reserve_exact(targets.len());
        for mut row in targets {
            row.detail.versions = row.detail.versions.map(|known| self.share((*known).clone()));
            let key = (row.id.project.clone(), row.id.instance.clone());
            let labels = labels.get(&key).cloned().unwrap_or_else(|| bare_labels(&row));
            let campaign = self.enter_campaign(&row.id.campaign);
            let project = self.enter_project(&row.id.project);
            self.size_waves(campaign, row.wave);
            let instance = self.know_instance(project, &labels);
            let ix = self.enter_target(campaign, project, instance, row, &labels);
            if self.is_unwanted(ix, &labels) {
                unwanted.push(ix);
            }
        }
        for attempt in rows.attempts {
            if let Some(ix) = self.find_target(&attempt.id.target) {
                self.attempts.insert(ix, attempt);
            }
        }
        // A target may have been queued before its sibling in flight was known.
        self.requeue_all();
        if let Some(by) = ahead {
            self.record_process(Fact::ClockBehindStore { ahead: by });
            self.touch_all();
        }
        // The file may select otherwise than when the plan was made (rule S10).
        for ix in unwanted {
            self.skip(ix, Reason::Excluded);
        }
        for at in 0..self.campaigns.len() as u32 {
            self.record_missed_windows(CampaignIx(at));
        }
    }

    /// A pending target that its campaign, as the file has it now, does not take, judged by what the
    /// last sweep showed.
    fn is_unwanted(&self, ix: TargetIx, labels: &InstanceRow) -> bool {
        let row = &self.targets[ix.at()].row;
        let policy = self.settings.campaigns.get(&row.id.campaign);
        row.state == TargetState::Pending
            && policy.is_some_and(|policy| {
                !policy.select.takes(&labels.labels()) || lacks_tag(policy, &labels.tags)
            })
    }

    fn touch_all(&mut self) {
        (0..self.targets.len() as u32).for_each(|at| self.touch_target(TargetIx(at)));
        (0..self.projects.len() as u32).for_each(|at| self.touch_project(ProjectIx(at)));
        (0..self.credentials.len() as u32).for_each(|at| self.touch_credential(CredentialIx(at)));
        self.out.changes.attempts.extend(self.attempts.values().cloned());
    }

    fn load_credential(&mut self, row: CredentialRow) {
        let Some(&ix) = self.credential_index.get(&row.name) else { return };
        let credential = &mut self.credentials[ix.at()];
        // A changed key is another key.
        if credential.fingerprint == row.fingerprint {
            credential.stopped = row.stopped;
            credential.stopped_at = row.stopped_at;
            credential.refusals = row.refusals;
        }
    }

    fn load_project(&mut self, row: ProjectRow) {
        let ix = self.enter_project(&row.name);
        let (now, offset) = (self.now, self.offset);
        let policy = self.settings.projects.get(&row.name);
        let rates: Option<(Rate, Rate)> =
            policy.map(|policy| (policy.upgrade_rate, policy.read_rate));
        // Of one that left the file for a while, what was drawn stays drawn (rule S6).
        let rates = rates.or_else(|| row.detail.starts.rate.zip(row.detail.reads.rate));
        if let Some((starts, reads)) = rates {
            let restored = |rate, row: &BucketRow| {
                let sharers = self.bound_by(ix, row.learned).len() as u32;
                Bucket::restore(rate, row, (now, offset), sharers)
            };
            let starts = restored(starts, &row.detail.starts);
            let reads = restored(reads, &row.detail.reads);
            if !self.is_planted(Defect::BurstAtRestart) {
                self.projects[ix.at()].starts = starts;
            }
            self.projects[ix.at()].reads = reads;
        }
        let swept = row.detail.swept_at.map(|at| self.steady_at(at));
        let circuit =
            row.detail.circuit_until.map(|at| Circuit::Open { until: self.steady_at(at) });
        let project = &mut self.projects[ix.at()];
        project.sweep_due = swept.map_or(now, |at| at + SWEEP_EVERY);
        project.detail = ProjectDetail {
            cloud_id: policy.map(|policy| policy.project_id.clone()).or(row.detail.cloud_id),
            ..row.detail
        };
        if let Some(circuit) = circuit {
            project.circuit = circuit;
        }
        if let Some(Circuit::Open { until }) = circuit {
            self.wake_project(ix, until);
        }
    }

    fn load_campaign(&mut self, row: CampaignRow) {
        let ix = self.enter_campaign(&row.name);
        let campaign = &mut self.campaigns[ix.at()];
        campaign.state = Some(row.state);
        campaign.waves = vec![WaveCounts::default(); row.detail.waves.len().max(1)];
        campaign.detail = row.detail;
        for calendar in campaign.calendars.values_mut() {
            calendar.restored = true;
        }
    }

    /// A target never names a wave that the counters do not have.
    fn size_waves(&mut self, ix: CampaignIx, wave: u32) {
        let waves = &mut self.campaigns[ix.at()].waves;
        if waves.len() <= wave as usize {
            waves.resize(wave as usize + 1, WaveCounts::default());
        }
    }
}

/// For a target whose instance row is missing: no groups.
fn bare_labels(row: &TargetRow) -> InstanceRow {
    InstanceRow {
        project: row.id.project.clone(),
        instance: row.id.instance.clone(),
        name: row.id.instance.0.clone(),
        tags: BTreeMap::new(),
        zones: Vec::new(),
        cache_mode: CacheMode::Unknown,
        engine_version: "".into(),
    }
}
