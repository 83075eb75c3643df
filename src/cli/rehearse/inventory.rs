//! Where the fleet of a rehearsal is from: a file, a live read, or the store.

use crate::model::Settings;
use crate::rehearse::{Fleet, Learned, learned};
use crate::store::StoreError;

use super::Args;
use crate::cli::failure::Failure;
use crate::cli::source::store_failure;
use crate::cli::{Context, data_file, export, planning, settings};

/// A fleet, and what is known of how long its upgrades take.
pub struct Found {
    pub fleet: Fleet,
    pub learned: Learned,
    pub from: String,
}

/// # Errors
/// The file cannot be used, or there is no store yet.
pub fn find(args: &Args, context: &Context) -> Result<Found, Failure> {
    if let Some(path) = &args.fleet {
        let fleet = data_file::fleet(path)?;
        return Ok(Found { fleet, learned: Learned::new(), from: path.display().to_string() });
    }
    let settings = settings::load(&context.globals)?.config.settings;
    context.block_on(async {
        if args.live {
            planning::plan(args.campaign.as_deref(), context).await?;
        }
        stored(&settings, context).await
    })
}

async fn stored(settings: &Settings, context: &Context) -> Result<Found, Failure> {
    let rows = export::rows(context).await.map_err(no_store)?;
    Ok(Found {
        fleet: Fleet::from_rows(&rows, settings),
        learned: learned(&rows),
        from: context.site.store.display().to_string(),
    })
}

fn no_store(error: StoreError) -> Failure {
    match error {
        StoreError::Missing { .. } | StoreError::NoDirectory { .. } => {
            let failure = Failure::new(error.exit(), error.to_string());
            failure.next("refit rehearse --live, or refit rehearse --fleet FILE")
        }
        error => store_failure(error),
    }
}
