//! A fleet as the text of a world file, which reads back the same.

use std::fmt::Write;

use super::Fleet;
use crate::model::Edition;
use crate::sim::world::{InstanceSpec, ProjectSpec};

impl Fleet {
    /// A TOML document; `title` is its first comment.
    pub fn to_toml(&self, title: &str) -> String {
        let mut text = String::new();
        let mut line = |content: &str| {
            text.push_str(content);
            text.push('\n');
        };
        line(&format!("# {}", on_one_line(title)));
        line("# Instances that no campaign selects are not in it, nor what was running.");
        for note in &self.notes {
            line(&format!("# Assumed: {}.", on_one_line(note)));
        }
        line(&format!("name = {}", quoted(&self.world.name)));
        line("# Assumed of all calls, and of all upgrades that nothing else is known of.");
        line(&format!("latency = {}", quoted(&self.world.latency.to_string())));
        line(&format!("takes = {}", quoted(&self.world.takes.to_string())));
        for campaign in &self.planned {
            line("\n[[campaign]]");
            line(&format!("name = {}", quoted(campaign.name.as_str())));
            line("# The order of its targets.");
            line(&format!("seed = \"{:016x}\"", campaign.seed));
            line(&format!("digest = {}", quoted(&campaign.digest)));
        }
        for project in &self.world.projects {
            write_project(&mut text, project);
        }
        text
    }
}

fn write_project(text: &mut String, project: &ProjectSpec) {
    text.push_str("\n[[project]]\n");
    for (key, value) in [("name", &project.name), ("id", &project.id), ("region", &project.region)]
    {
        pair(text, key, &quoted(value));
    }
    for instance in &project.instances {
        write_instance(text, instance);
    }
}

fn write_instance(text: &mut String, instance: &InstanceSpec) {
    text.push_str("\n[[project.instance]]\n");
    pair(text, "name", &quoted(&instance.name));
    if let Some(id) = &instance.id {
        pair(text, "id", &quoted(id));
    }
    pair(text, "engine_version", &quoted(&instance.engine_version));
    pair(text, "cache_mode", &quoted(instance.cache_mode.word()));
    let edition = match instance.edition {
        Edition::Basic => "basic",
        Edition::Enterprise => "enterprise",
        Edition::Unknown => "unknown",
    };
    pair(text, "edition", &quoted(edition));
    if !instance.tags.is_empty() {
        let tags = instance.tags.iter();
        let tags: Vec<String> =
            tags.map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))).collect();
        pair(text, "tags", &format!("{{ {} }}", tags.join(", ")));
    }
    let zones: Vec<String> = instance.zones.iter().map(|zone| quoted(zone)).collect();
    pair(text, "zones", &format!("[{}]", zones.join(", ")));
    pair(text, "status", &quoted(&instance.status));
    pair(text, "engine_minor", &quoted(&instance.engine_minor));
    pair(text, "engine_latest", &quoted(&instance.engine_latest));
    for (key, part) in
        [("proxy_minor", &instance.proxy_minor), ("proxy_latest", &instance.proxy_latest)]
    {
        if let Some(part) = part {
            pair(text, key, &quoted(part));
        }
    }
    pair(text, "upgradable", if instance.upgradable { "true" } else { "false" });
    if let Some(takes) = instance.takes {
        pair(text, "takes", &quoted(&takes.to_string()));
    }
}

fn pair(text: &mut String, key: &str, value: &str) {
    writeln!(text, "{key} = {value}").expect("a string takes any text");
}

fn on_one_line(text: &str) -> String {
    crate::model::text::one_line(text)
}

/// A basic string: names come from the cloud and may hold anything.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(control)).expect("a string takes any text");
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
