//! Pages of the instance list as they were last shown. A large fleet is listed again and again, and
//! most of its rows stay as they are: only what was touched since is compared.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::call::PAGE_ROWS;
use crate::model::{Instance, InventoryPage, Listed};

#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pages: Vec<Option<Shown>>,
}

#[derive(Debug, Clone)]
struct Shown {
    page: Arc<InventoryPage>,
    /// Rows of it, by their place in the project, that may have changed since.
    doubtful: BTreeSet<usize>,
}

impl Listing {
    /// The instance in that place may have changed.
    pub fn touch(&mut self, instance: usize) {
        if let Some(Some(shown)) = self.pages.get_mut(instance / PAGE_ROWS) {
            shown.doubtful.insert(instance);
        }
    }

    /// The page with that number, empty past the end. `row` tells what the list shows of an instance now;
    /// `changes` whether that may become another without a touch, for time alone passes.
    pub fn page(
        &mut self,
        number: usize,
        total: usize,
        row: impl Fn(usize) -> Instance,
        changes: impl Fn(usize) -> bool,
    ) -> Arc<InventoryPage> {
        if number >= total.div_ceil(PAGE_ROWS) {
            return Arc::new(InventoryPage { instances: Vec::new(), rows: 0, total: Some(total) });
        }
        self.pages.resize(self.pages.len().max(number + 1), None);
        let first = number * PAGE_ROWS;
        let rows = first..total.min(first + PAGE_ROWS);
        let slot = &mut self.pages[number];
        let Some(shown) = slot.as_mut().filter(|shown| shown.page.total == Some(total)) else {
            let instances: Vec<Listed> = rows.clone().map(|at| Listed::new(row(at))).collect();
            let page = InventoryPage { rows: instances.len(), instances, total: Some(total) };
            let doubtful = rows.filter(|at| changes(*at)).collect();
            return slot.insert(Shown { page: Arc::new(page), doubtful }).page.clone();
        };
        let looked_at = std::mem::take(&mut shown.doubtful);
        for at in looked_at {
            let now = row(at);
            if *shown.page.instances[at - first] != now {
                Arc::make_mut(&mut shown.page).instances[at - first] = Listed::new(now);
            }
            if changes(at) {
                shown.doubtful.insert(at);
            }
        }
        shown.page.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        InstanceId, InstanceStatus, Millis, ReadAnswer, ReadCall, UpgradeBody, Wall,
    };
    use crate::sim::world::{Change, Content};
    use crate::sim::world::{FaultProfile, Knobs, SpanRange, World, WorldSpec};

    const BEGUN: Wall = Wall(1_772_409_600_000);

    struct Fleet {
        world: World,
        project: Arc<str>,
    }

    impl Fleet {
        fn new(count: usize) -> Fleet {
            let takes = SpanRange { least: Millis(60_000), most: Millis(60_000) };
            let spec = WorldSpec::fleet(count, takes);
            let project = spec.projects[0].id.clone();
            let mut knobs = Knobs::default();
            knobs.set("service_task=filled").unwrap();
            let world = World::new(spec, knobs, FaultProfile::calm(), 1);
            Fleet { world, project }
        }

        fn page(&mut self, at: Millis, offset: usize) -> Arc<InventoryPage> {
            let call = ReadCall::InventoryPage { offset };
            let reply = self.world.read(BEGUN + at, &self.project, &call);
            let Content::Read(ReadAnswer::InventoryPage(page)) = reply.content else {
                panic!("no page")
            };
            page
        }

        fn last(&mut self) -> InstanceId {
            let page = self.page(Millis::ZERO, 0);
            page.instances.last().unwrap().id.clone()
        }
    }

    #[test]
    fn a_page_on_which_nothing_changed_is_the_same_page() {
        let mut fleet = Fleet::new(PAGE_ROWS + 5);
        let (first, second) = (fleet.page(Millis(0), 0), fleet.page(Millis(0), PAGE_ROWS));
        assert_eq!((first.instances.len(), second.instances.len()), (PAGE_ROWS, 5));
        let id = fleet.last();
        fleet.world.change(BEGUN + Millis(1), &fleet.project, id.as_str(), Change::Frozen);
        let changed = fleet.page(Millis(2), 0);
        assert_eq!(changed.instances.last().unwrap().status, InstanceStatus::Frozen);
        assert!(Arc::ptr_eq(changed.instances[0].instance(), first.instances[0].instance()));
        assert!(Arc::ptr_eq(&fleet.page(Millis(2), PAGE_ROWS), &second));
    }

    #[test]
    fn a_page_past_the_end_is_empty_however_far() {
        let mut fleet = Fleet::new(5);
        for offset in [PAGE_ROWS, usize::MAX / PAGE_ROWS * PAGE_ROWS] {
            let page = fleet.page(Millis(0), offset);
            assert_eq!((page.rows, page.total), (0, Some(5)));
        }
    }

    #[test]
    fn an_upgrade_shows_on_its_page_while_it_runs_and_no_longer() {
        let mut fleet = Fleet::new(3);
        let id = fleet.last();
        let before = fleet.page(Millis(0), 0);
        let body = UpgradeBody { engine: Some("latest".into()), proxy: None };
        let reply = fleet.world.upgrade(BEGUN, &fleet.project, &id, &body, None);
        assert!(reply.applied);
        let shows = |page: Arc<InventoryPage>| page.instances[2].service_task_id.is_some();
        assert!(shows(fleet.page(Millis(30_000), 0)));
        let after = fleet.page(Millis(90_000), 0);
        assert_eq!(after, before);
    }
}
