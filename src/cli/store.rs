//! `refit store`: verify what is there, or begin anew after a loss.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use crate::exit::Exit;
use crate::store::{ReadOnly, Store};

use super::failure::Failure;
use super::source::store_failure;
use super::{Context, moment, settings};

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Check the ledger's chain, and that it folds to what the store says of every target.
    Verify,
    /// Begin with an empty store after the old one was lost.
    Init(Init),
}

#[derive(Debug, clap::Args)]
pub struct Init {
    /// Yes: upgrades that the old store knew to be in flight are forgotten. What is there is moved
    /// aside, nothing is deleted.
    #[arg(long, required = true)]
    accept_loss: bool,
}

/// # Errors
/// The configuration has errors; the store is in use, or cannot be read or written.
pub fn run(command: &StoreCommand, context: &Context) -> Result<Exit, Failure> {
    // Of the whole file, strictly: a slip of the pen must never lead to another store.
    let path = settings::load(&context.globals)?.config.store.path;
    context.block_on(async {
        match command {
            StoreCommand::Verify => verify(&path, context).await,
            StoreCommand::Init(Init { accept_loss }) => {
                debug_assert!(accept_loss, "clap requires it");
                init(&path, context).await
            }
        }
    })
}

async fn verify(path: &Path, context: &Context) -> Result<Exit, Failure> {
    let store = ReadOnly::open(path).await.map_err(store_failure)?;
    let findings = store.verify().await.map_err(store_failure)?;
    let last_seq = store.last_seq().await.map_err(store_failure)?;
    store.close().await;
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    if context.output.is_json() {
        let value = json!({ "store": path, "events": last_seq, "findings": findings });
        context.output.json(&value)?;
    } else if findings.is_empty() {
        let shown = path.display();
        context.output.data(&format!("{shown}: {last_seq} events, chain and states agree\n"))?;
    } else {
        for finding in &findings {
            context.output.data(&format!("{}\n", super::escape::line(finding)))?;
        }
    }
    match findings.is_empty() {
        true => Ok(Exit::Done),
        false if context.output.is_json() => Ok(Exit::InputOutput),
        false => Err(Failure::new(Exit::InputOutput, format!("{} is damaged", path.display()))
            .next("systemctl stop refit; restore the store from a backup")),
    }
}

async fn init(path: &Path, context: &Context) -> Result<Exit, Failure> {
    let (store, moved) =
        Store::init_accept_loss(path, moment::now()).await.map_err(store_failure)?;
    store.close(moment::now()).await.map_err(store_failure)?;
    if context.output.is_json() {
        context.output.json(&json!({ "store": path, "moved": moved }))?;
        return Ok(Exit::Done);
    }
    context.output.data(&format!("{} begins anew\n", path.display()))?;
    for old in &moved {
        context.output.data(&format!("  the old file is now {}\n", old.display()))?;
    }
    let warning = "Before the next refit run: what the old store had in flight may still run in the \
                   cloud. It shows as busy with:";
    context.output.say(context.output.sentence(warning).trim_end());
    context.output.say(context.output.command("next", "refit run --no-starts").trim_end());
    Ok(Exit::Done)
}
