//! `refit forecast`: when the campaigns complete and each target starts and ends, from where they
//! stand now.
//!
//! A running daemon answers; without one, or where durations are declared, what its store holds is
//! played on here, read-only.

use std::path::Path;

use clap::Args as ClapArgs;
use comfy_table::Cell;

use crate::daemon::FreezePlaces;
use crate::engine::Status;
use crate::engine::input::FreezeFile;
use crate::exit::Exit;
use crate::model::{CampaignName, Wall};
use crate::rehearse::Spread;
use crate::rehearse::forecast::{Ask, CampaignForecast, Forecast, Proviso, Reason, forecast};

use super::durations::DurationArgs;
use super::failure::Failure;
use super::moment::{self, Clock};
use super::output::{self, Output};
use super::rehearse::completes;
use super::socket::{IN_A_WHILE, NoDaemon, Socket};
use super::source::store_failure;
use super::{Context, escape, export, json, run, settings};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only this campaign.
    campaign: Option<String>,

    #[command(flatten)]
    durations: DurationArgs,
}

/// # Errors
/// Neither daemon nor store, or what is there cannot be used.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let mut forecast = match Socket::open(&context.site) {
            Ok(socket) if args.durations.is_usual() => {
                socket.get_within(IN_A_WHILE, "/v1/forecast").await?
            }
            Ok(socket) => {
                let forecast = played(args, Vec::new(), context).await?;
                let status: Status = socket.get("/v1/status").await?;
                with_doubts(forecast, &status.doubts)
            }
            Err(none @ NoDaemon::Forbidden(..)) => return Err(none.into_failure(&context.site)),
            Err(NoDaemon::Absent(..)) => {
                let store = context.site.store.display();
                let told = format!("No daemon is running: this is what {store} holds.");
                let provided = freeze_file(&settings::load(&context.globals)?.config.store.path);
                let forecast = played(args, provided, context).await?;
                context.output.say(&told);
                forecast
            }
        };
        select(&mut forecast, args.campaign.as_deref())?;
        match context.output.is_json() {
            true => context.output.json(&json::readable(&forecast))?,
            false => context.output.data(&to_human(&forecast, context))?,
        }
        let is_good = forecast.broken.is_empty();
        Ok(if is_good { Exit::Done } else { Exit::Findings })
    })
}

/// What the store holds, played on here: a daemon knows no durations but those it learned.
async fn played(
    args: &Args,
    provided: Vec<Proviso>,
    context: &Context,
) -> Result<Forecast, Failure> {
    let settings = settings::load(&context.globals)?.config.settings;
    let durations = args.durations.declared()?;
    let mut rows = export::rows(context).await.map_err(store_failure)?;
    if !args.durations.counts_learned() {
        rows.durations.clear();
    }
    let ask = Ask { durations, provided, ..Ask::usual(&rows) };
    Ok(forecast(&rows, &settings, moment::now(), &ask))
}

/// What has to happen to the file `FREEZE` first, where there is one.
pub(super) fn freeze_file(store: &Path) -> Vec<Proviso> {
    match FreezePlaces::of(store, run::state_directory().as_deref()).look() {
        FreezeFile::Absent => Vec::new(),
        FreezeFile::Present(file) => vec![Proviso::FreezeFileRemoved { file }],
    }
}

/// What only the daemon knows of itself, and what is played here cannot.
fn with_doubts(mut forecast: Forecast, doubts: &[String]) -> Forecast {
    let notes = doubts.iter().map(|doubt| format!("the daemon starts nothing now ({doubt})"));
    forecast.notes.extend(notes);
    forecast
}

fn select(forecast: &mut Forecast, campaign: Option<&str>) -> Result<(), Failure> {
    let Some(wanted) = campaign else { return Ok(()) };
    let known: Vec<&str> = forecast.campaigns.iter().map(|one| one.name.as_str()).collect();
    if !known.contains(&wanted) {
        return Err(settings::unknown_campaign(wanted, known));
    }
    let wanted = CampaignName::from(wanted);
    forecast.campaigns.retain(|one| one.name == wanted);
    Ok(())
}

