//! What the machine says beside a figure, and the middle of several runs.

use std::fs;

/// The load average of the last minute, as the kernel writes it; `unknown` where it does not.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The middle one; the upper of two. Sorts.
///
/// # Panics
/// Nothing was measured.
pub fn median(runs: &mut [f64]) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_the_outlier() {
        assert_eq!(median(&mut [3.0, 100.0, 1.0]), 3.0);
    }
}
