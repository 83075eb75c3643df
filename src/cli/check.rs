//! `refit check`: everything that is wrong with the configuration, at once, and what it decides.
//!
//! Touches no network, and of the store only looks whether its directory is there. Secrets are
//! resolved, to tell whether they can be, and never shown.

use std::fmt::Write;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use crate::config::{
    self, Colour, Config, FINDINGS_MAX, Findings, Loaded, ProcessEnvironment, Severity,
};
use crate::exit::Exit;
use crate::model::calendar::{Calendar, LONG_AGO};
use crate::model::policy::{CampaignPolicy, Start, Wave, WaveSize};
use crate::model::{CampaignName, Millis, Wall};

use super::failure::Failure;
use super::{Context, escape, moment};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Print every key with its value and where the value comes from, as TOML.
    #[arg(long)]
    effective: bool,
}

/// # Errors
/// Only of writing the output: findings are the result.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match config::load(&context.globals.config, &ProcessEnvironment) {
        Ok(loaded) => valid(args, &loaded, context).map(|()| Exit::Done),
        Err(findings) => invalid(&findings, context),
    }
}

fn valid(args: &Args, loaded: &Loaded, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let now = moment::now();
    if output.is_json() {
        let mut value = summary_json(loaded, now);
        if args.effective {
            value["effective"] = json!(config::effective(loaded));
        }
        return output.json(&value);
    }
    if !loaded.warnings.list.is_empty() {
        let text = loaded.warnings.render(Colour::Styled);
        match args.effective {
            // What is printed then is a configuration file.
            true => output.say(text.trim_end()),
            false => output.data(&format!("{text}\n"))?,
        }
    }
    match args.effective {
        true => output.data(config::effective::render(&config::effective(loaded)).trim_start()),
        false => output.data(&summary(loaded, context, now)),
    }
}

fn invalid(findings: &Findings, context: &Context) -> Result<Exit, Failure> {
    let exit = findings.exit();
    let file = findings.file.display().to_string();
    if context.output.is_json() {
        let found = findings.to_json();
        context.output.json(&json!({ "file": file, "valid": false, "findings": found }))?;
        return Ok(exit);
    }
    context.output.data(&findings.render(Colour::Styled))?;
    let (errors, warnings) = (count(findings, Severity::Error), count(findings, Severity::Warning));
    let warnings = match warnings {
        0 => String::new(),
        some => format!(" and {}", plural(some, "warning")),
    };
    let more =
        if errors < FINDINGS_MAX { "" } else { "; where there are more, they are not shown" };
    context.output.say(&format!("\n{file}: {}{warnings}{more}", plural(errors, "error")));
    Ok(exit)
}