fn to_human(forecast: &Forecast, context: &Context) -> String {
    let (output, clock) = (&context.output, context.site.clock.for_all([]));
    let title = format!("Forecast from {}, {} seeds.", clock.show(forecast.at), forecast.seeds);
    let mut text = output.sentence(&title);
    if forecast.campaigns.is_empty() {
        text.push_str(&output.sentence("No campaign is planned yet."));
    }
    for note in &forecast.notes {
        text.push_str(&output.sentence(&format!("Note: {}.", escape::line(note))));
    }
    for campaign in &forecast.campaigns {
        text.push('\n');
        text.push_str(&self::campaign(campaign, forecast.at, output, &clock));
    }
    for broken in &forecast.broken {
        text.push_str(&output.sentence(&format!("Broken: {}", escape::line(broken))));
    }
    text
}

fn campaign(campaign: &CampaignForecast, now: Wall, output: &Output, clock: &Clock) -> String {
    let name = escape::line(campaign.name.as_str());
    if campaign.state.is_over() {
        return format!("campaign {name}: {}\n", campaign.state);
    }
    let targets = if campaign.unfinished == 1 { "target" } else { "targets" };
    let mut text =
        format!("campaign {name}: {}, {} {targets} to go\n", campaign.state, campaign.unfinished);
    for proviso in &campaign.provided {
        text.push_str(&output.entry("provided", &escape::line(&proviso.to_string())));
    }
    text.push_str(&output.entry("completes", &completes(&campaign.completes, clock)));
    for Reason { why, targets, first } in &campaign.reasons {
        let more = if *targets > 1 { format!(" and {} more", targets - 1) } else { String::new() };
        let why = clock.localized(&escape::line(why));
        text.push_str(&output.entry("never", &format!("{}{more}: {why}", escape::line(first))));
    }
    if campaign.unexplained() > 0 {
        let told = format!("{} more, for other reasons", campaign.unexplained());
        text.push_str(&output.entry("never", &told));
    }
    let mut table = output.table(&["INSTANCE", "STATE", "STARTS", "ENDS"]);
    for target in &campaign.targets {
        table.add_row([
            output::cell(&target.name),
            Cell::new(target.state),
            Cell::new(expected(&target.starts, now, clock)),
            Cell::new(expected(&target.ends, now, clock)),
        ]);
    }
    output::keep_whole(&mut table, &[0, 1, 2, 3]);
    if !table.is_empty() {
        text.push_str(&format!("\n{}", output::render(&table)));
    }
    if campaign.untold() > 0 {
        text.push_str(&format!("({} more)\n", campaign.untold()));
    }
    text
}

/// The median, and the ninth of ten beside it.
fn expected(spread: &Spread<Wall>, now: Wall, clock: &Clock) -> String {
    match (spread.p50, spread.p90) {
        (Some(p50), Some(p90)) if p50 == p90 => clock.show_within(p50, now),
        (Some(p50), Some(p90)) => {
            let (from, until) = (clock.show_within(p50, now), clock.show_within(p90, p50));
            if from.ends_with(&until) { from } else { format!("{from} to {until}") }
        }
        (Some(p50), None) => format!("{} or never", clock.show_within(p50, now)),
        (None, _) => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    /// As a daemon tells of a large campaign: what never ends is behind what it tells of.
    const SHORTENED: &str = r#"{"name":"weekly","state":"running","provided":[],
        "completes":{"p50":null,"p90":null},"unfinished":1200,"never":5,
        "reasons":[{"why":"held by operator","targets":3,"first":"cart-7"}],
        "targets":[{"project":"shop","instance":"i","name":"cart-1","state":"pending","never":null,
            "starts":{"p50":0,"p90":0},"ends":{"p50":60000,"p90":60000}}]}"#;

    #[test]
    fn targets_that_are_not_listed_are_counted_and_those_of_them_that_never_end_explained() {
        let campaign: CampaignForecast = serde_json::from_str(SHORTENED).unwrap();
        let output = Output::new(&Cli::parse_from(["refit", "forecast"]).globals);
        let text = super::campaign(&campaign, Wall(0), &output, &Clock::utc());
        assert!(text.contains("never     cart-7 and 2 more: held by operator\n"), "{text}");
        assert!(text.contains("never     2 more, for other reasons\n"), "{text}");
        assert!(text.ends_with("(1199 more)\n"), "{text}");
    }
}
