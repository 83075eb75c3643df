//! `refit why`: why one target is not moving, as one typed reason.

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use crate::api::Why;
use crate::engine::hold::shell_word;
use crate::engine::{Hold, HoldKind};
use crate::exit::Exit;
use crate::model::{Millis, Wall};

use super::failure::Failure;
use super::source::Source;
use super::{Context, escape, json as shapes, moment};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// An instance's name or id, alone or after campaign/, project/ or both.
    target: String,
}

/// # Errors
/// Neither daemon nor store, or no such target.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let source = Source::open(context).await?;
        let why = source.why(&source.find(&args.target).await?).await?;
        if let Some(caveat) = source.caveat(&context.site) {
            context.output.say(&caveat);
        }
        if context.output.is_json() {
            context.output.json(&to_json(&why))?;
        } else {
            context.output.data(&to_human(&why, context, moment::now()))?;
        }
        Ok(Exit::Done)
    })
}

/// `target`, `name`, `state`, `reason`, and `hold` with `kind`, `detail`, `since`, `earliest`,
/// `next_command`, `alternatives`.
fn to_json(why: &Why) -> Value {
    let mut value = shapes::readable(why);
    value["reason"] = json!(why.reason.as_ref().map(ToString::to_string));
    value
}

fn to_human(why: &Why, context: &Context, now: Wall) -> String {
    let output = &context.output;
    let name = escape::line(&why.name);
    let id = escape::line(&why.target.to_string());
    let mut text = format!("{name}  ({id})\n");
    match &why.hold {
        Some(hold) => text.push_str(&hold_lines(hold, context, now)),
        None => text.push_str(&output.entry("ended", &end(why))),
    }
    if let Some(command) = &why.next_command {
        text.push_str(&output.command("next", command));
    }
    text.push_str(
        &output.command("history", &format!("refit events --target {}", shell_word(&id))),
    );
    text
}

fn hold_lines(hold: &Hold, context: &Context, now: Wall) -> String {
    let (clock, output) = (&context.site.clock, &context.output);
    let because = format!("{}: {}", hold.kind.word(), escape::line(&hold.detail));
    let mut text = output.entry("because", &because);
    if let Some(since) = hold.since {
        text.push_str(&output.entry("since", &clock.show(since)));
    }
    let earliest = match hold.earliest {
        Some(earliest) if earliest > now => {
            let wait = Millis((earliest - now).0 / 1_000 * 1_000);
            Some(format!("{} (in {wait})", clock.show(earliest)))
        }
        Some(_) => Some("now".to_owned()),
        None if hold.kind == HoldKind::InProgress => None,
        None => Some("cannot be told".to_owned()),
    };
    if let Some(earliest) = earliest {
        text.push_str(&output.entry("earliest", &earliest));
    }
    if let Some(command) = &hold.next_command {
        text.push_str(&output.command("next", command));
    }
    for command in &hold.alternatives {
        text.push_str(&output.command("or", command));
    }
    text
}

fn end(why: &Why) -> String {
    match &why.reason {
        Some(reason) => format!("{}: {}", why.state, escape::line(&reason.to_string())),
        None => why.state.to_string(),
    }
}
