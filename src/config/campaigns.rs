//! `[campaigns.NAME]`: one intent, "bring these instances to that version", and its limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::policy::{
    CampaignPolicy, FailureBudget, Fit, GroupKey, GroupLimit, MaxFailures, Membership, Retry,
    Start, Untagged,
};
use crate::model::{CampaignName, Millis, ProjectName, Wall, WindowName};

use super::duration::{ANY_TIME, Duration, SOME_TIME};
use super::kind::{COUNT, Choice, Flag, Kind, List, Name, Text, print_text, text};
use super::problem::{Problem, quoted};
use super::section::{Item, Record, Section};
use super::time::LocalDateTime;
use super::{Context, select, waves};

/// How long an uncertain submission may be observed.
const OBSERVE: Duration = Duration { least: Millis::from_secs(1), most: Millis::from_hours(24) };

/// Below this the cloud may not show yet what it accepted.
const SHORT_OBSERVE: Millis = Millis::from_secs(60);

const START: Choice<Start> =
    Choice(&[("automatic", Start::Automatic), ("approve", Start::Approve)]);

const FIT: Choice<Fit> = Choice(&[("p95", Fit::P95), ("p50", Fit::P50), ("off", Fit::Off)]);

const MEMBERSHIP: Choice<Membership> =
    Choice(&[("frozen", Membership::Frozen), ("live", Membership::Live)]);

pub fn read(
    root: &mut Section<'_>,
    context: &Context<'_>,
) -> BTreeMap<CampaignName, CampaignPolicy> {
    let mut campaigns = BTreeMap::new();
    for (name, mut section) in root.named("campaigns") {
        if !section.is_present() {
            continue;
        }
        let found = campaign(&mut section, context);
        section.close();
        campaigns.extend(found.map(|campaign| (CampaignName::from(name.into_inner()), campaign)));
    }
    if context.campaigns.is_empty() {
        let problem = Problem::warning("no campaign is configured, so nothing will be upgraded");
        root.lacks_table("campaigns", problem.help("write `[campaigns.NAME]`"));
    }
    campaigns
}

fn campaign(section: &mut Section<'_>, context: &Context<'_>) -> Option<CampaignPolicy> {
    let projects = List(Name { what: "project", known: &context.projects });
    let projects = section.optional("projects", &projects, "all");
    let windows = List(Name { what: "window", known: &context.windows });
    let windows = section.required("windows", &windows);
    let engine = version(section, "engine");
    let proxy = version(section, "proxy");
    if !section.has("engine") && !section.has("proxy") {
        let problem = Problem::new("the campaign upgrades neither engine nor proxy");
        let help = "write `engine = \"latest\"`, `proxy = \"latest\"` or both";
        section.lacks(vec!["engine", "proxy"], problem.help(help));
    }
    let max_in_flight = section.or_default("max_in_flight", &COUNT, 5);
    let max_unavailable = group_limits(section);
    let task_timeout = section.or_default("task_timeout", &SOME_TIME, Millis::from_hours(2));
    let settle = section.or_default("settle", &ANY_TIME, Millis::from_mins(2));
    let fit = section.or_default("fit", &FIT, Fit::P95);
    let expected_duration = expected_duration(section, fit);
    let deadline = deadline(section, context);
    let observe_for = section.or_default("observe_for", &OBSERVE, Millis::from_mins(5));
    if observe_for < SHORT_OBSERVE {
        let problem = Problem::warning(
            "the cloud may take longer than this to show an upgrade that it accepted",
        );
        section.problem_at("observe_for", problem.help("write \"60s\" or more"));
    }
    let start = section.or_default("start", &START, Start::Automatic);
    let membership = section.or_default("membership", &MEMBERSHIP, Membership::Frozen);
    let allow_single_node = section.or_default("allow_single_node", &Flag, false);
    let waves = waves::read(section);
    let select = select::read(section);
    let retry = retry(section.table("retry", Record::Keys));
    let failure_budget = failure_budget(section.table("failure_budget", Record::Keys));
    let all = || context.projects.clone();
    Some(CampaignPolicy {
        projects: projects.unwrap_or_else(all).into_iter().map(ProjectName::from).collect(),
        windows: windows?.into_iter().map(WindowName::from).collect(),
        engine: engine.map(Into::into),
        proxy: proxy.map(Into::into),
        select,
        max_in_flight,
        max_unavailable: max_unavailable?,
        task_timeout,
        settle,
        fit,
        expected_duration,
        deadline,
        observe_for,
        start,
        membership,
        allow_single_node,
        retry,
        failure_budget,
        waves: waves?,
    })
}

