//! Targets that wait for a slot, in the campaign's order, with blocked groups switched off whole.
//!
//! Two levels. A *lane* holds the targets of one combination of groups; a *cell* holds the lanes
//! that share the same large group (or none). A full large group switches its cells off, a full
//! small group parks the lanes that meet it, and a release lists them again. So finding the next
//! target costs O(log n) however many targets stand behind full groups.
//!
//! Nothing here knows caps or windows: it only answers "the best one whose groups have room".

use std::collections::{BTreeMap, BTreeSet};

use super::index::{ClassIx, GroupIx, LaneIx, TargetIx};

/// From this many members on a group has cells of its own.
const LARGE_GROUP: u32 = 32;

/// One cap on concurrent unavailability: a tag value, a zone, a project.
#[derive(Debug)]
pub(super) struct Group {
    /// `tag:app=web`, `zone:az1`.
    pub(super) label: String,
    pub(super) limit: u32,
    pub(super) members: u32,
    /// Targets that are in flight or being prepared.
    pub(super) used: u32,
    parked: Vec<Parked>,
}

impl Group {
    pub(super) fn new(label: String, limit: u32) -> Group {
        Group { label, limit, members: 0, used: 0, parked: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.used >= self.limit
    }
}

#[derive(Debug, Clone, Copy)]
struct Parked {
    queue: QueueKey,
    what: ParkedWhat,
}

#[derive(Debug, Clone, Copy)]
enum ParkedWhat {
    Cell(CellKey),
    Lane(LaneIx),
}

/// One queue: a project's targets of one wave and one class of durations. What does not fit before
/// the end of a window is left out whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueueKey {
    pub(super) project: super::index::ProjectIx,
    pub(super) wave: u32,
    pub(super) class: ClassIx,
}

/// The largest group of a lane, if it is large.
type CellKey = Option<GroupIx>;

/// A target's place in the campaign's order.
pub(super) type Rank = (u64, TargetIx);

#[derive(Debug, Default)]
struct Queue {
    lanes: BTreeMap<LaneIx, BTreeSet<Rank>>,
    /// Heads of the lanes that are not parked.
    cells: BTreeMap<CellKey, BTreeSet<(Rank, LaneIx)>>,
    /// Heads of the cells that are switched on.
    on: BTreeSet<(Rank, CellKey)>,
    parked_lanes: BTreeSet<LaneIx>,
    parked_cells: BTreeSet<CellKey>,
}

/// All waiting targets of one campaign.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) groups: Vec<Group>,
    group_index: BTreeMap<String, GroupIx>,
    /// The groups of each lane, ascending.
    lanes: Vec<Box<[GroupIx]>>,
    lane_index: BTreeMap<Box<[GroupIx]>, LaneIx>,
    /// The cell of each lane, fixed when it is first queued: groups grow while targets join.
    lane_cells: BTreeMap<LaneIx, CellKey>,
    queues: BTreeMap<QueueKey, Queue>,
    /// Every class that was ever queued: a handful.
    classes: Vec<ClassIx>,
}

impl Ready {
    pub(super) fn group(&mut self, label: &str, limit: u32) -> GroupIx {
        if let Some(&known) = self.group_index.get(label) {
            self.groups[known.at()].limit = limit;
            return known;
        }
        let ix = GroupIx(self.groups.len() as u32);
        self.groups.push(Group::new(label.to_owned(), limit));
        self.group_index.insert(label.to_owned(), ix);
        ix
    }

    /// The lane of a target with these groups; counts it as a member of each.
    pub(super) fn lane(&mut self, mut groups: Vec<GroupIx>) -> LaneIx {
        groups.sort_unstable();
        groups.dedup();
        for group in &groups {
            self.groups[group.at()].members += 1;
        }
        let key: Box<[GroupIx]> = groups.into();
        if let Some(&known) = self.lane_index.get(&key) {
            return known;
        }
        let ix = LaneIx(self.lanes.len() as u32);
        self.lanes.push(key.clone());
        self.lane_index.insert(key, ix);
        ix
    }

    /// One member of the lane is in another now, or is counted twice.
    pub(super) fn leave(&mut self, lane: LaneIx) {
        for group in self.lanes[lane.at()].iter() {
            self.groups[group.at()].members -= 1;
        }
    }

    /// The first group of the lane that has no room.
    pub(super) fn full_group(&self, lane: LaneIx) -> Option<&Group> {
        let groups = self.lanes[lane.at()].iter();
        groups.map(|group| &self.groups[group.at()]).find(|group| group.is_full())
    }

    /// Whether a group of the lane holds more than it may, since its limit was lowered.
    pub(super) fn is_overfull(&self, lane: LaneIx) -> bool {
        let mut groups = self.lanes[lane.at()].iter().map(|group| &self.groups[group.at()]);
        groups.any(|group| group.used > group.limit)
    }

