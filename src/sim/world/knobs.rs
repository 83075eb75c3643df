//! One knob for every open question of the cloud's API and for every kind of fault, so that a
//! suite can turn each both ways.
//!
//! [`ALL`] is the table that `refit simulate --knobs` prints; a knob at rest has the value that is
//! documented or most likely.

use std::fmt::Write;

use crate::model::closest;

use super::value::{BadValue, Share, Span};

pub use super::position::*;

/// One row of the table of knobs.
pub struct Knob {
    pub name: &'static str,
    /// The row of the unknowns (API facts, section 8), of the faults, or the section it settles.
    pub row: &'static str,
    pub values: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
    set: fn(&mut Knobs, &str) -> Result<(), BadValue>,
    get: fn(&Knobs) -> String,
}

/// A `name=value` that no knob takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKnob {
    #[error("{0:?} is not of the form NAME=VALUE")]
    NoValue(String),
    #[error("no knob is called {name:?}{}", closest::hint(name, ALL.iter().map(|knob| knob.name)))]
    Unknown { name: String },
    #[error("knob {name}: {source}")]
    Value { name: &'static str, source: BadValue },
}

macro_rules! knobs {
    ($(
        $name:ident : $type:ty = $default:literal, $row:literal, $values:literal, $meaning:literal;
    )+) => {
        /// Every knob's position.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Knobs { $(#[doc = $meaning] pub $name: $type,)+ }

        impl Default for Knobs {
            fn default() -> Knobs {
                Knobs { $($name: $default.parse().expect("a test parses every default"),)+ }
            }
        }

        /// The table of all knobs, in the order of the unknowns and then of the faults.
        pub static ALL: &[Knob] = &[$(Knob {
            name: stringify!($name),
            row: $row,
            values: $values,
            default: $default,
            meaning: $meaning,
            set: |knobs, text| { knobs.$name = text.parse()?; Ok(()) },
            get: |knobs| knobs.$name.to_string(),
        },)+];
    };
}