fn expected_duration(section: &mut Section<'_>, fit: Fit) -> Option<Millis> {
    let expected = section.optional("expected_duration", &SOME_TIME, "none");
    if fit == Fit::Off && section.has("expected_duration") {
        let problem = Problem::warning("with fit = \"off\" no duration decides about a start");
        section.problem_at("expected_duration", problem.help("leave one of the two out"));
    }
    expected
}

/// An ambiguous local time counts as its first.
fn deadline(section: &mut Section<'_>, context: &Context<'_>) -> Option<Wall> {
    let at = section.optional("deadline", &LocalDateTime, "none")?;
    let at = Wall(context.time_zone.to_timestamp(at).ok()?.as_millisecond());
    if at <= context.environment.now() {
        let problem = Problem::warning("this deadline has passed");
        section.problem_at("deadline", problem.help("write a date to come, or remove it"));
    }
    Some(at)
}

fn version(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let version = section.optional(key, &Text("\"latest\" or a version"), "none")?;
    if version != "latest" {
        let problem = Problem::warning("the cloud's guide says that a version cannot be chosen");
        section.problem_at(key, problem.help("write \"latest\""));
    }
    Some(version)
}

/// Reads `max_unavailable`; `None` if one of them was reported.
fn group_limits(campaign: &mut Section<'_>) -> Option<Vec<GroupLimit>> {
    let sections = campaign.list("max_unavailable");
    let origin = match sections.is_empty() {
        true => super::Origin::Default,
        false => campaign.origin("max_unavailable"),
    };
    let count = sections.len();
    let mut groups = BTreeSet::new();
    let mut limits = Vec::new();
    for mut section in sections {
        if !section.is_present() {
            continue;
        }
        if let Some(limit) = group_limit(&mut section) {
            if !groups.insert(limit.per.clone()) {
                let problem = Problem::new("this group is limited twice").help("keep one of them");
                section.problem_at("per", problem);
            }
            limits.push(limit);
        }
        section.close();
    }
    let printed: Vec<String> = limits.iter().map(print_limit).collect();
    campaign.record("max_unavailable", format!("[{}]", printed.join(", ")), origin);
    (limits.len() == count).then_some(limits)
}

const UNTAGGED: Choice<Untagged> =
    Choice(&[("alone", Untagged::Alone), ("refuse", Untagged::Refuse)]);

fn group_limit(section: &mut Section<'_>) -> Option<GroupLimit> {
    let per = section.required("per", &Group);
    let limit = section.required("limit", &COUNT);
    let untagged = section.or_default("untagged", &UNTAGGED, Untagged::Alone);
    if section.has("untagged") && matches!(per, Some(GroupKey::Zone | GroupKey::Project)) {
        let problem = Problem::new("`untagged` has a meaning only beside a tag");
        section.problem_at("untagged", problem.help("leave it out"));
    }
    Some(GroupLimit { per: per?, limit: limit?, untagged })
}

fn print_limit(limit: &GroupLimit) -> String {
    let untagged = match limit.per {
        GroupKey::Tag(_) => format!(", untagged = {}", UNTAGGED.print(&limit.untagged)),
        GroupKey::Zone | GroupKey::Project => String::new(),
    };
    format!("{{ per = {}, limit = {}{untagged} }}", Group.print(&limit.per), limit.limit)
}

