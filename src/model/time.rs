//! Instants and durations, all in milliseconds.
//!
//! Two clocks never mix: [`Steady`] grows with the machine's boot clock and drives every wait;
//! [`Wall`] is UTC, is what gets stored, and decides windows. Only the engine's wall offset
//! converts one into the other.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A duration in milliseconds; negative only as a difference of instants.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    pub const ZERO: Millis = Millis(0);

    pub const fn from_secs(seconds: i64) -> Millis {
        Millis(seconds * 1_000)
    }

    pub const fn from_mins(minutes: i64) -> Millis {
        Millis(minutes * 60_000)
    }

    pub const fn from_hours(hours: i64) -> Millis {
        Millis(hours * 3_600_000)
    }

    /// For timers of the standard library; a negative duration is zero there.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.max(0).unsigned_abs())
    }
}

impl Add for Millis {
    type Output = Millis;
    fn add(self, other: Millis) -> Millis {
        Millis(self.0.saturating_add(other.0))
    }
}

impl Sub for Millis {
    type Output = Millis;
    fn sub(self, other: Millis) -> Millis {
        Millis(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Millis {
    /// The shortest form that `refit.toml` accepts back: `1h30m`, `90s` as `1m30s`, `500ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (unit, size) in
            [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
        {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

/// An instant of the steady clock: milliseconds, set to the wall clock when the process started
/// and growing with CLOCK_BOOTTIME since.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Steady(pub i64);

/// An instant of the wall clock: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Wall(pub i64);

macro_rules! instant {
    ($name:ident) => {
        impl Add<Millis> for $name {
            type Output = $name;
            fn add(self, by: Millis) -> $name {
                $name(self.0.saturating_add(by.0))
            }
        }

        impl AddAssign<Millis> for $name {
            fn add_assign(&mut self, by: Millis) {
                *self = *self + by;
            }
        }

        impl Sub<Millis> for $name {
            type Output = $name;
            fn sub(self, by: Millis) -> $name {
                $name(self.0.saturating_sub(by.0))
            }
        }

        impl Sub for $name {
            type Output = Millis;
            fn sub(self, earlier: $name) -> Millis {
                Millis(self.0.saturating_sub(earlier.0))
            }
        }
    };
}

instant!(Steady);
instant!(Wall);

impl Wall {
    /// The instant as RFC 3339 in UTC with milliseconds, the form of every log and JSON field.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => format!("{instant:.3}"),
            Err(_) => format!("@{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_the_file_writes_them() {
        for (millis, text) in [
            (0, "0s"),
            (500, "500ms"),
            (90_000, "1m30s"),
            (5_400_000, "1h30m"),
            (604_800_000, "7d"),
        ] {
            assert_eq!(Millis(millis).to_string(), text);
        }
    }

    #[test]
    fn instants_print_in_utc_with_milliseconds() {
        assert_eq!(Wall(1_769_903_999_000).rfc3339(), "2026-01-31T23:59:59.000Z");
    }
}
