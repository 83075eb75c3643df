//! A rehearsal's report as one JSON document.

use serde_json::{Value, json};

use crate::cli::json::instant;
use crate::model::Wall;
use crate::rehearse::rehearsal::{CampaignReport, GroupReport, RunEnd, Unfinished};
use crate::rehearse::{CallCounts, Spread};

use super::Rehearsed;
use super::text::label;

pub fn report(rehearsed: &Rehearsed) -> Value {
    let Rehearsed { rehearsal, report, from, notes } = rehearsed;
    let (middle, most) = report.calls;
    let unfinished = report.ends.iter().filter(|(end, _)| **end != RunEnd::Over);
    let findings = report.findings.iter();
    json!({
        "begin": instant(report.begin),
        "end": instant(report.end),
        "seeds": report.seeds,
        "fleet": { "from": from, "instances": rehearsal.fleet.instances() },
        "faults": rehearsal.faults.name,
        "durations": rehearsal.sources(),
        "crashes": report.crashes,
        "steps": report.steps,
        "notes": notes,
        "acts": report.said.iter().map(|(at, said)| json!({ "at": instant(*at), "said": said }))
            .collect::<Vec<_>>(),
        "campaigns": report.campaigns.iter().map(campaign).collect::<Vec<_>>(),
        "groups": report.groups.iter().map(group).collect::<Vec<_>>(),
        "calls": { "p50": calls(&middle), "most": calls(&most) },
        "unfinished": unfinished
            .map(|(end, seeds)| json!({ "end": word(*end), "seeds": seeds }))
            .collect::<Vec<_>>(),
        "broken": findings
            .map(|finding| json!({ "seed": finding.seed, "what": finding.what }))
            .collect::<Vec<_>>(),
    })
}

fn word(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Over => "over",
        RunEnd::Stalled => "stalled",
        RunEnd::TimeOver => "time_over",
        RunEnd::TooManySteps => "too_many_steps",
    }
}

fn calls(counts: &CallCounts) -> Value {
    let mut value = json!(counts);
    value["all"] = json!(counts.all());
    value
}

fn spread(spread: Spread<Wall>) -> Value {
    json!({ "p50": maybe(spread.p50), "p90": maybe(spread.p90) })
}

fn maybe(at: Option<Wall>) -> Option<String> {
    at.and_then(instant)
}

fn campaign(campaign: &CampaignReport) -> Value {
    let waves = campaign.waves.iter().map(|wave| {
        json!({
            "name": wave.name,
            "opens": spread(wave.opens),
            "ends": spread(wave.ends),
            "baked": spread(wave.baked),
        })
    });
    let windows = campaign.windows.iter().map(|window| {
        json!({
            "projects": window.projects,
            "open": instant(window.open),
            "close": maybe(window.close),
            "last_start": maybe(window.last_start),
            "windows": window.windows,
            "seeds": window.seeds,
            "starts": window.starts,
            "ends": window.ends,
            "in_flight_at_close": window.in_flight_at_close,
            "overruns": window.overruns,
            "longest_overrun_ms": window.longest_overrun,
            "missed": window.missed,
        })
    });
    let outcomes = campaign.outcomes.iter().map(|outcome| {
        json!({
            "state": outcome.state,
            "reason": outcome.reason,
            "needs_operator": outcome.needs_operator,
            "seeds": outcome.seeds,
            "p50": outcome.p50,
            "most": outcome.most,
            "names": outcome.names,
        })
    });
    let course = campaign.bands.iter().map(|band| {
        json!({
            "targets": band.targets,
            "p10": maybe(band.p10),
            "p50": maybe(band.p50),
            "p90": maybe(band.p90),
        })
    });
    let trips = campaign.budget_trips.iter();
    json!({
        "name": campaign.name,
        "targets": campaign.targets,
        "digest": campaign.digest,
        "completes": spread(campaign.completes),
        "unfinished": campaign.unfinished,
        "waits": campaign.why.as_ref().map(waits),
        "budget_trips": trips
            .map(|(seed, at)| json!({ "seed": seed, "at": instant(*at) }))
            .collect::<Vec<_>>(),
        "pauses": campaign.pauses,
        "windows": windows.collect::<Vec<_>>(),
        "waves": waves.collect::<Vec<_>>(),
        "outcomes": outcomes.collect::<Vec<_>>(),
        "course": course.collect::<Vec<_>>(),
    })
}

fn waits(why: &Unfinished) -> String {
    match why {
        Unfinished::Stuck(waits) => waits.clone(),
        Unfinished::By(at, waits) => match instant(*at) {
            Some(at) => format!("not over by {at}; {waits}"),
            None => waits.clone(),
        },
        Unfinished::TooManySteps(waits) => format!("cut off; {waits}"),
    }
}

fn group(group: &GroupReport) -> Value {
    json!({
        "group": label(group),
        "campaign": group.campaign,
        "most": group.most,
        "limit": group.limit,
        "at": maybe(group.most_at),
        "seed": group.seed,
    })
}
