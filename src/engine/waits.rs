//! What the pending targets of a whole campaign wait for: the one reason they share, else how many
//! wait for what. For `status`, on demand; a step never comes here.

use std::collections::BTreeMap;

use crate::model::Wall;

use super::Engine;
use super::hold::{Hold, HoldKind};
use super::index::{CampaignIx, ClassIx, ProjectIx, TargetIx};
use super::state::TargetState;
use super::view::HoldCount;

/// Pending targets that are told apart one by one: some two milliseconds of the loop's time.
const LOOKED_AT: usize = 10_000;

impl Engine {
    /// The commonest reason in words, and how many targets wait for each; the commonest first. Of a
    /// larger campaign the first [`LOOKED_AT`] in its order speak for the rest, unless a freeze, a
    /// window, a pause or the process holds them all.
    pub(super) fn campaign_waits(
        &self,
        ix: CampaignIx,
        wall: Wall,
    ) -> (Option<Hold>, Vec<HoldCount>) {
        let campaign = &self.campaigns[ix.at()];
        let mut pending = campaign
            .targets
            .iter()
            .copied()
            .filter(|target| self.targets[target.at()].row.state == TargetState::Pending);
        let Some(first) = pending.next() else { return (None, Vec::new()) };
        let projects = || campaign.calendars.keys().copied();
        let mut kinds = projects().map(|project| self.shared_kind(ix, project, None, wall));
        let common = kinds.next().flatten();
        if let Some(kind) = common.filter(|_| kinds.all(|kind| kind == common))
            && (kind <= HoldKind::PastCutoff || projects().all(|one| self.all_fit(ix, one, wall)))
        {
            let targets = campaign.count(TargetState::Pending);
            return (Some(self.told(first, kind, wall)), vec![HoldCount { kind, targets }]);
        }
        let mut shared: BTreeMap<(ProjectIx, Option<ClassIx>), Option<HoldKind>> = BTreeMap::new();
        let mut found: BTreeMap<HoldKind, (TargetIx, u32)> = BTreeMap::new();
        for target in std::iter::once(first).chain(pending).take(LOOKED_AT) {
            let (project, class) = (self.targets[target.at()].project, self.known_class(target));
            let shared = shared
                .entry((project, class))
                .or_insert_with(|| self.shared_kind(ix, project, class, wall));
            let kind = shared.unwrap_or_else(|| self.own_kind(target, wall));
            found.entry(kind).or_insert((target, 0)).1 += 1;
        }
        let mut found: Vec<(HoldKind, (TargetIx, u32))> = found.into_iter().collect();
        // Stable: what is equally common stays in the documented order.
        found.sort_by_key(|(_, (_, targets))| std::cmp::Reverse(*targets));
        let main = found.first().map(|(kind, (target, _))| self.told(*target, *kind, wall));
        let counts = found.into_iter().map(|(kind, (_, targets))| HoldCount { kind, targets });
        (main, counts.collect())
    }
}
