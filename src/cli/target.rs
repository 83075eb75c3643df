//! Which target somebody means: an instance's name or id, alone or after `campaign/project/`.

use crate::engine::Plan;
use crate::engine::hold::shell_word;
use crate::engine::view::{CampaignPlan, Candidate, PlannedTarget};
use crate::model::{TargetId, closest};

use super::failure::Failure;
use super::socket::{IN_A_WHILE, Socket};
use super::source::encode;

/// Candidates that an ambiguous name lists.
const LISTED: usize = 10;

/// Asks the daemon which target `text` is: an instance's name or id, alone or after
/// `campaign/project/`.
///
/// # Errors
/// No target or more than one is called that; both name what could be meant.
pub async fn find(socket: &Socket, text: &str) -> Result<TargetId, Failure> {
    let found = called(socket, text).await?;
    if found.is_empty() {
        return Err(unknown(&socket.get_within(IN_A_WHILE, "/v1/plan").await?, text));
    }
    only(text, found)
}

/// Every target that the daemon knows by that name or id.
///
/// # Errors
/// The daemon went away.
pub async fn called(socket: &Socket, text: &str) -> Result<Vec<Candidate>, Failure> {
    socket.get(&format!("/v1/targets?called={}", encode(text))).await
}

/// The one that was found.
///
/// # Errors
/// There are several: each is named with the command that means it.
pub fn only(text: &str, mut found: Vec<Candidate>) -> Result<TargetId, Failure> {
    if found.len() > 1 {
        let typed: Vec<String> = std::env::args().skip(1).collect();
        return Err(ambiguous(text, &found, &typed));
    }
    let one = found.pop().ok_or_else(|| unknown(&Plan::default(), text))?;
    Ok(one.target)
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

fn ambiguous(text: &str, found: &[Candidate], typed: &[String]) -> Failure {
    let mut message = format!("{text:?} means {} targets:", found.len());
    for candidate in found.iter().take(LISTED) {
        let target = candidate.target.to_string();
        let words = typed.iter().map(|word| if word == text { &target } else { word });
        let words: Vec<String> = words.map(|word| shell_word(word)).collect();
        message.push_str(&format!("\n  refit {}", words.join(" ")));
    }
    if found.len() > LISTED {
        message.push_str(&format!("\n  and {} more", found.len() - LISTED));
    }
    Failure::usage(message).next("one of these")
}

#[cfg(test)]
mod tests {
    use crate::engine::view::{CampaignPlan, PlanVerdict, PlannedTarget};

    use super::*;

    fn candidate(target: &str) -> Candidate {
        Candidate { target: target.parse().unwrap(), name: "cache-a".into() }
    }

    #[test]
    fn an_ambiguous_name_lists_the_commands_that_mean_each() {
        let found = [candidate("weekly/sg/id-1"), candidate("nightly/sg/id-1")];
        let typed = ["hold", "cache-a", "--reason", "load test"].map(String::from);
        let failure = ambiguous("cache-a", &found, &typed);
        assert_eq!(
            failure.message,
            "\"cache-a\" means 2 targets:\n  refit hold weekly/sg/id-1 --reason 'load test'\n  \
             refit hold nightly/sg/id-1 --reason 'load test'"
        );
    }

    #[test]
    fn an_unknown_name_suggests_the_closest() {
        let target = |instance: &str, name: &str| PlannedTarget {
            project: "sg".into(),
            instance: instance.into(),
            name: name.into(),
            wave: 0,
            verdict: PlanVerdict::Unread,
        };
        let campaign = CampaignPlan {
            name: "weekly".into(),
            digest: "".into(),
            complete: true,
            selection_empty: false,
            waves: Vec::new(),
            targets: vec![target("id-1", "cache-orders"), target("id-2", "web")],
        };
        let plan = Plan { campaigns: vec![campaign], ..Plan::default() };
        let message = unknown(&plan, "weekly/sg/cache-order").message;
        assert_eq!(
            message,
            "no target is called \"weekly/sg/cache-order\"; did you mean cache-orders?"
        );
    }
}
