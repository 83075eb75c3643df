//! Maps by id for whole fleets: an id is found by its hash, and the map is gone through in the
//! order of insertion, so that what comes of it never depends on the hash.

use foldhash::fast::FixedState;
use indexmap::IndexMap;

pub type IdMap<K, V> = IndexMap<K, V, FixedState>;
