//! Rule S4: an intent stands inside an effective interval, before its last start, and its ticket
//! does not outlive that.

use super::attempts::TICKET_FOR;
use super::{Checker, Rule};
use crate::engine::event::Event;
use crate::model::calendar::{Calendar, Interval};
use crate::model::{TargetId, Wall};

impl Checker {
    pub(super) fn check_window(&mut self, event: &Event, target: &TargetId, not_after: Wall) {
        let now = self.clock.wall();
        if event.at != now {
            self.violate(Rule::S4, event.seq, format!("{target} intended at another time"));
        }
        let Some(interval) = self.interval(target).filter(|interval| interval.open <= now) else {
            let detail = format!("{target} started outside its windows");
            return self.violate(Rule::S4, event.seq, detail);
        };
        let end = interval.starts_until();
        if now >= end {
            let detail = format!("{target} started {} after the cutoff", now - end);
            self.violate(Rule::S4, event.seq, detail);
        }
        if not_after > end || not_after > now + TICKET_FOR {
            let detail =
                format!("the ticket of {target} ends after the cutoff or its five seconds");
            self.violate(Rule::S4, event.seq, detail);
        }
    }

    /// The interval that holds now, or the next one.
    pub(super) fn interval(&mut self, target: &TargetId) -> Option<Interval> {
        let now = self.clock.wall();
        let facts = self.campaigns.entry(target.campaign.clone()).or_default();
        let known = facts.intervals.get(&target.project);
        if let Some(known) = known.filter(|known| known.contains(now)) {
            return Some(known.clone());
        }
        let calendar = Calendar::for_campaign(&self.settings, &target.campaign, &target.project);
        let interval = calendar.interval_at_or_after(now)?;
        facts.intervals.insert(target.project.clone(), interval.clone());
        Some(interval)
    }

    pub(super) fn forget_intervals(&mut self) {
        for facts in self.campaigns.values_mut() {
            facts.intervals.clear();
            facts.longest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{OPEN, Scene};
    use super::*;
    use crate::engine::Request;
    use crate::engine::event::Fact;
    use crate::engine::input::Input;
    use crate::model::{Millis, Steady};

    /// A start so long after the opening.
    fn start_at(after: Millis) -> Scene {
        let mut scene = Scene::new();
        scene.now = Steady(OPEN) + after;
        scene.start("a");
        scene
    }

    #[test]
    fn a_start_after_the_cutoff_or_the_close_breaks_s4() {
        start_at(Millis::from_mins(329)).expect_good();
        start_at(Millis::from_mins(330)).expect(Rule::S4);
        start_at(Millis::from_mins(361)).expect(Rule::S4);
    }

    #[test]
    fn a_ticket_that_outlives_the_cutoff_breaks_s4() {
        start_at(Millis::from_mins(330) - Millis::from_secs(2)).expect(Rule::S4);
    }

    #[test]
    fn a_ticket_cut_short_at_the_cutoff_is_good() {
        let mut scene = Scene::new();
        scene.now = Steady(OPEN) + Millis::from_mins(330) - Millis::from_secs(2);
        scene.precheck("a");
        let mut step = scene.intent("a");
        let end = Wall(OPEN) + Millis::from_mins(330);
        if let Fact::Intent { not_after, .. } = &mut step.events[0].fact {
            *not_after = end;
        }
        if let Request::Submit(submit) = &mut step.requests[0] {
            submit.not_after = Steady(end.0);
        }
        step.changes.attempts[0].not_after = end;
        scene.give(Input::Tick, step);
        scene.expect_good();
    }

    #[test]
    fn a_clock_that_steps_moves_the_window() {
        let mut scene = Scene::new();
        scene.precheck("a");
        scene.give(
            Input::ClockStepped { offset: Millis::from_hours(-1) },
            crate::engine::Step::default(),
        );
        scene.give(Input::ClockAgreed, crate::engine::Step::default());
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        let found = scene.checker.violations();
        assert!(found.iter().any(|each| each.detail.contains("outside its windows")), "{found:?}");
    }
}
