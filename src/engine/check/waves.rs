//! Rule S7: no target before its wave, no wave before the one before it has ended well and baked.

use super::{Checker, Rule};
use crate::engine::event::{Event, Fact};
use crate::model::policy::WaveSize;
use crate::model::{CampaignName, TargetId};

impl Checker {
    pub(super) fn check_wave(&mut self, event: &Event, target: &TargetId) {
        let Some(facts) = self.targets.get(target) else { return };
        let open = self.campaigns.get(&target.campaign).map_or(0, |campaign| campaign.wave);
        if facts.wave > open {
            let detail = format!("{target} of wave {} started in wave {open}", facts.wave);
            self.violate(Rule::S7, event.seq, detail);
        }
    }

    pub(super) fn apply_wave_event(&mut self, event: &Event, name: &CampaignName) {
        let Some(campaign) = self.campaigns.get_mut(name) else { return };
        match &event.fact {
            Fact::BakeStarted { wave, until } => {
                campaign.bake = Some((*wave, *until));
                let policy = campaign.policy.clone();
                let bake = policy.as_ref().and_then(|policy| policy.waves.get(*wave as usize));
                if bake.is_some_and(|wave| *until < event.at + wave.bake) {
                    let detail = format!("the bake of {name}, wave {wave}, is too short");
                    self.violate(Rule::S7, event.seq, detail);
                }
                self.check_ended(event, name, *wave);
            }
            Fact::Promoted { wave } => campaign.promoted = Some(*wave),
            Fact::WaveEnded { wave, .. } => self.check_ended(event, name, *wave),
            Fact::WaveOpened { wave, .. } => self.open_wave(event, name, *wave),
            Fact::Planned { waves, .. } => {
                let sizes = waves.iter().map(|(_, size)| *size).collect::<Vec<_>>();
                self.check_sizes(event, name, &sizes);
            }
            _ => {}
        }
    }

    /// A target of the wave is pending again: what was baked before says nothing any more.
    pub(super) fn unbake(&mut self, target: &TargetId) {
        let Some(wave) = self.targets.get(target).map(|facts| facts.wave) else { return };
        let Some(campaign) = self.campaigns.get_mut(&target.campaign) else { return };
        campaign.bake.take_if(|(baked, _)| *baked == wave);
        campaign.promoted.take_if(|promoted| *promoted == wave);
    }

    fn open_wave(&mut self, event: &Event, name: &CampaignName, wave: u32) {
        let now = self.clock.wall();
        let Some(campaign) = self.campaigns.get_mut(name) else { return };
        let before = campaign.wave;
        campaign.wave = wave;
        if wave == 0 {
            return;
        }
        let tally = |wave| campaign.tally.waves.get(&wave);
        let is_idle = |wave| tally(wave).is_none_or(|tally| tally.executed == 0);
        let skipped = (before + 1..wave).all(is_idle);
        let has_baked = is_idle(before)
            || campaign.promoted == Some(before)
            || campaign.bake.is_some_and(|(baked, until)| baked == before && until <= now)
            || campaign.policy.as_ref().is_some_and(|policy| {
                policy.waves.get(before as usize).is_none_or(|wave| wave.bake.0 == 0)
            });
        if wave <= before || !skipped {
            let detail = format!("wave {wave} of {name} opens after wave {before}");
            self.violate(Rule::S7, event.seq, detail);
        }
        if !has_baked {
            let detail = format!("wave {wave} of {name} opens before wave {before} has baked");
            self.violate(Rule::S7, event.seq, detail);
        }
        self.check_ended(event, name, before);
    }

    /// Every target of the wave is terminal; a wave that ends well has no open failure.
    fn check_ended(&mut self, event: &Event, name: &CampaignName, wave: u32) {
        let Some(campaign) = self.campaigns.get(name) else { return };
        let tally = campaign.tally.waves.get(&wave).copied().unwrap_or_default();
        if tally.unfinished > 0 {
            let detail =
                format!("{name}, wave {wave}: {} targets have not ended", tally.unfinished);
            self.violate(Rule::S7, event.seq, detail);
        }
        if tally.failures > 0 && !matches!(event.fact, Fact::WaveEnded { .. }) {
            let detail = format!("{name}, wave {wave}: {} failures stand", tally.failures);
            self.violate(Rule::S7, event.seq, detail);
        }
    }

