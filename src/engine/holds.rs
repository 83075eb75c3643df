//! Why one target is not moving, told on demand: which reason is the first that applies, in the
//! order of [`HoldKind`], and what there is to say of it.
//!
//! Finding the kind is cheap and says nothing in words, so that `waits` may do it for thousands.

use std::sync::Arc;

use crate::model::{Steady, TargetId, TaskId, Wall};

use super::Engine;
use super::event::Quota;
use super::hold::{Hold, HoldKind, shell_word, target_command, unfreeze_command};
use super::index::{CampaignIx, ClassIx, ProjectIx, TargetIx};
use super::rows::FreezeRow;
use super::state::{CampaignState, PauseCause, TargetState};
use super::tables::Preparing;
use super::view::{Candidate, Why};

/// Failed targets that a hold names; the rest is counted.
const NAMED: usize = 3;

impl Engine {
    /// Why this target is not moving. `None` for an unknown target, and for one that ended and
    /// leaves no question open.
    pub fn hold(&self, target: &TargetId, now: Steady) -> Option<Hold> {
        let ix = self.find_target(target)?;
        self.hold_of(ix, self.wall_at(now.max(self.now)))
    }

    /// Where one target stands, and why it is not moving. `None` for an unknown one.
    pub fn why(&self, target: &TargetId, now: Steady) -> Option<Why> {
        let ix = self.find_target(target)?;
        let row = &self.targets[ix.at()].row;
        Some(Why {
            target: row.id.clone(),
            name: self.name_of(ix).clone(),
            state: row.state,
            reason: row.reason.clone(),
            hold: self.hold_of(ix, self.wall_at(now.max(self.now))),
            next_command: self.retry_command(ix),
        })
    }

    /// What opens a failed target again; a hold has commands of its own.
    fn retry_command(&self, ix: TargetIx) -> Option<String> {
        let target = &self.targets[ix.at()];
        let campaign = &self.campaigns[target.campaign.at()];
        let may_start = campaign.state != Some(CampaignState::Aborted) && !campaign.detail.draining;
        let is_over =
            target.row.state == TargetState::Failed && target.row.needs_operator.is_none();
        (is_over && may_start).then(|| target_command("retry", &target.row.id))
    }

    /// The targets that `text` may mean: an instance's name or id, alone or after `campaign/`,
    /// `project/` or `campaign/project/`. Looks at every target: for people, not for steps.
    pub fn called(&self, text: &str) -> Vec<Candidate> {
        let (place, called) = match text.rsplit_once('/') {
            Some((place, called)) => (Some(place), called),
            None => (None, text),
        };
        let all = (0..self.targets.len() as u32).map(TargetIx);
        let is_meant = |ix: &TargetIx| {
            let id = &self.targets[ix.at()].row.id;
            let (campaign, project) = (id.campaign.as_str(), id.project.as_str());
            let is_there = place.is_none_or(|place| match place.split_once('/') {
                Some(both) => both == (campaign, project),
                None => place == campaign || place == project,
            });
            is_there && (**self.name_of(*ix) == *called || id.instance.as_str() == called)
        };
        let found = all.filter(is_meant).map(|ix| Candidate {
            target: self.targets[ix.at()].row.id.clone(),
            name: self.name_of(ix).clone(),
        });
        found.collect()
    }

    /// Those of the targets that are known, with their instances' names.
    pub fn named(&self, targets: Vec<TargetId>) -> Vec<Candidate> {
        let known = targets.into_iter().filter_map(|target| {
            let name = self.instance_name(&target)?.clone();
            Some(Candidate { target, name })
        });
        known.collect()
    }

    /// The name of the target's instance.
    pub fn instance_name(&self, target: &TargetId) -> Option<&Arc<str>> {
        self.find_target(target).map(|ix| self.name_of(ix))
    }

    pub(super) fn name_of(&self, ix: TargetIx) -> &Arc<str> {
        &self.instances[self.targets[ix.at()].instance.at()].name
    }

    fn hold_of(&self, ix: TargetIx, wall: Wall) -> Option<Hold> {
        let row = &self.targets[ix.at()].row;
        match row.state {
            state if state.is_terminal() => row.needs_operator.as_ref().map(|why| {
                let verb =
                    if state == TargetState::Succeeded { "events --target" } else { "retry" };
                Hold::new(HoldKind::NeedsOperator, why.to_string())
                    .since(row.entered_at)
                    .next(target_command(verb, &row.id))
            }),
            TargetState::Pending => Some(self.pending_hold(ix, wall)),
            _ => Some(self.sent_hold(ix)),
        }
    }

