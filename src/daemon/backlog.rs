//! Units that are decided and not yet durable, in the engine's order.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::engine::{Reply, Submit};
use crate::store::Unit;

/// The most units of one transaction: larger ones gain nothing and delay the first of them.
const GROUP: usize = 200;

/// Units that may wait while the store cannot be written. At some 2 KiB each a few MiB, and more
/// than everything in flight can answer.
const ROOM: usize = 10_000;

/// What may happen once a unit is durable, and not before.
#[derive(Debug, Default)]
pub(super) struct Consequences {
    pub submits: Vec<Submit>,
    pub reply: Option<(oneshot::Sender<Reply>, Reply)>,
}

/// Units that become durable together, and what follows from each.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub units: Vec<Unit>,
    pub consequences: Vec<Consequences>,
}

#[derive(Debug, Default)]
pub(super) struct Backlog {
    units: VecDeque<Unit>,
    consequences: VecDeque<Consequences>,
}

impl Backlog {
    /// A unit that holds nothing and leads to nothing is left out.
    pub fn push(&mut self, unit: Unit, consequences: Consequences) {
        let is_empty =
            unit.events.is_empty() && unit.changes.is_empty() && unit.evidence.is_empty();
        if is_empty && consequences.submits.is_empty() && consequences.reply.is_none() {
            return;
        }
        self.units.push_back(unit);
        self.consequences.push_back(consequences);
    }

    pub fn has_room(&self) -> bool {
        self.units.len() < ROOM
    }

    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter()
    }

    /// The oldest units, in order; `None` if there are none.
    pub fn take_group(&mut self) -> Option<Group> {
        if self.is_empty() {
            return None;
        }
        let size = self.units.len().min(GROUP);
        Some(Group {
            units: self.units.drain(..size).collect(),
            consequences: self.consequences.drain(..size).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Event, Fact};
    use crate::model::Wall;

    fn unit(seq: u64) -> Unit {
        let event = Event {
            seq,
            at: Wall(0),
            campaign: None,
            project: None,
            instance: None,
            attempt: None,
            actor: None,
            comment: None,
            state: None,
            fact: Fact::Restarted,
        };
        Unit { events: vec![event], ..Unit::default() }
    }

    #[test]
    fn groups_keep_the_order_and_stay_within_their_size() {
        let mut backlog = Backlog::default();
        let count = GROUP as u64 + 50;
        for seq in 1..=count {
            backlog.push(unit(seq), Consequences::default());
        }
        let groups: Vec<Group> = std::iter::from_fn(|| backlog.take_group()).collect();
        assert_eq!(groups.iter().map(|group| group.units.len()).collect::<Vec<_>>(), [GROUP, 50]);
        let seqs = groups.iter().flat_map(|group| &group.units).map(|unit| unit.events[0].seq);
        assert!(seqs.eq(1..=count));
    }

    #[test]
    fn a_unit_without_content_or_consequence_is_left_out() {
        let mut backlog = Backlog::default();
        backlog.push(Unit::default(), Consequences::default());
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_reply_waits_for_the_units_before_it() {
        let mut backlog = Backlog::default();
        backlog.push(unit(1), Consequences::default());
        let (asker, _asked) = oneshot::channel();
        let reply = Reply::Done { changed: false, message: String::new() };
        backlog
            .push(Unit::default(), Consequences { submits: vec![], reply: Some((asker, reply)) });
        let group = backlog.take_group().unwrap();
        assert_eq!((group.units.len(), group.consequences.len()), (2, 2));
        assert!(group.consequences[1].reply.is_some());
    }
}
