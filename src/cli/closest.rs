//! What somebody probably meant: the known names closest to an unknown one.

/// Names shown at most.
const SHOWN: usize = 3;

/// Jaro-Winkler similarity from which a name counts as close; 1 is equal.
const SIMILAR: f64 = 0.75;

/// The known names closest to `name`, the best first; those that contain it count as close.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| {
            let contains = !name.is_empty() && candidate.contains(name);
            let score = strsim::jaro_winkler(name, candidate);
            (if contains { score.max(SIMILAR) } else { score }, candidate)
        })
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.truncate(SHOWN);
    scored.into_iter().map(|(_, candidate)| candidate).collect()
}

/// ` (did you mean a, b or c?)`, or nothing.
pub fn hint(closest: &[&str]) -> String {
    match closest {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [some @ .., last] => format!("; did you mean {} or {last}?", some.join(", ")),
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
    fn the_hint_is_a_sentence() {
        assert_eq!(hint(&["a", "b", "c"]), "; did you mean a, b or c?");
        assert_eq!(hint(&["a"]), "; did you mean a?");
        assert_eq!(hint(&[]), "");
    }
}
