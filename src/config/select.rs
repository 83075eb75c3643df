//! `[campaigns.NAME.select]`: which instances a campaign wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::policy::{Glob, Select};

use super::kind::{Kind, List, OneOrMany, Text, print_text, text};
use super::problem::{Problem, quoted};
use super::section::{Item, Record, Section, is_empty_list, key_text};

/// Reads `select`, which must say something: everything is written `names = ["*"]`.
pub fn read(campaign: &mut Section<'_>) -> Select {
    let mut section = campaign.table("select", Record::Keys);
    let globs = OneOrMany(Pattern);
    let names = section.optional("names", &globs, "any").unwrap_or_default();
    let not_names = section.optional("not_names", &globs, "none").unwrap_or_default();
    let ids = section.optional("ids", &List(Text("an instance's id")), "any").unwrap_or_default();
    let versions = OneOrMany(Text("an engine version such as \"6.0\""));
    let versions = section.optional("engine_versions", &versions, "any").unwrap_or_default();
    let tags = tags(section.table("tags", Record::Keys));
    if tags.is_empty() {
        section.record_unset("tags", "any");
    }
    let keys = ["names", "not_names", "ids", "engine_versions", "tags"];
    let is_written = keys.iter().any(|key| section.value(key).is_some_and(|item| !is_empty(item)));
    if !is_written {
        let problem = Problem::new("`select` selects nothing");
        let problem = problem.help("write `names = [\"*\"]` for every instance");
        match (section.is_present(), campaign.has("select")) {
            (true, _) => section.lacks(keys.to_vec(), problem),
            (false, false) => campaign.lacks_table("select", problem),
            // No table at all, which is reported.
            (false, true) => {}
        }
    }
    section.close();
    Select {
        names,
        not_names,
        ids: ids.into_iter().map(Arc::from).collect(),
        tags,
        engine_versions: versions.into_iter().map(Arc::from).collect(),
    }
}

/// An empty list, or a table of nothing else.
fn is_empty(item: &Item<'_>) -> bool {
    let table = item.get_ref().as_table();
    is_empty_list(item) || table.is_some_and(|tags| tags.values().all(is_empty_list))
}

/// Tag keys are the operator's own, so none is unknown.
fn tags(section: Section<'_>) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let kind = OneOrMany(Text("a tag's value"));
    let mut tags = BTreeMap::new();
    for (name, item) in section.free_keys() {
        let key = name.get_ref().as_ref();
        if is_empty_list(item) {
            continue;
        }
        match kind.parse(item) {
            Ok(values) => {
                section.record_at(&key_text(key), kind.print(&values), item.span());
                tags.insert(key.into(), values.into_iter().map(Arc::from).collect());
            }
            Err(problems) => {
                for problem in problems {
                    section.problem_at(key, problem);
                }
            }
        }
    }
    tags
}

/// A glob on the instance's name.
struct Pattern;

impl Kind for Pattern {
    type Value = Glob;

    fn parse(&self, item: &Item<'_>) -> Result<Glob, Vec<Problem>> {
        let pattern = text(item, "a pattern such as \"cache-*\"")?;
        Glob::new(pattern).map_err(|error| {
            let message = format!("{} is not a pattern: {}", quoted(pattern), error.kind());
            vec![Problem::new(message).help("`*` is any run, `?` any character, `[a-z]` a class")]
        })
    }

    fn print(&self, value: &Glob) -> String {
        print_text(&value.text)
    }

    fn example(&self) -> String {
        "\"cache-*\"".into()
    }
}
