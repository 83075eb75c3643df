//! `refit plan`: every instance with its verdict, before anything happens to it.
//!
//! A running daemon answers. Without one this process takes the store, as `refit run` would, reads
//! the fleet within the same quotas and stops; its sender refuses every upgrade, so that no plan
//! can ever start one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use comfy_table::Cell;

use crate::engine::hold::shell_word;
use crate::engine::view::{CampaignPlan, CampaignStatus, IntervalView, PlanVerdict, PlannedTarget};
use crate::engine::{CampaignState, Hold, HoldKind, Plan, Status};
use crate::exit::Exit;
use crate::model::{CampaignName, ProjectName, Wall};

use super::failure::Failure;
use super::moment::Clock;
use super::output::Output;
use super::socket::{IN_A_WHILE, NoDaemon, Socket};
use super::{Context, escape, export, json, output, planning, settings};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,

    /// Also writes the fleet into this file, for refit rehearse --fleet and refit simulate --world.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

/// # Errors
/// The configuration, a credential, the store or the cloud stands in the way; the exit code says
/// which.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let mut stopped = None;
        let (mut plan, status) = match Socket::open(&context.site) {
            Ok(socket) => {
                // Asked first: it is quick, so that a daemon that hangs is soon known to.
                let status = socket.get("/v1/status").await?;
                stopped = stopped_credential(&status, args.campaign.as_deref(), context);
                (socket.get_within(IN_A_WHILE, "/v1/plan").await?, status)
            }
            Err(none @ NoDaemon::Forbidden(..)) => return Err(none.into_failure(&context.site)),
            Err(NoDaemon::Absent(..)) => planning::plan(args.campaign.as_deref(), context).await?,
        };
        let approvals = awaited(&status);
        select(&mut plan, args.campaign.as_deref())?;
        match context.output.is_json() {
            true => context.output.json(&json::plan(&plan, &approvals))?,
            false => context.output.data(&to_human(&plan, &approvals, context))?,
        }
        if let Some(failure) = stopped {
            return Err(failure);
        }
        if let Some(path) = &args.export {
            export::write(path, context).await?;
        }
        let needs_a_look = plan.campaigns.iter().any(|one| one.selection_empty || !one.complete);
        Ok(if needs_a_look { Exit::Findings } else { Exit::Done })
    })
}

/// What keeps a running daemon from reading the fleet of these campaigns, where that is the cloud's
/// refusal of a credential.
fn stopped_credential(
    status: &Status,
    campaign: Option<&str>,
    context: &Context,
) -> Option<Failure> {
    let wanted = |one: &&CampaignStatus| campaign.is_none_or(|name| one.name.as_str() == name);
    let reads: BTreeSet<&ProjectName> =
        status.campaigns.iter().filter(wanted).flat_map(|one| one.intervals.keys()).collect();
    let mut projects = status.projects.iter().filter(|project| reads.contains(&project.name));
    let (project, hold) =
        projects.find_map(|project| Some((&project.name, project.credential_hold.as_ref()?)))?;
    let since = match hold.since {
        Some(since) => format!(" (since {})", context.site.clock.show(since)),
        None => String::new(),
    };
    let message = format!("project {project} cannot be read: credential {}{since}", hold.detail);
    let failure = Failure::new(Exit::Credential, escape::line(&message));
    Some(match &hold.next_command {
        Some(command) => failure.next(command),
        None => failure,
    })
}

/// The campaigns whose plan somebody has to approve before anything starts: no hold of their
/// targets, since the plan is what gets approved.
fn awaited(status: &Status) -> BTreeSet<CampaignName> {
    let awaiting = |one: &&CampaignStatus| one.state == Some(CampaignState::AwaitingApproval);
    status.campaigns.iter().filter(awaiting).map(|one| one.name.clone()).collect()
}

fn select(plan: &mut Plan, campaign: Option<&str>) -> Result<(), Failure> {
    let Some(wanted) = campaign else { return Ok(()) };
    let known: Vec<&str> = plan.campaigns.iter().map(|one| one.name.as_str()).collect();
    if !known.contains(&wanted) {
        return Err(settings::unknown_campaign(wanted, known));
    }
    plan.campaigns.retain(|one| one.name.as_str() == wanted);
    Ok(())
}

