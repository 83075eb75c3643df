//! `refit simulate`: the simulated cloud, for anyone's experiments.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::json;

use crate::exit::Exit;
use crate::sim::command::{self, Announcement, CommandError, CommandOptions, WorldSource};
use crate::sim::world::knobs;

use super::failure::Failure;
use super::{Context, data_file};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Where to answer for DCS, IAM and the metadata address; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// The same seed and the same calls give the same answers.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// The world's file; without it, the world of `refit demo`.
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,

    /// Instead of a world file: so many ordinary instances in one project.
    #[arg(long, value_name = "COUNT", conflicts_with = "world")]
    fleet: Option<usize>,

    /// What goes wrong: calm, realistic, hostile, or a file.
    #[arg(long, value_name = "PROFILE", default_value = "calm")]
    faults: String,

    /// Turns a knob; may be repeated.
    #[arg(long = "knob", value_name = "NAME=VALUE")]
    knob: Vec<String>,

    /// Lists every knob with the open question or fault it stands for, and exits.
    #[arg(long)]
    knobs: bool,

    /// Multiplies every duration of the world.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, allow_negative_numbers = true)]
    scale: f64,

    /// Writes every request and every change of a task, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Simulates until it is told to stop.
///
/// # Errors
/// A file, a knob, the address or the log is of no use.
pub fn run(simulate: Args, context: &Context) -> Result<Exit, Failure> {
    if simulate.knobs {
        return list_knobs(context);
    }
    if !simulate.listen.ip().is_loopback() {
        let message = format!("--listen {}: it answers on loopback only", simulate.listen);
        return Err(Failure::usage(message).next("refit simulate --listen 127.0.0.1:0"));
    }
    if simulate.fleet == Some(0) {
        return Err(Failure::usage("--fleet 0: a fleet has at least one instance"));
    }
    if !(simulate.scale.is_finite() && simulate.scale > 0.0) {
        return Err(Failure::usage(format!("--scale {} is not above 0", simulate.scale)));
    }
    let options = CommandOptions {
        listen: simulate.listen,
        seed: simulate.seed,
        world: match (simulate.world, simulate.fleet) {
            (Some(path), _) => WorldSource::Spec(Box::new(data_file::fleet(&path)?.world)),
            (None, Some(count)) => WorldSource::Fleet(count),
            (None, None) => WorldSource::Demo,
        },
        faults: data_file::faults(&simulate.faults)?,
        knobs: simulate.knob,
        scale: simulate.scale,
        log: simulate.log,
    };
    context.block_on(async {
        let announce = |announcement: &Announcement| {
            let said = match context.output.is_json() {
                true => context.output.json_line(announcement),
                false => context.output.data(&text(announcement)),
            };
            said.map_err(|failure| io::Error::other(failure.message))
        };
        command::run(options, announce).await.map_err(failure)
    })?;
    Ok(Exit::Done)
}

fn list_knobs(context: &Context) -> Result<Exit, Failure> {
    if context.output.is_json() {
        let table: Vec<_> = knobs::ALL
            .iter()
            .map(|knob| {
                json!({
                    "name": knob.name,
                    "row": knob.row,
                    "values": knob.values,
                    "default": knob.default,
                    "meaning": knob.meaning,
                })
            })
            .collect();
        context.output.json(&table)?;
    } else {
        context.output.data(&knobs::render())?;
    }
    Ok(Exit::Done)
}

/// The address on the first line; then per project its name and id, and below what opens it.
fn text(announcement: &Announcement) -> String {
    let mut text = format!("listening on {}\n", announcement.url);
    for project in &announcement.projects {
        write!(
            text,
            "project {} id={} region={} instances={}",
            project.name, project.id, project.region, project.instances
        )
        .expect("writing to a string never fails");
        for (name, value) in [
            ("access_key", &project.access_key),
            ("secret_key", &project.secret_key),
            ("domain", &project.domain),
            ("user", &project.user),
            ("password", &project.password),
        ] {
            if let Some(value) = value {
                write!(text, "\n  {name}={value}").expect("writing to a string never fails");
            }
        }
        text.push('\n');
    }
    text
}

fn failure(error: CommandError) -> Failure {
    let exit = match &error {
        CommandError::Knob(_) => Exit::Usage,
        CommandError::InUse { .. } | CommandError::Listen { .. } => Exit::Unreachable,
        CommandError::Log { .. } | CommandError::System(_) => Exit::InputOutput,
    };
    let next = match &error {
        CommandError::Knob(_) => Some("refit simulate --knobs"),
        CommandError::InUse { .. } => Some("refit simulate --listen 127.0.0.1:0, a free port"),
        _ => None,
    };
    let failure = Failure::new(exit, "nothing is simulated").because(&error);
    match next {
        Some(command) => failure.next(command),
        None => failure,
    }
}
