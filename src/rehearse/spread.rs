//! Percentiles over seeds, of what may not happen at all.

use serde::{Deserialize, Serialize};

/// The median and the ninth of ten; `None` where it is not known, or does not happen at all in so
/// many seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Spread<T> {
    pub p50: Option<T>,
    pub p90: Option<T>,
}

// Derived, it would ask for a default of `T`.
impl<T> Default for Spread<T> {
    fn default() -> Spread<T> {
        Spread { p50: None, p90: None }
    }
}

impl<T: Copy + Ord> Spread<T> {
    /// Of one value for each seed: what did not happen comes last.
    pub fn of(mut values: Vec<Option<T>>) -> Spread<T> {
        values.sort_unstable_by(|a, b| match (a, b) {
            (Some(a), Some(b)) => a.cmp(b),
            (one, other) => other.is_some().cmp(&one.is_some()),
        });
        Spread { p50: percentile(&values, 50), p90: percentile(&values, 90) }
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
pub fn percentile<T: Copy>(sorted: &[Option<T>], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_happen_comes_last() {
        let happens = |times: i32, of: i32| {
            Spread::of((0..of).rev().map(|at| (at < times).then_some(at)).collect())
        };
        assert_eq!(happens(10, 10), Spread { p50: Some(4), p90: Some(8) });
        assert_eq!(happens(5, 10), Spread { p50: Some(4), p90: None });
        assert_eq!(happens(4, 10), Spread { p50: None, p90: None });
        assert_eq!(Spread::<i32>::of(Vec::new()), Spread { p50: None, p90: None });
    }
}
