//! Scenarios: a fleet, what goes wrong, who does what when, and the timeline that comes of it.
//!
//! One file tells one story, opens with the guarantee that it shows, and is a golden test. How a
//! file is read stands in `cli`; here is what it means.

mod deed;
mod play;
mod script;
mod timeline;

use jiff::tz::TimeZone;

pub use deed::{Deed, FORMS, TargetOrder};
pub use play::{Played, Said};
pub use script::{ActAt, ActLine, CrashLine, Expected, LearnedLine, Script, Stage, acts};

use crate::engine::rows::{DurationRow, Rows};
use crate::model::{Settings, Wall};
use crate::rehearse::{Host, Mischief, Setup};
use crate::sim::world::{FaultProfile, Knobs, World, WorldSpec};

/// All that a story needs, valid as a whole.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub world: WorldSpec,
    pub settings: Settings,
    pub faults: FaultProfile,
    pub knobs: Knobs,
    pub mischief: Mischief,
    pub begin: Wall,
    /// `None`: until every campaign is over.
    pub until: Option<Wall>,
    /// The zone in which the timeline is told.
    pub zone: TimeZone,
    pub seed: u64,
    /// What upgrades took before it begins.
    pub learned: Vec<DurationRow>,
    /// In the order of their instants.
    pub acts: Vec<ActAt>,
}

impl Scenario {
    fn host(&self) -> Host {
        let (world, knobs, faults) = (self.world.clone(), self.knobs.clone(), self.faults.clone());
        let setup = Setup {
            settings: self.settings.clone(),
            world: World::new(world, knobs, faults, self.seed),
            begin: self.begin,
            seed: self.seed,
            mischief: self.mischief.clone(),
        };
        Host::resume(setup, Rows { durations: self.learned.clone(), ..Rows::default() })
    }
}
