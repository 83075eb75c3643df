//! `refit forecast`: when the campaigns complete and each target starts and ends, from where they
//! stand now.
//!
//! A running daemon answers; without one, or where durations are declared, what its store holds is
//! played on here, read-only.

use std::collections::BTreeMap;

use clap::Args as ClapArgs;
use comfy_table::Cell;

use crate::exit::Exit;
use crate::model::{CampaignName, Wall};
use crate::rehearse::Spread;
use crate::rehearse::forecast::{Ask, CampaignForecast, Forecast, TargetForecast, forecast};

use super::durations::DurationArgs;
use super::failure::Failure;
use super::moment::{self, Clock};
use super::output::{self, Output};
use super::rehearse::completes;
use super::socket::{IN_A_WHILE, NoDaemon, Socket};
use super::source::store_failure;
use super::{Context, escape, export, json, settings};

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
            Ok(_) => played(args, context).await?,
            Err(none @ NoDaemon::Forbidden(..)) => return Err(none.into_failure(&context.site)),
            Err(NoDaemon::Absent(..)) => {
                let store = context.site.store.display();
                let told = format!("No daemon is running: this is what {store} holds.");
                let forecast = played(args, context).await?;
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
async fn played(args: &Args, context: &Context) -> Result<Forecast, Failure> {
    let settings = settings::load(&context.globals)?.config.settings;
    let ask = Ask { durations: args.durations.declared()?, ..Ask::default() };
    let mut rows = export::rows(context).await.map_err(store_failure)?;
    if !args.durations.counts_learned() {
        rows.durations.clear();
    }
    Ok(forecast(&rows, &settings, moment::now(), &ask))
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
    for (why, (targets, first)) in never(campaign) {
        let more = if targets > 1 { format!(" and {} more", targets - 1) } else { String::new() };
        let why = clock.localized(&escape::line(why));
        let told = format!("{}{more}: {why}", escape::line(&first.name));
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
    text
}

/// Why targets never end, with the first of each.
fn never(campaign: &CampaignForecast) -> BTreeMap<&str, (usize, &TargetForecast)> {
    let mut reasons = BTreeMap::new();
    for target in &campaign.targets {
        if let Some(why) = &target.never {
            reasons.entry(why.as_str()).or_insert((0, target)).0 += 1;
        }
    }
    reasons
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