fn count(findings: &Findings, severity: Severity) -> usize {
    findings.list.iter().filter(|finding| finding.severity == severity).count()
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn summary(loaded: &Loaded, context: &Context, now: Wall) -> String {
    let Config { settings, store, api, time_zone, .. } = &loaded.config;
    let file = context.globals.config.display();
    let warnings = match loaded.warnings.list.len() {
        0 => String::new(),
        some => format!(", with {}", plural(some, "warning")),
    };
    let listen = api.listen.map_or("off".to_owned(), |address| address.to_string());
    let mut text = String::new();
    line(&mut text, format_args!("{file} is valid{warnings}."));
    line(&mut text, format_args!(""));
    let zone = time_zone.iana_name().unwrap_or("UTC");
    line(&mut text, format_args!("time zone  {zone}"));
    let directory = store.path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let absent = match directory.is_some_and(|directory| !directory.exists()) {
        true => " (its directory does not exist yet)",
        false => "",
    };
    line(&mut text, format_args!("store      {}{absent}", store.path.display()));
    line(&mut text, format_args!("socket     {}", api.socket.display()));
    line(&mut text, format_args!("api        {listen}"));
    line(&mut text, format_args!("projects   {}", names(settings.projects.keys())));
    line(&mut text, format_args!("windows    {}", names(settings.windows.keys())));
    line(&mut text, format_args!("freezes    {}", names(settings.freezes.keys())));
    for (name, policy) in &settings.campaigns {
        campaign(&mut text, loaded, context, (name, policy), now);
    }
    let typed = |command: &str| context.output.completed(command);
    line(&mut text, format_args!("\nnext: {}", typed("refit windows")));
    line(&mut text, format_args!("then: {}", typed("refit plan")));
    text
}

fn campaign(
    text: &mut String,
    loaded: &Loaded,
    context: &Context,
    (name, policy): (&CampaignName, &CampaignPolicy),
    now: Wall,
) {
    line(text, format_args!("\ncampaign   {}", escape::line(name.as_str())));
    line(text, format_args!("  upgrades {}", upgrades(policy)));
    line(text, format_args!("  windows  {}", names(&policy.windows)));
    let default = if has_default_waves(loaded, name) { " (the default)" } else { "" };
    line(text, format_args!("  waves    {}{default}", waves(&policy.waves)));
    let starts = match policy.start {
        Start::Automatic => "",
        Start::Approve => ", once approved",
    };
    for project in &policy.projects {
        let calendar = Calendar::for_campaign(&loaded.config.settings, name, project);
        let first = calendar.intervals_after(now).find(|one| one.allows_starts_after(now));
        let when = match first {
            None => "never: no window opens again".to_owned(),
            Some(interval) if interval.open <= now => match interval.last_start() {
                Some(end) => {
                    format!("now, until {}{starts}", context.site.clock.for_all([end]).show(end))
                }
                None => format!("now, no end in sight{starts}"),
            },
            Some(interval) => {
                let clock = context.site.clock.for_all([interval.open]);
                format!("{}{starts}", clock.show(interval.open))
            }
        };
        let project_name = escape::line(project.as_str());
        line(text, format_args!("  starts   {project_name}: {when}"));
    }
}

fn upgrades(policy: &CampaignPolicy) -> String {
    let parts = [("engine", &policy.engine), ("proxy", &policy.proxy)];
    let parts = parts.iter().filter_map(|(part, version)| {
        version.as_ref().map(|version| format!("{part} to {}", escape::line(version)))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn has_default_waves(loaded: &Loaded, name: &CampaignName) -> bool {
    let key = format!("campaigns.{name}.waves");
    config::effective(loaded)
        .iter()
        .any(|one| one.key == key && one.origin == config::Origin::Default)
}

fn waves(waves: &[Wave]) -> String {
    let waves = waves.iter().map(|wave| {
        let name = escape::line(&wave.name);
        let size = match wave.size {
            WaveSize::Count(count) => format!(": {count}"),
            WaveSize::Percent(percent) => format!(": {percent}%"),
            WaveSize::Rest => String::new(),
        };
        let bake = match wave.bake {
            Millis::ZERO => String::new(),
            bake => format!(", bake {bake}"),
        };
        format!("{name}{size}{bake}")
    });
    waves.collect::<Vec<_>>().join("; ")
}

fn names<'a, T: std::fmt::Display + 'a>(names: impl IntoIterator<Item = &'a T>) -> String {
    let names: Vec<String> =
        names.into_iter().map(|name| escape::line(&name.to_string())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn summary_json(loaded: &Loaded, now: Wall) -> Value {
    let Config { settings, store, api, time_zone, digest, .. } = &loaded.config;
    let campaigns = settings.campaigns.iter().map(|(name, policy)| {
        let next = policy.projects.iter().map(|project| {
            let calendar = Calendar::for_campaign(settings, name, project);
            let next = calendar.interval_at_or_after(now);
            let opens = next.map(|interval| match interval.open {
                LONG_AGO => now.rfc3339(),
                open => open.rfc3339(),
            });
            (project.to_string(), json!(opens))
        });
        json!({
            "name": name,
            "windows": policy.windows,
            "waves": policy.waves.iter().map(wave_json).collect::<Vec<_>>(),
            "default_waves": has_default_waves(loaded, name),
            "opens": Value::Object(next.collect()),
        })
    });
    json!({
        "file": loaded.warnings.file,
        "valid": true,
        "findings": loaded.warnings.to_json(),
        "time_zone": time_zone.iana_name(),
        "store": store.path,
        "socket": api.socket,
        "listen": api.listen,
        "digest": digest,
        "campaigns": campaigns.collect::<Vec<_>>(),
    })
}

fn wave_json(wave: &Wave) -> Value {
    json!({ "name": wave.name, "size": wave.size, "bake_ms": wave.bake })
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("a string takes every write");
}
