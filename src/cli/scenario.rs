//! Scenario files: one TOML document with a world, faults and knobs, the configuration's own
//! tables, and a script. Every part is read by the reader of its own kind of file, so there is no
//! second format; a mistake in any of them is shown with file, line, column and caret.

mod defaults;

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{Document, Environment, FileContent, Findings, Loaded};
use crate::model::{Wall, closest};
use crate::rehearse::Mischief;
use crate::rehearse::scenario::{Scenario, Script};
use crate::sim::file::{Misfit, read_value};
use crate::sim::world::knobs::BadKnob;
use crate::sim::world::{FaultProfile, Knobs, World, WorldSpec};

/// Keys of the script; what begins none of the other parts is one of these.
const SCRIPT: &[&str] = &["begin", "until", "seed", "learned", "acts", "crashes", "expected"];

/// Tables of the simulated cloud.
const CLOUD: &[&str] = &["world", "faults", "knobs"];

/// Keys of the configuration that mean something in virtual time.
const CONFIG: &[&str] =
    &["time_zone", "credentials", "projects", "windows", "freezes", "campaigns"];

/// A scenario, and what its file says beside it.
#[derive(Debug)]
pub struct ScenarioFile {
    pub scenario: Scenario,
    /// The timeline that the file expects, and the bytes of the file it stands in.
    pub expected: Option<(String, Range<usize>)>,
}

/// Reads the text of a scenario file; `path` is its name for messages.
///
/// # Errors
/// Everything that is wrong with its settings, else the first thing that is wrong elsewhere.
pub fn read(path: &Path, text: String) -> Result<ScenarioFile, Findings> {
    let document = Document::new(path, text);
    let mut root = document.table()?;
    let misfit = |misfit: Misfit| document.error(misfit.span, &misfit.message, None);
    check_keys(&root).map_err(misfit)?;
    let script = Spanned::new(0..0, DeValue::Table(part(&mut root, SCRIPT)));
    let script: Script = read_value(script).map_err(misfit)?;
    let mut cloud = part(&mut root, CLOUD);
    defaults::cloud(&mut cloud);
    let (world, faults, knobs) = simulated(cloud, document.text()).map_err(misfit)?;
    defaults::settings(&mut root, &world);
    let environment = Outside { now: rough_beginning(&script) };
    let Loaded { config, .. } = document.config(&root, &environment)?;
    let zone = config.time_zone;
    let begin = script.begins(&zone).map_err(misfit)?;
    let begun = World::new(world.clone(), knobs.clone(), faults.clone(), script.seed);
    let scenario = Scenario {
        until: script.ends(&zone, begin).map_err(misfit)?,
        acts: script.acts(&zone, begin, &begun).map_err(misfit)?,
        mischief: Mischief { planned: script.crashes().map_err(misfit)?, ..Mischief::default() },
        seed: script.seed,
        learned: script.durations(),
        settings: config.settings,
        world,
        faults,
        knobs,
        begin,
        zone,
    };
    let expected = script.expected.map(|expected| {
        let span = expected.timeline.span();
        (expected.timeline.into_inner(), span)
    });
    Ok(ScenarioFile { scenario, expected })
}

/// Asked before the parts are taken, so that a misspelt key is not taken for another part's.
fn check_keys(root: &DeTable<'_>) -> Result<(), Misfit> {
    let known = || [SCRIPT, CLOUD, CONFIG].into_iter().flatten().copied();
    let unknown = root.keys().find(|key| known().all(|known| known != key.get_ref().as_ref()));
    let Some(key) = unknown else { return Ok(()) };
    let name = key.get_ref();
    let message = format!("unknown key {name:?}{}", closest::hint(name, known()));
    Err(Misfit::new(key.span(), message))
}

/// Takes those keys out of the document.
fn part<'a>(root: &mut DeTable<'a>, keys: &[&str]) -> DeTable<'a> {
    let mut table = DeTable::new();
    for key in keys {
        if let Some((name, value)) = root.remove_entry(*key) {
            table.insert(name, value);
        }
    }
    table
}

/// The cloud, what goes wrong with it, and its knobs.
fn simulated(
    mut cloud: DeTable<'_>,
    text: &str,
) -> Result<(WorldSpec, FaultProfile, Knobs), Misfit> {
    let world = cloud.remove("world").expect("the defaults have one");
    let world = WorldSpec::from_value(world, text)?;
    let faults = match cloud.remove("faults") {
        Some(faults) => read_value(faults)?,
        None => FaultProfile::calm(),
    };
    let mut knobs = Knobs::default();
    let Some(turned) = cloud.remove("knobs") else { return Ok((world, faults, knobs)) };
    let DeValue::Table(turned) = turned.get_ref() else {
        return Err(Misfit::new(turned.span(), "knobs are a table: duplicate = \"runs_twice\""));
    };
    for (name, value) in turned {
        let Some(position) = value.get_ref().as_str() else {
            return Err(Misfit::new(value.span(), "a knob's position is a string"));
        };
        knobs.set(&format!("{}={position}", name.get_ref())).map_err(|bad| match &bad {
            BadKnob::Value { .. } => Misfit::new(value.span(), bad.to_string()),
            _ => Misfit::new(name.span(), bad.to_string()),
        })?;
    }
    Ok((world, faults, knobs))
}

/// Good enough to tell which windows and freezes lie in the past.
fn rough_beginning(script: &Script) -> Wall {
    let date = script.begin.get_ref().date.map(|date| date.to_string()).unwrap_or_default();
    let at = format!("{date}T00:00:00Z").parse::<jiff::Timestamp>();
    Wall(at.map_or(0, |at| at.as_millisecond()))
}

/// No variable and no file: what a scenario means, its own text says.
struct Outside {
    now: Wall,
}

impl Environment for Outside {
    fn variable(&self, name: &str) -> Option<OsString> {
        (name == defaults::KEY_VARIABLE).then(|| "simulated".into())
    }

    fn read(&self, _: &Path, _: u64) -> io::Result<FileContent> {
        Err(io::Error::other("a scenario reads no other file"))
    }

    fn now(&self) -> Wall {
        self.now
    }
}
