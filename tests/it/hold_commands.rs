//! What the holds of simulated lives tell an operator to type.

use std::collections::BTreeSet;

use clap::Parser;
use refit::cli::Cli;
use refit::engine::HoldKind;
use refit::rehearse::Host;

use crate::simulation::{self, Dice, Mode, STEPS_MAX, operator};

/// A shell's words: those of our commands are plain or in single quotes.
fn shell_words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in command.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            letter => words.last_mut().expect("it begins with one").push(letter),
        }
    }
    words
}

#[test]
fn every_command_that_a_hold_names_is_one_that_refit_takes() {
    let look = |host: &Host, missing: &mut BTreeSet<HoldKind>| {
        let (Some(engine), Some(now)) = (host.engine(), host.steady()) else { return };
        let holds = host.store().targets().filter_map(|row| engine.hold(&row.id, now));
        for hold in holds.collect::<Vec<_>>() {
            for command in hold.next_command.iter().chain(&hold.alternatives) {
                let words = shell_words(command);
                if words[0] == "refit" {
                    let parsed = Cli::try_parse_from(&words);
                    assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
                    missing.remove(&hold.kind);
                } else {
                    assert_eq!(words, ["rm", "FREEZE"]);
                }
            }
        }
    };
    use HoldKind as K;
    let named = [
        K::Frozen,
        K::OutsideWindow,
        K::PastCutoff,
        K::CampaignPaused,
        K::Credential,
        K::Held,
        K::AwaitingApproval,
        K::Baking,
        K::BudgetTripped,
        K::NeedsOperator,
    ];
    let mut missing = BTreeSet::from(named);
    for seed in (0..100).map(Dice) {
        let mut host = simulation::host(seed, Mode::Liveness);
        for turn in 0..30 {
            host.run(host.now() + operator::pause_between(seed, turn), STEPS_MAX, |_| false);
            operator::meddle(&mut host, seed, turn);
            look(&host, &mut missing);
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("never seen: {missing:?}");
}
