//! Small values as world files, fault files and knobs write them: `5s`, `300ms..3s`, `0.05`,
//! `60/1m`.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::model::Millis;

/// A duration: `off` (none), `500ms`, `1h30m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Millis);

/// A share of calls or instances: `off`, or a number from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Share(pub f64);

/// A range of durations, both ends included: `300ms..3s`, or one duration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanRange {
    pub least: Millis,
    pub most: Millis,
}

/// Calls per time: `60/1m`. The gateway counts in seconds, minutes, hours and days only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub calls: u32,
    pub per: Millis,
}

impl SpanRange {
    /// One duration.
    pub fn always(takes: Millis) -> SpanRange {
        SpanRange { least: takes, most: takes }
    }

    /// The duration at `draw` of the way through the range.
    pub fn at(self, draw: f64) -> Millis {
        Millis(self.least.0 + ((self.most.0 - self.least.0) as f64 * draw).round() as i64)
    }

    pub fn is_zero(self) -> bool {
        self.most <= Millis::ZERO
    }

    pub fn scaled(self, factor: f64) -> SpanRange {
        let scale = |length: Millis| Millis((length.0 as f64 * factor).round() as i64);
        SpanRange { least: scale(self.least), most: scale(self.most) }
    }
}

impl Limit {
    /// The limit in the gateway's words (API facts, section 6.1).
    pub fn sentence(self, policy: &str) -> String {
        let (unit, size) = [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)]
            .into_iter()
            .find(|(_, size)| self.per.0 >= *size && self.per.0 % size == 0)
            .unwrap_or(("second", 1_000));
        let time = (self.per.0 / size).max(1);
        format!(
            "The throttling threshold has been reached: policy {policy} over ratelimit,\
             limit:{},time:{time} {unit}",
            self.calls
        )
    }
}

/// The text is not a value of the wanted form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct BadValue {
    pub text: String,
    pub wanted: String,
}

impl BadValue {
    pub fn new(text: &str, wanted: impl Into<String>) -> BadValue {
        BadValue { text: text.into(), wanted: wanted.into() }
    }
}

impl FromStr for Span {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Span, BadValue> {
        if text == "off" || text == "0" {
            return Ok(Span::default());
        }
        let bad = || BadValue::new(text, "`off` or a duration such as 500ms, 5s, 1h30m, 2d");
        let span: jiff::Span = text.parse().map_err(|_| bad())?;
        let length =
            span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
        let millis = i64::try_from(length.as_millis()).map_err(|_| bad())?;
        if millis < 0 {
            return Err(bad());
        }
        Ok(Span(Millis(millis)))
    }
}

impl FromStr for Share {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Share, BadValue> {
        if text == "off" {
            return Ok(Share(0.0));
        }
        let share: Option<f64> = text.parse().ok();
        share
            .filter(|share| (0.0..=1.0).contains(share))
            .map(Share)
            .ok_or_else(|| BadValue::new(text, "`off` or a number from 0 to 1"))
    }
}

impl FromStr for SpanRange {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<SpanRange, BadValue> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let range = SpanRange { least: least.parse::<Span>()?.0, most: most.parse::<Span>()?.0 };
        if range.least > range.most {
            return Err(BadValue::new(text, "a range that begins with its shorter end"));
        }
        Ok(range)
    }
}

impl FromStr for Limit {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Limit, BadValue> {
        let bad = || BadValue::new(text, "calls per time, such as 60/1m");
        let (calls, per) = text.split_once('/').ok_or_else(bad)?;
        let limit = Limit {
            calls: calls.parse().map_err(|_| bad())?,
            per: per.parse::<Span>().map_err(|_| bad())?.0,
        };
        if limit.per < Millis::from_secs(1) {
            return Err(bad());
        }
        Ok(limit)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Millis::ZERO { f.write_str("off") } else { self.0.fmt(f) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0.0 { f.write_str("off") } else { self.0.fmt(f) }
    }
}

impl fmt::Display for SpanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.least, self.most)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, self.per)
    }
}

macro_rules! deserialize_from_text {
    ($($name:ident),+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

deserialize_from_text!(Span, SpanRange, Limit);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        let share = f64::deserialize(deserializer)?;
        if !(0.0..=1.0).contains(&share) {
            return Err(D::Error::custom(format!("{share} is not a number from 0 to 1")));
        }
        Ok(Share(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_files_write_them() {
        assert_eq!("1h30m".parse(), Ok(Span(Millis::from_mins(90))));
        assert_eq!("off".parse(), Ok(Span(Millis::ZERO)));
        assert_eq!("1d".parse(), Ok(Span(Millis::from_hours(24))));
        assert_eq!(
            "300ms..3s".parse(),
            Ok(SpanRange { least: Millis(300), most: Millis::from_secs(3) })
        );
        assert_eq!("60/1m".parse(), Ok(Limit { calls: 60, per: Millis::from_mins(1) }));
        assert_eq!("0.25".parse(), Ok(Share(0.25)));
    }

    #[test]
    fn a_value_out_of_form_is_refused() {
        assert!("-5s".parse::<Span>().is_err());
        assert!("3s..1s".parse::<SpanRange>().is_err());
        assert!("60 per minute".parse::<Limit>().is_err());
        assert!("60/10ms".parse::<Limit>().is_err());
        assert!("1.5".parse::<Share>().is_err());
        assert!("NaN".parse::<Share>().is_err());
    }

    #[test]
    fn a_limit_is_stated_in_the_gateways_units() {
        let limit = Limit { calls: 200, per: Millis::from_mins(5) };
        assert!(
            limit.sentence("user").ends_with("policy user over ratelimit,limit:200,time:5 minute")
        );
        let limit = Limit { calls: 5, per: Millis::from_secs(90) };
        assert!(limit.sentence("ip").ends_with("limit:5,time:90 second"));
    }
}
