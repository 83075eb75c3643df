//! `refit plan --export`: the fleet as the store knows it, as a file for rehearsals and for the
//! simulated cloud.

use std::fs;
use std::path::Path;

use crate::engine::Rows;
use crate::exit::Exit;
use crate::rehearse::Fleet;
use crate::store::{ReadOnly, StoreError};

use super::failure::Failure;
use super::socket::{IN_A_WHILE, Socket};
use super::source::store_failure;
use super::{Context, moment, settings};

/// What the store holds, as of one instant: read from its file, or asked of the daemon where this
/// user may not read it, or it is not there.
///
/// # Errors
/// Neither can be had: why the file cannot be read.
pub async fn rows(context: &Context) -> Result<Rows, StoreError> {
    let unreadable = match stored(context).await {
        Ok(rows) => return Ok(rows),
        Err(error) => error,
    };
    let Ok(socket) = Socket::open(&context.site) else { return Err(unreadable) };
    socket.get_within(IN_A_WHILE, "/v1/rows").await.map_err(|_| unreadable)
}

/// What the store's own file holds.
///
/// # Errors
/// It cannot be read.
pub async fn stored(context: &Context) -> Result<Rows, StoreError> {
    let store = ReadOnly::open(&context.site.store).await?;
    let rows = store.load().await?;
    store.close().await;
    Ok(rows)
}

/// Writes the fleet into that file; there has to be a plan.
///
/// # Errors
/// The store cannot be read, or the file not written.
pub async fn write(path: &Path, context: &Context) -> Result<(), Failure> {
    let settings = settings::load(&context.globals)?.config.settings;
    let fleet = Fleet::from_rows(&rows(context).await.map_err(store_failure)?, &settings);
    let title = format!("A fleet as refit knew it at {}.", moment::now().rfc3339());
    let name = path.display();
    fs::write(path, fleet.to_toml(&title)).map_err(|error| {
        Failure::new(Exit::InputOutput, format!("{name} cannot be written")).because(&error)
    })?;
    context.output.say(&format!("{name} holds the {} instances of the plan.", fleet.instances()));
    Ok(())
}
