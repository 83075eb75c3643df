//! What a value may be: parsed from TOML, printed back as TOML.

use std::ops::RangeInclusive;

use toml::de::{DeArray, DeValue};

use crate::model::Millis;

use super::problem::{Problem, closest, quoted};
use super::section::{Item, with_article};

/// One kind of value. `print` writes what `parse` reads as the same value.
pub trait Kind {
    type Value;

    /// # Errors
    /// All that is wrong with the value. A problem without a span is about the whole of it.
    fn parse(&self, item: &Item<'_>) -> Result<Self::Value, Vec<Problem>>;

    fn print(&self, value: &Self::Value) -> String;

    /// What to write for a missing key.
    fn hint(&self, key: &str) -> String;
}

/// A value of the wrong type.
pub fn wrong_type(item: &Item<'_>, wanted: &str) -> Vec<Problem> {
    let found = with_article(item.get_ref().type_str());
    vec![Problem::new(format!("expected {wanted}, found {found}"))]
}

/// A string without control characters that is not empty.
pub fn text<'a>(item: &'a Item<'_>, wanted: &str) -> Result<&'a str, Vec<Problem>> {
    let text = item.get_ref().as_str().ok_or_else(|| wrong_type(item, wanted))?;
    if text.is_empty() {
        let problem = Problem::new("an empty string says nothing");
        return Err(vec![problem.help(format!("write {wanted}, or leave the key out"))]);
    }
    if text.chars().any(char::is_control) {
        let problem = Problem::new("the string holds a control character");
        return Err(vec![problem.help("remove it")]);
    }
    Ok(text)
}

/// The string as TOML writes it.
pub fn print_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Any string; `0` says what it is, "a region".
pub struct Text(pub &'static str);

impl Kind for Text {
    type Value = String;

    fn parse(&self, item: &Item<'_>) -> Result<String, Vec<Problem>> {
        text(item, self.0).map(str::to_owned)
    }

    fn print(&self, value: &String) -> String {
        print_text(value)
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = \"…\"`, {}", self.0)
    }
}

pub struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn parse(&self, item: &Item<'_>) -> Result<bool, Vec<Problem>> {
        item.get_ref().as_bool().ok_or_else(|| {
            let help = "write true or false, without quotes";
            wrong_type(item, "true or false").into_iter().map(|p| p.help(help)).collect()
        })
    }

    fn print(&self, value: &bool) -> String {
        value.to_string()
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = true` or `{key} = false`")
    }
}

/// A whole number within a range.
pub struct Whole(pub RangeInclusive<u32>);

/// Any count that is not zero.
pub const COUNT: Whole = Whole(1..=u32::MAX);

impl Kind for Whole {
    type Value = u32;

    fn parse(&self, item: &Item<'_>) -> Result<u32, Vec<Problem>> {
        let (least, most) = (*self.0.start(), *self.0.end());
        let help = format!("write a whole number from {least} to {most}, without quotes");
        let wrong = |message: String| vec![Problem::new(message).help(help.clone())];
        let number = match item.get_ref() {
            DeValue::Integer(number) => number,
            DeValue::Float(number) => {
                return Err(wrong(format!("{} is not a whole number", number.as_str())));
            }
            other => {
                let found = with_article(other.type_str());
                return Err(wrong(format!("expected a whole number, found {found}")));
            }
        };
        let value = i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX);
        match u32::try_from(value) {
            Ok(value) if self.0.contains(&value) => Ok(value),
            _ if value < 0 => Err(wrong(format!("{value} is negative"))),
            _ if value < i128::from(least) => Err(wrong(format!("{value} is less than {least}"))),
            _ => Err(wrong(format!("{} is more than {most}", clipped(number.as_str())))),
        }
    }

    fn print(&self, value: &u32) -> String {
        value.to_string()
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = {}`, or another whole number", self.0.start())
    }
}

/// Digits of a number that a message repeats.
fn clipped(digits: &str) -> String {
    match digits.char_indices().nth(20) {
        Some((end, _)) => format!("{}…", &digits[..end]),
        None => digits.to_owned(),
    }
}

