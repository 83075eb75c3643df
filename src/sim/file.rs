//! World and fault files: TOML to specifications, with errors that name file, line and column.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::world::{FaultProfile, WorldSpec};

/// Instances of one world; more is a slip of the keyboard.
const INSTANCES_MAX: usize = 2_000_000;

/// A world or fault file that says something impossible.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct FileError {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    pub message: String,
}

impl FileError {
    fn at(file: &str, text: &str, offset: usize, message: impl Into<String>) -> FileError {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        FileError {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// What a value of a document says wrongly, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Bytes of the document.
    pub span: Range<usize>,
    pub message: String,
}

impl Misfit {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Misfit {
        Misfit { span, message: message.into() }
    }
}

/// Reads one value of a larger document.
///
/// # Errors
/// The first thing in it that does not fit.
pub fn read_value<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> Result<T, Misfit> {
    let whole = value.span();
    T::deserialize(ValueDeserializer::from(value))
        .map_err(|error| Misfit::new(error.span().unwrap_or(whole), error.message()))
}

fn read<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        FileError::at(file, text, offset, error.message())
    })
}

impl WorldSpec {
    /// Reads a world file; `file` is its name for messages.
    ///
    /// # Errors
    /// Where the text is not TOML, names an unknown key, gives a value of the wrong form, or
    /// names two things alike.
    pub fn from_toml(text: &str, file: &str) -> Result<WorldSpec, FileError> {
        let spec: WorldSpec = read(text, file)?;
        spec.check(text)
            .map_err(|misfit| FileError::at(file, text, misfit.span.start, misfit.message))?;
        Ok(spec)
    }

    /// Reads a world that is one value of a larger document, whose text is given for places.
    ///
    /// # Errors
    /// As those of a world file.
    pub fn from_value(value: Spanned<DeValue<'_>>, text: &str) -> Result<WorldSpec, Misfit> {
        let spec: WorldSpec = read_value(value)?;
        spec.check(text)?;
        Ok(spec)
    }

    /// No two things are named alike, and there are not too many.
    fn check(&self, text: &str) -> Result<(), Misfit> {
        let mut count: usize = 0;
        let mut seen = BTreeSet::new();
        for project in &self.projects {
            for name in [&project.name, &project.id] {
                if !seen.insert(name.clone()) {
                    return Err(twice(text, name));
                }
            }
            let mut names: BTreeSet<&Arc<str>> = BTreeSet::new();
            for instance in &project.instances {
                count = count.saturating_add(instance.count);
                if instance.count > 1
                    && let Some(id) = &instance.id
                {
                    let message = format!("{} instances cannot share one id", instance.count);
                    return Err(Misfit::new(mention(text, id, 0), message));
                }
                // Clouds allow two of one name: their ids tell them apart.
                let name = instance.id.as_ref().unwrap_or(&instance.name);
                if !names.insert(name) {
                    return Err(twice(text, name));
                }
            }
        }
        if count > INSTANCES_MAX {
            let message = format!("{count} instances are more than {INSTANCES_MAX}");
            let counts = self.projects.iter().flat_map(|project| &project.instances);
            let largest = counts.map(|instance| instance.count).max().unwrap_or_default();
            return Err(Misfit::new(number(text, largest), message));
        }
        Ok(())
    }
}

impl FaultProfile {
    /// Reads a fault file; `file` is its name for messages.
    ///
    /// # Errors
    /// Where the text is not TOML, names an unknown key or decision, or gives a value of the wrong
    /// form.
    pub fn from_toml(text: &str, file: &str) -> Result<FaultProfile, FileError> {
        read(text, file)
    }
}

/// The place of the second mention is the one to show.
fn twice(text: &str, name: &str) -> Misfit {
    Misfit::new(mention(text, name, 1), format!("{name:?} is named twice"))
}

/// Where the name stands for the first (0), second (1) … time.
fn mention(text: &str, name: &str, number: usize) -> Range<usize> {
    let quoted = format!("\"{name}\"");
    let found = text.match_indices(&quoted).nth(number);
    found.map_or(0..0, |(offset, _)| offset..offset + quoted.len())
}

