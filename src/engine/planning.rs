//! Planning a campaign: which instances it brings up, in which order, in which waves.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::policy::{CampaignPolicy, GroupKey, Start, Untagged, Wave, WaveSize};
use crate::model::{CacheMode, Instance, InstanceId, ProjectName, TargetId, draw};

use super::Engine;
use super::event::Fact;
use super::index::{CampaignIx, ClassIx, GroupIx, InstanceIx, LaneIx, ProjectIx, TargetIx};
use super::inventory::Facts;
use super::precheck::kind_refusal;
use super::rows::{InstanceRow, TargetDetail, TargetRow};
use super::state::{CampaignState, Reason, TargetState};
use super::tables::{KnownInstance, Preparing, Target, WaveCounts};

/// Single-node instances come last: they are the ones that lose data if anything goes wrong.
const SINGLE_NODE_RANK: u64 = 1 << 63;

impl Engine {
    /// Plans every campaign whose projects have all been swept.
    pub(super) fn plan_what_can_be(&mut self) {
        for at in 0..self.campaigns.len() as u32 {
            let ix = CampaignIx(at);
            let campaign = &self.campaigns[ix.at()];
            let swept = |project: &ProjectIx| self.projects[project.at()].is_swept_by_us;
            let in_file = self.settings.campaigns.contains_key(&campaign.name);
            if campaign.state.is_none() && in_file && campaign.calendars.keys().all(swept) {
                self.plan_campaign(ix);
            }
        }
        if self.campaigns.iter().all(|campaign| campaign.state.is_some()) {
            let inventories = self.projects.iter_mut().map(|project| &mut project.inventory);
            inventories.for_each(|inventory| self.surplus.append(&mut std::mem::take(inventory)));
        }
    }