fn to_human(plan: &Plan, approvals: &BTreeSet<CampaignName>, context: &Context) -> String {
    let mut text = String::new();
    for (index, campaign) in plan.campaigns.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&self::campaign(campaign, plan.at, approvals, context));
    }
    text
}

fn campaign(
    campaign: &CampaignPlan,
    now: Wall,
    approvals: &BTreeSet<CampaignName>,
    context: &Context,
) -> String {
    let mut text = String::new();
    let name = escape::line(campaign.name.as_str());
    if campaign.selection_empty {
        line(&mut text, &format!("campaign {name}: selects no instance"));
        let next = "refit check --effective, and compare select with the instances' names";
        line(&mut text, &format!("  next: {}", context.output.completed(next)));
        return text;
    }
    let totals = match campaign.targets.is_empty() {
        true => "no instance is known yet".to_owned(),
        false => totals(campaign),
    };
    line(&mut text, &format!("campaign {name}: {totals}"));
    if !campaign.complete {
        line(&mut text, "  not complete: the fleet is still being read; ask again");
    }
    let clock = context.site.clock.for_all(instants(campaign));
    for wave in waves(campaign, now, &clock) {
        line(&mut text, &format!("  {wave}"));
    }
    if !campaign.digest.is_empty() {
        line(&mut text, &format!("  digest {}", campaign.digest));
    }
    if approvals.contains(&campaign.name) {
        let name = shell_word(campaign.name.as_str());
        let next = format!("refit approve {name} --digest {}", campaign.digest);
        line(&mut text, "  nothing starts before it is approved");
        line(&mut text, &format!("  next: {}", context.output.completed(&next)));
    }
    let common = Common::of(campaign);
    text.push_str(&common.lines(&context.output));
    text.push_str(&upgrades(campaign, &common, now, &clock, &context.output));
    text.push_str(&left_out(campaign, now, &clock, &context.output));
    text
}

/// Every instant that the plan of this campaign shows.
fn instants(campaign: &CampaignPlan) -> impl Iterator<Item = Wall> {
    let intervals = campaign.targets.iter().filter_map(|target| interval(&target.verdict)?);
    intervals.flat_map(|interval| [Some(interval.open), interval.last_start]).flatten()
}

