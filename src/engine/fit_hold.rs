//! What there is to say of a target whose upgrade would not be over in time: what it needs, where
//! that number comes from, and what the windows leave.

use crate::model::policy::Fit;
use crate::model::{Millis, Wall};

use super::Engine;
use super::explain::startable;
use super::fit::{Basis, Need};
use super::hold::{Hold, HoldKind, shell_word, target_command};
use super::index::TargetIx;
use crate::model::duration::DurationClass;

impl Engine {
    pub(super) fn fit_hold(&self, ix: TargetIx, kind: HoldKind, wall: Wall) -> Hold {
        let row = &self.targets[ix.at()].row;
        let words = self.fit_words(ix, kind, wall);
        let windows = format!("refit windows --campaign {}", shell_word(row.id.campaign.as_str()));
        let built = Hold::new(kind, words).next(windows);
        if kind == HoldKind::NeverFits {
            // No start to come is looked for: a plan asks this of thousands.
            return built.or(target_command("skip", &row.id));
        }
        Hold { since: self.misfit_since(ix), earliest: self.next_start(ix, wall), ..built }
    }

    /// In words, if the target fits in nothing that comes.
    pub(super) fn never_fits(&self, ix: TargetIx, wall: Wall) -> Option<String> {
        let target = &self.targets[ix.at()];
        let class = self.known_class(ix)?;
        let kind = self.fit_kind(target.campaign, target.project, class, wall)?;
        (kind == HoldKind::NeverFits).then(|| self.fit_words(ix, kind, wall))
    }

    /// The first instant, from now on, at which its window is open and leaves room for it.
    pub(super) fn next_start(&self, ix: TargetIx, wall: Wall) -> Option<Wall> {
        let target = &self.targets[ix.at()];
        let calendar = self.campaigns[target.campaign.at()].calendars.get(&target.project)?;
        let room = self.need_of(ix).map(|need| need.room());
        startable(calendar, wall, room).map(|interval| interval.open.max(wall))
    }

    /// What its upgrade needs; `None` where nothing is predicted.
    pub(super) fn need_of(&self, ix: TargetIx) -> Option<Need> {
        let target = &self.targets[ix.at()];
        self.need(target.campaign, target.project, self.known_class(ix)?)
    }

    fn misfit_since(&self, ix: TargetIx) -> Option<Wall> {
        let target = &self.targets[ix.at()];
        let until = self.fits_until(target.campaign, target.project, self.known_class(ix)?)?;
        let calendar = self.campaigns[target.campaign.at()].calendars.get(&target.project)?;
        Some(until.max(calendar.interval.as_ref()?.open))
    }

    fn fit_words(&self, ix: TargetIx, kind: HoldKind, wall: Wall) -> String {
        let target = &self.targets[ix.at()];
        let needs = self.need_of(ix).map(|need| need_words(need, self.class_of(ix)));
        let calendar = self.campaigns[target.campaign.at()].calendars.get(&target.project);
        let close = calendar.and_then(|calendar| calendar.interval.as_ref()?.close());
        let left = if kind == HoldKind::NeverFits {
            let class = self.known_class(ix);
            let longest = calendar.zip(class).and_then(|(it, class)| it.longest_to_come(class));
            let longest = longest.unwrap_or(Millis::ZERO);
            format!("the longest window to come lasts {}", in_seconds(longest))
        } else {
            let left = close.map_or(Millis::ZERO, |close| close - wall);
            format!("the window ends in {}", in_seconds(left))
        };
        format!("{}; {left}", needs.unwrap_or_else(|| "its upgrade takes too long".to_owned()))
    }
}

/// `needs 42m (p95 of 23 upgrades of ha, engine) and 2m to settle`.
fn need_words(need: Need, class: DurationClass) -> String {
    let basis = match need.basis {
        Basis::Declared => "expected_duration of the campaign".to_owned(),
        Basis::Measured { fit, samples, says } => {
            let name = if fit == Fit::P50 { "p50" } else { "p95" };
            let lowered = if need.takes < says {
                format!(", {} lowered to the windows", in_seconds(says))
            } else {
                String::new()
            };
            format!("{name} of {samples} upgrades of {class}{lowered}")
        }
    };
    let settles = match need.settle {
        Millis::ZERO => String::new(),
        settle => format!(" and {} to settle", in_seconds(settle)),
    };
    format!("needs {} ({basis}){settles}", in_seconds(need.takes))
}

/// Rounded up: nobody reads milliseconds in hours.
fn in_seconds(time: Millis) -> Millis {
    Millis::from_secs((time.0.max(0) + 999) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CacheMode;
    use crate::model::duration::Parts;

    #[test]
    fn a_need_names_its_numbers_and_where_they_come_from() {
        let class = DurationClass { cache_mode: CacheMode::Ha, parts: Parts::Engine };
        let need = |minutes, basis| Need {
            takes: Millis::from_mins(minutes) - Millis(1),
            settle: Millis::from_mins(2),
            basis,
        };
        let says = Millis::from_mins(42) - Millis(1);
        let measured = Basis::Measured { fit: Fit::P95, samples: 23, says };
        assert_eq!(
            need_words(need(42, measured), class),
            "needs 42m (p95 of 23 upgrades of ha, engine) and 2m to settle"
        );
        assert_eq!(
            need_words(need(30, measured), class),
            "needs 30m (p95 of 23 upgrades of ha, engine, 42m lowered to the windows) and 2m to \
             settle"
        );
        let declared = Need { settle: Millis::ZERO, ..need(30, Basis::Declared) };
        assert_eq!(need_words(declared, class), "needs 30m (expected_duration of the campaign)");
    }
}
