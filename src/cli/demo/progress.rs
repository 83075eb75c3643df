//! What is seen while it runs: bars on a terminal, a line now and then anywhere else.
//!
//! All of it goes to standard error: standard output carries the report alone.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::cli::output::Output;
use crate::engine::view::CampaignStatus;
use crate::engine::{Status, TargetState};
use crate::model::{CampaignName, Wall};

/// Between two lines where nobody watches a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Template of a campaign's bar; a mistake in it would be found by the first run.
const BAR: &str = "{prefix:10} {bar:32} {pos:>3}/{len:<3} {msg}";

pub enum Progress {
    Bars { all: MultiProgress, bars: BTreeMap<CampaignName, ProgressBar>, foot: ProgressBar },
    Lines { output: Output, last: Option<(Instant, String)> },
}

impl Progress {
    pub fn new(output: &Output) -> Progress {
        if !io::stderr().is_terminal() {
            return Progress::Lines { output: output.clone(), last: None };
        }
        let all = MultiProgress::new();
        let foot = all.add(ProgressBar::new_spinner());
        foot.set_style(style("{msg}"));
        Progress::Bars { all, bars: BTreeMap::new(), foot }
    }

    pub fn show(&mut self, status: &Status) {
        match self {
            Progress::Bars { all, bars, foot } => {
                for campaign in &status.campaigns {
                    let bar = bars.entry(campaign.name.clone()).or_insert_with(|| {
                        let bar = all.insert_before(foot, ProgressBar::new(0));
                        bar.set_style(style(BAR));
                        bar.set_prefix(campaign.name.to_string());
                        bar
                    });
                    bar.set_length(u64::from(campaign.counts.values().sum::<u32>()));
                    bar.set_position(u64::from(ended(campaign)));
                    bar.set_message(counts(campaign));
                }
                foot.set_message(foot_line(status));
            }
            Progress::Lines { output, last } => {
                let text = line(status);
                let is_due = last
                    .as_ref()
                    .is_none_or(|(at, before)| at.elapsed() >= LINE_EVERY && *before != text);
                if is_due {
                    output.say(&text);
                    *last = Some((Instant::now(), text));
                }
            }
        }
    }

    /// Says something beside the progress.
    pub fn say(&self, text: &str) {
        match self {
            // A terminal that has gone takes the line with it.
            Progress::Bars { all, .. } => all.println(text).unwrap_or_default(),
            Progress::Lines { output, .. } => output.say(text),
        }
    }

    /// Leaves the bars as they stand, above whatever is printed next.
    pub fn end(self) {
        if let Progress::Bars { bars, foot, .. } = self {
            bars.values().for_each(ProgressBar::abandon);
            foot.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .progress_chars("█▌░")
}

fn ended(campaign: &CampaignStatus) -> u32 {
    let ended = campaign.counts.iter().filter(|(state, _)| state.is_terminal());
    ended.map(|(_, count)| count).sum()
}

/// `12 pending, 3 running, 80 succeeded`.
fn counts(campaign: &CampaignStatus) -> String {
    let present = TargetState::ALL.into_iter().filter_map(|state| {
        let count = campaign.counts.get(&state)?;
        Some(format!("{count} {state}"))
    });
    present.collect::<Vec<_>>().join(", ")
}

fn foot_line(status: &Status) -> String {
    let campaigns = status
        .campaigns
        .iter()
        .map(|campaign| format!("{}: {}", campaign.name, stage(campaign, status.at)));
    campaigns.collect::<Vec<_>>().join(" | ")
}

fn line(status: &Status) -> String {
    let campaigns = status.campaigns.iter().map(|campaign| {
        format!("{} ({}): {}", campaign.name, stage(campaign, status.at), counts(campaign))
    });
    let text = campaigns.collect::<Vec<_>>().join(" | ");
    if text.is_empty() { "reading the inventory".into() } else { text }
}

/// Where a campaign stands: `paused: budget`, `window opens in 2 s`, `wave early (2 of 3)`.
fn stage(campaign: &CampaignStatus, at: Wall) -> String {
    use crate::engine::CampaignState::{AwaitingApproval, Paused, Running};
    match campaign.state {
        None => return "not planned yet".into(),
        Some(Running) => {}
        Some(Paused) => {
            let causes: Vec<_> = campaign.causes.iter().map(ToString::to_string).collect();
            return format!("paused: {}", causes.join(", "));
        }
        Some(AwaitingApproval) => return "waits for approval".into(),
        Some(over) => return over.to_string(),
    }
    let opens = campaign.intervals.values().flatten().map(|interval| interval.open).min();
    if let Some(wait) = opens.map(|open| open - at).filter(|wait| wait.0 > 0) {
        return format!("window opens in {} s", wait.0.div_euclid(1_000) + 1);
    }
    let wave = format!("wave {} ({} of {})", campaign.wave_name, campaign.wave + 1, campaign.waves);
    if campaign.bake_until.is_some_and(|until| until > at) { format!("{wave} bakes") } else { wave }
}
