//! Operators' orders: each finds its subject, checks that it makes sense now, changes what it says
//! and answers in words. Idempotent; every event of an order carries its actor.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{CampaignName, CredentialName, ProjectName, Wall, closest};

use super::Engine;
use super::credential::times;
use super::event::Fact;
use super::hold::unfreeze_command;
use super::index::{CampaignIx, TargetIx};
use super::order::{Command, Order, Refusal, Reply, ResumeScope, Scope};
use super::rows::FreezeRow;
use super::state::{CampaignState, PauseCause};
use super::timers::Timer;

impl Engine {
    pub(super) fn order(&mut self, order: Order) {
        self.actor = Some((order.actor.clone(), order.reason.clone()));
        let answer = match order.command {
            Command::Pause { campaign } => self.order_pause(&campaign),
            Command::Resume { scope } => self.order_resume(scope),
            Command::Abort { campaign } => self.order_abort(&campaign),
            Command::Approve { campaign, digest } => self.order_approve(&campaign, &digest),
            Command::Promote { campaign } => self.order_promote(&campaign),
            Command::Freeze { scope, until } => self.order_freeze(scope, until, &order.reason),
            Command::Unfreeze { scope } => self.order_unfreeze(scope),
            Command::Resolve { target, verdict } => self.order_resolve(&target, verdict),
            Command::Hold { target } => self.order_hold(&target, order.actor),
            Command::Release { target } => self.order_release(&target),
            Command::Skip { target } => self.order_skip(&target),
            Command::Retry { target } => self.order_retry(&target),
        };
        self.out.reply = Some(match answer {
            Ok(reply) => reply,
            Err((refusal, message)) => Reply::Refused { refusal, message },
        });
    }

    fn order_pause(&mut self, name: &CampaignName) -> Answer {
        let ix = self.planned_campaign(name)?;
        self.not_over(ix, "pause")?;
        if self.campaigns[ix.at()].detail.draining {
            return not_now(format!(
                "campaign {name} is being aborted: it starts nothing any more, and what is in \
                 flight cannot be stopped"
            ));
        }
        if self.campaigns[ix.at()].detail.causes.contains(&PauseCause::Operator) {
            return unchanged(format!("campaign {name} is paused already"));
        }
        self.pause(ix, PauseCause::Operator, &[]);
        let in_flight = self.campaigns[ix.at()].in_flight();
        changed(format!("campaign {name} is paused; {in_flight} in flight will finish"))
    }

    fn order_resume(&mut self, scope: ResumeScope) -> Answer {
        match scope {
            ResumeScope::Campaign(name) => self.order_resume_campaign(&name),
            ResumeScope::Project(name) => {
                let known = self.project_index.get(&name).copied();
                let ix = known.ok_or_else(|| self.unknown_project(&name))?;
                if self.resume_project(ix) {
                    changed(format!("project {name} may start upgrades again"))
                } else {
                    unchanged(format!("project {name} is not stopped"))
                }
            }
            ResumeScope::Credential(name) => {
                let known = self.credential_index.get(&name).copied();
                let ix = known.ok_or_else(|| self.unknown_credential(&name))?;
                if let Some(until) = self.key_rests_until(ix) {
                    return not_now(format!(
                        "credential {name} was refused {} in a row, and the cloud locks a key for \
                         everyone after five: mend the secret where it is read (refit check \
                         --effective shows where) and restart the service; the same key may be \
                         tried again from {}",
                        times(self.credentials[ix.at()].refusals),
                        utc(until)
                    ));
                }
                if self.resume_credential(ix) {
                    changed(format!("credential {name} is tried again, one request at a time"))
                } else {
                    unchanged(format!("credential {name} is not stopped"))
                }
            }
        }
    }

    fn order_resume_campaign(&mut self, name: &CampaignName) -> Answer {
        let ix = self.planned_campaign(name)?;
        self.not_over(ix, "resume")?;
        if self.campaigns[ix.at()].state != Some(CampaignState::Paused) {
            return unchanged(format!("campaign {name} is not paused"));
        }
        let in_file = self.settings.campaigns.contains_key(name);
        let causes = std::mem::take(&mut self.campaigns[ix.at()].detail.causes);
        let (stay, clear): (BTreeSet<PauseCause>, BTreeSet<PauseCause>) =
            causes.into_iter().partition(|cause| *cause == PauseCause::Removed && !in_file);
        let counts = |cause: &PauseCause| {
            matches!(cause, PauseCause::Budget | PauseCause::WaveFailed | PauseCause::Code(_))
        };
        if clear.iter().any(counts) {
            self.acknowledge(ix);
        }
        self.campaigns[ix.at()].detail.causes = stay.clone();
        self.touch_campaign(ix);
        if !stay.is_empty() {
            let left: Vec<PauseCause> = stay.into_iter().collect();
            let to = CampaignState::Paused;
            self.record_campaign(ix, Fact::Resumed { to, left });
            return changed(format!(
                "campaign {name} stays paused: it is not in the file; put [campaigns.{name}] back and restart"
            ));
        }
        let to =
            self.campaigns[ix.at()].detail.paused_from.take().unwrap_or(CampaignState::Running);
        self.campaigns[ix.at()].detail.paused_at = None;
        self.campaigns[ix.at()].state = Some(to);
        self.record_campaign(ix, Fact::Resumed { to, left: Vec::new() });
        self.mark_campaign(ix);
        self.mark_projects_of(ix);
        changed(format!("campaign {name} is {}", to.word()))
    }

