//! Rule S5: in flight never exceeds a cap of campaign, project or group. A cap that is lowered
//! while work is in flight only keeps more from starting.

use super::facts::groups_of;
use super::{Checker, Rule};
use crate::engine::event::Event;
use crate::model::TargetId;

impl Checker {
    /// Judged when a target is already counted as in flight.
    pub(super) fn check_caps(&mut self, event: &Event, target: &TargetId) {
        let mut complaints = Vec::new();
        let Some(campaign) = self.campaigns.get(&target.campaign) else { return };
        let Some(policy) = &campaign.policy else { return };
        let in_flight = campaign.tally.in_flight;
        if in_flight > policy.max_in_flight {
            complaints.push(format!("{in_flight} of campaign {}", target.campaign));
        }
        let project = self.settings.projects.get(&target.project);
        let most = project.map_or(0, |policy| policy.max_in_flight);
        let in_flight = self.projects.get(&target.project).map_or(0, |facts| facts.in_flight);
        if in_flight > most {
            complaints.push(format!("{in_flight} of project {}", target.project));
        }
        let groups = self.targets.get(target).map_or(&[][..], |facts| &facts.groups);
        for group in groups {
            let in_flight = campaign.tally.groups.get(group).copied().unwrap_or(0);
            if policy.max_unavailable.get(group.0).is_some_and(|limit| in_flight > limit.limit) {
                complaints.push(format!("{in_flight} of group {:?}", group.1));
            }
        }
        for complaint in complaints {
            self.violate(Rule::S5, event.seq, format!("{target} started: {complaint} in flight"));
        }
    }

    /// Fixes the groups in which the target counts while it is in flight.
    pub(super) fn join_groups(&mut self, target: &TargetId) {
        let Some(policy) = self.policy(&target.campaign) else { return };
        let listed = self
            .instance(&target.project, &target.instance)
            .and_then(|facts| facts.listed.as_deref());
        let groups = groups_of(&policy, &target.project, &target.instance, listed);
        if let Some(facts) = self.targets.get_mut(target) {
            facts.groups = groups;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::Scene;
    use super::*;
    use crate::model::policy::{CampaignPolicy, GroupKey, GroupLimit, Untagged};

    fn start_two(change: impl FnOnce(&mut CampaignPolicy)) -> Scene {
        let mut scene = Scene::with(|settings| {
            change(settings.campaigns.get_mut(&"c".into()).expect("the scene has it"));
        });
        scene.start("a");
        scene.start("b");
        scene
    }

    fn grouped(per: GroupKey, limit: u32) -> impl FnOnce(&mut CampaignPolicy) {
        move |policy| {
            policy.max_unavailable = vec![GroupLimit { per, limit, untagged: Untagged::Alone }];
        }
    }

    #[test]
    fn more_in_flight_than_the_campaign_allows_breaks_s5() {
        start_two(|policy| policy.max_in_flight = 2).expect_good();
        start_two(|policy| policy.max_in_flight = 1).expect(Rule::S5);
    }

    #[test]
    fn more_in_flight_than_the_project_allows_breaks_s5() {
        let mut scene = Scene::with(|settings| {
            settings.projects.get_mut(&"p".into()).expect("the scene has it").max_in_flight = 1;
        });
        scene.start("a");
        scene.start("b");
        scene.expect(Rule::S5);
    }

    #[test]
    fn more_in_flight_than_a_group_allows_breaks_s5() {
        for per in [GroupKey::Tag("app".into()), GroupKey::Zone, GroupKey::Project] {
            start_two(grouped(per.clone(), 2)).expect_good();
            start_two(grouped(per, 1)).expect(Rule::S5);
        }
        start_two(grouped(GroupKey::Tag("other".into()), 1)).expect_good();
    }

    #[test]
    fn a_slot_is_free_again_when_its_target_has_ended() {
        let mut scene = Scene::with(|settings| {
            settings.campaigns.get_mut(&"c".into()).expect("the scene has it").max_in_flight = 1;
        });
        scene.upgrade("a");
        scene.start("b");
        scene.expect_good();
    }
}