/// What a cap counts by.
struct Group;

impl Kind for Group {
    type Value = GroupKey;

    fn parse(&self, item: &Item<'_>) -> Result<GroupKey, Vec<Problem>> {
        match text(item, "\"tag:KEY\", \"zone\" or \"project\"")? {
            "zone" => Ok(GroupKey::Zone),
            "project" => Ok(GroupKey::Project),
            written => match written.strip_prefix("tag:").filter(|key| !key.is_empty()) {
                Some(key) => Ok(GroupKey::Tag(key.into())),
                None => {
                    let message = format!("{} is not a group", quoted(written));
                    let help = "write \"tag:KEY\", \"zone\" or \"project\"";
                    Err(vec![Problem::new(message).help(help)])
                }
            },
        }
    }

    fn print(&self, value: &GroupKey) -> String {
        print_text(&match value {
            GroupKey::Tag(key) => format!("tag:{key}"),
            GroupKey::Zone => "zone".into(),
            GroupKey::Project => "project".into(),
        })
    }

    fn example(&self) -> String {
        "\"zone\"".into()
    }
}

fn retry(mut section: Section<'_>) -> Retry {
    let max_attempts = section.or_default("max_attempts", &COUNT, 4);
    let initial = section.or_default("initial", &SOME_TIME, Millis::from_secs(10));
    let max = section.or_default("max", &SOME_TIME, Millis::from_mins(15));
    if initial > max {
        let problem =
            Problem::new(format!("the first wait of {initial} is longer than max, {max}"));
        let key = if section.has("initial") { "initial" } else { "max" };
        section.problem_at(key, problem.help("write initial no longer than max"));
    }
    section.close();
    Retry { max_attempts, initial, max }
}

fn failure_budget(mut section: Section<'_>) -> FailureBudget {
    let max_failures = section.or_default("max_failures", &Failures, Share::Count(3));
    let consecutive = section.or_default("consecutive", &COUNT, 2);
    let strict = section.or_default("strict", &Flag, false);
    let max_failures = match max_failures {
        Share::Count(count) => {
            if section.item("min_executed").is_some() {
                let problem = Problem::new("`min_executed` counts only beside a percentage");
                section.problem_at("min_executed", problem.help("leave it out"));
            }
            MaxFailures::Count(count)
        }
        Share::Percent(percent) => {
            let min_executed = section.or_default("min_executed", &COUNT, 10);
            if strict {
                let problem = Problem::new("a strict budget is a whole number, not a percentage");
                section.problem_at("strict", problem.help("write max_failures = 3, or the like"));
            }
            MaxFailures::Percent { percent, min_executed }
        }
    };
    section.close();
    FailureBudget { max_failures, consecutive, strict }
}

/// A number of targets, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    Count(u32),
    Percent(u32),
}

struct Failures;

impl Kind for Failures {
    type Value = Share;

    fn parse(&self, item: &Item<'_>) -> Result<Share, Vec<Problem>> {
        let Some(written) = item.get_ref().as_str() else {
            return COUNT.parse(item).map(Share::Count);
        };
        let number = written.strip_suffix('%').and_then(|number| number.parse().ok());
        match number {
            Some(percent @ 1..=100) => Ok(Share::Percent(percent)),
            _ => {
                let message = format!("{} is not a whole percentage", quoted(written));
                let help = "write 3 without quotes, or whole percents, \"1%\" to \"100%\"";
                Err(vec![Problem::new(message).help(help)])
            }
        }
    }

    fn print(&self, value: &Share) -> String {
        match value {
            Share::Count(count) => count.to_string(),
            Share::Percent(percent) => print_text(&format!("{percent}%")),
        }
    }

    fn example(&self) -> String {
        "3".into()
    }
}