    fn plan_campaign(&mut self, ix: CampaignIx) {
        let name = self.campaigns[ix.at()].name.clone();
        let Some(policy) = self.settings.campaigns.get(&name).cloned() else { return };
        let known = self.campaign_seeds.get(&name).copied();
        let seed = known.unwrap_or_else(|| draw::bits(self.seed, "campaign", name.as_str(), 0));
        let mut chosen = self.chosen(ix, &policy, seed);
        if chosen.is_empty() {
            if !std::mem::replace(&mut self.campaigns[ix.at()].selection_empty, true) {
                self.record_campaign(ix, Fact::SelectionEmpty);
            }
            return;
        }
        self.reserve_for_plan(chosen.len());
        // In the order of the list, as it is swept from then on.
        for choice in &chosen {
            self.meet_instance(choice.project, &choice.instance);
        }
        chosen.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| a.instance.id.cmp(&b.instance.id)));
        let eligible = chosen.iter().filter(|choice| choice.refused.is_none()).count();
        let sizes = wave_sizes(&policy.waves, eligible as u32);
        self.begin_campaign(ix, &policy, seed, &chosen);
        let (mut wave, mut left) = (0, sizes[0]);
        let mut counts = vec![0; sizes.len()];
        for choice in &chosen {
            while left == 0 && wave + 1 < sizes.len() {
                wave += 1;
                left = sizes[wave];
            }
            let of_wave = if choice.refused.is_some() { sizes.len() - 1 } else { wave };
            left -= u32::from(choice.refused.is_none() && left > 0);
            counts[of_wave] += 1;
            let fact = |rank, name| Fact::TargetPlanned { wave: of_wave as u32, rank, name };
            self.add_target(ix, choice, of_wave as u32, fact);
        }
        let digest = self.campaigns[ix.at()].detail.digest.clone();
        let waves = policy.waves.iter().map(|wave| wave.name.clone()).zip(counts).collect();
        let targets = chosen.len() as u32;
        self.record_campaign(ix, Fact::Planned { digest, targets, waves });
        self.calendar_due(ix);
        self.start_planned(ix, policy.start);
        self.want_verdicts_in_order(ix);
    }

    fn reserve_for_plan(&mut self, targets: usize) {
        self.targets.reserve_exact(targets);
        self.instances.reserve_exact(targets);
        self.out.events.reserve_exact(targets);
        self.changes().instances.reserve_exact(targets);
    }

    fn begin_campaign(
        &mut self,
        ix: CampaignIx,
        policy: &CampaignPolicy,
        seed: u64,
        chosen: &[Choice],
    ) {
        let wall = self.wall;
        let ids = chosen
            .iter()
            .map(|choice| (self.project_name(choice.project).clone(), choice.instance.id.clone()));
        let digest = digest_of(
            &self.campaigns[ix.at()].name.0,
            &asked(policy),
            &policy.waves,
            ids.collect(),
        );
        let campaign = &mut self.campaigns[ix.at()];
        campaign.state = Some(CampaignState::Planned);
        campaign.selection_empty = false;
        campaign.waves = vec![WaveCounts::default(); policy.waves.len()];
        campaign.detail.seed = seed;
        campaign.detail.digest = digest;
        campaign.detail.planned_at = wall;
        campaign.detail.waves = policy.waves.clone();
        campaign.detail.calendar_seen_until = Some(wall);
        self.touch_campaign(ix);
    }

    fn start_planned(&mut self, ix: CampaignIx, start: Start) {
        match start {
            Start::Automatic => self.begin_campaign_run(ix, Fact::Started),
            Start::Approve => {
                self.campaigns[ix.at()].state = Some(CampaignState::AwaitingApproval);
                self.touch_campaign(ix);
                let digest = self.campaigns[ix.at()].detail.digest.clone();
                self.record_campaign(ix, Fact::ApprovalNeeded { digest });
            }
        }
    }

    /// The campaign runs from now on, by its own start or by an approval.
    pub(super) fn begin_campaign_run(&mut self, ix: CampaignIx, by: Fact) {
        self.campaigns[ix.at()].state = Some(CampaignState::Running);
        self.touch_campaign(ix);
        self.record_campaign(ix, by);
        self.record_wave_opened(ix);
        self.mark_campaign(ix);
        self.mark_projects_of(ix);
    }

    /// What waits for approval is what will be done: another plan needs another approval.
    pub(super) fn void_changed_approval(&mut self, ix: CampaignIx) {
        let campaign = &self.campaigns[ix.at()];
        // A pause only hides that it waits.
        let waits = match campaign.state {
            Some(CampaignState::Paused) => campaign.detail.paused_from,
            state => state,
        };
        if waits != Some(CampaignState::AwaitingApproval) {
            return;
        }
        let Some(policy) = self.settings.campaigns.get(&campaign.name) else { return };
        let targets = campaign.targets.iter().map(|target| &self.targets[target.at()]);
        let ids = targets.map(|target| {
            let id = &target.row.id;
            (id.project.clone(), id.instance.clone())
        });
        let digest =
            digest_of(&campaign.name.0, &asked(policy), &campaign.detail.waves, ids.collect());
        if digest != campaign.detail.digest {
            self.campaigns[ix.at()].detail.digest = digest.clone();
            self.touch_campaign(ix);
            self.record_campaign(ix, Fact::ApprovalVoid { digest });
        }
    }

    fn want_verdicts_in_order(&mut self, ix: CampaignIx) {
        for target in self.campaigns[ix.at()].targets.clone() {
            self.want_verdict(target);
        }
    }

    fn chosen(&self, ix: CampaignIx, policy: &CampaignPolicy, seed: u64) -> Vec<Choice> {
        let mut chosen = Vec::new();
        for &project in self.campaigns[ix.at()].calendars.keys() {
            for instance in &self.projects[project.at()].inventory {
                if policy.select.matches(instance) {
                    let rank = rank_of(seed, self.project_name(project).as_str(), instance);
                    let refused = refusal(policy, instance);
                    chosen.push(Choice { project, instance: instance.clone(), rank, refused });
                }
            }
        }
        chosen
    }

    /// A newcomer joins the last wave of a live campaign.
    pub(super) fn join_if_new(
        &mut self,
        ix: CampaignIx,
        project: ProjectIx,
        instance: &Arc<Instance>,
    ) {
        let name = self.campaigns[ix.at()].name.clone();
        let id = TargetId {
            campaign: name.clone(),
            project: self.project_name(project).clone(),
            instance: instance.id.clone(),
        };
        let Some(policy) = self.settings.campaigns.get(&name).cloned() else { return };
        if self.find_target(&id).is_some() || !policy.select.matches(instance) {
            return;
        }
        let seed = self.campaigns[ix.at()].detail.seed;
        let choice = Choice {
            project,
            instance: instance.clone(),
            rank: rank_of(seed, id.project.as_str(), instance),
            refused: refusal(&policy, instance),
        };
        let wave = (self.campaigns[ix.at()].detail.waves.len() - 1) as u32;
        let target =
            self.add_target(ix, &choice, wave, |rank, name| Fact::Joined { wave, rank, name });
        self.want_verdict(target);
        self.void_changed_approval(ix);
    }

    fn add_target(
        &mut self,
        campaign: CampaignIx,
        choice: &Choice,
        wave: u32,
        fact: impl FnOnce(u64, Arc<str>) -> Fact,
    ) -> TargetIx {
        let instance = &choice.instance;
        let id = TargetId {
            campaign: self.campaigns[campaign.at()].name.clone(),
            project: self.project_name(choice.project).clone(),
            instance: instance.id.clone(),
        };
        let row = TargetRow {
            id,
            wave,
            rank: choice.rank,
            state: TargetState::Pending,
            reason: None,
            entered_at: self.wall,
            round: 1,
            number: 0,
            not_applied: 0,
            not_before: None,
            task: None,
            overdue: false,
            needs_operator: None,
            held_by: None,
            acknowledged: false,
            detail: TargetDetail::default(),
        };
        let (known, labels) = self.meet_instance(choice.project, instance);
        let ix = self.enter_target(campaign, choice.project, known, row, &labels);
        self.touch_target(ix);
        self.record_target(ix, fact(choice.rank, instance.name.clone()));
        if let Some(reason) = choice.refused.clone() {
            self.skip(ix, reason);
        }
        ix
    }

    /// The place of an instance that a campaign takes in, and its row, which is kept.
    fn meet_instance(
        &mut self,
        project: ProjectIx,
        instance: &Instance,
    ) -> (InstanceIx, InstanceRow) {
        let row = InstanceRow::new(self.project_name(project), instance);
        let is_new = self.find_instance(project, &instance.id).is_none();
        if is_new {
            self.changes().instances.push(row.clone());
        }
        (self.know_instance(project, &row), row)
    }

    /// The instance's place in the tables.
    pub(super) fn know_instance(&mut self, project: ProjectIx, row: &InstanceRow) -> InstanceIx {
        if let Some(known) = self.find_instance(project, &row.instance) {
            return known;
        }
        let ix = InstanceIx(self.instances.len() as u32);
        self.instances.push(KnownInstance {
            project,
            id: row.instance.clone(),
            name: row.name.clone(),
            cache_mode: row.cache_mode,
            // One, mostly; growing would begin with four.
            targets: Vec::with_capacity(1),
            seen_in_begun: 0,
            seen_in_sweep: self.projects[project.at()].detail.sweeps,
            facts: Facts::of_row(row).hash(),
            listed: None,
        });
        self.instance_index.insert(&self.instances, ix);
        ix
    }

    /// Puts a target, new or restored, into every table and counter.
    pub(super) fn enter_target(
        &mut self,
        campaign: CampaignIx,
        project: ProjectIx,
        instance: InstanceIx,
        mut row: TargetRow,
        labels: &InstanceRow,
    ) -> TargetIx {
        // Restored rows come each with a copy of its own.
        row.id.campaign = self.campaigns[campaign.at()].name.clone();
        row.id.project = self.projects[project.at()].name.clone();
        row.id.instance = labels.instance.clone();
        let ix = TargetIx(self.targets.len() as u32);
        let lane = self.lane_for(campaign, labels);
        let verdict_read = row.detail.versions.is_some();
        self.targets.push(Target {
            row,
            campaign,
            project,
            instance,
            lane,
            class: ClassIx(0),
            preparing: Preparing::No,
            is_queued: false,
            is_touched: false,
            epoch: 0,
            read_failures: 0,
            look: None,
            verdict_read,
            versions_own: false,
        });
        let known = &mut self.instances[instance.at()];
        known.targets.push(ix);
        known.listed = None;
        self.campaigns[campaign.at()].targets.push(ix);
        self.count_new(ix);
        self.requeue(ix);
        ix
    }

    pub(super) fn lane_for(&mut self, campaign: CampaignIx, labels: &InstanceRow) -> LaneIx {
        let name = self.campaigns[campaign.at()].name.clone();
        let limits =
            self.settings.campaigns.get(&name).map(|policy| policy.max_unavailable.clone());
        let ready = &mut self.campaigns[campaign.at()].ready;
        let mut groups: Vec<GroupIx> = Vec::new();
        for limit in limits.unwrap_or_default() {
            match &limit.per {
                GroupKey::Tag(key) => {
                    // Without the tag it is a group of its own, which never fills.
                    if let Some(value) = labels.tags.get(key) {
                        groups.push(ready.group(&format!("tag:{key}={value}"), limit.limit));
                    }
                }
                GroupKey::Zone => {
                    for zone in &labels.zones {
                        groups.push(ready.group(&format!("zone:{zone}"), limit.limit));
                    }
                }
                GroupKey::Project => {
                    let label = format!("project:{}", labels.project);
                    groups.push(ready.group(&label, limit.limit));
                }
            }
        }
        ready.lane(groups)
    }

    /// A target left an early wave without being upgraded: the next one moves up, so that a canary
    /// wave is never empty because its instance happened to be current already.
    pub(super) fn backfill(&mut self, ix: TargetIx) {
        let (campaign_ix, wave) = {
            let target = &self.targets[ix.at()];
            (target.campaign, target.row.wave)
        };
        let campaign = &self.campaigns[campaign_ix.at()];
        let last = campaign.detail.waves.len().saturating_sub(1) as u32;
        if wave >= last || campaign.detail.wave > wave || campaign.detail.wave_ended_at.is_some() {
            return;
        }
        let later = campaign.ready.keys().filter(|key| key.wave > wave);
        let best = later
            .filter_map(|key| campaign.ready.first_of_any(key).map(|target| (key.wave, target)))
            .min_by_key(|(wave, target)| (*wave, self.targets[target.at()].row.rank, *target));
        let Some((_, moved)) = best else { return };
        self.move_to_wave(moved, wave);
        let row = &self.targets[moved.at()].row;
        let name = self.instances[self.targets[moved.at()].instance.at()].name.clone();
        let rank = row.rank;
        self.record_target(moved, Fact::Joined { wave, rank, name });
    }
}

