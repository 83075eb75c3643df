//! What the file says, taken over: credentials, projects, campaigns and their calendars.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::calendar::Calendar;
use crate::model::policy::Rate;
use crate::model::{CampaignName, CredentialName, Millis, ProjectName, Settings};

use super::Engine;
use super::index::{CampaignIx, CredentialIx, ProjectIx, TargetIx};
use super::quota::Bucket;
use super::rows::{CampaignDetail, ProjectDetail};
use super::state::{PauseCause, Reason, TargetState};
use super::tables::{
    Campaign, CampaignCalendar, Circuit, Credential, Project, Renewal, WatchState,
};

/// For a project that is in the store but not in the file: nothing is begun there.
const NO_RATE: Rate = Rate { events: 1, per: Millis::from_hours(1), burst: 1 };

impl Engine {
    pub(super) fn load_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings.clone();
        for (name, policy) in &settings.credentials {
            let ix = self.enter_credential(name);
            let credential = &mut self.credentials[ix.at()];
            credential.renewable = policy.renewable;
            if credential.fingerprint != policy.fingerprint {
                credential.fingerprint = policy.fingerprint.clone();
                // A changed key ends the stop of the old one.
                credential.stopped = None;
                credential.stopped_at = None;
                credential.refusals = 0;
                credential.proven = false;
                credential.generation += 1;
                credential.renewal = Renewal::Possible;
                self.touch_credential(ix);
            }
        }
        for (name, policy) in &settings.projects {
            let credential = self.enter_credential(&policy.credential);
            let ix = self.enter_project(name);
            let now = self.now;
            let project = &mut self.projects[ix.at()];
            project.credential = credential;
            project.detail.cloud_id = Some(policy.project_id.clone());
            project.starts.set_rate(now, policy.upgrade_rate);
            project.reads.set_rate(now, policy.read_rate);
            // Its row tells the rates by which its limiters count.
            self.touch_project(ix);
        }
        self.share_credentials();
        for (name, policy) in &settings.campaigns {
            let ix = self.enter_campaign(name);
            let projects: Vec<ProjectIx> =
                policy.projects.iter().map(|project| self.enter_project(project)).collect();
            let mut calendars = BTreeMap::new();
            for project in projects {
                let calendar = Calendar::for_campaign(&settings, name, self.project_name(project));
                let before = self.campaigns[ix.at()].calendars.remove(&project);
                let before = before.unwrap_or_default();
                calendars.insert(project, CampaignCalendar { calendar, outlook: None, ..before });
            }
            self.campaigns[ix.at()].calendars = calendars;
        }
    }

    fn share_credentials(&mut self) {
        for credential in &mut self.credentials {
            credential.projects.clear();
        }
        for (at, project) in self.projects.iter().enumerate() {
            let ix = ProjectIx(at as u32);
            self.credentials[project.credential.at()].projects.push(ix);
        }
    }

    /// A campaign that left the file pauses and drains; a new one waits for a sweep.
    pub(super) fn compare_campaigns_with_file(&mut self) {
        let mut unplanned = false;
        for at in 0..self.campaigns.len() as u32 {
            let ix = CampaignIx(at);
            let campaign = &self.campaigns[ix.at()];
            let in_file = self.settings.campaigns.contains_key(&campaign.name);
            if !in_file && !campaign.is_over() {
                self.pause(ix, PauseCause::Removed, &[]);
            }
            if in_file {
                self.exclude_left_projects(ix);
            }
            self.void_changed_approval(ix);
            // The budget may be another one; and after a restart nothing has judged it yet.
            self.campaigns[ix.at()].budget_dirty = true;
            self.mark_campaign(ix);
            unplanned |= in_file && self.campaigns[ix.at()].state.is_none();
        }
        if unplanned {
            for at in 0..self.projects.len() as u32 {
                self.projects[at as usize].is_swept_by_us = false;
                self.sweep_soon(ProjectIx(at));
            }
        }
    }

    /// Pending targets in projects that the file no longer gives the campaign: none of its windows
    /// would ever open for them.
    fn exclude_left_projects(&mut self, ix: CampaignIx) {
        let campaign = &self.campaigns[ix.at()];
        let left = |ix: &TargetIx| {
            let target = &self.targets[ix.at()];
            target.row.state == TargetState::Pending
                && !campaign.calendars.contains_key(&target.project)
        };
        let left: Vec<TargetIx> = campaign.targets.iter().copied().filter(left).collect();
        for target in left {
            self.skip(target, Reason::Excluded);
        }
    }

    pub(super) fn enter_credential(&mut self, name: &CredentialName) -> CredentialIx {
        if let Some(&known) = self.credential_index.get(name) {
            return known;
        }
        let ix = CredentialIx(self.credentials.len() as u32);
        self.credentials.push(Credential {
            name: name.clone(),
            renewable: false,
            fingerprint: "".into(),
            proven: false,
            in_flight: 0,
            generation: 0,
            stopped: None,
            stopped_at: None,
            refusals: 0,
            renewal: Renewal::Possible,
            renewal_failures: 0,
            is_touched: false,
            projects: Vec::new(),
        });
        self.credential_index.insert(name.clone(), ix);
        ix
    }

    /// The project's place in the tables. One that is not in the file begins nothing.
    pub(super) fn enter_project(&mut self, name: &ProjectName) -> ProjectIx {
        if let Some(&known) = self.project_index.get(name) {
            return known;
        }
        let credential = match self.settings.projects.get(name) {
            Some(policy) => self.enter_credential(&policy.credential.clone()),
            None => {
                let nobody = self.enter_credential(&CredentialName::from("(not in the file)"));
                self.credentials[nobody.at()].stopped = Some("its project left the file".into());
                nobody
            }
        };
        let policy = self.settings.projects.get(name);
        let starts = Bucket::new(policy.map_or(NO_RATE, |policy| policy.upgrade_rate));
        let reads = Bucket::new(policy.map_or(NO_RATE, |policy| policy.read_rate));
        let ix = ProjectIx(self.projects.len() as u32);
        self.projects.push(Project {
            name: name.clone(),
            detail: ProjectDetail::default(),
            is_touched: false,
            credential,
            starts,
            reads,
            queue: Default::default(),
            occupied: 0,
            in_flight: BTreeSet::new(),
            preparing: BTreeSet::new(),
            armed: VecDeque::new(),
            circuit: Circuit::Closed,
            circuit_opened_at: None,
            reach: None,
            skew: None,
            sweep: None,
            sweeps_begun: 0,
            sweep_due: self.now,
            sweep_failures: 0,
            sweep_refusals: 0,
            sweep_refused: None,
            short_sweeps: 0,
            inventory: Vec::new(),
            is_swept_by_us: false,
            watch: WatchState::default(),
            list_rows: None,
            list_order: Vec::new(),
            settling: BTreeSet::new(),
            wakes_at: None,
            turn: 0,
            is_dirty: false,
        });
        self.project_index.insert(name.clone(), ix);
        ix
    }

    pub(super) fn enter_campaign(&mut self, name: &CampaignName) -> CampaignIx {
        if let Some(&known) = self.campaign_index.get(name) {
            return known;
        }
        let ix = CampaignIx(self.campaigns.len() as u32);
        self.campaigns.push(Campaign {
            name: name.clone(),
            state: None,
            detail: CampaignDetail::default(),
            is_touched: false,
            selection_empty: false,
            forecast: None,
            ready: Default::default(),
            targets: Vec::new(),
            counts: [0; TargetState::ALL.len()],
            waves: Vec::new(),
            occupied: 0,
            preparing: 0,
            strikes: 0,
            overdue: 0,
            needs_operator: 0,
            calendars: BTreeMap::new(),
            wakes_at: None,
            is_dirty: false,
            budget_dirty: false,
        });
        self.campaign_index.insert(name.clone(), ix);
        ix
    }
}
