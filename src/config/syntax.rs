//! What the TOML parser found, without what only follows from it.

use std::ops::Range;

use super::problem::Problem;

/// What the parser calls a key that stands twice.
const DUPLICATE: &str = "duplicate key";

/// The first error of syntax, since later ones are mostly its echo; else every key that stands
/// twice. Without those in a table that stands twice itself.
pub fn problems(text: &str, errors: &[toml::de::Error]) -> Vec<(Option<Range<usize>>, Problem)> {
    let first = errors
        .iter()
        .filter(|error| error.message() != DUPLICATE)
        .min_by_key(|error| error.span().map(|span| span.start));
    if let Some(error) = first {
        // The parser's own message speaks of syntax only, never of content.
        let problem = Problem::new(format!("this is not TOML: {}", error.message()));
        return vec![(error.span(), problem)];
    }
    let mut spans: Vec<Range<usize>> = errors.iter().filter_map(toml::de::Error::span).collect();
    spans.sort_by_key(|span| span.start);
    let mut found = Vec::new();
    let mut within_until = 0;
    for span in spans.into_iter().filter(|span| span.end <= text.len()) {
        if span.start < within_until {
            continue;
        }
        if is_header(text, span.start) {
            within_until = text[span.end..].find("\n[").map_or(text.len(), |at| span.end + at);
        }
        let problem = Problem::new("this stands here a second time").help("remove one");
        found.push((Some(span), problem.without_value()));
    }
    found
}

/// Whether the line of a place is a table's header.
fn is_header(text: &str, at: usize) -> bool {
    let line = text[..at].rfind('\n').map_or(0, |line_break| line_break + 1);
    text[line..].trim_start().starts_with('[')
}
