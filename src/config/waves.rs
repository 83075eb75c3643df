//! `[[campaigns.NAME.waves]]`: the ordered stages of a campaign.

use std::collections::BTreeSet;

use crate::model::Millis;
use crate::model::policy::{Wave, WaveSize};

use super::duration::ANY_TIME;
use super::kind::{COUNT, Text, Whole, print_text};
use super::problem::{Problem, quoted};
use super::section::Section;

/// One canary, a short bake, then the rest: a first night's mistake meets one instance.
fn defaults() -> Vec<Wave> {
    vec![
        Wave { name: "canary".into(), size: WaveSize::Count(1), bake: Millis::from_mins(15) },
        Wave { name: "rest".into(), size: WaveSize::Rest, bake: Millis::ZERO },
    ]
}

/// Reads `waves`; `None` if one of them was reported.
pub fn read(campaign: &mut Section<'_>) -> Option<Vec<Wave>> {
    let sections = campaign.list("waves");
    let count = sections.len();
    let origin = if count == 0 { super::Origin::Default } else { campaign.origin("waves") };
    let mut names = BTreeSet::new();
    let mut waves = Vec::new();
    for (index, mut section) in sections.into_iter().enumerate() {
        if !section.is_present() {
            continue;
        }
        let place = if index + 1 == count { Place::Last } else { Place::Earlier };
        let wave = wave(&mut section, place);
        if let Some(wave) = wave {
            if !names.insert(wave.name.clone()) {
                let message = format!("a wave before this one is named {} too", quoted(&wave.name));
                let problem = Problem::new(message).help("give each wave a name of its own");
                section.problem_at("name", problem);
            }
            waves.push(wave);
        }
        section.close();
    }
    if waves.len() < count {
        return None;
    }
    let waves = if count == 0 { defaults() } else { waves };
    campaign.record("waves", print(&waves), origin);
    Some(waves)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Earlier,
    Last,
}

fn wave(section: &mut Section<'_>, place: Place) -> Option<Wave> {
    let name = section.required("name", &Text("the wave's name"));
    let count = section.optional("count", &COUNT, "none");
    let percent = section.optional("percent", &Whole(1..=100), "none");
    let bake = section.or_default("bake", &ANY_TIME, Millis::ZERO);
    let size = match (section.has("count"), section.has("percent"), place) {
        (true, true, _) => {
            let problem = Problem::new("a wave has a count or a percentage, not both");
            section.problem_at("percent", problem.help("leave one out"));
            None
        }
        (false, false, Place::Earlier) => {
            let problem = Problem::new("every wave but the last needs count or percent");
            let problem = problem.help("write `count = 3` or `percent = 10`");
            section.lacks(vec!["count", "percent"], problem);
            None
        }
        (false, false, Place::Last) => Some(WaveSize::Rest),
        (is_count, _, Place::Last) => {
            let key = if is_count { "count" } else { "percent" };
            let problem = Problem::new("the last wave takes all that is left");
            section.problem_at(key, problem.help("leave it out, or add a wave after this one"));
            None
        }
        (true, false, Place::Earlier) => count.map(WaveSize::Count),
        (false, true, Place::Earlier) => percent.map(WaveSize::Percent),
    };
    Some(Wave { name: name?.into(), size: size?, bake })
}

fn print(waves: &[Wave]) -> String {
    let waves: Vec<String> = waves
        .iter()
        .map(|wave| {
            let size = match wave.size {
                WaveSize::Count(count) => format!(", count = {count}"),
                WaveSize::Percent(percent) => format!(", percent = {percent}"),
                WaveSize::Rest => String::new(),
            };
            let bake = print_text(&wave.bake.to_string());
            format!("{{ name = {}{size}, bake = {bake} }}", print_text(&wave.name))
        })
        .collect();
    format!("[{}]", waves.join(", "))
}
