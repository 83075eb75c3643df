//! Which target somebody means: an instance's name, its id, or campaign/project/instance.

use crate::engine::Plan;
use crate::engine::view::{CampaignPlan, PlannedTarget};
use crate::model::{TargetId, closest};

use super::failure::Failure;
use super::socket::Socket;

/// Candidates that an ambiguous name lists.
const LISTED: usize = 10;

/// Asks the daemon which target `text` is. A full id is taken as it is: the engine knows best
/// whether it exists.
///
/// # Errors
/// No target or more than one is called that; both name what could be meant.
pub async fn find(socket: &Socket, text: &str) -> Result<TargetId, Failure> {
    if let Ok(target) = text.parse() {
        return Ok(target);
    }
    let plan: Plan = socket.get("/v1/plan").await?.unwrap_or_default();
    resolve(&plan, text)
}

/// # Errors
/// As [`find`].
pub fn resolve(plan: &Plan, text: &str) -> Result<TargetId, Failure> {
    let all = || plan.campaigns.iter().flat_map(|one| one.targets.iter().map(move |t| (one, t)));
    let found: Vec<(&CampaignPlan, &PlannedTarget)> = all()
        .filter(|(campaign, target)| {
            *target.name == *text
                || target.instance.as_str() == text
                || id(campaign, target).to_string() == text
        })
        .collect();
    match found[..] {
        [(campaign, target)] => Ok(id(campaign, target)),
        [] => Err(unknown(plan, text)),
        _ => Err(ambiguous(text, &found)),
    }
}

pub fn id(campaign: &CampaignPlan, target: &PlannedTarget) -> TargetId {
    TargetId {
        campaign: campaign.name.clone(),
        project: target.project.clone(),
        instance: target.instance.clone(),
    }
}

/// No target is called that; names the closest names and ids.
pub fn unknown(plan: &Plan, text: &str) -> Failure {
    let targets = || plan.campaigns.iter().flat_map(|campaign| &campaign.targets);
    let names = targets().map(|target| &*target.name);
    let ids = targets().map(|target| target.instance.as_str());
    // Of a full id only the instance can be compared with names.
    let wanted = text.rsplit('/').next().unwrap_or(text);
    // An id may be close; where nothing is, names are what people can read.
    let hint = match closest::closest(wanted, ids.clone()).is_empty() {
        true => closest::hint(wanted, names),
        false => closest::hint(wanted, names.chain(ids)),
    };
    Failure::usage(format!("no target is called {text:?}{hint}"))
        .next("refit plan, which lists all")
}

fn ambiguous(text: &str, found: &[(&CampaignPlan, &PlannedTarget)]) -> Failure {
    let mut message = format!("{text:?} is the name of {} targets:", found.len());
    for (campaign, target) in found.iter().take(LISTED) {
        message.push_str(&format!("\n  {}", id(campaign, target)));
    }
    if found.len() > LISTED {
        message.push_str(&format!("\n  and {} more", found.len() - LISTED));
    }
    Failure::usage(message).next("the same command with one of these")
}

#[cfg(test)]
mod tests {
    use crate::engine::view::PlanVerdict;

    use super::*;

    fn plan(targets: &[(&str, &str, &str)]) -> Plan {
        let mut plan = Plan::default();
        for (campaign, instance, name) in targets {
            let target = PlannedTarget {
                project: "sg-prod".into(),
                instance: (*instance).into(),
                name: (*name).into(),
                wave: 0,
                verdict: PlanVerdict::Unread,
            };
            match plan.campaigns.iter_mut().find(|one| one.name.as_str() == *campaign) {
                Some(one) => one.targets.push(target),
                None => plan.campaigns.push(CampaignPlan {
                    name: (*campaign).into(),
                    digest: "".into(),
                    complete: true,
                    selection_empty: false,
                    waves: Vec::new(),
                    targets: vec![target],
                }),
            }
        }
        plan
    }

    #[test]
    fn a_target_is_found_by_name_id_and_full_id() {
        let plan = plan(&[("weekly", "id-1", "cache-a"), ("weekly", "id-2", "cache-b")]);
        for text in ["cache-b", "id-2", "weekly/sg-prod/id-2"] {
            assert_eq!(resolve(&plan, text).unwrap().to_string(), "weekly/sg-prod/id-2");
        }
    }

    #[test]
    fn an_ambiguous_name_lists_the_full_ids() {
        let plan = plan(&[("weekly", "id-1", "cache-a"), ("nightly", "id-1", "cache-a")]);
        let message = resolve(&plan, "cache-a").unwrap_err().message;
        assert!(message.contains("weekly/sg-prod/id-1\n  nightly/sg-prod/id-1"), "{message}");
    }

    #[test]
    fn an_unknown_name_suggests_the_closest() {
        let plan = plan(&[("weekly", "id-1", "cache-orders"), ("weekly", "id-2", "web")]);
        let message = resolve(&plan, "cache-order").unwrap_err().message;
        assert_eq!(message, "no target is called \"cache-order\"; did you mean cache-orders?");
    }
}