knobs! {
    service_task: ServiceTask = "filled", "unknown 1", "filled flag_only never",
        "what service_upgrade and service_task_id show of a running upgrade";
    status_during: StatusDuring = "UPGRADING", "unknown 2", "UPGRADING EXTENDING RUNNING HOTFIXING",
        "the instance's status word during an upgrade";
    task_during: TaskDuring = "shown", "unknown 2", "shown null",
        "the field `task` of \"show instance\" during an upgrade";
    task_name: TaskName = "upgradeMinorVersion", "unknown 3", "upgradeMinorVersion modify EXTEND",
        "the name of the upgrade task";
    task_centre: TaskCentre = "same_id", "unknown 4", "same_id other_id hidden absent",
        "how the task centre shows upgrades";
    newest_answer: NewestAnswer = "4053", "unknown 5", "4053 accepted odd",
        "the answer when the instance is newest already";
    not_enabled: NotEnabled = "403", "unknown 5", "403 400 404",
        "the answer in a project where the call was never enabled";
    proxy_on_plain: ProxyOnPlain = "ignored", "unknown 5", "ignored refused",
        "a proxy version asked for where there is no proxy";
    duplicate: Duplicate = "4116", "unknown 6", "4116 4026 4017 runs_twice",
        "the answer to a second upgrade while one runs";
    upgrade_limit: MaybeLimit = "off", "unknown 7", "off or CALLS/TIME",
        "limit of upgrade calls per project; the 429 states it";
    read_limit: MaybeLimit = "off", "unknown 7", "off or CALLS/TIME",
        "limit of reads per user; the 429 states it";
    task_takes: MaybeRange = "world", "unknown 8", "world or LEAST..MOST",
        "how long upgrades take, instead of what the world says";
    single_node_data: SingleNodeData = "kept", "unknown 9", "kept lost",
        "the data of a single-node instance after an upgrade";
    paging: Paging = "stable", "unknown 10", "stable shifting",
        "shifting: each page is cut from another rotation of the rows";
    task_order: TaskOrder = "newest_first", "unknown 10", "newest_first oldest_first",
        "the order of task lists";
    task_page: Count = "100", "unknown 10", "a number",
        "the default and largest page of an instance's task list";
    task_appears_after: Span = "off", "unknown 11", "off or a duration",
        "delay between the answer and any sign of the task";
    upgrade_call: UpgradeCall = "present", "unknown 12", "present absent_gateway absent_service",
        "whether the upgrade and version calls exist at all";
    named_version: NamedVersion = "refused", "unknown 13", "refused accepted",
        "a version named in the request instead of `latest`";
    records_kept: Span = "off", "unknown 14", "off (for ever) or a duration",
        "how long a finished task's record is kept";
    retry_after: RetryAfterForm = "absent", "unknown 15", "absent seconds date absurd negative",
        "the Retry-After of a 429";
    version_moves: VersionMoves = "at_end", "section 3.3", "at_end at_start midway",
        "when the version numbers move";
    progress: Progress = "shown", "section 3.6", "shown absent",
        "whether an upgrade task has a progress";
    types: Types = "documented", "section 3", "documented contradictory",
        "declared types, or those of the published examples";
    error_codes: ErrorCodes = "dcs", "section 5", "dcs numeric",
        "DCS.4116, or its twin 111400116";
    empty_body: EmptyBody = "refused", "section 3.4", "refused accepted",
        "an upgrade that names no part";
    clock_ahead: Span = "off", "section 2.1", "off or a duration",
        "how far the cloud's clock is ahead";
    metadata_token: MetadataToken = "off", "section 2.3", "off required",
        "whether the metadata address insists on its token";
    agency_life: Span = "1d", "section 2.3", "a duration",
        "life of the temporary keys of the metadata address";
    lost_answers: Share = "off", "fault 26", "a share of upgrade calls",
        "the upgrade starts, the connection ends without an answer";
    lost_requests: Share = "off", "fault 26", "a share of upgrade calls",
        "nothing starts, the connection ends without an answer";
    errors_after: Share = "off", "fault 27", "a share of upgrade calls",
        "the upgrade starts, the answer is a server error";
    errors_before: Share = "off", "fault 27", "a share of all calls",
        "nothing starts, the answer is a server error";
    error_status: ErrorStatus = "mixed", "fault 27", "mixed 500 502 503 504",
        "the status of those errors";
    throttle_share: Share = "off", "fault 28", "a share of all calls",
        "429 without any limit being reached";
    throttle_storm: Span = "off", "fault 28", "off or a duration from the start",
        "every call is answered 429 for so long";
    slow_answers: Share = "off", "fault 29", "a share of all calls",
        "the answer comes late, by the fault file's slow_takes";
    slow_loris: Share = "off", "fault 29", "a share of all calls",
        "the answer comes one byte per second";
    stalled: Share = "off", "fault 29", "a share of all calls",
        "the answer's body stands still half way";
    garbage: Share = "off", "fault 30", "a share of all calls",
        "the answer is cut, not JSON, HTML, empty, without task id, or absurdly nested";
    oversize: Share = "off", "fault 31", "a share of all calls",
        "the answer is huge, a gzip bomb, or never ends its headers";
    redirects: Share = "off", "fault 31", "a share of all calls",
        "the answer sends the client to another host";
    close_idle: Share = "off", "fault 32", "a share of all calls",
        "after the answer the kept connection is closed without a word";
    token_life: Span = "1d", "fault 34", "a duration",
        "life of an IAM token";
    iam_down: Span = "off", "fault 35", "off or a duration from the start",
        "IAM answers 503 for so long";
    forbidden: Names = "none", "fault 35", "none, all, or project names",
        "projects whose upgrades are refused with 403";
    tasks_vanish: Share = "off", "fault 37", "a share of upgrades",
        "the task's record is gone before the task ends";
    tasks_stick: Share = "off", "fault 38", "a share of upgrades",
        "the task never ends";
    tasks_fail: Share = "off", "fault 39", "a share of upgrades",
        "the task ends FAILED";
    tasks_fail_but_move: Share = "off", "fault 39", "a share of upgrades",
        "the task ends FAILED and yet the version has moved";
    odd_words: Share = "off", "fault 40", "a share of upgrades",
        "the task shows a status word that nobody has documented";
    progress_backwards: Share = "off", "fault 40", "a share of upgrades",
        "the task's progress falls";
    version_unchanged: Share = "off", "fault 40", "a share of upgrades",
        "the task ends SUCCESS and no version has moved";
    breaks_midway: Share = "off", "fault 41", "a share of upgrades",
        "half way the instance is deleted, frozen or in ERROR";
    others: Share = "off", "fault 41", "a share of instances",
        "right after the instance was first shown somebody else changes it";
    others_do: OthersDo = "mixed", "fault 41", "mixed delete freeze fault upgrade finish",
        "what that somebody does";
}

