//! The one line that `systemctl status` shows: `weekend-night open, 14/120 done, cutoff 03:00`.

use jiff::tz::TimeZone;

use crate::engine::Status;
use crate::engine::view::IntervalView;
use crate::model::{Millis, Settings, Wall};

/// From here on a time of day does not say which day is meant.
const DAY: Millis = Millis::from_hours(24);

/// Doubts first, then the window that is open or opens next, with the progress of what is planned.
pub(super) fn status_line(status: &Status, settings: &Settings) -> String {
    let mut parts: Vec<String> = status.doubts.clone();
    let campaigns = status.campaigns.iter();
    let intervals = campaigns.flat_map(|campaign| campaign.intervals.values().flatten());
    let interval = intervals
        .filter(|one| one.close.is_none_or(|close| close > status.at))
        .min_by_key(|one| one.open);
    let is_open = interval.is_some_and(|one| one.open <= status.at);
    match interval {
        Some(one) if one.is_always_open() => parts.push(format!("always open ({})", names(one))),
        Some(one) if is_open => parts.push(format!("{} open", names(one))),
        Some(one) => parts.push(format!(
            "{} opens {}",
            names(one),
            local(one.open, &zone(one, settings), "%F %H:%M")
        )),
        None => parts.push("no window ahead".into()),
    }
    parts.push(progress(status));
    if let Some((one, last_start)) = interval.filter(|_| is_open).and_then(with_last_start) {
        let is_near = last_start - status.at < DAY;
        let format = if is_near { "%H:%M" } else { "%F %H:%M" };
        parts.push(format!("cutoff {}", local(last_start, &zone(one, settings), format)));
    }
    parts.join(", ")
}

fn progress(status: &Status) -> String {
    let counts = || status.campaigns.iter().flat_map(|campaign| &campaign.counts);
    let all: u32 = counts().map(|(_, count)| count).sum();
    let done: u32 = counts().filter(|(state, _)| state.is_terminal()).map(|(_, count)| count).sum();
    if all == 0 { "nothing planned".into() } else { format!("{done}/{all} done") }
}

fn with_last_start(interval: &IntervalView) -> Option<(&IntervalView, Wall)> {
    Some((interval, interval.last_start?))
}

fn names(interval: &IntervalView) -> String {
    interval.windows.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("+")
}

/// The zone of the first of the windows: the one its operator thinks in.
fn zone(interval: &IntervalView, settings: &Settings) -> TimeZone {
    let window = interval.windows.first().and_then(|name| settings.windows.get(name));
    window.map_or(TimeZone::UTC, |window| window.zone.clone())
}

fn local(at: Wall, zone: &TimeZone, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(instant) => zone.to_datetime(instant).strftime(format).to_string(),
        Err(_) => at.rfc3339(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::view::CampaignStatus;
    use crate::engine::{CampaignState, TargetState};
    use crate::model::calendar::LONG_AGO;

    const OPEN: Wall = Wall(1_769_903_999_000);

    fn status(at: Wall) -> Status {
        let interval = IntervalView {
            open: OPEN,
            open_ended: false,
            close: Some(OPEN + Millis::from_hours(4)),
            last_start: Some(Wall(1_769_914_800_000)),
            windows: vec!["weekend-night".into()],
        };
        let campaign = CampaignStatus {
            name: "weekly".into(),
            state: Some(CampaignState::Running),
            selection_empty: false,
            causes: Vec::new(),
            draining: false,
            digest: "".into(),
            counts: BTreeMap::from([(TargetState::Succeeded, 14), (TargetState::Pending, 106)]),
            in_flight: 0,
            overdue: 0,
            needs_operator: 0,
            strikes: 0,
            wave: 0,
            wave_name: "all".into(),
            waves: 1,
            bake_until: None,
            intervals: BTreeMap::from([("sg".into(), Some(interval))]),
            hold: None,
            waits: Vec::new(),
            deadline: None,
            forecast: None,
            late: None,
        };
        Status { at, campaigns: vec![campaign], ..Status::default() }
    }

    #[test]
    fn an_open_window_shows_progress_and_cutoff() {
        let line = status_line(&status(OPEN), &Settings::default());
        assert_eq!(line, "weekend-night open, 14/120 done, cutoff 03:00");
    }

    #[test]
    fn a_cutoff_of_another_day_is_shown_with_its_date() {
        let mut status = status(OPEN);
        let interval = status.campaigns[0].intervals.values_mut().find_map(Option::as_mut);
        interval.expect("it is open").last_start = Some(OPEN + Millis::from_hours(24));
        let line = status_line(&status, &Settings::default());
        assert_eq!(line, "weekend-night open, 14/120 done, cutoff 2026-02-01 23:59");
    }

    #[test]
    fn a_window_that_never_closes_has_no_cutoff() {
        let mut status = status(OPEN);
        let interval = IntervalView {
            open: LONG_AGO,
            open_ended: true,
            close: None,
            last_start: None,
            windows: vec!["weekend-night".into()],
        };
        status.campaigns[0].intervals.insert("sg".into(), Some(interval));
        let line = status_line(&status, &Settings::default());
        assert_eq!(line, "always open (weekend-night), 14/120 done");
    }

    #[test]
    fn a_closed_window_shows_when_it_opens() {
        let line = status_line(&status(OPEN - Millis(1)), &Settings::default());
        assert_eq!(line, "weekend-night opens 2026-01-31 23:59, 14/120 done");
    }

    #[test]
    fn doubts_come_first() {
        let frozen = Status { doubts: vec!["frozen".into()], ..Status::default() };
        let line = status_line(&frozen, &Settings::default());
        assert_eq!(line, "frozen, no window ahead, nothing planned");
    }
}