/// One instance that a campaign selects.
#[derive(Debug)]
pub(super) struct Choice {
    project: ProjectIx,
    instance: Arc<Instance>,
    rank: u64,
    /// Known from the list alone: it will never be sent.
    refused: Option<Reason>,
}

fn rank_of(seed: u64, project: &str, instance: &Instance) -> u64 {
    let id = format!("{project}/{}", instance.id);
    let rank = draw::bits(seed, "rank", &id, 0) & !SINGLE_NODE_RANK;
    if instance.cache_mode == CacheMode::Single { rank | SINGLE_NODE_RANK } else { rank }
}

/// Whether one of the campaign's limits refuses instances without a tag, and this one lacks it.
pub(super) fn lacks_tag(policy: &CampaignPolicy, tags: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
    policy.max_unavailable.iter().any(|limit| match &limit.per {
        GroupKey::Tag(key) => limit.untagged == Untagged::Refuse && !tags.contains_key(key),
        GroupKey::Zone | GroupKey::Project => false,
    })
}

/// Why an instance that is selected is never sent, as far as the list shows.
pub(super) fn refusal(policy: &CampaignPolicy, instance: &Instance) -> Option<Reason> {
    let untagged = lacks_tag(policy, &instance.tags);
    kind_refusal(policy, instance).or(untagged.then_some(Reason::Excluded))
}

