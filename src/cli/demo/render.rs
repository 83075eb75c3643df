//! The report as text.

use crate::cli::output::{self, Output, align_numbers, cell, keep_whole};

use super::report::{Report, Rules};

/// Names that are spelt out of one group; of more, the number is enough.
const NAMED: usize = 4;

/// Everything but the rules.
pub fn report(report: &Report, output: &Output) -> String {
    let mut text = String::from("\n");
    text += &output.sentence(&format!(
        "seed {}: {} in {}, window to last upgrade {}; it ended because {}",
        report.seed,
        targets(report),
        seconds(report.took_ms.cast_signed()),
        seconds(report.makespan_ms),
        report.ended
    ));
    text.push('\n');
    text += &campaigns(report, output);
    let spread = &report.upgrade_ms;
    text.push('\n');
    text += &output.sentence(&format!(
        "one upgrade, intent to proof: {} at least, median {}, {} at most",
        seconds(spread.least),
        seconds(spread.median),
        seconds(spread.most)
    ));
    text += &faults(report, output);
    let calls = &report.calls;
    text.push('\n');
    text += &output.sentence(&format!(
        "{} calls for {} upgraded targets: {:.1} each, planning included; {} were upgrades",
        calls.all, calls.succeeded, calls.per_succeeded, calls.upgrades
    ));
    for ordered in &report.orders {
        text += &output.sentence(&ordered.to_string());
    }
    text += &not_done(report, output);
    text
}

/// The verdict, with every breach spelt out.
pub fn rules(rules: &Rules, output: &Output) -> String {
    let mut text = format!("\n{}\n", rules.summary);
    for (rule, why) in &rules.not_judged {
        text += &output.sentence(&format!("  {rule} not judged: {why}"));
    }
    for (rule, breaches) in &rules.broken {
        for breach in breaches {
            text += &output.sentence(&format!("  {rule} broken: {breach}"));
        }
    }
    text
}

fn targets(report: &Report) -> String {
    let counts = report.campaigns.iter().flat_map(|campaign| campaign.counts.values());
    format!("{} targets", counts.sum::<usize>())
}

fn campaigns(report: &Report, output: &Output) -> String {
    let mut table = output.table(&["CAMPAIGN", "STATE", "MAKESPAN", "TARGETS"]);
    for campaign in &report.campaigns {
        let makespan = seconds(campaign.makespan_ms);
        let counts = super::counts(&campaign.counts);
        table.add_row([campaign.name.as_str(), &campaign.state, &makespan, &counts].map(cell));
    }
    align_numbers(&mut table, &[2]);
    keep_whole(&mut table, &[0, 1, 2]);
    output::render(&table)
}

fn faults(report: &Report, output: &Output) -> String {
    let header = ["ANSWER TO THE UPGRADE", "TIMES", "ADOPTED", "SENT AGAIN", "OTHER"];
    let mut table = output.table(&header);
    for fault in &report.faults {
        let numbers = [fault.answers, fault.adopted, fault.sent_again, fault.other];
        let mut row = vec![fault.cause.to_owned()];
        row.extend(numbers.iter().map(ToString::to_string));
        table.add_row(row.iter().map(cell));
    }
    align_numbers(&mut table, &[1, 2, 3, 4]);
    format!("\n{}", output::render(&table))
}

fn not_done(report: &Report, output: &Output) -> String {
    if report.not_done.is_empty() {
        return "\neverything is done\n".into();
    }
    let mut table = output.table(&["NOT UPGRADED", "STATE", "WHICH", "REASON"]);
    for group in &report.not_done {
        let which = match &group.names[..] {
            names if names.len() <= NAMED => names.join(", "),
            names => format!("{} and {} more", names[..NAMED].join(", "), names.len() - NAMED),
        };
        let state = group.state.to_string();
        table.add_row([group.campaign.as_str(), &state, &which, &group.reason].map(cell));
    }
    keep_whole(&mut table, &[0, 1]);
    format!("\n{}", output::render(&table))
}

/// `12.3 s`.
fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1_000.0)
}
