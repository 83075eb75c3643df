//! Reads one table of the document, key by key.
//!
//! Asking for a key is what makes it known: what nobody asked for is reported as unknown when the
//! section is closed. So every wrong value, missing key and unknown key of a file is found in one
//! pass, which serde, stopping at the first, could not do. Each answer is also recorded as an
//! effective key.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::effective::{EffectiveKey, Origin, Setting};
use super::kind::{Kind, wrong_type};
use super::notes::Notes;
use super::problem::{Problem, closest, quoted};

/// A value and where it stands.
pub type Item<'a> = Spanned<DeValue<'a>>;

/// Characters of a name: ids of three names stay readable on one line.
const NAME_LIMIT: usize = 64;

/// Tables of one kind: ten times the largest fleet that was heard of, and every pair of a campaign
/// and a project can still be looked at.
const TABLES_MAX: usize = 1_000;

/// Whether a section's keys are recorded as effective keys one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    Keys,
    /// The parent records the whole table as one value.
    Whole,
}

/// One table while it is being read.
pub struct Section<'a> {
    notes: &'a Notes<'a>,
    table: Option<&'a DeTable<'a>>,
    /// The table's name or value, where a missing key is reported.
    span: Range<usize>,
    path: Vec<String>,
    asked: Vec<&'static str>,
    lacks: Vec<Lack>,
    record: Record,
}

/// A problem that one of these keys would mend.
struct Lack {
    keys: Vec<&'static str>,
    key: String,
    problem: Problem,
}

