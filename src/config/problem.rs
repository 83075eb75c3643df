//! One thing wrong, as the code that notices it says it; the reader adds key, line and excerpt.

use std::ops::Range;

use super::finding::{Severity, Subject};
use super::redact::Show;

/// Not yet placed: where `span` is missing, the reader points at what it was reading.
#[derive(Debug, Clone)]
pub struct Problem {
    pub message: String,
    pub help: Option<String>,
    /// Bytes of the file.
    pub span: Option<Range<usize>>,
    pub severity: Severity,
    pub subject: Subject,
    pub show: Show,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            help: None,
            span: None,
            severity: Severity::Error,
            subject: Subject::Configuration,
            show: Show::Line,
        }
    }

    pub fn warning(message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::new(message) }
    }

    pub fn credential(message: impl Into<String>) -> Problem {
        Problem { subject: Subject::Credential, ..Problem::new(message) }
    }

    /// What to write instead.
    pub fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    pub fn at(self, span: Range<usize>) -> Problem {
        Problem { span: Some(span), ..self }
    }

    /// Shows the key alone, not its value.
    pub fn without_value(self) -> Problem {
        Problem { show: Show::Key, ..self }
    }
}

/// Characters of a value that a message repeats.
const QUOTED_LIMIT: usize = 60;

/// The value in quotes, escaped and clipped, for a message.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_LIMIT).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The name that was probably meant, by the measure that the command line uses too.
pub fn closest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    crate::model::closest::closest(wrong, names).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_offered_and_no_far_one() {
        let names = ["max_in_flight", "settle", "time_zone", "windows"];
        assert_eq!(closest("max_inflight", names), Some("max_in_flight"));
        assert_eq!(closest("Window", names), Some("windows"));
        assert_eq!(closest("zone", names), Some("time_zone"));
        assert_eq!(closest("gates", names), None);
        assert_eq!(closest("", names), None);
    }

    #[test]
    fn a_quoted_value_is_clipped_and_escaped() {
        assert_eq!(quoted("a\u{1b}[31m"), "\"a\\u{1b}[31m\"");
        assert!(quoted(&"x".repeat(10_000)).len() < 100);
    }
}