    /// Failures so far no longer count against the budget or the wave.
    fn acknowledge(&mut self, ix: CampaignIx) {
        let strikes: Vec<TargetIx> = self.campaigns[ix.at()]
            .targets
            .iter()
            .copied()
            .filter(|target| self.targets[target.at()].tally().strike)
            .collect();
        for &target in &strikes {
            self.edit(target, |target| target.row.acknowledged = true);
        }
        let detail = &mut self.campaigns[ix.at()].detail;
        detail.consecutive_failures = 0;
        detail.code_run = None;
        let (targets, names) = (self.ids_of(&strikes), self.names_of(&strikes));
        self.record_campaign(ix, Fact::Acknowledged { targets, names });
    }

    fn order_abort(&mut self, name: &CampaignName) -> Answer {
        let ix = self.planned_campaign(name)?;
        let campaign = &self.campaigns[ix.at()];
        if campaign.state == Some(CampaignState::Aborted) || campaign.detail.draining {
            return unchanged(format!("campaign {name} is being aborted or is aborted already"));
        }
        self.not_over(ix, "abort")?;
        self.campaigns[ix.at()].detail.draining = true;
        self.touch_campaign(ix);
        self.record_campaign(ix, Fact::AbortOrdered);
        self.cancel_pending(ix);
        self.mark_campaign(ix);
        let in_flight = self.campaigns[ix.at()].in_flight();
        changed(format!(
            "campaign {name} starts nothing any more; the cloud's {in_flight} running tasks cannot be stopped and are watched to their end"
        ))
    }

    fn order_approve(&mut self, name: &CampaignName, digest: &Arc<str>) -> Answer {
        let ix = self.planned_campaign(name)?;
        self.not_over(ix, "approve")?;
        let campaign = &self.campaigns[ix.at()];
        match campaign.state {
            Some(CampaignState::AwaitingApproval) => {}
            Some(CampaignState::Paused) => {
                return not_now(format!("campaign {name} is paused: refit resume {name}"));
            }
            _ => return unchanged(format!("campaign {name} needs no approval")),
        }
        if campaign.detail.digest != *digest {
            return not_now(format!(
                "the plan's digest is {}, not {digest}: read refit plan --campaign {name} again",
                campaign.detail.digest
            ));
        }
        self.begin_campaign_run(ix, Fact::Approved { digest: digest.clone() });
        changed(format!("campaign {name} is approved"))
    }

    fn order_promote(&mut self, name: &CampaignName) -> Answer {
        let ix = self.planned_campaign(name)?;
        let (running, wall) =
            (self.campaigns[ix.at()].state == Some(CampaignState::Running), self.wall);
        let detail = &mut self.campaigns[ix.at()].detail;
        let wave = detail.wave;
        if !running || detail.bake_until.is_none_or(|until| until <= wall) {
            return not_now(format!("campaign {name} is not baking a wave"));
        }
        detail.bake_until = Some(wall);
        self.touch_campaign(ix);
        self.record_campaign(ix, Fact::Promoted { wave });
        self.mark_campaign(ix);
        changed(format!("campaign {name} opens its next wave"))
    }

