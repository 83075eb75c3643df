//! What somebody probably meant by a name that nothing bears: one measure and one wording, for
//! orders, questions and the command line alike.

/// Names suggested at most.
const SUGGESTED: usize = 3;

/// Names listed at most, where none is close.
const LISTED: usize = 12;

/// Jaro-Winkler similarity from which a name counts as close; 1 is equal.
const SIMILAR: f64 = 0.75;

/// Shorter than this, a name is part of too many others to be meant by it.
const PART_MIN: usize = 4;

/// The known names closest to `name`, the best first; those that contain it count as close.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let is_part = name.len() >= PART_MIN && lower.contains(&name);
            let score = strsim::jaro_winkler(&name, &lower);
            (if is_part { score.max(SIMILAR) } else { score }, candidate)
        })
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.truncate(SUGGESTED);
    scored.into_iter().map(|(_, candidate)| candidate).collect()
}

/// What follows the words that `name` is unknown: `; did you mean a, b or c?`, or where none is
/// close, `; known: a, b, c`, or where there is none, nothing.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match &closest(name, known.iter().copied())[..] {
        [] => listed(known),
        [one] => format!("; did you mean {one}?"),
        [some @ .., last] => format!("; did you mean {} or {last}?", some.join(", ")),
    }
}

fn listed(mut known: Vec<&str>) -> String {
    known.sort_unstable();
    known.dedup();
    let more = known.len().saturating_sub(LISTED);
    known.truncate(LISTED);
    match (&known[..], more) {
        ([], _) => String::new(),
        (names, 0) => format!("; known: {}", names.join(", ")),
        (names, more) => format!("; known: {} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbours_best_first() {
        let known = ["redis-latest", "redis-late", "weekly", "nightly"];
        assert_eq!(closest("redis-lates", known), ["redis-latest", "redis-late"]);
        assert_eq!(closest("wekly", known), ["weekly"]);
        assert!(closest("zzz", known).is_empty());
    }

    #[test]
    fn a_part_of_a_name_counts_as_close() {
        assert_eq!(closest("orders", ["cache-orders-01", "cache-web-01"]), ["cache-orders-01"]);
    }

    #[test]
    fn a_letter_or_two_are_part_of_too_much_to_mean_anything() {
        assert!(closest("d", ["0d1e2f", "cache-red-1"]).is_empty());
        assert_eq!(closest("WEEKLY", ["weekly"]), ["weekly"]);
    }

    #[test]
    fn the_hint_names_the_close_ones() {
        assert_eq!(hint("wekly", ["weekly", "nightly"]), "; did you mean weekly?");
        let known = ["cache-1", "cache-2", "cache-3", "cache-4"];
        assert_eq!(hint("cache", known), "; did you mean cache-1, cache-2 or cache-3?");
    }

    #[test]
    fn where_none_is_close_the_hint_lists_all_within_reason() {
        assert_eq!(hint("zzz", ["weekly", "nightly"]), "; known: nightly, weekly");
        let many: Vec<String> = (10..30).map(|number| format!("n{number}")).collect();
        let text = hint("zzz", many.iter().map(String::as_str));
        assert!(text.starts_with("; known: n10, ") && text.ends_with("n21 and 8 more"), "{text}");
        assert_eq!(hint("zzz", []), "");
    }
}
