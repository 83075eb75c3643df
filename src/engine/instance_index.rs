//! Finds an instance's place by its id. By hash, because a sweep asks for each instance of a large
//! fleet; never gone through, so that nothing can depend on the order of hashes.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::model::InstanceId;

use super::index::{InstanceIx, ProjectIx};
use super::tables::KnownInstance;

#[derive(Debug, Default)]
pub(super) struct InstanceIndex {
    places: HashTable<InstanceIx>,
    hasher: FixedState,
}

impl InstanceIndex {
    /// The place in `instances` of the project's instance with that id.
    pub(super) fn find(
        &self,
        instances: &[KnownInstance],
        project: ProjectIx,
        id: &InstanceId,
    ) -> Option<InstanceIx> {
        let hash = self.hasher.hash_one((project, id));
        let is_it = |ix: &InstanceIx| {
            let known = &instances[ix.at()];
            known.id == *id && known.project == project
        };
        self.places.find(hash, is_it).copied()
    }

    /// Enters the place of an instance that is not there yet.
    pub(super) fn insert(&mut self, instances: &[KnownInstance], ix: InstanceIx) {
        let hash = |ix: &InstanceIx| {
            let known = &instances[ix.at()];
            self.hasher.hash_one((known.project, &known.id))
        };
        self.places.insert_unique(hash(&ix), ix, hash);
    }
}