    /// Only ever extends a freeze: whoever ordered the longer one relies on it.
    fn order_freeze(
        &mut self,
        scope: Scope,
        until: Option<Wall>,
        reason: &Option<Arc<str>>,
    ) -> Answer {
        self.known_scope(&scope)?;
        if until.is_some_and(|until| until <= self.wall) {
            return not_now("the freeze would end before it begins".to_owned());
        }
        let wall = self.wall;
        let before = self.freezes.get(&scope).filter(|freeze| freeze.is_active_at(wall)).cloned();
        if let Some(before) = before.as_ref().filter(|before| !before.ends_before(until)) {
            let lift = unfreeze_command(&scope);
            return unchanged(format!(
                "{scope} is frozen {} already; freeze only extends it: {lift} ends it",
                freeze_words(before)
            ));
        }
        let actor = self.actor.as_ref().map_or_else(|| "".into(), |(actor, _)| actor.clone());
        // Frozen since the first of them; the rest is of whoever set the end.
        let from = before.as_ref().map_or(wall, |before| before.from);
        let row = FreezeRow { scope: scope.clone(), from, until, actor, reason: reason.clone() };
        self.changes().freezes.push(row.clone());
        self.freezes.insert(scope.clone(), row);
        self.record_process(Fact::Frozen { scope: scope.clone(), until });
        if let Some(until) = until {
            let at = self.steady_at(until);
            self.timers.push(at, Timer::Freezes);
        }
        self.gate_changed();
        let end = freeze_end(until);
        let replaced = before.map_or_else(String::new, |before| {
            format!("; this replaces the freeze {}", freeze_words(&before))
        });
        changed(format!("{scope} is frozen {end}{replaced}; work in flight will finish"))
    }

    fn order_unfreeze(&mut self, scope: Scope) -> Answer {
        self.known_scope(&scope)?;
        if self.freezes.remove(&scope).is_none() {
            return unchanged(format!("{scope} is not frozen by an operator"));
        }
        self.changes().unfrozen.push(scope.clone());
        self.record_process(Fact::Unfrozen { scope: scope.clone() });
        self.gate_changed();
        changed(format!("{scope} is no longer frozen by an operator"))
    }

    fn planned_campaign(&self, name: &CampaignName) -> Result<CampaignIx, Refused> {
        let ix =
            self.campaign_index.get(name).copied().ok_or_else(|| self.unknown_campaign(name))?;
        if self.campaigns[ix.at()].state.is_none() {
            let message = format!("campaign {name} is not planned yet: see refit status");
            return Err((Refusal::NotNow, message));
        }
        Ok(ix)
    }

    fn not_over(&self, ix: CampaignIx, what: &str) -> Result<(), Refused> {
        let campaign = &self.campaigns[ix.at()];
        match campaign.state.filter(|state| state.is_over()) {
            Some(state) => {
                let message = format!("campaign {} is {state}: nothing to {what}", campaign.name);
                Err((Refusal::NotNow, message))
            }
            None => Ok(()),
        }
    }

    fn known_scope(&self, scope: &Scope) -> Result<(), Refused> {
        match scope {
            Scope::All => Ok(()),
            Scope::Project(name) if self.project_index.contains_key(name) => Ok(()),
            Scope::Campaign(name) if self.campaign_index.contains_key(name) => Ok(()),
            Scope::Project(name) => Err(self.unknown_project(name)),
            Scope::Campaign(name) => Err(self.unknown_campaign(name)),
        }
    }

    pub(super) fn unknown_campaign(&self, name: &CampaignName) -> Refused {
        let names = self.campaign_index.keys().map(CampaignName::as_str);
        unknown("campaign", name.as_str(), names)
    }

    fn unknown_project(&self, name: &ProjectName) -> Refused {
        let names = self.project_index.keys().map(ProjectName::as_str);
        unknown("project", name.as_str(), names)
    }

    fn unknown_credential(&self, name: &CredentialName) -> Refused {
        let names = self.credential_index.keys().map(CredentialName::as_str);
        unknown("credential", name.as_str(), names)
    }
}

pub(super) type Refused = (Refusal, String);
pub(super) type Answer = Result<Reply, Refused>;

pub(super) fn changed(message: String) -> Answer {
    Ok(Reply::Done { changed: true, message })
}

pub(super) fn unchanged(message: String) -> Answer {
    Ok(Reply::Done { changed: false, message })
}

pub(super) fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Refused {
    (Refusal::Unknown, format!("no {what} is called {name:?}{}", closest::hint(name, known)))
}

pub(super) fn not_now(message: String) -> Answer {
    Err((Refusal::NotNow, message))
}

/// `by 1000/alice until 2026-11-29 01:00:00 UTC (incident)`.
fn freeze_words(freeze: &FreezeRow) -> String {
    let by = format!("by {} {}", freeze.actor, freeze_end(freeze.until));
    match &freeze.reason {
        Some(reason) => format!("{by} ({reason})"),
        None => by,
    }
}

fn freeze_end(until: Option<Wall>) -> String {
    until.map_or_else(|| "until refit unfreeze".to_owned(), |until| format!("until {}", utc(until)))
}

/// `2026-11-29 01:00:00 UTC`.
fn utc(at: Wall) -> String {
    let text = at.rfc3339();
    match (text.get(..10), text.get(11..19)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => text,
    }
}
