//! The report as text.

use std::fmt::Write as _;

use crate::cli::output::{self, Output, align_numbers, cell, keep_whole};
use crate::engine::TargetState;

use super::report::{Report, Rules};

/// Names that are spelt out of one group; of more, the number is enough.
const NAMED: usize = 4;

/// Everything but the rules.
pub fn report(report: &Report, output: &Output) -> String {
    let mut text = format!(
        "\nseed {}: {} in {}, window to last upgrade {}; ended because {}\n\n",
        report.seed,
        targets(report),
        seconds(report.took_ms.cast_signed()),
        seconds(report.makespan_ms),
        report.ended
    );
    text += &campaigns(report, output);
    let spread = &report.upgrade_ms;
    write_line(
        &mut text,
        format_args!(
            "\none upgrade, intent to proof: {} at least, median {}, {} at most\n",
            seconds(spread.least),
            seconds(spread.median),
            seconds(spread.most)
        ),
    );
    text += &faults(report, output);
    let calls = &report.calls;
    write_line(
        &mut text,
        format_args!(
            "\n{} calls for {} upgraded targets: {:.1} each, planning included; {} were upgrades",
            calls.all, calls.succeeded, calls.per_succeeded, calls.upgrades
        ),
    );
    for ordered in &report.orders {
        write_line(&mut text, format_args!("{ordered}"));
    }
    text += &not_done(report, output);
    text
}

/// The verdict, with every breach spelt out.
pub fn rules(rules: &Rules) -> String {
    let mut text = format!("\n{}\n", rules.summary);
    for (rule, why) in &rules.not_judged {
        write_line(&mut text, format_args!("  {rule} not judged: {why}"));
    }
    for (rule, breaches) in &rules.broken {
        for breach in breaches {
            write_line(&mut text, format_args!("  {rule} broken: {breach}"));
        }
    }
    text
}

fn targets(report: &Report) -> String {
    let counts = report.campaigns.iter().flat_map(|campaign| campaign.counts.values());
    format!("{} targets", counts.sum::<usize>())
}

fn campaigns(report: &Report, output: &Output) -> String {
    let states: Vec<TargetState> = TargetState::ALL
        .into_iter()
        .filter(|state| report.campaigns.iter().any(|one| one.counts.contains_key(state)))
        .collect();
    let mut header = vec!["CAMPAIGN".to_owned(), "STATE".to_owned()];
    header.extend(states.iter().map(|state| state.word().to_uppercase()));
    header.push("MAKESPAN".into());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = output.table(&header);
    for campaign in &report.campaigns {
        let mut row = vec![campaign.name.to_string(), campaign.state.clone()];
        let count = |state| campaign.counts.get(state).copied().unwrap_or_default();
        row.extend(states.iter().map(|state| count(state).to_string()));
        row.push(seconds(campaign.makespan_ms));
        table.add_row(row.iter().map(cell));
    }
    align_numbers(&mut table, &(2..header.len()).collect::<Vec<_>>());
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

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes every write");
}