impl Knobs {
    /// Turns one knob, given as `name=value`.
    ///
    /// # Errors
    /// Where no knob has the name or the knob does not take the value.
    pub fn set(&mut self, setting: &str) -> Result<(), BadKnob> {
        let (name, value) =
            setting.split_once('=').ok_or_else(|| BadKnob::NoValue(setting.into()))?;
        let knob = ALL
            .iter()
            .find(|knob| knob.name == name.trim())
            .ok_or_else(|| BadKnob::Unknown { name: name.trim().into() })?;
        (knob.set)(self, value.trim()).map_err(|source| BadKnob::Value { name: knob.name, source })
    }

    /// The knob's position in the form that `set` takes.
    pub fn value(&self, knob: &Knob) -> String {
        (knob.get)(self)
    }
}

/// The table as text: name, row, default, values, meaning.
pub fn render() -> String {
    let mut text = String::new();
    for Knob { name, row, values, default, meaning, .. } in ALL {
        writeln!(text, "{name} = {default}    [{row}]\n    {meaning}\n    values: {values}")
            .expect("writing to a string never fails");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unknown_and_every_fault_of_the_cloud_has_a_knob() {
        let unknowns = (1..=15).map(|number| format!("unknown {number}"));
        let faults = [26, 27, 28, 29, 30, 31, 32, 34, 35, 37, 38, 39, 40, 41];
        for row in unknowns.chain(faults.into_iter().map(|number| format!("fault {number}"))) {
            assert!(ALL.iter().any(|knob| knob.row == row), "no knob for {row}");
        }
    }

    #[test]
    fn every_knob_takes_each_of_its_words_and_reads_back() {
        for knob in ALL {
            let mut knobs = Knobs::default();
            assert_eq!(knobs.value(knob), knob.default, "{}", knob.name);
            let words = if knob.values.contains("or") || knob.values.contains("a ") {
                vec![knob.default]
            } else {
                knob.values.split(' ').collect()
            };
            for word in words {
                knobs.set(&format!("{}={word}", knob.name)).unwrap();
                assert_eq!(knobs.value(knob), word, "{}", knob.name);
            }
        }
    }

    #[test]
    fn a_setting_that_no_knob_takes_is_refused() {
        let mut knobs = Knobs::default();
        assert!(matches!(knobs.set("duplicate"), Err(BadKnob::NoValue(_))));
        assert!(matches!(knobs.set("duplicates=4116"), Err(BadKnob::Unknown { .. })));
        assert!(matches!(knobs.set("duplicate=4117"), Err(BadKnob::Value { .. })));
        assert!(matches!(knobs.set("others=2"), Err(BadKnob::Value { .. })));
        assert_eq!(knobs, Knobs::default());
    }

    #[test]
    fn the_printed_table_names_every_knob_with_its_row() {
        let text = render();
        for knob in ALL {
            assert!(text.contains(&format!("{} = {}    [{}]", knob.name, knob.default, knob.row)));
        }
    }
}
