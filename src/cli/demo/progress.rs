//! What is seen while it runs: bars on a terminal, a line now and then anywhere else.
//!
//! A campaign has two lines on a terminal, its bar with its stage and its counts below; both are cut
//! at the terminal's edge, since a line that wraps cannot be drawn over.
//!
//! All of it goes to standard error: standard output carries the report alone.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::cli::output::Output;
use crate::engine::Status;
use crate::engine::view::CampaignStatus;
use crate::model::{CampaignName, Wall};

/// Between two lines where nobody watches a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Templates of a campaign's lines; a mistake in one would be found by the first run.
const BAR: &str = "{prefix:10} {bar:32} {pos:>3}/{len:<3} {wide_msg}";
const COUNTS: &str = "           {wide_msg}";

pub enum Progress {
    Bars { output: Output, all: MultiProgress, bars: BTreeMap<CampaignName, CampaignLines> },
    Lines { output: Output, last: Option<(Instant, String)> },
}

/// One campaign on a terminal.
pub struct CampaignLines {
    bar: ProgressBar,
    counts: ProgressBar,
}

impl Progress {
    pub fn new(output: &Output) -> Progress {
        if !io::stderr().is_terminal() {
            return Progress::Lines { output: output.clone(), last: None };
        }
        Progress::Bars { output: output.clone(), all: MultiProgress::new(), bars: BTreeMap::new() }
    }

    pub fn show(&mut self, status: &Status) {
        match self {
            Progress::Bars { all, bars, .. } => {
                for campaign in &status.campaigns {
                    let name = &campaign.name;
                    let lines =
                        bars.entry(name.clone()).or_insert_with(|| CampaignLines::new(all, name));
                    lines.show(campaign, status.at);
                }
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
            Progress::Bars { output, all, .. } => {
                all.println(output.sentence(text).trim_end()).ok();
            }
            Progress::Lines { output, .. } => output.say(text),
        }
    }

    /// Leaves the bars as they stand, above whatever is printed next.
    pub fn end(self) {
        if let Progress::Bars { output, bars, .. } = self {
            bars.values().for_each(CampaignLines::abandon);
            // The cursor stands behind the last of them.
            output.say("");
        }
    }
}

impl CampaignLines {
    fn new(all: &MultiProgress, name: &CampaignName) -> CampaignLines {
        let bar = all.add(ProgressBar::new(0).with_style(style(BAR)).with_prefix(name.to_string()));
        let counts = all.add(ProgressBar::new(0).with_style(style(COUNTS)));
        CampaignLines { bar, counts }
    }

    fn show(&self, campaign: &CampaignStatus, at: Wall) {
        self.bar.set_length(u64::from(campaign.counts.values().sum::<u32>()));
        self.bar.set_position(u64::from(ended(campaign)));
        self.bar.set_message(stage(campaign, at));
        self.counts.set_message(super::counts(&campaign.counts));
    }

    fn abandon(&self) {
        self.bar.abandon();
        self.counts.abandon();
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

fn line(status: &Status) -> String {
    let campaigns = status.campaigns.iter().map(|campaign| {
        format!(
            "{} ({}): {}",
            campaign.name,
            stage(campaign, status.at),
            super::counts(&campaign.counts)
        )
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
