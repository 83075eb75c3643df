//! Files that are no configuration: fleets, faults, durations, acts, scenarios. A mistake in one is
//! shown with file, line, column and caret, and ends the command with 65.

use std::fs;
use std::path::Path;
use std::string::FromUtf8Error;

use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::{Document, Findings};
use crate::exit::Exit;
use crate::model::duration::Parts;
use crate::model::{CacheMode, closest};
use crate::rehearse::scenario::{ActAt, ActLine, Stage, acts};
use crate::rehearse::{DeclaredClass, Fleet, PlannedCampaign, Takes};
use crate::sim::file::{Misfit, read_value};
use crate::sim::world::{FaultProfile, Span, SpanRange, World, WorldSpec};

use super::failure::Failure;

/// A fleet of 100,000 instances takes some 40 MiB; more than this is none.
const SIZE_MAX: u64 = 512 * 1024 * 1024;

/// The text of a data file.
///
/// # Errors
/// It cannot be read, is larger than any fleet, or is no text.
pub fn text(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let size = fs::metadata(path).map(|metadata| metadata.len());
    if size.is_ok_and(|size| size > SIZE_MAX) {
        let message = format!("{name} is larger than {SIZE_MAX} bytes");
        return Err(Failure::new(Exit::BadData, message));
    }
    let bytes = fs::read(path).map_err(|error| {
        Failure::new(Exit::BadData, format!("{name} cannot be read")).because(&error)
    })?;
    String::from_utf8(bytes).map_err(|error| wrong(not_utf8(path, &error)))
}

fn not_utf8(path: &Path, error: &FromUtf8Error) -> Findings {
    let at = error.utf8_error().valid_up_to();
    // What cannot be shown stands as a mark of three bytes from there on.
    let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
    Document::new(path, shown).error(at..at + 3, "this is not UTF-8", None)
}

/// What a data file says wrongly, and where.
pub fn wrong(findings: Findings) -> Failure {
    let message = format!("{} cannot be used", findings.file.display());
    let failure = Failure::new(Exit::BadData, message);
    Failure { findings: Some(Box::new(findings)), ..failure }
}

/// A fleet: a world, and the campaigns that were planned of it.
///
/// # Errors
/// The file cannot be read, or the first thing in it that is wrong.
pub fn fleet(path: &Path) -> Result<Fleet, Failure> {
    fleet_of(path, text(path)?).map_err(wrong)
}

/// The same of its text; `path` is its name for messages.
///
/// # Errors
/// The first thing in it that is wrong.
pub fn fleet_of(path: &Path, text: String) -> Result<Fleet, Findings> {
    let document = Document::new(path, text);
    let mut root = document.table()?;
    let misfit = |misfit: Misfit| document.error(misfit.span, &misfit.message, None);
    let planned = root.remove("campaign").map(planned).transpose().map_err(misfit)?;
    let world = Spanned::new(0..0, DeValue::Table(root));
    let world = WorldSpec::from_value(world, document.text()).map_err(misfit)?;
    Ok(Fleet::new(world, planned.unwrap_or_default()))
}

/// One `[[campaign]]` of a fleet file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlannedLine {
    name: String,
    /// In hexadecimal: TOML knows no number so large.
    seed: Spanned<String>,
    #[serde(default)]
    digest: String,
}

fn planned(value: Spanned<DeValue<'_>>) -> Result<Vec<PlannedCampaign>, Misfit> {
    let lines: Vec<PlannedLine> = read_value(value)?;
    let campaign = |line: PlannedLine| {
        let seed = u64::from_str_radix(line.seed.get_ref(), 16)
            .map_err(|_| Misfit::new(line.seed.span(), "a seed is up to 16 hexadecimal digits"))?;
        Ok(PlannedCampaign { name: line.name.as_str().into(), seed, digest: line.digest.into() })
    };
    lines.into_iter().map(campaign).collect()
}

/// A built-in profile, or that of a file.
///
/// # Errors
/// Neither; or the first thing in the file that is wrong.
pub fn faults(name: &str) -> Result<FaultProfile, Failure> {
    if let Some(profile) = FaultProfile::built_in(name) {
        return Ok(profile);
    }
    let path = Path::new(name);
    if !path.exists() {
        let hint = closest::hint(name, FaultProfile::BUILT_IN);
        let built_in = FaultProfile::BUILT_IN.join(", ");
        let message = format!(
            "--faults {name:?} is neither a built-in profile ({built_in}) nor a file{hint}"
        );
        return Err(Failure::new(Exit::BadData, message));
    }
    let document = Document::new(path, text(path)?);
    let profile = || {
        let root = document.table()?;
        let value = Spanned::new(0..0, DeValue::Table(root));
        read_value(value).map_err(|misfit| document.error(misfit.span, &misfit.message, None))
    };
    profile().map_err(wrong)
}

/// A file of durations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DurationsFile {
    class: Vec<Spanned<ClassLine>>,
}

/// One `[[class]]` of it: `takes`, or `p50` and `p95`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassLine {
    cache_mode: Option<CacheMode>,
    parts: Option<Parts>,
    takes: Option<SpanRange>,
    p50: Option<Span>,
    p95: Option<Spanned<Span>>,
}

/// How long upgrades of which classes take.
///
/// # Errors
/// The file cannot be read, or the first thing in it that is wrong.
pub fn durations(path: &Path) -> Result<Vec<DeclaredClass>, Failure> {
    let document = Document::new(path, text(path)?);
    let read = || {
        let value = Spanned::new(0..0, DeValue::Table(document.table()?));
        let misfit = |misfit: Misfit| document.error(misfit.span, &misfit.message, None);
        let file: DurationsFile = read_value(value).map_err(misfit)?;
        classes(file.class).map_err(misfit)
    };
    read().map_err(wrong)
}

fn classes(lines: Vec<Spanned<ClassLine>>) -> Result<Vec<DeclaredClass>, Misfit> {
    let mut classes: Vec<DeclaredClass> = Vec::new();
    for line in lines {
        let span = line.span();
        let ClassLine { cache_mode, parts, takes, p50, p95 } = line.into_inner();
        if classes.iter().any(|before| before.covers(cache_mode, parts)) {
            let message = "an earlier class tells of all that this one would";
            return Err(Misfit::new(span, message));
        }
        let takes = match (takes, p50, p95) {
            (Some(range), None, None) => Takes::Range(range),
            (None, Some(Span(p50)), Some(p95)) if p95.get_ref().0 >= p50 => {
                Takes::Percentiles { p50, p95: p95.into_inner().0 }
            }
            (None, Some(_), Some(p95)) => {
                return Err(Misfit::new(p95.span(), "p95 is shorter than p50"));
            }
            _ => return Err(Misfit::new(span, "a class has either takes, or p50 and p95")),
        };
        classes.push(DeclaredClass { cache_mode, parts, takes });
    }
    Ok(classes)
}

/// A script of acts, as a scenario has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActsFile {
    acts: Vec<ActLine>,
}

/// What somebody does, in the order of the instants.
///
/// # Errors
/// The file cannot be read, or the first thing in it that is wrong.
pub fn script(path: &Path, stage: Stage<'_>, world: &World) -> Result<Vec<ActAt>, Failure> {
    let document = Document::new(path, text(path)?);
    let read = || {
        let value = Spanned::new(0..0, DeValue::Table(document.table()?));
        let misfit = |misfit: Misfit| document.error(misfit.span, &misfit.message, None);
        let file: ActsFile = read_value(value).map_err(misfit)?;
        acts(&file.acts, stage, world).map_err(misfit)
    };
    read().map_err(wrong)
}