    pub(super) fn insert(&mut self, key: QueueKey, lane: LaneIx, rank: u64, target: TargetIx) {
        if !self.classes.contains(&key.class) {
            self.classes.push(key.class);
        }
        self.change(key, lane, |targets| targets.insert((rank, target)));
    }

    pub(super) fn remove(&mut self, key: QueueKey, lane: LaneIx, rank: u64, target: TargetIx) {
        self.change(key, lane, |targets| targets.remove(&(rank, target)));
    }

    /// The best target of this queue whose groups all have room; it stays in the queue.
    pub(super) fn first(&mut self, key: QueueKey) -> Option<Rank> {
        loop {
            let &(head, cell) = self.queues.get(&key)?.on.first()?;
            if let Some(group) = cell.filter(|group| self.groups[group.at()].is_full()) {
                self.switch_off(key, head, cell, group);
                continue;
            }
            let queue = self.queues.get(&key)?;
            let &(rank, lane) = queue.cells.get(&cell)?.first()?;
            let full = self.lanes[lane.at()]
                .iter()
                .copied()
                .find(|group| self.groups[group.at()].is_full());
            match full {
                Some(group) => self.park(key, cell, lane, group),
                None => return Some(rank),
            }
        }
    }

    /// The best waiting target of this queue, whether or not its groups have room.
    pub(super) fn first_of_any(&self, key: QueueKey) -> Option<TargetIx> {
        let lanes = self.queues.get(&key)?.lanes.values();
        lanes.filter_map(|lane| lane.first()).min().map(|&(_, target)| target)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = QueueKey> {
        self.queues.keys().copied()
    }

    pub(super) fn classes(&self) -> &[ClassIx] {
        &self.classes
    }

    pub(super) fn is_empty(&self, key: QueueKey) -> bool {
        self.queues.get(&key).is_none_or(|queue| queue.lanes.is_empty())
    }

    pub(super) fn occupy(&mut self, lane: LaneIx) {
        for group in self.lanes[lane.at()].iter() {
            self.groups[group.at()].used += 1;
        }
    }

    pub(super) fn release(&mut self, lane: LaneIx) {
        for at in 0..self.lanes[lane.at()].len() {
            let group = self.lanes[lane.at()][at];
            let group = &mut self.groups[group.at()];
            group.used = group.used.checked_sub(1).expect("a group releases what it occupied");
            if !group.is_full() {
                for parked in std::mem::take(&mut group.parked) {
                    self.list_again(parked);
                }
            }
        }
    }

    fn change(
        &mut self,
        key: QueueKey,
        lane: LaneIx,
        edit: impl FnOnce(&mut BTreeSet<Rank>) -> bool,
    ) {
        let cell = self.cell_of(lane);
        let queue = self.queues.entry(key).or_default();
        let targets = queue.lanes.entry(lane).or_default();
        let before = targets.first().copied();
        edit(targets);
        let after = targets.first().copied();
        if targets.is_empty() {
            queue.lanes.remove(&lane);
        }
        if before == after {
            return;
        }
        if !queue.parked_lanes.contains(&lane) {
            queue.edit_cell(cell, |heads| {
                before.map(|head| heads.remove(&(head, lane)));
                after.map(|head| heads.insert((head, lane)));
            });
        }
    }

    fn cell_of(&mut self, lane: LaneIx) -> CellKey {
        let groups = &self.groups;
        let large = self.lanes[lane.at()].iter().copied();
        let large = large.filter(|group| groups[group.at()].members > LARGE_GROUP);
        let cell = self.lane_cells.entry(lane);
        *cell.or_insert_with(|| large.max_by_key(|group| groups[group.at()].members))
    }

    fn switch_off(&mut self, key: QueueKey, head: Rank, cell: CellKey, group: GroupIx) {
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.on.remove(&(head, cell));
            queue.parked_cells.insert(cell);
        }
        self.groups[group.at()].parked.push(Parked { queue: key, what: ParkedWhat::Cell(cell) });
    }

    fn park(&mut self, key: QueueKey, cell: CellKey, lane: LaneIx, group: GroupIx) {
        if let Some(queue) = self.queues.get_mut(&key) {
            let head = queue.lanes.get(&lane).and_then(|targets| targets.first()).copied();
            queue.parked_lanes.insert(lane);
            queue.edit_cell(cell, |heads| {
                head.map(|head| heads.remove(&(head, lane)));
            });
        }
        self.groups[group.at()].parked.push(Parked { queue: key, what: ParkedWhat::Lane(lane) });
    }

