//! Whether freezes leave a campaign any time at all: a daemon that waits for years is a mistake.

use std::collections::BTreeSet;

use crate::model::calendar::{Calendar, Window};
use crate::model::{CampaignName, Millis, ProjectName, Settings, Wall};

use super::problem::Problem;
use super::section::Section;

/// A campaign that could start only later than this never starts in practice.
const AHEAD: Millis = Millis::from_hours(5 * 366 * 24);

/// Intervals looked at for one that is longer than its cutoff.
const INTERVALS_MAX: usize = 1_000;

/// Reports each freeze that alone takes every start of a campaign in a project, and each campaign
/// whose freezes do so together.
pub fn check(root: &Section<'_>, settings: &Settings, now: Wall) {
    let mut guilty = Vec::new();
    let mut free = BTreeSet::new();
    for (campaign, policy) in &settings.campaigns {
        for project in &policy.projects {
            let calendar = Calendar::for_campaign(settings, campaign, project);
            // Most campaigns share a few windows and freezes: each set is searched once.
            let freezes = calendar.freezes.iter().map(|freeze| freeze.name.clone());
            let sets = (policy.windows.clone(), freezes.collect::<Vec<_>>());
            if free.contains(&sets) {
                continue;
            }
            if !is_covered(&calendar, now) {
                free.insert(sets);
                continue;
            }
            let windows = &calendar.windows;
            let alone = calendar.freezes.iter().find(|freeze| {
                let freezes = vec![(*freeze).clone()];
                is_covered(&Calendar { windows: windows.clone(), freezes }, now)
            });
            match alone {
                Some(freeze) if guilty.contains(&freeze.name) => {}
                Some(freeze) => {
                    let problem = covered("the freeze leaves", campaign, project);
                    root.problem_in(["freezes", freeze.name.as_str(), "until"], problem);
                    guilty.push(freeze.name.clone());
                }
                None => {
                    let problem = covered("all freezes together leave", campaign, project);
                    root.problem_in(["campaigns", campaign.as_str(), "windows"], problem);
                }
            }
            // What holds in one project holds in most: once is enough.
            break;
        }
    }
}

fn covered(what: &str, campaign: &CampaignName, project: &ProjectName) -> Problem {
    let message =
        format!("{what} campaign {campaign} no start in project {project} for five years");
    Problem::new(message).help("shorten the freeze, or limit it with projects or campaigns")
}

/// Whether windows open, and freezes take every start from them.
fn is_covered(calendar: &Calendar, now: Wall) -> bool {
    let until = now + AHEAD;
    let opens = |window: &Window| {
        window.occurrences_after(now).next().is_some_and(|first| first.open < until)
    };
    !calendar.freezes.is_empty()
        && calendar.windows.iter().any(opens)
        && !calendar
            .intervals_after(now)
            .take(INTERVALS_MAX)
            .take_while(|interval| interval.open < until)
            .any(|interval| interval.allows_starts_after(now))
}
