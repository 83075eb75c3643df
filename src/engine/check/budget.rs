//! Rule S8: no start once the failure budget is reached.

use super::{Checker, Rule};
use crate::engine::event::{Event, Fact};
use crate::model::policy::MaxFailures;
use crate::model::{CampaignName, TargetId};

impl Checker {
    /// Judged before the target counts as in flight.
    pub(super) fn check_budget(&mut self, event: &Event, target: &TargetId) {
        let Some(campaign) = self.campaigns.get(&target.campaign) else { return };
        let Some(budget) = campaign.policy.as_ref().map(|policy| policy.failure_budget) else {
            return;
        };
        let (strikes, executed) = (campaign.tally.strikes, campaign.tally.executed);
        let mut complaints = Vec::new();
        match budget.max_failures {
            MaxFailures::Count(most) => {
                if strikes >= most {
                    complaints.push(format!("{strikes} strikes, {most} allowed"));
                }
                let in_flight = campaign.tally.in_flight + 1;
                if budget.strict && in_flight > most.saturating_sub(strikes) {
                    let detail =
                        format!("{in_flight} in flight beside {strikes} of {most} strikes");
                    complaints.push(detail);
                }
            }
            MaxFailures::Percent { percent, min_executed } => {
                let is_reached =
                    u64::from(strikes) * 100 >= u64::from(executed) * u64::from(percent);
                if executed >= min_executed && is_reached {
                    complaints.push(format!("{strikes} strikes of {executed} executed"));
                }
            }
        }
        let run = campaign.consecutive_failures;
        if run >= budget.consecutive {
            complaints.push(format!("the last {run} ends were failures"));
        }
        for complaint in complaints {
            self.violate(Rule::S8, event.seq, format!("{target} started: {complaint}"));
        }
    }

    /// Keeps the run of failures: any other end, or an acknowledgement, ends it.
    pub(super) fn count_run(&mut self, campaign: &CampaignName, fact: &Fact) {
        let facts = self.campaigns.entry(campaign.clone()).or_default();
        match fact {
            Fact::Failed { .. } => facts.consecutive_failures += 1,
            Fact::Succeeded { .. }
            | Fact::Skipped { .. }
            | Fact::Cancelled { .. }
            | Fact::Acknowledged { .. } => facts.consecutive_failures = 0,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::Scene;
    use super::*;
    use crate::model::policy::FailureBudget;

    fn budget(max_failures: MaxFailures, consecutive: u32, strict: bool) -> Scene {
        Scene::with(|settings| {
            let policy = settings.campaigns.get_mut(&"c".into()).expect("the scene has it");
            policy.failure_budget = FailureBudget { max_failures, consecutive, strict };
        })
    }

    #[test]
    fn a_start_after_the_last_allowed_failure_breaks_s8() {
        let mut scene = budget(MaxFailures::Count(2), 9, false);
        scene.fail("a");
        scene.start("b");
        scene.expect_good();
        let mut scene = budget(MaxFailures::Count(1), 9, false);
        scene.fail("a");
        scene.start("b");
        scene.expect(Rule::S8);
    }

    #[test]
    fn a_percentage_counts_from_its_least_number_on() {
        let percent = |min_executed| MaxFailures::Percent { percent: 50, min_executed };
        let mut scene = budget(percent(3), 9, false);
        scene.fail("a");
        scene.start("b");
        scene.expect_good();
        let mut scene = budget(percent(2), 9, false);
        scene.upgrade("a");
        scene.fail("b");
        scene.start("c");
        scene.expect(Rule::S8);
    }

    #[test]
    fn failures_in_a_row_break_s8_and_a_success_between_does_not() {
        let mut scene = budget(MaxFailures::Count(9), 2, false);
        scene.fail("a");
        scene.upgrade("b");
        scene.start("c");
        scene.expect_good();
        let mut scene = budget(MaxFailures::Count(9), 2, false);
        scene.fail("a");
        scene.fail("b");
        scene.start("c");
        scene.expect(Rule::S8);
    }

    #[test]
    fn a_strict_budget_counts_what_is_in_flight() {
        let mut scene = budget(MaxFailures::Count(2), 9, true);
        scene.fail("a");
        scene.start("b");
        scene.expect_good();
        scene.start("c");
        scene.expect(Rule::S8);
    }
}
