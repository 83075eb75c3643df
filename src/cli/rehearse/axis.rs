//! The time axis of pictures: windows as wide as they are long, the time between them cut short.
//!
//! A campaign uses a few hours of each week; on an axis with all of it, nothing could be seen.

use crate::model::{Millis, Wall};

/// From the left edge to the right.
pub const WIDTH: f64 = 820.0;

/// Of what the whole is wide, the share that all gaps together take at most.
const GAPS_SHARE: f64 = 0.25;

/// One gap.
const GAP: f64 = 14.0;

/// Labels are at least so far apart.
const LABEL_APART: f64 = 104.0;

/// A label that began further to the right would leave the picture.
const LABELS_END: f64 = WIDTH - 60.0;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    from: Wall,
    until: Wall,
    left: f64,
    right: f64,
}

#[derive(Debug)]
pub struct Axis {
    stretches: Vec<Stretch>,
}

impl Axis {
    /// Of the intervals in which something happens, in any order. There may be none.
    pub fn new(mut intervals: Vec<(Wall, Wall)>) -> Axis {
        intervals.retain(|(from, until)| from < until);
        intervals.sort_unstable();
        let mut merged: Vec<(Wall, Wall)> = Vec::new();
        for (from, until) in intervals {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(until),
                _ => merged.push((from, until)),
            }
        }
        let gaps = merged.len().saturating_sub(1) as f64;
        let gap = if gaps > 0.0 { GAP.min(WIDTH * GAPS_SHARE / gaps) } else { 0.0 };
        let whole: i64 = merged.iter().map(|(from, until)| (*until - *from).0).sum();
        let scale = (WIDTH - gaps * gap) / whole.max(1) as f64;
        let mut left = 0.0;
        let stretches = merged.into_iter().map(|(from, until)| {
            let right = left + (until - from).0 as f64 * scale;
            let stretch = Stretch { from, until, left, right };
            left = right + gap;
            stretch
        });
        Axis { stretches: stretches.collect() }
    }

    /// Where the instant is, from 0 to [`WIDTH`].
    pub fn x(&self, at: Wall) -> f64 {
        let after = self.stretches.partition_point(|stretch| stretch.until < at);
        let share = |part: Millis, whole: Millis| part.0 as f64 / whole.0.max(1) as f64;
        let Some(stretch) = self.stretches.get(after) else {
            return self.stretches.last().map_or(0.0, |last| last.right);
        };
        if at >= stretch.from {
            let inside = share(at - stretch.from, stretch.until - stretch.from);
            return stretch.left + (stretch.right - stretch.left) * inside;
        }
        match after.checked_sub(1).and_then(|before| self.stretches.get(before)) {
            Some(before) => {
                let inside = share(at - before.until, stretch.from - before.until);
                before.right + (stretch.left - before.right) * inside
            }
            None => stretch.left,
        }
    }

    /// The beginnings of stretches that have room for a label, with their places.
    pub fn labels(&self) -> Vec<(Wall, f64)> {
        let mut labels: Vec<(Wall, f64)> = Vec::new();
        for stretch in &self.stretches {
            let has_room = |x: &f64| stretch.left - x >= LABEL_APART && stretch.left <= LABELS_END;
            if labels.last().is_none_or(|(_, x)| has_room(x)) {
                labels.push((stretch.from, stretch.left));
            }
        }
        labels
    }

    /// Where each stretch begins and ends.
    pub fn stretches(&self) -> impl Iterator<Item = (f64, f64)> {
        self.stretches.iter().map(|stretch| (stretch.left, stretch.right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Wall {
        Wall(0) + Millis::from_hours(hours)
    }

    #[test]
    fn windows_keep_their_proportions_and_the_time_between_is_cut_short() {
        let axis = Axis::new(vec![(at(100), at(102)), (at(0), at(1)), (at(101), at(103))]);
        assert_eq!(axis.x(at(0)), 0.0);
        assert_eq!(axis.x(at(103)), WIDTH);
        let (first, second) = (axis.x(at(1)), axis.x(at(100)));
        assert_eq!(second - first, GAP);
        assert!(((WIDTH - second) / first - 3.0).abs() < 1e-9);
        assert_eq!(axis.x(at(-5)), 0.0);
        assert_eq!(axis.x(at(500)), WIDTH);
        let inside = axis.x(at(50));
        assert!(first < inside && inside < second);
    }

    #[test]
    fn labels_never_stand_too_close() {
        let axis = Axis::new((0..300).map(|day| (at(24 * day), at(24 * day + 2))).collect());
        let labels = axis.labels();
        assert!(labels.len() > 5, "{}", labels.len());
        assert!(labels.windows(2).all(|two| two[1].1 - two[0].1 >= LABEL_APART));
        assert_eq!(Axis::new(Vec::new()).x(at(1)), 0.0);
    }
}