    pub(super) fn pending_hold(&self, ix: TargetIx, wall: Wall) -> Hold {
        let target = &self.targets[ix.at()];
        let class = self.known_class(ix);
        let shared = self.shared_kind(target.campaign, target.project, class, wall);
        self.told(ix, shared.unwrap_or_else(|| self.own_kind(ix, wall)), wall)
    }

    /// The first reason that holds for all that the campaign has to do in this project; of a class,
    /// if one is named.
    pub(super) fn shared_kind(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        class: Option<ClassIx>,
        wall: Wall,
    ) -> Option<HoldKind> {
        if let Err(kind) = self.time_gate(campaign, project, wall) {
            return Some(kind);
        }
        let fit = class.and_then(|class| self.fit_kind(campaign, project, class, wall));
        if fit.is_some() {
            return fit;
        }
        if let Err(kind @ (HoldKind::CampaignPaused | HoldKind::CampaignRemoved)) =
            self.campaign_gate(campaign)
        {
            return Some(kind);
        }
        let gate = self.project_gate(project);
        let is_waiting =
            self.project_backoff_until(project).is_some() || self.unreachable(project).is_some();
        match gate {
            Err(HoldKind::Credential) | Ok(()) if is_waiting => Some(HoldKind::CircuitOpen),
            gate => gate.and_then(|()| self.process_gate()).err(),
        }
    }

    /// The first reason of the target's own, where nothing shared holds it.
    pub(super) fn own_kind(&self, ix: TargetIx, wall: Wall) -> HoldKind {
        let target = &self.targets[ix.at()];
        if target.row.held_by.is_some() {
            return HoldKind::Held;
        }
        if target.row.needs_operator.is_some() {
            return HoldKind::NeedsOperator;
        }
        let gate = self.campaign_gate(target.campaign).err();
        if gate == Some(HoldKind::AwaitingApproval) {
            return HoldKind::AwaitingApproval;
        }
        let detail = &self.campaigns[target.campaign.at()].detail;
        if target.row.wave > detail.wave {
            let bakes = detail.bake_until.is_some_and(|until| until > wall);
            return if bakes { HoldKind::Baking } else { HoldKind::WaveNotOpen };
        }
        if let Some(kind) = gate {
            return kind;
        }
        if self.sibling_at_work(ix).is_some() {
            return HoldKind::OtherCampaign;
        }
        if let Some(kind) = self.wait_kind(ix, wall) {
            return kind;
        }
        let cap = self.cap_hold(ix).filter(|_| target.preparing == Preparing::No);
        cap.map_or(HoldKind::RateLimited, |(kind, _)| kind)
    }

    fn wait_kind(&self, ix: TargetIx, wall: Wall) -> Option<HoldKind> {
        let target = &self.targets[ix.at()];
        if !target.verdict_read {
            return Some(HoldKind::Precheck);
        }
        target.row.not_before.filter(|&until| until > wall)?;
        let history = target.row.detail.history();
        Some(match (&history.conflict, history.not_running_at) {
            (_, Some(_)) => HoldKind::Precheck,
            // What cannot be read now hides whatever it was busy with.
            (Some(_), None) if target.read_failures == 0 => HoldKind::Conflict,
            _ => HoldKind::Backoff,
        })
    }

    /// What there is to say of a pending target that this holds.
    pub(super) fn told(&self, ix: TargetIx, kind: HoldKind, wall: Wall) -> Hold {
        use HoldKind as K;
        match kind {
            K::Frozen | K::OutsideWindow | K::PastCutoff => self.time_hold(ix, kind, wall),
            K::DoesNotFit | K::NeverFits => self.fit_hold(ix, kind, wall),
            K::CampaignPaused | K::CampaignRemoved | K::AwaitingApproval | K::BudgetTripped => {
                self.campaign_hold(ix, kind)
            }
            K::ProjectStopped | K::CircuitOpen | K::Credential => self.project_hold(ix, kind),
            K::ClockSuspect | K::Store | K::NotOwner | K::Stopping => process_hold(kind),
            K::WaveNotOpen | K::Baking => self.wave_hold(ix, kind),
            _ => self.own_hold(ix, kind),
        }
    }