    fn list_again(&mut self, parked: Parked) {
        match parked.what {
            ParkedWhat::Cell(cell) => {
                let Some(queue) = self.queues.get_mut(&parked.queue) else { return };
                if queue.parked_cells.remove(&cell)
                    && let Some(&(head, _)) = queue.cells.get(&cell).and_then(|heads| heads.first())
                {
                    queue.on.insert((head, cell));
                }
            }
            ParkedWhat::Lane(lane) => {
                let cell = self.cell_of(lane);
                let Some(queue) = self.queues.get_mut(&parked.queue) else { return };
                let head = queue.lanes.get(&lane).and_then(|targets| targets.first()).copied();
                if queue.parked_lanes.remove(&lane)
                    && let Some(head) = head
                {
                    queue.edit_cell(cell, |heads| {
                        heads.insert((head, lane));
                    });
                }
            }
        }
    }
}

impl Queue {
    fn edit_cell(&mut self, cell: CellKey, edit: impl FnOnce(&mut BTreeSet<(Rank, LaneIx)>)) {
        let heads = self.cells.entry(cell).or_default();
        let before = heads.first().map(|&(head, _)| head);
        edit(heads);
        let after = heads.first().map(|&(head, _)| head);
        if heads.is_empty() {
            self.cells.remove(&cell);
        }
        if before != after && !self.parked_cells.contains(&cell) {
            before.map(|head| self.on.remove(&(head, cell)));
            after.map(|head| self.on.insert((head, cell)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::index::ProjectIx;
    use super::*;

    const KEY: QueueKey = QueueKey { project: ProjectIx(0), wave: 0, class: ClassIx(0) };

    #[derive(Debug, Clone)]
    enum Act {
        /// Takes the best target and occupies its groups.
        Take,
        /// Gives back the groups of the n-th taken target.
        GiveBack(usize),
        /// Puts the n-th taken target's slot back into the queue (a refused start).
        Requeue(usize),
        /// Removes the n-th waiting target (held, skipped).
        Remove(usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => Just(Act::Take),
            2 => (0..50usize).prop_map(Act::GiveBack),
            1 => (0..50usize).prop_map(Act::Requeue),
            1 => (0..50usize).prop_map(Act::Remove),
        ];
        prop::collection::vec(act, 1..200)
    }

    /// Targets with up to three groups each, some groups large, some small.
    fn targets() -> impl Strategy<Value = Vec<Vec<u32>>> {
        let groups = prop::collection::vec(prop_oneof![0..2u32, 2..20u32], 0..3);
        prop::collection::vec(groups, 1..120)
    }

    /// The same question, answered by looking at every waiting target.
    fn best_by_hand(
        ready: &Ready,
        waiting: &BTreeSet<(u64, TargetIx)>,
        lanes: &[LaneIx],
    ) -> Option<TargetIx> {
        let mut fits = waiting.iter().filter(|(_, ix)| ready.full_group(lanes[ix.at()]).is_none());
        fits.next().map(|&(_, ix)| ix)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_first_is_always_the_best_whose_groups_have_room(
            targets in targets(), limits in prop::collection::vec(1..4u32, 20), acts in acts(),
        ) {
            let mut ready = Ready::default();
            let lanes: Vec<LaneIx> = targets
                .iter()
                .map(|groups| {
                    let groups = groups
                        .iter()
                        .map(|&group| ready.group(&format!("g{group}"), limits[group as usize]));
                    let groups = groups.collect();
                    ready.lane(groups)
                })
                .collect();
            // Ranks that do not follow the order of insertion.
            let rank = |ix: TargetIx| u64::from(ix.0) * 7_919 % 1_009;
            let mut waiting = BTreeSet::new();
            for ix in (0..targets.len() as u32).map(TargetIx) {
                ready.insert(KEY, lanes[ix.at()], rank(ix), ix);
                waiting.insert((rank(ix), ix));
            }
            let mut taken: Vec<TargetIx> = Vec::new();
            for act in acts {
                let first = ready.first(KEY).map(|(_, target)| target);
                prop_assert_eq!(first, best_by_hand(&ready, &waiting, &lanes));
                match act {
                    Act::Take => {
                        if let Some((_, ix)) = ready.first(KEY) {
                            ready.remove(KEY, lanes[ix.at()], rank(ix), ix);
                            waiting.remove(&(rank(ix), ix));
                            ready.occupy(lanes[ix.at()]);
                            taken.push(ix);
                        }
                    }
                    Act::GiveBack(n) if !taken.is_empty() => {
                        let ix = taken.remove(n % taken.len());
                        ready.release(lanes[ix.at()]);
                    }
                    Act::Requeue(n) if !taken.is_empty() => {
                        let ix = taken.remove(n % taken.len());
                        ready.release(lanes[ix.at()]);
                        ready.insert(KEY, lanes[ix.at()], rank(ix), ix);
                        waiting.insert((rank(ix), ix));
                    }
                    Act::Remove(n) if !waiting.is_empty() => {
                        let at = n % waiting.len();
                        let (by, ix) = *waiting.iter().nth(at).expect("below the length");
                        ready.remove(KEY, lanes[ix.at()], by, ix);
                        waiting.remove(&(by, ix));
                    }
                    _ => {}
                }
            }
        }
    }
}