/// How many targets each wave takes; the last takes all that is left.
fn wave_sizes(waves: &[Wave], targets: u32) -> Vec<u32> {
    let mut left = targets;
    let sizes = waves.iter().map(|wave| {
        let size = match wave.size {
            WaveSize::Count(count) => count.min(left),
            WaveSize::Percent(percent) => {
                (u64::from(targets) * u64::from(percent)).div_ceil(100).min(u64::from(left)) as u32
            }
            WaveSize::Rest => left,
        };
        left -= size;
        size
    });
    sizes.collect()
}

/// The versions that the campaign asks for: of the engine, and of the proxy.
fn asked(policy: &CampaignPolicy) -> [Option<Arc<str>>; 2] {
    [policy.engine.clone(), policy.proxy.clone()]
}

/// What an approval names: the targets, the versions asked for (engine, proxy), the waves. Kept in
/// the store and typed by operators: its text is written field by field and never changes.
fn digest_of(
    name: &Arc<str>,
    asked: &[Option<Arc<str>>; 2],
    waves: &[Wave],
    mut ids: Vec<(ProjectName, InstanceId)>,
) -> Arc<str> {
    let mut hash = Sha256::new();
    let mut line = |text: &str| {
        hash.update(text.as_bytes());
        hash.update(b"\n");
    };
    line(name);
    for version in asked {
        line(version.as_deref().unwrap_or("-"));
    }
    for wave in waves {
        let size = match wave.size {
            WaveSize::Count(count) => format!("count:{count}"),
            WaveSize::Percent(percent) => format!("percent:{percent}"),
            WaveSize::Rest => "rest".to_owned(),
        };
        line(&format!("{} {size} {}", wave.name, wave.bake.0));
    }
    ids.sort_unstable();
    for (project, id) in &ids {
        line(&format!("{project}/{id}"));
    }
    hex::encode(&hash.finalize()[..6]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    /// Operators type it and stores keep it: a change of it voids every approval that waits.
    #[test]
    fn the_digest_of_a_plan_never_changes_its_text() {
        let wave = |name: &str, size| Wave { name: name.into(), size, bake: Millis::from_mins(30) };
        let waves = [
            wave("canary", WaveSize::Count(3)),
            wave("half", WaveSize::Percent(50)),
            wave("rest", WaveSize::Rest),
        ];
        let ids = vec![("sg".into(), "i-2".into()), ("sg".into(), "i-1".into())];
        let asked = [Some("latest".into()), None];
        assert_eq!(&*digest_of(&"weekly".into(), &asked, &waves, ids), "26b3db50f677");
    }
}