    fn own_hold(&self, ix: TargetIx, kind: HoldKind) -> Hold {
        let target = &self.targets[ix.at()];
        let row = &target.row;
        match kind {
            HoldKind::Held => {
                let by = row.held_by.as_deref().unwrap_or("an operator");
                Hold::new(kind, format!("held by {by}")).next(target_command("release", &row.id))
            }
            HoldKind::NeedsOperator => {
                let why = row.needs_operator.as_deref().unwrap_or("an operator has to look");
                Hold::new(kind, why.to_owned()).next(target_command("skip", &row.id))
            }
            HoldKind::OtherCampaign => {
                let other = self.sibling_at_work(ix).map(|other| &self.targets[other.at()].row);
                let what = other.map_or_else(
                    || "another campaign".to_owned(),
                    |other| format!("campaign {}", other.id.campaign),
                );
                let built = Hold::new(kind, format!("{what} is upgrading it"));
                Hold { since: other.map(|other| other.entered_at), ..built }
            }
            HoldKind::Precheck | HoldKind::Conflict | HoldKind::Backoff => {
                let words = self.wait_words(ix, kind);
                match self.reads_paused(target.project) {
                    Some((why, until)) => Hold::new(kind, format!("{words}; {why}"))
                        .earliest(row.not_before.map_or(until, |at| at.max(until))),
                    None => Hold { earliest: row.not_before, ..Hold::new(kind, words) },
                }
            }
            HoldKind::DisruptionBudget | HoldKind::MaxInFlight => {
                let words = self.cap_hold(ix).map(|(_, words)| words);
                Hold::new(kind, words.unwrap_or_else(|| "a cap was full".to_owned()))
                    .since(self.due_since(ix))
            }
            _ => self.rate_hold(ix, kind),
        }
    }

    fn rate_hold(&self, ix: TargetIx, kind: HoldKind) -> Hold {
        let project = self.targets[ix.at()].project;
        let next = self.projects[project.at()].starts.next_at(self.now);
        let hold = if next > self.now {
            let words = self.throttle_words(project, Quota::Starts);
            let own = || format!("upgrade_rate of project {}", self.project_name(project));
            Hold::new(kind, words.unwrap_or_else(own)).earliest(self.wall_at(next))
        } else {
            let look = "next in line; waits for its last look";
            match self.reads_paused(project) {
                Some((why, until)) => Hold::new(kind, format!("{look}; {why}")).earliest(until),
                None => Hold::new(kind, look),
            }
        };
        hold.since(self.due_since(ix))
    }

    /// Since when only caps and rates have kept it. Caps fill and free all the time: since when
    /// this one is full is not kept.
    fn due_since(&self, ix: TargetIx) -> Wall {
        let target = &self.targets[ix.at()];
        let campaign = &self.campaigns[target.campaign.at()];
        let calendar = campaign.calendars.get(&target.project);
        let opened = calendar.and_then(|calendar| calendar.interval.as_ref()).map(|it| it.open);
        let ends = [target.row.not_before, opened, campaign.detail.bake_until];
        let past = ends.into_iter().flatten().filter(|&at| at <= self.wall);
        past.fold(target.row.entered_at, Wall::max)
    }

    fn wait_words(&self, ix: TargetIx, kind: HoldKind) -> String {
        let target = &self.targets[ix.at()];
        let row = &target.row;
        match kind {
            HoldKind::Precheck if !target.verdict_read => "versions: not read yet".to_owned(),
            HoldKind::Precheck => "not_running: looked at again".to_owned(),
            HoldKind::Conflict => {
                let history = row.detail.history();
                let word = history.conflict.as_deref().unwrap_or("busy");
                format!("the instance is busy ({word}), {} times", history.conflicts)
            }
            _ if target.read_failures > 0 => {
                format!("it could not be read, {} times in a row", target.read_failures)
            }
            _ if row.not_applied > 0 => {
                format!("after {} attempts found not applied", row.not_applied)
            }
            _ => "the cloud throttled its upgrade".to_owned(),
        }
    }

    fn wave_hold(&self, ix: TargetIx, kind: HoldKind) -> Hold {
        let row = &self.targets[ix.at()].row;
        let campaign = &self.campaigns[self.targets[ix.at()].campaign.at()];
        let detail = &campaign.detail;
        let name = |wave: u32| detail.waves.get(wave as usize).map_or("?", |wave| &*wave.name);
        let (open, own) = (name(detail.wave), name(row.wave));
        if kind == HoldKind::Baking {
            let built = Hold::new(kind, format!("wave {open} bakes before {own}"))
                .next(format!("refit promote {}", shell_word(campaign.name.as_str())));
            return Hold { since: detail.wave_ended_at, earliest: detail.bake_until, ..built };
        }
        let left = campaign.waves[detail.wave as usize].open;
        let targets = if left == 1 { "target" } else { "targets" };
        Hold::new(kind, format!("wave {own} waits for {left} {targets} of wave {open}"))
            .since(row.entered_at)
    }

