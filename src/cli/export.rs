//! `refit plan --export`: the fleet as the store knows it, as a file for rehearsals and for the
//! simulated cloud.

use std::fs;
use std::path::Path;

use crate::engine::Rows;
use crate::exit::Exit;
use crate::rehearse::Fleet;
use crate::store::ReadOnly;

use super::failure::Failure;
use super::source::store_failure;
use super::{Context, moment, settings};

/// What the store holds, as of one instant.
///
/// # Errors
/// It cannot be read.
pub async fn rows(context: &Context) -> Result<Rows, Failure> {
    let store = ReadOnly::open(&context.site.store).await.map_err(store_failure)?;
    let rows = store.load().await.map_err(store_failure)?;
    store.close().await;
    Ok(rows)
}

/// Writes the fleet into that file; there has to be a plan.
///
/// # Errors
/// The store cannot be read, or the file not written.
pub async fn write(path: &Path, context: &Context) -> Result<(), Failure> {
    let settings = settings::load(&context.globals)?.config.settings;
    let fleet = Fleet::from_rows(&rows(context).await?, &settings);
    let title = format!("A fleet as refit knew it at {}.", moment::now().rfc3339());
    let name = path.display();
    fs::write(path, fleet.to_toml(&title)).map_err(|error| {
        Failure::new(Exit::InputOutput, format!("{name} cannot be written")).because(&error)
    })?;
    context.output.say(&format!("{name} holds the {} instances of the plan.", fleet.instances()));
    Ok(())
}
