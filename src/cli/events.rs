//! `refit events`: the ledger, filtered; one line per event, or one JSON object per line.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::api::EventsAnswer;
use crate::engine::{Event, Fact, narrate};
use crate::exit::Exit;
use crate::model::{TargetId, closest};
use crate::store::{EVENTS_LIMIT, EventFilter, EventOrder};

use super::failure::Failure;
use super::moment::{self, Relative};
use super::source::Source;
use super::{Context, escape, json, settings};

/// How often `--follow` asks for news.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only this campaign's.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Only this target's: an instance's name or id, alone or after campaign/, project/ or both.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only events of this name, such as paused: the "event" of --format json.
    #[arg(long, value_name = "EVENT")]
    kind: Option<String>,
    /// Only since then: a time, or a duration ago.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    since: Option<String>,
    /// The newest so many.
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(EVENTS_LIMIT)))]
    limit: u32,
    /// Go on with what happens from here on, until interrupted.
    #[arg(long, short)]
    follow: bool,
}

/// # Errors
/// Neither daemon nor store, or an unknown campaign, target or event.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let source = Source::open(context).await?;
        if let Some(caveat) = source.caveat(&context.site) {
            context.output.say(&caveat);
        }
        let mut filter = filter(args, &source, context).await?;
        let mut page = source.events(&filter).await?;
        page.events.reverse();
        print(&page, context)?;
        if !args.follow {
            return Ok(Exit::Done);
        }
        filter.after_seq = page.events.last().map_or(0, |event| event.seq);
        filter.order = EventOrder::OldestFirst;
        filter.limit = Some(EVENTS_LIMIT);
        tokio::select! {
            ended = follow(source, filter, context) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        }
    })
}

/// Prints what happens after the filter's `after_seq`, as fast as it happens, from one daemon to the
/// next.
async fn follow(
    mut source: Source,
    mut filter: EventFilter,
    context: &Context,
) -> Result<Exit, Failure> {
    let mut was_reopened = false;
    loop {
        let page = match source.events(&filter).await {
            // The daemon ended: its store has the rest, and what the next one adds.
            Err(lost) if lost.exit == Exit::Unreachable && !was_reopened => {
                source = Source::open(context).await?;
                was_reopened = true;
                continue;
            }
            page => page?,
        };
        was_reopened = false;
        print(&page, context)?;
        filter.after_seq = page.events.last().map_or(filter.after_seq, |event| event.seq);
        if page.events.len() < EVENTS_LIMIT as usize {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }
}

async fn filter(args: &Args, source: &Source, context: &Context) -> Result<EventFilter, Failure> {
    let clock = &context.site.clock;
    let since = args
        .since
        .as_ref()
        .map(|since| clock.read("--since", since, moment::now(), Relative::Ago))
        .transpose()?;
    let status = source.status().await?;
    let known = status.campaigns.iter().map(|campaign| campaign.name.as_str());
    if let Some(campaign) = &args.campaign
        && !known.clone().any(|name| name == campaign)
    {
        return Err(settings::unknown_campaign(campaign, known));
    }
    let target = match &args.target {
        None => None,
        Some(text) => Some(source.find(text).await?),
    };
    if let Some(kind) = &args.kind {
        check_kind(kind)?;
    }
    Ok(EventFilter {
        campaign: args.campaign.as_deref().map(Into::into),
        target,
        after_seq: 0,
        since,
        kind: args.kind.clone(),
        order: EventOrder::NewestFirst,
        limit: Some(args.limit),
    })
}

fn check_kind(kind: &str) -> Result<(), Failure> {
    if Fact::NAMES.contains(&kind) {
        return Ok(());
    }
    let hint = closest::hint(kind, Fact::NAMES.iter().copied());
    Err(Failure::usage(format!("--kind: no event is called {kind:?}{hint}"))
        .next("refit events --format json, which names the event of each line"))
}

fn print(page: &EventsAnswer, context: &Context) -> Result<(), Failure> {
    if context.output.is_json() {
        return page
            .events
            .iter()
            .try_for_each(|event| context.output.json_line(&json::event(event)));
    }
    let names: Names = page.names.iter().map(|one| (&one.target, &*one.name)).collect();
    page.events.iter().try_for_each(|event| context.output.data(&line(event, &names, context)))
}

/// Instance names, for people.
type Names<'a> = BTreeMap<&'a TargetId, &'a str>;

/// Columns in front of what does not fit into an event's line.
const CONTINUED_INDENT: usize = 4;

/// `2026-11-28 23:41:07 +08:00  weekly/sg/cache-1  accepted as task 1`.
fn line(event: &Event, names: &Names<'_>, context: &Context) -> String {
    let at = context.site.clock.show_date(event.at);
    let instance = event.target().map(|target| match names.get(&target) {
        Some(name) => (*name).to_owned(),
        None => target.instance.to_string(),
    });
    let parts = [
        event.campaign.as_ref().map(ToString::to_string),
        event.project.as_ref().map(ToString::to_string),
        instance,
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let subject = match parts.is_empty() {
        true => "refit".to_owned(),
        false => escape::line(&parts.join("/")),
    };
    let sentence = narrate::sentence(event, &context.site.clock.zone);
    let text = format!("{at}  {subject}  {}", escape::line(&sentence));
    context.output.wrapped(&text, CONTINUED_INDENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_can_be_asked_for_by_its_name() {
        for name in ["target_planned", "accepted", "became_uncertain", "anomaly"] {
            assert!(check_kind(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_misspelt_event_names_the_closest() {
        let failure = check_kind("acepted").unwrap_err();
        let said = "--kind: no event is called \"acepted\"; did you mean accepted";
        assert!(failure.message.starts_with(said), "{}", failure.message);
    }
}
