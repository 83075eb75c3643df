//! The operators of a simulation: one who does anything at any time, and one who tidies up.

use refit::engine::order::{ResumeScope, Verdict};
use refit::engine::rows::TargetRow;
use refit::engine::{CampaignState, Command, Scope, TargetState};
use refit::model::{Millis, TargetId};
use refit::rehearse::Host;

use super::dice::Dice;

/// Any order at all, drawn for the `turn`-th time.
pub fn meddle(host: &mut Host, dice: Dice, turn: u32) {
    let named = |what: &str| format!("{what} {turn}");
    let campaigns: Vec<_> = host.settings().campaigns.keys().cloned().collect();
    let projects: Vec<_> = host.settings().projects.keys().cloned().collect();
    let credentials: Vec<_> = host.settings().credentials.keys().cloned().collect();
    let targets: Vec<TargetId> = host.store().targets().map(|row| row.id.clone()).collect();
    let campaign = dice.pick(&named("campaign"), &campaigns).clone();
    let project = dice.pick(&named("project"), &projects).clone();
    let scope = match dice.number(&named("scope"), 0, 3) {
        0 => Scope::All,
        1 => Scope::Project(project.clone()),
        _ => Scope::Campaign(campaign.clone()),
    };
    let some_target = (!targets.is_empty()).then(|| dice.pick(&named("target"), &targets).clone());
    let until = host.now() + dice.minutes(&named("until"), 1, 120);
    let command = match (dice.number(&named("command"), 0, 15), some_target) {
        (0, _) => Command::Pause { campaign },
        (1 | 2, _) => Command::Resume { scope: ResumeScope::Campaign(campaign) },
        (3, _) => Command::Resume { scope: ResumeScope::Project(project) },
        (4, _) => {
            let credential = dice.pick(&named("credential"), &credentials).clone();
            Command::Resume { scope: ResumeScope::Credential(credential) }
        }
        (5, _) => Command::Freeze { scope, until: Some(until) },
        (6, _) => Command::Unfreeze { scope },
        (7, _) => Command::Promote { campaign },
        (8, Some(target)) => Command::Hold { target },
        (9, Some(target)) => Command::Release { target },
        (10, Some(target)) => Command::Skip { target },
        (11, Some(target)) => Command::Retry { target },
        (12, _) if dice.chance(&named("abort"), 0.1) => Command::Abort { campaign },
        (13, _) => return resolve_all(host),
        _ => return approve_all(host),
    };
    host.order(command);
}

/// Sets right whatever waits for a human: what a diligent operator does once a while.
pub fn tidy(host: &mut Host) {
    approve_all(host);
    let projects: Vec<_> = host.settings().projects.keys().cloned().collect();
    let credentials: Vec<_> = host.settings().credentials.keys().cloned().collect();
    let campaigns: Vec<_> = host.settings().campaigns.keys().cloned().collect();
    let resume = |scope| Command::Resume { scope };
    let mut commands = vec![Command::Unfreeze { scope: Scope::All }];
    for project in projects {
        commands.push(Command::Unfreeze { scope: Scope::Project(project.clone()) });
        commands.push(resume(ResumeScope::Project(project)));
    }
    for credential in credentials {
        commands.push(resume(ResumeScope::Credential(credential)));
    }
    for campaign in campaigns {
        commands.push(Command::Unfreeze { scope: Scope::Campaign(campaign.clone()) });
        commands.push(resume(ResumeScope::Campaign(campaign)));
    }
    for row in host.store().targets() {
        if row.held_by.is_some() {
            commands.push(Command::Release { target: row.id.clone() });
        }
    }
    for command in commands {
        host.order(command);
    }
    resolve_all(host);
}

/// Tells of every target in flight that calls for a human what a human finds.
fn resolve_all(host: &mut Host) {
    let calls = host
        .store()
        .targets()
        .filter(|row| row.needs_operator.is_some() && row.state.is_in_flight());
    let found: Vec<_> = calls.map(|row| (row.id.clone(), verdict(host, row))).collect();
    for (target, verdict) in found {
        host.order(Command::Resolve { target, verdict });
    }
}

pub fn approve_all(host: &mut Host) {
    let waiting: Vec<_> = host
        .store()
        .campaigns()
        .filter(|row| row.state == CampaignState::AwaitingApproval)
        .map(|row| (row.name.clone(), row.detail.digest.clone()))
        .collect();
    for (campaign, digest) in waiting {
        host.order(Command::Approve { campaign, digest });
    }
}

/// What a human finds in the console: the truth.
fn verdict(host: &Host, row: &TargetRow) -> Verdict {
    let id = &host.settings().projects[&row.id.project].project_id;
    let truth = host.world().truth(id, row.id.instance.as_str()).expect("the world has it");
    let name = format!("{}/{}.{}", row.id, row.round, row.number);
    let applied = truth.applied.iter().find(|each| each.attempt.as_deref() == Some(&name));
    match (row.state, applied) {
        (TargetState::Uncertain, Some(applied)) => {
            Verdict::Applied { task: Some(applied.task.clone()) }
        }
        (TargetState::Uncertain, None) => Verdict::NotApplied,
        _ if truth.versions.engine.is_current() && !truth.upgrading => Verdict::Succeeded,
        _ => Verdict::Failed,
    }
}

/// How long until the next turn.
pub fn pause_between(dice: Dice, turn: u32) -> Millis {
    dice.minutes(&format!("next turn {turn}"), 5, 240)
}