    fn sent_hold(&self, ix: TargetIx) -> Hold {
        let row = &self.targets[ix.at()].row;
        if let Some(why) = &row.needs_operator {
            return Hold::new(HoldKind::NeedsOperator, why.to_string())
                .since(row.entered_at)
                .next_of(self.verdicts(ix));
        }
        if row.overdue {
            let task = row.task.as_ref().map_or("its task", |task| task.as_str());
            let detail = format!("{task} runs longer than {}", self.task_timeout(ix));
            return Hold::new(HoldKind::Overdue, detail).since(row.entered_at);
        }
        if row.state == TargetState::Uncertain {
            let flight = row.detail.flight.as_deref();
            let clean = flight.map_or(0, |flight| flight.clean_looks);
            let words = format!("may have started; {clean} clean looks so far");
            let hold = Hold::new(HoldKind::Uncertain, words).since(row.entered_at);
            if row.not_applied + 1 < self.retry_of(ix).max_attempts {
                return hold.earliest(self.earliest_resend(ix));
            }
            return Hold { detail: hold.detail + "; no further attempt follows", ..hold };
        }
        let words = match self.reads_paused(self.targets[ix.at()].project) {
            Some((why, _)) => format!("{}; {why}", row.state),
            None => row.state.to_string(),
        };
        Hold::new(HoldKind::InProgress, words).since(row.entered_at)
    }

    /// The orders by which an operator may settle what became of it.
    fn verdicts(&self, ix: TargetIx) -> Vec<String> {
        let row = &self.targets[ix.at()].row;
        let flight = row.detail.flight.as_deref();
        let tasks = flight.map_or(&[][..], |flight| &flight.candidates);
        let verdicts: Vec<String> = match row.state {
            TargetState::Uncertain if tasks.is_empty() => {
                vec!["--applied".to_owned(), "--not-applied".to_owned()]
            }
            TargetState::Uncertain => {
                let applied = |task: &TaskId| format!("--applied {}", shell_word(task.as_str()));
                let tasks = tasks.iter().map(applied);
                tasks.chain(["--not-applied".to_owned()]).collect()
            }
            _ => vec!["--succeeded".to_owned(), "--failed".to_owned()],
        };
        let resolve = target_command("resolve", &row.id);
        verdicts.iter().map(|verdict| format!("{resolve} {verdict}")).collect()
    }

    fn time_hold(&self, ix: TargetIx, kind: HoldKind, wall: Wall) -> Hold {
        let target = &self.targets[ix.at()];
        let calendar = self.campaigns[target.campaign.at()].calendars.get(&target.project);
        let campaign = shell_word(target.row.id.campaign.as_str());
        let windows = format!("refit windows --campaign {campaign}");
        let built = match (kind, &self.freeze_file) {
            (HoldKind::Frozen, Some(path)) => {
                // It has no end but its removal.
                return Hold::new(kind, freeze_file_words(path))
                    .next(format!("rm {}", shell_word(path)));
            }
            (HoldKind::Frozen, None) => {
                if let Some(freeze) = self.operator_freeze(target.campaign, target.project, wall) {
                    return operator_freeze_hold(freeze);
                }
                let frozen = calendar.and_then(|calendar| calendar.calendar.freeze_at(wall));
                let name = frozen.map_or("a freeze", |(freeze, _)| freeze.name.as_str());
                Hold::new(kind, format!("[freezes.{name}] of the file")).next(windows)
            }
            (HoldKind::PastCutoff, _) => Hold::new(kind, "too late in this window").next(windows),
            _ => Hold::new(kind, "no window is open").next(windows),
        };
        let detail = match self.never_fits(ix, wall) {
            Some(words) => format!("{}; {words}", built.detail),
            None => built.detail.clone(),
        };
        Hold { detail, earliest: self.next_start(ix, wall), ..built }
    }