impl<'a> Section<'a> {
    pub fn root(notes: &'a Notes<'a>, table: &'a DeTable<'a>) -> Section<'a> {
        Section {
            notes,
            table: Some(table),
            span: 0..0,
            path: Vec::new(),
            asked: Vec::new(),
            lacks: Vec::new(),
            record: Record::Keys,
        }
    }

    /// The value of a key, which becomes known by this. An empty list counts as absent.
    pub fn item(&mut self, key: &'static str) -> Option<&'a Item<'a>> {
        self.asked.push(key);
        self.value(key).filter(|item| !is_empty_list(item))
    }

    /// The value, if it is there and right; what is wrong with it is reported.
    fn read<K: Kind>(&mut self, key: &'static str, kind: &K) -> Option<K::Value> {
        let item = self.item(key)?;
        match kind.parse(item) {
            Ok(value) => {
                let line = self.notes.line(&item.span());
                self.record(key, kind.print(&value), Origin::File { line });
                Some(value)
            }
            Err(problems) => {
                for problem in problems {
                    self.notes.report(self.key(key), Some(item.span()), problem);
                }
                None
            }
        }
    }

    pub fn required<K: Kind>(&mut self, key: &'static str, kind: &K) -> Option<K::Value> {
        if self.item(key).is_none() {
            let problem = Problem::new(format!("`{key}` is missing"));
            self.lacks(vec![key], problem.help(format!("write {}", kind.hint(key))));
        }
        self.read(key, kind)
    }

    /// `unset` says what the absence means: `none`, `all`.
    pub fn optional<K: Kind>(
        &mut self,
        key: &'static str,
        kind: &K,
        unset: &'static str,
    ) -> Option<K::Value> {
        if self.item(key).is_none() {
            self.record_unset(key, unset);
        }
        self.read(key, kind)
    }

    pub fn or_default<K: Kind>(
        &mut self,
        key: &'static str,
        kind: &K,
        default: K::Value,
    ) -> K::Value {
        self.or_origin(key, kind, default, Origin::Default)
    }

    /// Like `or_default`, for a default that does not come from the program alone.
    pub fn or_origin<K: Kind>(
        &mut self,
        key: &'static str,
        kind: &K,
        default: K::Value,
        origin: Origin,
    ) -> K::Value {
        if self.item(key).is_none() {
            self.record(key, kind.print(&default), origin);
        }
        self.read(key, kind).unwrap_or(default)
    }

    /// Records a key that is absent; `word` says what that means.
    pub fn record_unset(&self, key: &str, word: &str) {
        self.push(key, word.to_owned(), Setting::Unset, Origin::Default);
    }

    /// Records the value of a key that was read in another way.
    pub fn record(&self, key: &str, value: String, origin: Origin) {
        self.push(key, value, Setting::Set, origin);
    }

    /// Records a value that was read from `span`.
    pub fn record_at(&self, key: &str, value: String, span: Range<usize>) {
        self.record(key, value, Origin::File { line: self.notes.line(&span) });
    }

    /// Where the value of a key comes from, if not from elsewhere than the file.
    pub fn origin(&self, key: &str) -> Origin {
        match self.span_of(key) {
            Some(span) => Origin::File { line: self.notes.line(&span) },
            None => Origin::Default,
        }
    }

    fn push(&self, name: &str, value: String, setting: Setting, origin: Origin) {
        if self.record == Record::Keys {
            self.notes.record(EffectiveKey {
                key: self.key(name),
                value,
                setting,
                origin,
                table: self.path.join("."),
                name: name.to_owned(),
            });
        }
    }

    /// A table within this one; missing, it reads as empty.
    pub fn table(&mut self, key: &'static str, record: Record) -> Section<'a> {
        let item = self.item(key);
        let name = self.table.and_then(|table| table.get_key_value(key)).map(|(name, _)| name);
        let span = match (record, item) {
            (Record::Whole, Some(item)) => item.span(),
            _ => name.map_or(self.span.clone(), Spanned::span),
        };
        self.open(key, span, item, record)
    }

    /// The names within the table `key`, right or wrong: what others may refer to.
    pub fn names(&self, key: &str) -> Vec<String> {
        let table = self.table.and_then(|table| table.get(key));
        let table = table.and_then(|item| item.get_ref().as_table());
        let names = table.into_iter().flatten().take(TABLES_MAX);
        names.map(|(name, _)| name.get_ref().clone().into_owned()).collect()
    }

    /// The tables within the table `key`, each with its name.
    pub fn named(&mut self, key: &'static str) -> Vec<(Spanned<String>, Section<'a>)> {
        let Some(tables) = self.table(key, Record::Keys).table else { return Vec::new() };
        if tables.len() > TABLES_MAX {
            let problem = Problem::new(format!("there are more than {TABLES_MAX} {key}"));
            self.problem_at(key, problem.help("divide them among several daemons"));
            return Vec::new();
        }
        let mut named: Vec<_> = tables.iter().collect();
        named.sort_by_key(|(name, _)| name.span().start);
        named
            .into_iter()
            .map(|(name, item)| {
                self.check_name(key, name);
                let path = key_text(name.get_ref());
                let section = Section { path: self.child(key), ..self.silent() };
                let section = section.open(&path, name.span(), Some(item), Record::Keys);
                (Spanned::new(name.span(), name.get_ref().clone().into_owned()), section)
            })
            .collect()
    }

    /// Names become parts of ids, URLs and command lines.
    fn check_name(&self, table: &str, name: &Spanned<Cow<'_, str>>) {
        let text = name.get_ref();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let problem = if text.is_empty() {
            Problem::new("a name must not be empty")
        } else if !text.chars().all(is_plain) {
            Problem::new(format!("{} has a character that no name may have", quoted(text)))
        } else if text.starts_with(['.', '-']) {
            // It would read as an option on a command line, or climb in a path.
            Problem::new(format!("{} begins with a dot or a dash", quoted(text)))
        } else if text.len() > NAME_LIMIT {
            Problem::new(format!("a name has {NAME_LIMIT} characters at most"))
        } else {
            return;
        };
        let problem = problem.help("use letters, digits, `_`, and within the name `.` and `-`");
        self.notes.report(self.key(table), Some(name.span()), problem);
    }

    /// The tables of a list.
    pub fn list(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let Some(list) = item.get_ref().as_array() else {
            self.mismatch(key, item, "a list of tables", "write [{ … }]");
            return Vec::new();
        };
        let open = |item: &'a Item<'a>| self.open(key, item.span(), Some(item), Record::Whole);
        list.iter().map(open).collect()
    }

    fn open(
        &self,
        key: &str,
        span: Range<usize>,
        item: Option<&'a Item<'a>>,
        record: Record,
    ) -> Section<'a> {
        let table = item.and_then(|item| item.get_ref().as_table());
        if let (Some(item), None) = (item, table) {
            self.mismatch(key, item, "a table", "write { … }, or a table of its own");
        }
        Section { table, span, path: self.child(key), record, ..self.silent() }
    }

    fn mismatch(&self, key: &str, item: &Item<'_>, wanted: &str, help: &str) {
        for problem in wrong_type(item, wanted, help) {
            self.notes.report(self.key(key), Some(item.span()), problem);
        }
    }

    /// A section that reads nothing.
    fn silent(&self) -> Section<'a> {
        Section {
            notes: self.notes,
            table: None,
            span: self.span.clone(),
            path: Vec::new(),
            asked: Vec::new(),
            lacks: Vec::new(),
            record: self.record,
        }
    }

    /// Whether there is a table to read; if not, that is reported or all right already.
    pub fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the key is there, right or wrong; an empty list is not.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some_and(|item| !is_empty_list(item))
    }

    /// The value of a key, as it stands.
    pub fn value(&self, key: &str) -> Option<&'a Item<'a>> {
        self.table?.get(key)
    }

    /// Where the value of a key stands.
    pub fn span_of(&self, key: &str) -> Option<Range<usize>> {
        Some(self.table?.get(key)?.span())
    }

    /// All keys of a table whose keys are free.
    pub fn free_keys(&self) -> Vec<(&'a Spanned<Cow<'a, str>>, &'a Item<'a>)> {
        self.table.map(|table| table.iter().collect()).unwrap_or_default()
    }

    /// One of these keys is missing, which is reported by `close`: not where one of them is
    /// misspelt, since the misspelling is the mistake.
    pub fn lacks(&mut self, keys: Vec<&'static str>, problem: Problem) {
        self.lacks.push(Lack { keys, key: self.path.join("."), problem });
    }

    /// Like `lacks`, for a table that is missing.
    pub fn lacks_table(&mut self, key: &'static str, problem: Problem) {
        self.lacks.push(Lack { keys: vec![key], key: self.key(key), problem });
    }

    /// A problem of the section as a whole.
    pub fn problem(&self, problem: Problem) {
        self.notes.report(self.path.join("."), Some(self.span.clone()), problem);
    }

    /// A problem of one key: at its value if there is one, else at the section.
    pub fn problem_at(&self, key: &str, problem: Problem) {
        let span = self.span_of(key).unwrap_or(self.span.clone());
        self.notes.report(self.key(key), Some(span), problem);
    }

    /// A problem of one key of a table two levels down.
    pub fn problem_in(&self, [table, name, key]: [&str; 3], problem: Problem) {
        let table_of = |within: &'a DeTable<'a>, part: &str| within.get(part)?.get_ref().as_table();
        let tables = self.table.and_then(|root| table_of(root, table));
        let section = tables.and_then(|tables| table_of(tables, name));
        let span = section.and_then(|section| section.get(key)).map(Spanned::span);
        let path = format!("{table}.{}.{key}", key_text(name));
        self.notes.report(path, span, problem);
    }

    /// Reports every key that nobody asked for, and every lack that none of them explains.
    pub fn close(mut self) {
        let mut lacks = std::mem::take(&mut self.lacks);
        for (name, _) in self.free_keys() {
            let text = name.get_ref().as_ref();
            if self.asked.contains(&text) {
                continue;
            }
            let meant = closest(text, self.asked.iter().copied());
            lacks.retain(|lack| meant.is_none_or(|meant| !lack.keys.contains(&meant)));
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", self.known()),
            };
            let problem = Problem::new("unknown key").help(help).without_value();
            self.notes.report(self.key(&key_text(text)), Some(name.span()), problem);
        }
        for Lack { key, problem, .. } in lacks {
            self.notes.report(key, Some(self.span.clone()), problem);
        }
    }

    fn known(&self) -> String {
        let mut known = self.asked.clone();
        known.sort_unstable();
        known.dedup();
        known.join(", ")
    }

    fn key(&self, name: &str) -> String {
        self.child(name).join(".")
    }

    fn child(&self, name: &str) -> Vec<String> {
        self.path.iter().cloned().chain([name.to_owned()]).collect()
    }
}

pub fn is_empty_list(item: &Item<'_>) -> bool {
    item.get_ref().as_array().is_some_and(|list| list.is_empty())
}

/// A part of a dotted key, quoted where TOML wants it.
pub fn key_text(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// "a string", "an integer".
pub fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