fn totals(campaign: &CampaignPlan) -> String {
    let mut counts: BTreeMap<(u8, &str), usize> = BTreeMap::new();
    for target in &campaign.targets {
        let key = match &target.verdict {
            PlanVerdict::Upgrade { .. } => (0, "to upgrade"),
            PlanVerdict::Blocked { .. } => (1, "blocked"),
            PlanVerdict::Unread => (2, "not read yet"),
            PlanVerdict::State { state, .. } => (3, state.word()),
            PlanVerdict::Skipped { .. } => (4, "skipped"),
        };
        *counts.entry(key).or_default() += 1;
    }
    let counts = counts.into_iter().map(|((_, what), count)| format!("{count} {what}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// One line per wave and interval: how many targets, where, and when the first may start.
fn waves(campaign: &CampaignPlan, now: Wall, clock: &Clock) -> Vec<String> {
    type Key = (u32, Option<(Wall, Option<Wall>)>);
    let mut groups: BTreeMap<Key, (usize, BTreeSet<&ProjectName>, Option<&IntervalView>)> =
        BTreeMap::new();
    for target in &campaign.targets {
        if let Some(interval) = interval(&target.verdict) {
            let bounds = interval.map(|one| (one.open, one.close));
            let group = groups.entry((target.wave, bounds)).or_default();
            group.0 += 1;
            group.1.insert(&target.project);
            group.2 = interval;
        }
    }
    let lines = groups.into_iter().map(|((wave, _), (count, projects, interval))| {
        let name = escape::line(campaign.waves.get(wave as usize).map_or("?", |name| &**name));
        let projects: Vec<&str> = projects.into_iter().map(ProjectName::as_str).collect();
        let projects = escape::line(&projects.join(", "));
        let when = match interval {
            None => "never: no window to come takes them in".to_owned(),
            Some(one) if one.open <= now => format!("its window {}", open_now(one, now, clock)),
            Some(one) => {
                let from = clock.show(one.open);
                match one.last_start {
                    Some(end) => {
                        format!("from {from}, last start {}", clock.show_within(end, one.open))
                    }
                    None => format!("from {from}, no end in sight"),
                }
            }
        };
        format!("wave {name}: {count} in {projects}\n    {when}")
    });
    lines.collect()
}

fn open_now(interval: &IntervalView, now: Wall, clock: &Clock) -> String {
    match interval.last_start {
        _ if interval.is_always_open() => "is always open".to_owned(),
        Some(end) => format!("is open, last start {}", clock.show_near(end, now)),
        None => "is open, no end in sight".to_owned(),
    }
}

/// What blocks several targets alike: told once, above them.
struct Common<'a>(BTreeMap<(HoldKind, &'a str), (usize, &'a Hold)>);

impl<'a> Common<'a> {
    fn of(campaign: &'a CampaignPlan) -> Common<'a> {
        let mut holds = BTreeMap::new();
        for target in &campaign.targets {
            if let PlanVerdict::Blocked { hold, .. } = &target.verdict {
                holds.entry((hold.kind, &*hold.detail)).or_insert((0, hold)).0 += 1;
            }
        }
        holds.retain(|_, (targets, _)| *targets > 1);
        Common(holds)
    }

    fn has(&self, hold: &Hold) -> bool {
        self.0.contains_key(&(hold.kind, &*hold.detail))
    }

    fn lines(&self, output: &Output) -> String {
        let mut text = String::new();
        for (targets, hold) in self.0.values() {
            let why = format!(
                "blocked: {targets} targets by {}: {}",
                hold.kind.word(),
                escape::line(&hold.detail)
            );
            text.push('\n');
            text.push_str(&output.wrapped(&why, 2));
            if let Some(command) = &hold.next_command {
                line(&mut text, &format!("  next: {}", output.completed(&escape::line(command))));
            }
        }
        text
    }
}

/// Those that will be upgraded, would be, or already are, in the order in which they start.
fn upgrades(
    campaign: &CampaignPlan,
    common: &Common<'_>,
    now: Wall,
    clock: &Clock,
    output: &Output,
) -> String {
    let mut table = output.table(&["INSTANCE", "PROJECT", "WAVE", "RUNS", "VERDICT"]);
    let names = Names::of(campaign);
    for target in campaign.targets.iter().filter(|target| !is_left_out(target)) {
        table.add_row([
            output::cell(names.name(target)),
            output::cell(target.project.as_str()),
            output::cell(campaign.waves.get(target.wave as usize).map_or("?", |name| &**name)),
            output::cell(runs(&target.verdict)),
            Cell::new(match &target.verdict {
                PlanVerdict::Blocked { hold, .. } if common.has(hold) => {
                    format!("blocked, else {}", when(&target.verdict, now, clock))
                }
                verdict => self::verdict(verdict, now, clock),
            }),
        ]);
    }
    output::keep_whole(&mut table, &[0, 1, 2, 3]);
    if table.is_empty() { String::new() } else { format!("\n{}", output::render(&table)) }
}

/// Those that will not be, and why.
fn left_out(campaign: &CampaignPlan, now: Wall, clock: &Clock, output: &Output) -> String {
    let mut table = output.table(&["INSTANCE", "PROJECT", "VERDICT"]);
    let names = Names::of(campaign);
    for target in campaign.targets.iter().filter(|target| is_left_out(target)) {
        table.add_row([
            output::cell(names.name(target)),
            output::cell(target.project.as_str()),
            Cell::new(verdict(&target.verdict, now, clock)),
        ]);
    }
    output::keep_whole(&mut table, &[0, 1]);
    if table.is_empty() { String::new() } else { format!("\n{}", output::render(&table)) }
}

fn is_left_out(target: &PlannedTarget) -> bool {
    matches!(target.verdict, PlanVerdict::Skipped { .. })
}

/// How often each name occurs: an id is only worth its width where a name is not enough.
struct Names<'a>(BTreeMap<&'a str, usize>);

impl<'a> Names<'a> {
    fn of(campaign: &'a CampaignPlan) -> Names<'a> {
        let mut names = BTreeMap::new();
        for target in &campaign.targets {
            *names.entry(&*target.name).or_default() += 1;
        }
        Names(names)
    }

    fn name(&self, target: &PlannedTarget) -> String {
        match self.0.get(&*target.name) {
            Some(1) => target.name.to_string(),
            _ => format!("{} ({})", target.name, target.instance),
        }
    }
}

fn runs(verdict: &PlanVerdict) -> String {
    let (PlanVerdict::Upgrade { engine, proxy, .. } | PlanVerdict::Blocked { engine, proxy, .. }) =
        verdict
    else {
        return "-".to_owned();
    };
    let proxy = proxy.as_ref().map(|version| format!("proxy {version}"));
    let engine = engine.as_ref().map(ToString::to_string);
    let parts: Vec<String> = [engine, proxy].into_iter().flatten().collect();
    if parts.is_empty() { "?".to_owned() } else { parts.join(", ") }
}

/// The first interval of a target that is upgraded, or would be but for what blocks it; the inner
/// `None` where no window that takes it in opens again.
fn interval(verdict: &PlanVerdict) -> Option<Option<&IntervalView>> {
    match verdict {
        PlanVerdict::Upgrade { interval, .. } | PlanVerdict::Blocked { interval, .. } => {
            Some(interval.as_ref())
        }
        _ => None,
    }
}

fn start(verdict: &PlanVerdict, now: Wall, clock: &Clock) -> String {
    match interval(verdict).flatten() {
        Some(_) => format!("from {}", when(verdict, now, clock)),
        None => when(verdict, now, clock),
    }
}

fn when(verdict: &PlanVerdict, now: Wall, clock: &Clock) -> String {
    match interval(verdict).flatten() {
        Some(interval) if interval.open <= now => "now".to_owned(),
        Some(interval) => clock.show_date(interval.open),
        None => "never: no window takes it in".to_owned(),
    }
}

fn verdict(verdict: &PlanVerdict, now: Wall, clock: &Clock) -> String {
    match verdict {
        PlanVerdict::Upgrade { .. } => start(verdict, now, clock),
        PlanVerdict::Skipped { reason } => {
            format!("skipped: {}", escape::line(&reason.to_string()))
        }
        PlanVerdict::Blocked { hold, .. } => format!(
            "blocked: {}: {}; else {}",
            hold.kind.word(),
            escape::line(&hold.detail),
            start(verdict, now, clock)
        ),
        PlanVerdict::Unread => "not read yet".to_owned(),
        PlanVerdict::State { state, reason: None } => state.to_string(),
        PlanVerdict::State { state, reason: Some(reason) } => {
            format!("{state}: {}", escape::line(&reason.to_string()))
        }
    }
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes every write");
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::engine::Reason;

    use super::super::Cli;
    use super::*;

    fn target(name: &str, verdict: PlanVerdict) -> PlannedTarget {
        let instance = format!("id-of-{}", name.len()).into();
        PlannedTarget { project: "sg".into(), instance, name: name.into(), wave: 0, verdict }
    }

    fn shown(targets: Vec<PlannedTarget>) -> String {
        shown_with(targets, &BTreeSet::new())
    }

    fn shown_with(targets: Vec<PlannedTarget>, approvals: &BTreeSet<CampaignName>) -> String {
        let cli = Cli::try_parse_from(["refit", "plan", "--utc"]).unwrap();
        let campaign = CampaignPlan {
            name: "weekly".into(),
            digest: "d1".into(),
            complete: true,
            selection_empty: false,
            waves: vec!["canary".into()],
            targets,
        };
        let plan = Plan { at: Wall(0), campaigns: vec![campaign] };
        to_human(&plan, approvals, &Context::new(cli.globals))
    }

    fn upgrade() -> PlanVerdict {
        let interval = IntervalView {
            open: Wall(3_600_000),
            open_ended: false,
            close: Some(Wall(7_200_000)),
            last_start: Some(Wall(5_400_000)),
            windows: vec!["night".into()],
        };
        PlanVerdict::Upgrade { engine: Some("6.0.1".into()), proxy: None, interval: Some(interval) }
    }

    #[test]
    fn a_plan_that_waits_for_approval_says_so_and_with_which_command() {
        let approvals = BTreeSet::from(["weekly".into()]);
        let plan = shown_with(vec![target("a", upgrade())], &approvals);
        assert!(plan.contains("  next: refit approve weekly --digest d1\n"), "{plan}");
        assert!(!shown(vec![target("a", upgrade())]).contains("approve"));
    }

    #[test]
    fn a_plan_tells_each_verdict_and_counts_them() {
        let skipped = PlanVerdict::Skipped { reason: Reason::SingleNode };
        let text = shown(vec![target("old", skipped), target("cache-1", upgrade())]);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], "campaign weekly: 1 to upgrade, 1 skipped");
        assert_eq!(lines[1], "  wave canary: 1 in sg");
        assert_eq!(lines[2], "    from Thu 1970-01-01 01:00 UTC, last start 01:30");
        assert!(text.contains("from 1970-01-01 01:00 UTC"), "{text}");
        assert!(lines.last().unwrap().ends_with("skipped: single_node"), "{text}");
    }

    fn blocked(detail: &str) -> PlanVerdict {
        let hold = Hold {
            kind: HoldKind::Frozen,
            detail: detail.into(),
            since: None,
            earliest: None,
            next_command: Some("refit unfreeze --all".into()),
            alternatives: Vec::new(),
        };
        let PlanVerdict::Upgrade { engine, proxy, interval } = upgrade() else { unreachable!() };
        PlanVerdict::Blocked { hold, engine, proxy, interval }
    }

    #[test]
    fn what_blocks_several_is_told_once_above_their_waves_and_intervals() {
        let names = ["cache-1", "cache-2", "cache-3"];
        let mut targets: Vec<_> = names.map(|name| target(name, blocked("the audit"))).into();
        targets.push(target("cache-4", blocked("one's own")));
        let text = shown(targets);
        assert_eq!(text.matches("the audit").count(), 1, "{text}");
        assert!(text.contains("blocked: 3 targets by frozen: the audit"), "{text}");
        assert!(text.contains("next: refit unfreeze --all"), "{text}");
        assert!(text.contains("wave canary: 4 in sg"), "{text}");
        let rows = "canary  6.0.1  blocked, else 1970-01-01 01:00 UTC";
        assert_eq!(text.matches(rows).count(), 3, "{text}");
        assert!(text.contains("blocked: frozen: one's own; else from 1970-01-01"), "{text}");
    }

    #[test]
    fn a_campaign_without_a_plan_yet_says_so_and_shows_no_empty_line() {
        let context = Context::new(Cli::try_parse_from(["refit", "plan"]).unwrap().globals);
        let empty = CampaignPlan {
            name: "weekly".into(),
            digest: "".into(),
            complete: false,
            selection_empty: false,
            waves: Vec::new(),
            targets: Vec::new(),
        };
        let text =
            to_human(&Plan { at: Wall(0), campaigns: vec![empty] }, &BTreeSet::new(), &context);
        assert_eq!(
            text,
            "campaign weekly: no instance is known yet\n  \
             not complete: the fleet is still being read; ask again\n"
        );
    }

    #[test]
    fn a_name_from_the_cloud_cannot_drive_the_terminal() {
        let text = shown(vec![target("evil\u{1b}[2J\nname", upgrade())]);
        assert!(text.contains("evil\\u{1b}[2J\\nname"), "{text}");
    }

    #[test]
    fn equal_names_are_told_apart_by_their_ids() {
        let mut twin = target("cache", upgrade());
        twin.instance = "id-of-twin".into();
        let text = shown(vec![target("cache", upgrade()), twin]);
        assert!(text.contains("cache (id-of-5)") && text.contains("cache (id-of-twin)"), "{text}");
    }
}