    fn campaign_hold(&self, ix: TargetIx, kind: HoldKind) -> Hold {
        let at = self.targets[ix.at()].campaign;
        let campaign = &self.campaigns[at.at()];
        let (name, detail) = (&campaign.name, &campaign.detail);
        let typed = shell_word(name.as_str());
        let built = match kind {
            HoldKind::AwaitingApproval => {
                let digest = &detail.digest;
                Hold::new(kind, format!("plan {digest} is not approved"))
                    .since(detail.planned_at)
                    .next(format!("refit approve {typed} --digest {digest}"))
            }
            HoldKind::CampaignRemoved => {
                Hold::new(kind, format!("[campaigns.{name}] left the file")).next("refit check")
            }
            HoldKind::BudgetTripped => Hold::new(kind, self.budget_words(at))
                .next(format!("refit resume {typed}"))
                .or(format!("refit events --campaign {typed} --kind failed")),
            _ if campaign.state == Some(CampaignState::Paused) => {
                let causes: Vec<String> = detail.causes.iter().map(PauseCause::to_string).collect();
                Hold::new(kind, format!("paused: {}", causes.join(", ")))
                    .next(format!("refit resume {typed}"))
            }
            _ => Hold::new(kind, campaign.state.map_or("not planned", |state| state.word())),
        };
        Hold { since: built.since.or(detail.paused_at), ..built }
    }

    /// What has used the failure budget up: `3 failures reach max_failures = 3: cache-1, …`.
    fn budget_words(&self, ix: CampaignIx) -> String {
        let troubled = self.troubled(ix);
        let mut names: Vec<String> =
            troubled.iter().take(NAMED).map(|target| self.name_of(*target).to_string()).collect();
        if troubled.len() > NAMED {
            names.push(format!("{} more", troubled.len() - NAMED));
        }
        let used = self.budget_used(ix);
        if names.is_empty() { used } else { format!("{used}: {}", names.join(", ")) }
    }

    fn project_hold(&self, ix: TargetIx, kind: HoldKind) -> Hold {
        let at = self.targets[ix.at()].project;
        let project = &self.projects[at.at()];
        let name = &project.name;
        match kind {
            HoldKind::Credential => self
                .credential_hold(project.credential)
                .unwrap_or_else(|| Hold::new(kind, "a credential was stopped")),
            HoldKind::CircuitOpen => self.circuit_hold(at),
            _ => match &project.detail.stopped {
                Some(why) => {
                    let built = Hold::new(kind, why.to_string())
                        .next(format!("refit resume --project {}", shell_word(name.as_str())));
                    Hold { since: project.detail.stopped_at, ..built }
                }
                // Of the two only the file can be asked.
                None => Hold::new(
                    kind,
                    format!(
                        "shadow mode: starts = \"off\" in [projects.{name}], or the daemon runs \
                         with --no-starts"
                    ),
                )
                .since(self.settings_at)
                .next("refit check --effective")
                .or("refit run"),
            },
        }
    }

    fn circuit_hold(&self, ix: ProjectIx) -> Hold {
        let project = &self.projects[ix.at()];
        let circuit = self.circuit_open_until(ix).map(|until| self.wall_at(until));
        let backoff = self.project_backoff_until(ix);
        if let Some(unreachable) = self.unreachable(ix) {
            let detail =
                format!("project {}: cloud unreachable: {}", project.name, unreachable.cause);
            let waits = [Some(unreachable.next_try), circuit, backoff];
            let built = Hold::new(HoldKind::CircuitOpen, detail).since(unreachable.since);
            return Hold { earliest: waits.into_iter().flatten().max(), ..built };
        }
        let (what, until) = match circuit {
            Some(until) => ("three unclear answers in a row", Some(until).max(backoff)),
            None => ("backs off from an upgrade that could not be sent", backoff),
        };
        let built = Hold::new(HoldKind::CircuitOpen, format!("project {}: {what}", project.name));
        let since = circuit.and(project.circuit_opened_at).map(|at| self.wall_at(at));
        Hold { since, earliest: until, ..built }
    }
}

fn operator_freeze_hold(freeze: &FreezeRow) -> Hold {
    let mut detail = format!("{} by {}", freeze.scope, freeze.actor);
    if let Some(reason) = &freeze.reason {
        detail.push_str(&format!(": {reason}"));
    }
    let built = Hold::new(HoldKind::Frozen, detail)
        .since(freeze.from)
        .next(unfreeze_command(&freeze.scope));
    Hold { earliest: freeze.until, ..built }
}

pub(super) fn process_hold(kind: HoldKind) -> Hold {
    let detail = match kind {
        HoldKind::ClockSuspect => "wall and boot clock have parted; two samples must agree",
        HoldKind::Store => "the store cannot be written",
        HoldKind::NotOwner => "another process owns the store",
        _ => "the daemon is stopping",
    };
    Hold::new(kind, detail)
}

pub(super) fn freeze_file_words(path: &str) -> String {
    format!("the file {path} is there")
}