/// One of a few words.
pub struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Choice<T> {
    fn words(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("{word:?}")).collect();
        words.join(" or ")
    }
}

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn parse(&self, item: &Item<'_>) -> Result<T, Vec<Problem>> {
        let help = format!("write {}", self.words());
        let word = text(item, &self.words())
            .map_err(|problems| problems.into_iter().map(|p| p.help(&help)).collect::<Vec<_>>())?;
        if let Some((_, value)) = self.0.iter().find(|(known, _)| *known == word) {
            return Ok(*value);
        }
        let meant = closest(word, self.0.iter().map(|(known, _)| *known));
        let help = meant.map_or(help, |meant| format!("did you mean {meant:?}?"));
        Err(vec![Problem::new(format!("{} is not a choice here", quoted(word))).help(help)])
    }

    fn print(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, known)| known == value);
        print_text(word.expect("every value of a choice has its word").0)
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = …`, {}", self.words())
    }
}

/// The name of another table.
pub struct Name<'a> {
    /// "project"
    pub what: &'static str,
    pub known: &'a [String],
}

impl Kind for Name<'_> {
    type Value = String;

    fn parse(&self, item: &Item<'_>) -> Result<String, Vec<Problem>> {
        let name = text(item, &format!("the name of a {}", self.what))?;
        if self.known.iter().any(|known| known == name) {
            return Ok(name.to_owned());
        }
        let help = match closest(name, self.known.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if self.known.is_empty() => format!("define `[{}s.{name}]`", self.what),
            None => format!("defined are: {}", self.known.join(", ")),
        };
        Err(vec![Problem::new(format!("no {} is named {}", self.what, quoted(name))).help(help)])
    }

    fn print(&self, value: &String) -> String {
        print_text(value)
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = …`, the name of a {}", self.what)
    }
}

/// A list; not empty, since an empty one counts as absent.
pub struct List<K>(pub K);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn parse(&self, item: &Item<'_>) -> Result<Vec<K::Value>, Vec<Problem>> {
        let Some(list) = item.get_ref().as_array() else {
            let problems = wrong_type(item, "a list").into_iter();
            return Err(problems.map(|p| p.help("put it in brackets: [ … ]")).collect());
        };
        parse_each(&self.0, list)
    }

    fn print(&self, values: &Vec<K::Value>) -> String {
        print_each(&self.0, values)
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = [ … ]`")
    }
}

/// One value, or a list of them.
pub struct OneOrMany<K>(pub K);

impl<K: Kind> Kind for OneOrMany<K> {
    type Value = Vec<K::Value>;

    fn parse(&self, item: &Item<'_>) -> Result<Vec<K::Value>, Vec<Problem>> {
        let Some(list) = item.get_ref().as_array() else {
            return self.0.parse(item).map(|value| vec![value]);
        };
        parse_each(&self.0, list)
    }

    fn print(&self, values: &Vec<K::Value>) -> String {
        print_each(&self.0, values)
    }

    fn hint(&self, key: &str) -> String {
        self.0.hint(key)
    }
}

fn parse_each<K: Kind>(kind: &K, list: &DeArray<'_>) -> Result<Vec<K::Value>, Vec<Problem>> {
    let mut values = Vec::new();
    let mut problems = Vec::new();
    for element in list.iter() {
        match kind.parse(element) {
            Ok(value) => values.push(value),
            Err(wrong) => problems.extend(wrong.into_iter().map(|problem| {
                let span = problem.span.clone().unwrap_or(element.span());
                problem.at(span)
            })),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn print_each<K: Kind>(kind: &K, values: &[K::Value]) -> String {
    let values: Vec<String> = values.iter().map(|value| kind.print(value)).collect();
    format!("[{}]", values.join(", "))
}

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
        let wrong = |message: String| vec![Problem::new(message).help(DURATION_HELP)];
        let Some(text) = item.get_ref().as_str() else {
            let found = with_article(item.get_ref().type_str());
            return Err(wrong(format!("expected a duration, found {found}")));
        };
        if let Some(positive) = text.strip_prefix('-')
            && duration(positive).is_some()
        {
            return Err(wrong(format!("{} is negative", quoted(text))));
        }
        let value =
            duration(text).ok_or_else(|| wrong(format!("{} is not a duration", quoted(text))))?;
        let bound = |message: String| {
            let help = format!("write {:?} to {:?}", self.least.to_string(), self.most.to_string());
            vec![Problem::new(message).help(help)]
        };
        if value < self.least {
            Err(bound(format!("{} is shorter than {}", quoted(text), self.least)))
        } else if value > self.most {
            Err(bound(format!("{} is longer than {}", quoted(text), self.most)))
        } else {
            Ok(value)
        }
    }

    fn print(&self, value: &Millis) -> String {
        print_text(&value.to_string())
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = \"…\"`, such as \"90s\", \"45m\" or \"1h30m\"")
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
