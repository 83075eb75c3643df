//! Rule S4, for classes of upgrades: none starts where its class needs more than the interval has
//! left. What classes need is counted here anew, from the events alone: which upgrades were watched
//! from end to end, what their percentiles are, how far an outlier is lowered.

use super::facts::Watched;
use super::{Checker, Rule};
use crate::engine::event::{Event, Fact, LearnedDuration};
use crate::engine::rows::DurationRow;
use crate::engine::state::Reason;
use crate::model::calendar::{Calendar, Interval};
use crate::model::duration::{DurationClass, Parts};
use crate::model::policy::Fit;
use crate::model::{Millis, Steady, TargetId, UpgradeBody, Wall};

/// Of each class the latest so many count, and none before so many (docs/decisions.md: fit).
const COUNTED: usize = 64;
const NEEDED: usize = 8;

/// The intervals among which the longest is looked for: so many, opening within so long.
const INTERVALS: usize = 64;
const AHEAD: Millis = Millis::from_hours(35 * 24);

impl Watched {
    pub(super) fn fold(&mut self, fact: &Fact, now: Steady) {
        match fact {
            Fact::Accepted { late: false, .. } => self.is_accepted = true,
            Fact::TaskEnded { succeeded: true, .. } => self.has_succeeded = true,
            Fact::Overdue { .. } | Fact::NeedsOperator { .. } => self.is_doubtful = true,
            Fact::Settling { .. } => self.finished_at = Some(now),
            Fact::Unsettled { .. } => self.finished_at = None,
            _ => {}
        }
    }
}

impl Checker {
    /// Nobody looks between two processes.
    pub(super) fn unwatched(&mut self) {
        for facts in self.targets.values_mut() {
            facts.watched.is_doubtful |= facts.watched.finished_at.is_none();
        }
    }

    /// What the success of a target tells of its class.
    pub(super) fn duration_of(&self, target: &TargetId) -> Option<LearnedDuration> {
        let facts = self.targets.get(target)?;
        let (watched, attempt) = (&facts.watched, facts.attempt.as_ref()?);
        let is_whole = watched.is_accepted
            && watched.has_succeeded
            && !watched.is_doubtful
            && !facts.was_uncertain;
        let took = watched.finished_at.filter(|_| is_whole)? - attempt.intent_at;
        let class = self.class(target, &attempt.row.as_ref()?.body)?;
        Some(LearnedDuration { class, took })
    }

    fn class(&self, target: &TargetId, body: &UpgradeBody) -> Option<DurationClass> {
        let listed = self.instance(&target.project, &target.instance)?.listed.as_ref()?;
        Some(DurationClass { cache_mode: listed.cache_mode, parts: Parts::of(body)? })
    }

    /// Takes in what a success taught, which must be what was seen.
    pub(super) fn take_duration(&mut self, event: &Event, target: &TargetId) {
        let Fact::Succeeded { reason, learned, .. } = &event.fact else { return };
        let own = self.duration_of(target).filter(|_| *reason == Reason::Verified);
        if own != *learned {
            let detail = format!("{target} took {own:?}, and the ledger tells {learned:?}");
            self.violate(Rule::S11, event.seq, detail);
        }
        if let Some(LearnedDuration { class, took }) = learned {
            let samples = self.durations.entry(*class).or_default();
            samples.push_back(*took);
            if samples.len() > COUNTED {
                samples.pop_front();
            }
        }
    }

    /// How a row differs from what the events taught.
    pub(super) fn durations_differ(&self, row: &DurationRow) -> Option<String> {
        let known = self.durations.get(&row.class).into_iter().flatten();
        (!known.copied().eq(row.samples.iter()))
            .then(|| format!("durations of {}: the row says {:?}", row.class, row.samples))
    }

    /// Where a target starts, its interval has room for it to end; and so for the ticket's end.
    pub(super) fn check_room(&mut self, event: &Event, target: &TargetId) {
        let Fact::Intent { body, not_after, .. } = &event.fact else { return };
        let Some(close) = self.interval(target).and_then(|interval| interval.close()) else {
            return;
        };
        let Some(needs) = self.needs(target, body) else { return };
        if *not_after + needs > close {
            let left = close - event.at;
            let detail = format!("{target} started with {left} left, and may need {needs}");
            self.violate(Rule::S4, event.seq, detail);
        }
    }

    /// Until it has ended and settled, as predicted; `None` if nothing is.
    fn needs(&mut self, target: &TargetId, body: &UpgradeBody) -> Option<Millis> {
        let policy = self.policy(&target.campaign)?;
        let share = match policy.fit {
            Fit::Off => return None,
            Fit::P50 => 0.5,
            Fit::P95 => 0.95,
        };
        let samples = self.class(target, body).and_then(|class| self.durations.get(&class));
        let mut sorted: Vec<Millis> = samples.into_iter().flatten().copied().collect();
        sorted.sort();
        if sorted.len() < NEEDED {
            return Some(policy.expected_duration? + policy.settle);
        }
        let at_share = |share: f64| {
            let covers = |at: usize| (at + 1) as f64 >= share * sorted.len() as f64 - 1e-9;
            (0..sorted.len()).find(|at| covers(*at)).map(|at| sorted[at])
        };
        let (takes, median) = (at_share(share)?, at_share(0.5)?);
        let most = match self.longest(target) {
            Some(longest) => Millis(longest.0 / 4 * 3) - policy.settle,
            None => takes,
        };
        Some(takes.min(most).max(median) + policy.settle)
    }

