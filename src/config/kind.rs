//! What a value may be: parsed from TOML, printed back as TOML.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::de::{DeArray, DeValue};

use super::problem::{Problem, closest, quoted};
use super::section::{Item, with_article};

/// One kind of value. `print` writes what `parse` reads as the same value.
pub trait Kind {
    type Value;

    /// # Errors
    /// All that is wrong with the value. A problem without a span is about the whole of it.
    fn parse(&self, item: &Item<'_>) -> Result<Self::Value, Vec<Problem>>;

    fn print(&self, value: &Self::Value) -> String;

    /// A value that might be meant, as TOML.
    fn example(&self) -> String;

    /// What to write for a missing key.
    fn hint(&self, key: &str) -> String {
        format!("`{key} = {}`", self.example())
    }
}

/// A value of the wrong type; `help` says what to write instead.
pub fn wrong_type(item: &Item<'_>, wanted: &str, help: &str) -> Vec<Problem> {
    let found = with_article(item.get_ref().type_str());
    vec![Problem::new(format!("expected {wanted}, found {found}")).help(help)]
}

/// A string without control characters that is not empty.
pub fn text<'a>(item: &'a Item<'_>, wanted: &str) -> Result<&'a str, Vec<Problem>> {
    let text = item
        .get_ref()
        .as_str()
        .ok_or_else(|| wrong_type(item, "a string", &format!("write {wanted}, in quotes")))?;
    if text.is_empty() {
        let problem = Problem::new("an empty string says nothing");
        return Err(vec![problem.help(format!("write {wanted}"))]);
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

    fn example(&self) -> String {
        "\"…\"".into()
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key} = \"…\"`, {}", self.0)
    }
}

/// A path; a relative one counts from `0`, the configuration's own directory.
pub struct Place<'a>(pub &'a Path);

impl Kind for Place<'_> {
    type Value = PathBuf;

    fn parse(&self, item: &Item<'_>) -> Result<PathBuf, Vec<Problem>> {
        text(item, "a path").map(|path| self.0.join(path))
    }

    fn print(&self, value: &PathBuf) -> String {
        print_text(&value.display().to_string())
    }

    fn example(&self) -> String {
        "\"/PATH\"".into()
    }
}

pub struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn parse(&self, item: &Item<'_>) -> Result<bool, Vec<Problem>> {
        let help = "write true or false, without quotes";
        item.get_ref().as_bool().ok_or_else(|| wrong_type(item, "true or false", help))
    }

    fn print(&self, value: &bool) -> String {
        value.to_string()
    }

    fn example(&self) -> String {
        "true".into()
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
        let help = match most {
            u32::MAX => format!("write a whole number, {least} or more"),
            _ => format!("write a whole number from {least} to {most}"),
        };
        let wrong = |message: String| vec![Problem::new(message).help(&help)];
        let number = match item.get_ref() {
            DeValue::Integer(number) => number,
            DeValue::Float(number) => {
                return Err(wrong(format!("{} is not a whole number", number.as_str())));
            }
            _ => {
                return Err(wrong_type(item, "a whole number", &format!("{help}, without quotes")));
            }
        };
        let value = i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX);
        match u32::try_from(value) {
            Ok(value) if self.0.contains(&value) => Ok(value),
            _ if value < 0 => Err(wrong(format!("{value} is negative"))),
            _ if value < i128::from(least) => Err(wrong(format!("{value} is less than {least}"))),
            _ => {
                let problem =
                    Problem::new(format!("{} is more than {most}", clipped(number.as_str())));
                let help = format!("write a whole number from {least} to {most}");
                Err(vec![problem.help(help)])
            }
        }
    }

    fn print(&self, value: &u32) -> String {
        value.to_string()
    }

    fn example(&self) -> String {
        self.0.start().to_string()
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
        let word = text(item, &self.words())?;
        if let Some((_, value)) = self.0.iter().find(|(known, _)| *known == word) {
            return Ok(*value);
        }
        let meant = closest(word, self.0.iter().map(|(known, _)| *known));
        let help = match meant {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("write {}", self.words()),
        };
        Err(vec![Problem::new(format!("{} is not a choice here", quoted(word))).help(help)])
    }

    fn print(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, known)| known == value);
        print_text(word.expect("every value of a choice has its word").0)
    }

    fn example(&self) -> String {
        self.words()
    }

    fn hint(&self, key: &str) -> String {
        format!("`{key}`: {}", self.words())
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
            None => format!("defined are: {}", self.listed()),
        };
        Err(vec![Problem::new(format!("no {} is named {}", self.what, quoted(name))).help(help)])
    }

    fn print(&self, value: &String) -> String {
        print_text(value)
    }

    fn example(&self) -> String {
        print_text(self.known.first().map_or("NAME", String::as_str))
    }
}

/// Names that a message lists.
const LISTED_MAX: usize = 10;

impl Name<'_> {
    fn listed(&self) -> String {
        let names: Vec<&str> = self.known.iter().take(LISTED_MAX).map(String::as_str).collect();
        let more = if self.known.len() > LISTED_MAX { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

/// A list; not empty, since an empty one counts as absent.
pub struct List<K>(pub K);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn parse(&self, item: &Item<'_>) -> Result<Vec<K::Value>, Vec<Problem>> {
        let Some(list) = item.get_ref().as_array() else {
            let help = format!("put it in brackets: [{}]", self.0.example());
            return Err(wrong_type(item, "a list", &help));
        };
        parse_each(&self.0, list)
    }

    fn print(&self, values: &Vec<K::Value>) -> String {
        print_each(&self.0, values)
    }

    fn example(&self) -> String {
        format!("[{}]", self.0.example())
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

    fn example(&self) -> String {
        self.0.example()
    }
}

/// Problems of one list that are reported.
const PROBLEMS_MAX: usize = 20;

fn parse_each<K: Kind>(kind: &K, list: &DeArray<'_>) -> Result<Vec<K::Value>, Vec<Problem>> {
    let mut values = Vec::new();
    let mut problems = Vec::new();
    let mut printed = BTreeSet::new();
    for element in list.iter() {
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
        match kind.parse(element) {
            Ok(value) if !printed.insert(kind.print(&value)) => {
                let problem = Problem::new("this stands in the list twice").help("remove one");
                problems.push(problem.at(element.span()));
            }
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