/// Where the number stands for the first time as the count of something.
fn number(text: &str, count: usize) -> Range<usize> {
    let digits = count.to_string();
    let is_count = |(offset, _): &(usize, &str)| {
        text[..*offset]
            .trim_end()
            .strip_suffix('=')
            .is_some_and(|it| it.trim_end().ends_with("count"))
    };
    let found = text.match_indices(&*digits).find(is_count);
    found.map_or(0..0, |(offset, _)| offset..offset + digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::world::{CallFilter, CallKind, Change, Decision, Outcome, Share, Span};

    const WORLD: &str = r#"
name = "night"
latency = "1ms..5ms"
takes = "300ms..3s"

[[project]]
name = "prod"
id = "0f5181caba0024e72f89c0045e707b91"
region = "sim-1"
agency = true

[[project.access_key]]
access = "AK1"
secret = "SK1"

[[project.user]]
domain = "d"
name = "u"
password = "p"

[[project.limit]]
calls = "upgrade"
policy = "user"
limit = "5/1m"

[[project.instance]]
name = "cart"
count = 3
cache_mode = "ha_rw_split"
tags = { env = "prod" }

[[project.instance]]
name = "odd"
outcomes = ["failed", "success"]
change = [{ what = "frozen", after = "5s" }, { what = "unfrozen", after_shows = 3 }]
"#;

    #[test]
    fn a_world_file_reads() {
        let spec = WorldSpec::from_toml(WORLD, "world.toml").unwrap();
        let project = &spec.projects[0];
        assert_eq!(project.limits[0].calls, CallFilter::Only(CallKind::Upgrade));
        assert_eq!(project.instances[0].count, 3);
        assert_eq!(project.instances[1].outcomes, [Outcome::Failed, Outcome::Success]);
        assert_eq!(project.instances[1].changes[0].what, Change::Frozen);
    }

    #[test]
    fn a_fault_file_reads() {
        let text = r#"
heal_after = "2m"
outcomes = { failed = 0.1 }

[[rule]]
calls = "read"
until = "30s"
decisions = { error_500_before = 0.1, 429 = 0.05 }

[[script]]
calls = "upgrade"
instance = "cart-0001"
steps = ["error_500_before", { decision = "slow", delay = "2s", times = 2 }, "ok"]
"#;
        let profile = FaultProfile::from_toml(text, "faults.toml").unwrap();
        assert_eq!(profile.rules[0].decisions[&Decision::Throttled], Share(0.05));
        let steps = &profile.scripts[0].steps;
        assert_eq!((steps[1].decision, steps[1].times), (Decision::Slow, 2));
        assert_eq!(steps[1].delay, Some("2s".parse::<Span>().unwrap()));
    }

    #[test]
    fn an_error_names_file_line_and_column() {
        let cases = [
            ("nam = \"x\"\n", 1, 1, "unknown field `nam`"),
            ("name = \"x\"\ntakes = \"3s..1s\"\nproject = []\n", 2, 9, "range"),
            ("name = \"x\"\nproject = [\n", 2, 12, "unclosed"),
        ];
        for (text, line, column, part) in cases {
            let error = WorldSpec::from_toml(text, "w.toml").unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{error}");
            assert!(error.to_string().starts_with(&format!("w.toml:{line}:{column}: ")), "{error}");
            assert!(error.message.contains(part), "{error}");
        }
        let error =
            FaultProfile::from_toml("[[script]]\ncalls = \"upgrade\"\nsteps = [\"okay\"]", "f")
                .unwrap_err();
        assert_eq!((error.line, error.column), (3, 10), "{error}");
        assert!(error.message.contains("unknown variant `okay`"), "{error}");
        let text = "[[rule]]\ncalls = \"upgrde\"\ndecisions = {}";
        let error = FaultProfile::from_toml(text, "f").unwrap_err();
        assert_eq!((error.line, error.column), (2, 9), "{error}");
        assert!(error.message.contains("\"upgrde\" is not any, read, iam"), "{error}");
    }

    #[test]
    fn several_instances_with_one_id_are_refused() {
        let text = WORLD.replace("count = 3", "count = 3\nid = \"abc\"");
        let error = WorldSpec::from_toml(&text, "w.toml").unwrap_err();
        assert_eq!((error.line, error.column), (29, 6), "{error}");
    }

    #[test]
    fn a_world_that_is_too_large_is_shown_where_its_largest_count_stands() {
        let text = WORLD.replace("count = 3", "count = 4000000000");
        let error = WorldSpec::from_toml(&text, "w.toml").unwrap_err();
        assert_eq!((error.line, error.column), (28, 9), "{error}");
    }

    #[test]
    fn two_of_one_name_are_told_apart_by_their_ids() {
        let text = WORLD.replace("name = \"odd\"", "name = \"cart\"\nid = \"abc\"");
        let spec = WorldSpec::from_toml(&text, "w.toml").unwrap();
        assert_eq!(spec.projects[0].instances[1].id.as_deref(), Some("abc"));
    }

    #[test]
    fn two_of_one_name_are_refused_at_the_second() {
        let text = WORLD.replace("name = \"odd\"", "name = \"cart\"");
        let error = WorldSpec::from_toml(&text, "w.toml").unwrap_err();
        assert_eq!((error.line, error.column), (33, 8), "{error}");
    }
}