    /// The longest of the intervals that come, this one included; `None` for one without an end.
    fn longest(&mut self, target: &TargetId) -> Option<Millis> {
        let interval = self.interval(target)?;
        let facts = self.campaigns.get(&target.campaign)?;
        if let Some((_, longest)) =
            facts.longest.get(&target.project).filter(|(open, _)| *open == interval.open)
        {
            return *longest;
        }
        let calendar = Calendar::for_campaign(&self.settings, &target.campaign, &target.project);
        let longest = longest_from(&calendar, &interval);
        let facts = self.campaigns.get_mut(&target.campaign)?;
        facts.longest.insert(target.project.clone(), (interval.open, longest));
        longest
    }
}

fn longest_from(calendar: &Calendar, interval: &Interval) -> Option<Millis> {
    let mut longest = Millis::ZERO;
    let mut next = Some(interval.clone());
    let until: Wall = interval.close()? + AHEAD;
    for _ in 0..INTERVALS {
        let Some(one) = next.filter(|one| one.open <= until) else { break };
        let close = one.close()?;
        if one.allows_starts_after(one.open) {
            longest = longest.max(close - one.open);
        }
        next = calendar.interval_at_or_after(close);
    }
    Some(longest)
}

#[cfg(test)]
mod tests {
    use super::super::example::{OPEN, Scene};
    use super::*;
    use crate::engine::input::Input;
    use crate::engine::state::TargetState;
    use crate::model::CacheMode;

    /// A scene in which so many upgrades of the class have taken so long.
    fn learned(minutes: &[i64]) -> Scene {
        let mut scene = Scene::new();
        let class = DurationClass { cache_mode: CacheMode::Ha, parts: Parts::Engine };
        let samples = minutes.iter().map(|&each| Millis::from_mins(each)).collect();
        scene.checker.durations.insert(class, samples);
        scene
    }

    /// The window is open for six hours, with half an hour's cutoff; two minutes settle.
    fn start_at(mut scene: Scene, minutes: i64) -> Scene {
        scene.now = Steady(OPEN) + Millis::from_mins(minutes);
        scene.start("a");
        scene
    }

    #[test]
    fn a_start_without_room_for_what_its_class_takes_breaks_s4() {
        // The ticket takes five seconds more.
        start_at(learned(&[60; 8]), 360 - 63).expect_good();
        start_at(learned(&[60; 8]), 360 - 62).expect(Rule::S4);
        start_at(learned(&[60; 7]), 329).expect_good();
    }

    #[test]
    fn one_outlier_in_twenty_does_not_count_and_two_are_lowered_to_the_window() {
        let of = |outliers: usize| [vec![60; 20 - outliers], vec![1_800; outliers]].concat();
        start_at(learned(&of(1)), 360 - 63).expect_good();
        start_at(learned(&of(2)), 90 - 1).expect_good();
        start_at(learned(&of(2)), 90).expect(Rule::S4);
    }

    #[test]
    fn a_declared_duration_counts_until_enough_was_measured() {
        let scene = |minutes: &[i64]| {
            let mut scene = learned(minutes);
            let policy = scene.settings.campaigns.get_mut(&"c".into()).expect("it is there");
            policy.expected_duration = Some(Millis::from_hours(3));
            let settings = scene.settings.clone().into();
            scene.give(Input::Settings(settings), crate::engine::Step::default());
            start_at(scene, 200)
        };
        scene(&[60; 7]).expect(Rule::S4);
        scene(&[60; 8]).expect_good();
    }

    #[test]
    fn a_duration_that_was_not_measured_so_breaks_s11() {
        let success = |bend: fn(&mut Option<LearnedDuration>)| {
            let mut scene = Scene::new();
            scene.start("a");
            scene.accept("a");
            scene.verify("a");
            scene.wait(Millis::from_mins(2));
            scene.show(super::super::example::instance("a"));
            scene.show_versions("a", "6.0.9");
            scene.succeed_with("a", bend);
            scene
        };
        success(|_| {}).expect_good();
        success(|learned| *learned = None).expect(Rule::S11);
        success(|learned| learned.as_mut().expect("it was watched").took = Millis(1))
            .expect(Rule::S11);
    }

    #[test]
    fn what_was_overdue_or_not_seen_by_one_process_is_not_learned() {
        let ends = |event: Option<Fact>| {
            let mut scene = Scene::new();
            scene.start("a");
            scene.accept("a");
            match event {
                Some(fact) => {
                    let step = scene.step("a", fact, TargetState::Running, |_| {});
                    scene.give(Input::Tick, step);
                }
                None => {
                    scene.checker.restart(Millis::ZERO);
                    scene.checker.unwatched();
                }
            }
            scene.verify("a");
            scene.checker.duration_of(&super::super::example::target("a"))
        };
        let word = Fact::TaskStatus { word: "EXECUTING".into() };
        assert!(ends(Some(word)).is_some());
        assert_eq!(ends(Some(Fact::Overdue { after: Millis::from_hours(2) })), None);
        assert_eq!(ends(None), None);
    }
}
