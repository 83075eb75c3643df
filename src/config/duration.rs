//! Durations as the file writes them: `"500ms"`, `"90s"`, `"1h30m"`, `"7d"`.

use crate::model::Millis;

use super::kind::{Kind, print_text, wrong_type};
use super::problem::{Problem, quoted};
use super::section::Item;

/// A span of time, `"1h30m"`, within a range.
pub struct Duration {
    pub least: Millis,
    pub most: Millis,
}

/// No wait in here is longer: far from every overflow.
const LONGEST: Millis = Millis::from_hours(24 * 3_650);

/// A duration that is not zero.
pub const SOME_TIME: Duration = Duration { least: Millis(1), most: LONGEST };

/// A duration that may be zero.
pub const ANY_TIME: Duration = Duration { least: Millis::ZERO, most: LONGEST };

/// What a duration looks like.
const DURATION_HELP: &str =
    r#"write a number and its unit in quotes: "500ms", "90s", "45m", "1h30m", "7d""#;

impl Kind for Duration {
    type Value = Millis;

    fn parse(&self, item: &Item<'_>) -> Result<Millis, Vec<Problem>> {
        let Some(text) = item.get_ref().as_str() else {
            return Err(wrong_type(item, "a duration", DURATION_HELP));
        };
        let wrong = |what: &str, help: &str| {
            vec![Problem::new(format!("{} {what}", quoted(text))).help(help)]
        };
        let Some(value) = duration(text) else {
            let positive = text.strip_prefix('-').and_then(duration);
            let what = if positive.is_some() { "is negative" } else { "is not a duration" };
            return Err(wrong(what, DURATION_HELP));
        };
        if value == Millis::ZERO && self.least > value {
            Err(wrong("is no time at all", DURATION_HELP))
        } else if value < self.least {
            let what = format!("is shorter than {}", self.least);
            Err(wrong(&what, &format!("write {} or more", self.print(&self.least))))
        } else if value > self.most {
            let what = format!("is longer than {}", self.most);
            Err(wrong(&what, &format!("write {} or less", self.print(&self.most))))
        } else {
            Ok(value)
        }
    }

    fn print(&self, value: &Millis) -> String {
        print_text(&value.to_string())
    }

    fn example(&self) -> String {
        "\"1h30m\"".into()
    }
}

/// Numbers with units, each unit once and the larger before the smaller. Too large a number is
/// the largest.
fn duration(text: &str) -> Option<Millis> {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut allowed = &units[..];
    let mut rest = text;
    let mut sum = Millis::ZERO;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (unit, tail) = tail.split_at(letters);
        let place = allowed.iter().position(|(name, _)| *name == unit)?;
        if number.is_empty() {
            return None;
        }
        let number: i64 = number.parse().unwrap_or(i64::MAX);
        sum = sum + Millis(number.saturating_mul(allowed[place].1));
        allowed = &allowed[place + 1..];
        rest = tail;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_combine_from_the_largest_down() {
        for (text, millis) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("45m", 2_700_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1d1h1m1s1ms", 90_061_001),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in ["", "5", "m", "1.5h", "-1s", "30m1h", "1m1m", "1 m", "1M", "١s", "1sm"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_beyond_every_number_is_the_longest() {
        let text = "99999999999999999999d99999999999999999999h";
        assert_eq!(duration(text), Some(Millis(i64::MAX)));
    }
}