    /// No wave but the last is larger than the file says.
    fn check_sizes(&mut self, event: &Event, name: &CampaignName, sizes: &[u32]) {
        let Some(policy) = self.policy(name) else { return };
        let all: u32 = sizes.iter().sum();
        let too_large = policy.waves.iter().zip(sizes).position(|(wave, size)| match wave.size {
            WaveSize::Count(most) => *size > most,
            WaveSize::Percent(percent) => {
                u64::from(*size) > (u64::from(all) * u64::from(percent)).div_ceil(100)
            }
            WaveSize::Rest => false,
        });
        if let Some(wave) = too_large {
            self.violate(Rule::S7, event.seq, format!("wave {wave} of {name} is too large"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::Scene;
    use super::*;
    use crate::engine::input::Input;
    use crate::model::Millis;

    fn open_second(scene: &mut Scene) {
        let fact = Fact::WaveOpened { wave: 1, name: "rest".into() };
        let step = scene.campaign_step(fact, |row| row.detail.wave = 1);
        scene.give(Input::Tick, step);
    }

    fn bake(scene: &mut Scene, time: Millis) {
        let ended = Fact::WaveEnded { wave: 0, succeeded: 3, failed: 0, skipped: 0 };
        let step = scene.campaign_step(ended, |_| {});
        scene.give(Input::Tick, step);
        let until = scene.wall() + time;
        let step = scene.campaign_step(Fact::BakeStarted { wave: 0, until }, |_| {});
        scene.give(Input::Tick, step);
    }

    fn upgrade_first_wave(scene: &mut Scene) {
        for id in ["a", "b", "c"] {
            scene.upgrade(id);
        }
    }

    #[test]
    fn a_start_in_a_later_wave_breaks_s7() {
        let mut scene = Scene::new();
        scene.start("d");
        scene.expect(Rule::S7);
    }

    #[test]
    fn a_wave_opens_after_the_one_before_has_ended_and_baked() {
        let mut scene = Scene::new();
        upgrade_first_wave(&mut scene);
        bake(&mut scene, Millis::from_mins(10));
        scene.wait(Millis::from_mins(10));
        open_second(&mut scene);
        scene.start("d");
        scene.expect_good();
    }

    #[test]
    fn a_wave_that_opens_during_the_bake_breaks_s7() {
        let mut scene = Scene::new();
        upgrade_first_wave(&mut scene);
        bake(&mut scene, Millis::from_mins(10));
        scene.wait(Millis::from_mins(9));
        open_second(&mut scene);
        scene.expect(Rule::S7);
    }

    #[test]
    fn a_bake_that_is_shorter_than_the_file_says_breaks_s7() {
        let mut scene = Scene::new();
        upgrade_first_wave(&mut scene);
        bake(&mut scene, Millis::from_mins(9));
        scene.expect(Rule::S7);
    }

    #[test]
    fn a_wave_that_ends_or_bakes_with_open_targets_breaks_s7() {
        let mut scene = Scene::new();
        scene.upgrade("a");
        bake(&mut scene, Millis::from_mins(10));
        scene.expect(Rule::S7);
    }

    #[test]
    fn a_bake_after_a_failure_that_nobody_acknowledged_breaks_s7() {
        let mut scene = Scene::new();
        scene.upgrade("a");
        scene.upgrade("b");
        scene.fail("c");
        bake(&mut scene, Millis::from_mins(10));
        scene.expect(Rule::S7);
    }

    #[test]
    fn a_wave_planned_too_large_breaks_s7() {
        let scene = Scene::with(|settings| {
            let policy = settings.campaigns.get_mut(&"c".into()).expect("the scene has it");
            policy.waves[0].size = WaveSize::Percent(50);
        });
        scene.expect(Rule::S7);
    }
}
