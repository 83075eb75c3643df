//! What a scenario file need not say: a small fleet, one project per project of the world, a window
//! each night, and a campaign that upgrades everything in one wave. Each is filled in where the file
//! has nothing, and stands where its table stands, so that a finding has a place.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::sim::world::WorldSpec;

/// The only environment variable of a scenario: simulated keys are no secret.
pub const KEY_VARIABLE: &str = "SIMULATED";

const WORLD: &str = r#"latency = "100ms"
takes = "10m"
project = [{}]"#;

const INSTANCES: &str = r#"instance = [{ name = "cache-1" }]"#;

/// Of the whole file; the window is open for half a working night.
const SETTINGS: &str = r#"
[credentials]
key = { kind = "access-key", access_key = "env:SIMULATED", secret_key = "env:SIMULATED" }
[windows]
nightly = { cron = "0 0 0 * * *", duration = "4h", cutoff = "30m" }
[campaigns]
minor = {}"#;

/// Short waits, one wave, and a budget that only a scenario about it reaches.
const CAMPAIGN: &str = r#"select = { names = "*" }
waves = [{ name = "all" }]
settle = "1m"
observe_for = "2m"
failure_budget = { max_failures = 100, consecutive = 100 }"#;

const ENGINE: &str = r#"engine = "latest""#;

/// Faster than any small fleet, so that only a scenario about rates waits for one.
const PROJECT: &str = r#"upgrade_rate = { per_minute = 600, burst = 50 }
read_rate = { per_minute = 6000, burst = 100 }
dcs_endpoint = "http://127.0.0.1"
iam_endpoint = "http://127.0.0.1""#;

/// The cloud's part of the document, complete.
pub fn cloud(cloud: &mut DeTable<'_>) {
    let Some(world) = table_in(cloud, "world") else { return };
    fill(world, WORLD, &(0..0));
    let Some(DeValue::Array(projects)) = world.get_mut("project").map(Spanned::get_mut) else {
        return;
    };
    for (number, project) in (1..).zip(projects.iter_mut()) {
        let span = project.span();
        if let DeValue::Table(project) = project.get_mut() {
            let name = if number == 1 { "prod".to_owned() } else { format!("prod-{number}") };
            add(project, "name", text(name, &span));
            add(project, "id", text(format!("{number:032x}"), &span));
            fill(project, INSTANCES, &span);
        }
    }
}

/// The configuration's part of the document: everything that `config` requires.
pub fn settings(root: &mut DeTable<'_>, world: &WorldSpec) {
    fill(root, SETTINGS, &(0..0));
    for project in &world.projects {
        let projects = table_in(root, "projects");
        let Some(written) = projects.and_then(|all| table_in(all, &project.name)) else { continue };
        // A project is reached where the world has it.
        add(written, "region", text(project.region.to_string(), &(0..0)));
        add(written, "project_id", text(project.id.to_string(), &(0..0)));
        fill(written, PROJECT, &(0..0));
    }
    let windows: Vec<String> = table_in(root, "windows")
        .map(|windows| windows.keys().map(|name| name.get_ref().to_string()).collect())
        .unwrap_or_default();
    for (name, campaign) in table_in(root, "campaigns").into_iter().flatten() {
        let span = name.span();
        let DeValue::Table(campaign) = campaign.get_mut() else { continue };
        let mut all = DeArray::new();
        windows.iter().for_each(|window| all.push(text(window.clone(), &span)));
        add(campaign, "windows", Spanned::new(span.clone(), DeValue::Array(all)));
        fill(campaign, CAMPAIGN, &span);
        if !campaign.contains_key("engine") && !campaign.contains_key("proxy") {
            fill(campaign, ENGINE, &span);
        }
    }
}

/// The table of that name, made where there is none. Where something else stands there is none
/// either: its reader says what is wrong.
fn table_in<'t, 'a>(table: &'t mut DeTable<'a>, key: &str) -> Option<&'t mut DeTable<'a>> {
    add(table, key, Spanned::new(0..0, DeValue::Table(DeTable::new())));
    match table.get_mut(key)?.get_mut() {
        DeValue::Table(found) => Some(found),
        _ => None,
    }
}

/// Adds what is not there, as if it stood at `span`.
fn fill(table: &mut DeTable<'_>, defaults: &'static str, span: &Range<usize>) {
    let defaults = DeTable::parse(defaults).expect("every default is TOML").into_inner();
    for (key, value) in defaults {
        add(table, key.get_ref(), Spanned::new(span.clone(), moved(value.into_inner(), span)));
    }
}

fn add<'a>(table: &mut DeTable<'a>, key: &str, value: Spanned<DeValue<'a>>) {
    if !table.contains_key(key) {
        table.insert(Spanned::new(value.span(), Cow::Owned(key.to_owned())), value);
    }
}

fn text(value: String, span: &Range<usize>) -> Spanned<DeValue<'static>> {
    Spanned::new(span.clone(), DeValue::String(Cow::Owned(value)))
}

/// The value, with all that is in it at that place.
fn moved(value: DeValue<'static>, span: &Range<usize>) -> DeValue<'static> {
    let at = |value: Spanned<DeValue<'static>>| {
        Spanned::new(span.clone(), moved(value.into_inner(), span))
    };
    match value {
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| (Spanned::new(span.clone(), key.into_inner()), at(value)))
                .collect(),
        ),
        DeValue::Array(list) => {
            let mut moved = DeArray::new();
            list.iter().cloned().for_each(|value| moved.push(at(value)));
            DeValue::Array(moved)
        }
        single => single,
    }
}
