//! S4 and S7 from the settings: nothing reached the cloud outside a window, after a cutoff, or
//! before its wave.

use std::collections::BTreeMap;

use super::Findings;
use super::evidence::Evidence;
use crate::engine::{Event, Fact, TargetState};
use crate::model::calendar::Calendar;
use crate::model::{AttemptId, CampaignName, Millis, TargetId, Wall};

/// From the first byte to the cloud's log.
const ARRIVES_WITHIN: Millis = Millis::from_secs(2);

/// What the daemon's clock, which was set once, and the cloud's may have drifted apart.
const CLOCKS_AGREE: Millis = Millis(50);

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    for sent in evidence.sent() {
        if let Ok(id) = sent.attempt.parse::<AttemptId>() {
            judge_window(evidence, &id, sent.at(), findings);
        }
    }
    for name in evidence.settings.campaigns.keys() {
        judge_waves(evidence, name, findings);
    }
}

fn judge_window(evidence: &Evidence, id: &AttemptId, at: Wall, findings: &mut Findings) {
    let (campaign, project) = (&id.target.campaign, &id.target.project);
    if !evidence.settings.campaigns.contains_key(campaign) {
        return;
    }
    let calendar = Calendar::for_campaign(&evidence.settings, campaign, project);
    // On a seam it may have been begun in the interval before.
    let begun = [at - ARRIVES_WITHIN, at].map(|at| calendar.interval_at_or_after(at));
    let inside = begun.iter().flatten().any(|interval| {
        interval.open <= at + CLOCKS_AGREE && at < interval.starts_until() + ARRIVES_WITHIN
    });
    findings.expect(4, inside, || {
        format!("{id} reached the cloud at {}, outside {:?}", at.rfc3339(), begun[1])
    });
}

/// No wave opens before the one before is terminal, good and baked; no intent before its wave.
fn judge_waves(evidence: &Evidence, name: &CampaignName, findings: &mut Findings) {
    let mut fold = WaveFold::default();
    let bakes: Vec<Millis> =
        evidence.settings.campaigns[name].waves.iter().map(|wave| wave.bake).collect();
    for event in evidence.ledger.iter().filter(|event| event.campaign.as_ref() == Some(name)) {
        match &event.fact {
            Fact::WaveOpened { wave, .. } => {
                fold.open = Some(*wave);
                if *wave > 0 {
                    let bake = bakes.get(*wave as usize - 1).copied().unwrap_or_default();
                    findings.look(7, fold.breach_of_opening(*wave, bake, event.at));
                }
                fold.promoted = false;
            }
            Fact::Promoted { .. } => fold.promoted = true,
            Fact::Intent { .. } => {
                let wave = event.target().and_then(|target| fold.waves.get(&target).copied());
                let open = fold.open.zip(wave).is_some_and(|(open, wave)| wave <= open);
                findings.expect(7, open, || {
                    format!(
                        "{:?}: intent at {} in wave {wave:?}, open is {:?}",
                        event.attempt,
                        event.at.rfc3339(),
                        fold.open
                    )
                });
            }
            Fact::Acknowledged { .. } => fold.acknowledge(),
            _ => {}
        }
        fold.follow(event);
    }
}

#[derive(Default)]
struct WaveFold {
    open: Option<u32>,
    promoted: bool,
    waves: BTreeMap<TargetId, u32>,
    states: BTreeMap<TargetId, (TargetState, Wall)>,
    unacknowledged: BTreeMap<TargetId, Wall>,
}

impl WaveFold {
    fn follow(&mut self, event: &Event) {
        let Some(target) = event.target() else { return };
        if let Fact::TargetPlanned { wave, .. } | Fact::Joined { wave, .. } = event.fact {
            self.waves.insert(target.clone(), wave);
        }
        let Some(state) = event.state else { return };
        if state == TargetState::Failed {
            self.unacknowledged.insert(target.clone(), event.at);
        } else {
            self.unacknowledged.remove(&target);
        }
        let before = self.states.get(&target).copied();
        if before.is_none_or(|(before, _)| before != state) {
            self.states.insert(target, (state, event.at));
        }
    }

    fn acknowledge(&mut self) {
        self.unacknowledged.clear();
    }

    fn breach_of_opening(&self, wave: u32, bake: Millis, at: Wall) -> Option<String> {
        let of_wave = |target: &TargetId| self.waves.get(target) == Some(&(wave - 1));
        let before = || self.states.iter().filter(|(target, _)| of_wave(target));
        if let Some((target, (state, _))) = before().find(|(_, (state, _))| !state.is_terminal()) {
            return Some(format!("wave {wave} opened while {target} was {state}"));
        }
        if let Some(target) = self.unacknowledged.keys().find(|target| of_wave(target)) {
            return Some(format!("wave {wave} opened over the failure of {target}"));
        }
        let executed = before()
            .any(|(_, (state, _))| matches!(state, TargetState::Succeeded | TargetState::Failed));
        let ended = before().map(|(_, (_, at))| *at).max()?;
        let early = executed && !self.promoted && at < ended + bake;
        early.then(|| {
            format!("wave {wave} opened {} after its predecessor, bake is {bake}", at - ended)
        })
    }
}
