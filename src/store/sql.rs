//! Between rows and SQL: multi-row statements, values in, cells out.
//!
//! Everything is `text` or `bigint`, the types that the `Any` driver carries on both databases.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{AnyConnection, Arguments, AssertSqlSafe, Column, Row};

use super::error::BadColumn;

/// Rows per statement, largest first: few distinct texts, so that each is prepared once. The
/// limits of 32,766 values (SQLite) and 65,535 (PostgreSQL) are far.
pub(super) const CHUNKS: [usize; 3] = [16, 4, 1];

/// How a multi-row statement names its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholders {
    /// `$1`, `$2`: understood by both databases. SQLite's driver looks up the name of each among
    /// all of the statement, so that large statements take the square of their size.
    Numbered,
    /// `?`: SQLite only.
    Nameless,
}

impl Placeholders {
    /// What the database of this name takes best.
    pub fn of(backend: &str) -> Placeholders {
        if backend == "SQLite" { Placeholders::Nameless } else { Placeholders::Numbered }
    }
}

/// `insert into … values ROWS on conflict …`, for any number of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insert {
    /// Up to and including `values`.
    pub head: &'static str,
    /// Columns of one row.
    pub width: usize,
    /// From `on conflict` on; may be empty.
    pub tail: &'static str,
}

impl Insert {
    pub fn text(&self, rows: usize, placeholders: Placeholders) -> String {
        let mut text = String::from(self.head);
        for row in 0..rows {
            text.push_str(if row == 0 { " (" } else { ", (" });
            for column in 0..self.width {
                if column > 0 {
                    text.push_str(", ");
                }
                match placeholders {
                    Placeholders::Nameless => text.push('?'),
                    Placeholders::Numbered => {
                        text.push('$');
                        text.push_str(&(row * self.width + column + 1).to_string());
                    }
                }
            }
            text.push(')');
        }
        if !self.tail.is_empty() {
            text.push(' ');
            text.push_str(self.tail);
        }
        text
    }

    /// Writes every row, in order.
    pub async fn run<T>(
        &self,
        connection: &mut AnyConnection,
        mut rows: &[T],
        write: impl Fn(&T, &mut Binds),
    ) -> Result<(), sqlx::Error> {
        let placeholders = Placeholders::of(connection.backend_name());
        for size in CHUNKS {
            while rows.len() >= size {
                let (chunk, rest) = rows.split_at(size);
                let mut binds = Binds::default();
                for row in chunk {
                    write(row, &mut binds);
                }
                debug_assert_eq!(binds.0.len(), size * self.width, "{}", self.head);
                let text = AssertSqlSafe(self.text(size, placeholders));
                sqlx::query_with(text, binds.0).execute(&mut *connection).await?;
                rows = rest;
            }
        }
        Ok(())
    }
}

/// The values of one statement, in the order of its placeholders.
#[derive(Default)]
pub(super) struct Binds(pub AnyArguments);

impl Binds {
    pub fn text(&mut self, value: &str) -> &mut Binds {
        self.maybe_text(Some(value))
    }

    pub fn maybe_text(&mut self, value: Option<&str>) -> &mut Binds {
        self.0.add(value.map(str::to_owned)).expect("text is a type of the driver");
        self
    }

    pub fn int(&mut self, value: i64) -> &mut Binds {
        self.maybe_int(Some(value))
    }

    pub fn maybe_int(&mut self, value: Option<i64>) -> &mut Binds {
        self.0.add(value).expect("bigint is a type of the driver");
        self
    }

    pub fn flag(&mut self, value: bool) -> &mut Binds {
        self.int(i64::from(value))
    }

    pub fn json(&mut self, value: &impl Serialize) -> &mut Binds {
        self.text(&serde_json::to_string(value).expect("rows always serialise"))
    }

    pub fn word(&mut self, value: &impl Serialize) -> &mut Binds {
        self.text(&word(value))
    }

    pub fn maybe_word(&mut self, value: Option<&impl Serialize>) -> &mut Binds {
        self.maybe_text(value.map(word).as_deref())
    }
}

/// An enumeration as it is searched by: the bare word where a variant has no content, else JSON.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value).expect("enumerations always serialise") {
        serde_json::Value::String(word) => word,
        other => other.to_string(),
    }
}

/// The cells of one row, read in the order of the statement's columns.
pub(super) struct Cells<'r> {
    row: &'r AnyRow,
    next: usize,
    table: &'static str,
}

impl<'r> Cells<'r> {
    pub fn of(table: &'static str, row: &'r AnyRow) -> Cells<'r> {
        Cells { row, next: 0, table }
    }

    fn take<T>(&mut self) -> Result<T, sqlx::Error>
    where
        T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
    {
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    pub fn text(&mut self) -> Result<&'r str, sqlx::Error> {
        self.take()
    }

    pub fn maybe_text(&mut self) -> Result<Option<&'r str>, sqlx::Error> {
        self.take()
    }

    pub fn int(&mut self) -> Result<i64, sqlx::Error> {
        self.take()
    }

    pub fn maybe_int(&mut self) -> Result<Option<i64>, sqlx::Error> {
        self.take()
    }

    pub fn count(&mut self) -> Result<u32, sqlx::Error> {
        let value = self.int()?;
        u32::try_from(value).map_err(|_| self.bad(&value))
    }

    pub fn flag(&mut self) -> Result<bool, sqlx::Error> {
        match self.int()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.bad(&other)),
        }
    }

    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, sqlx::Error> {
        let text = self.text()?;
        serde_json::from_str(text).map_err(|_| self.bad(&text))
    }

    pub fn word<T: DeserializeOwned>(&mut self) -> Result<T, sqlx::Error> {
        let text = self.text()?;
        parse_word(text).map_err(|_| self.bad(&text))
    }

    pub fn maybe_word<T: DeserializeOwned>(&mut self) -> Result<Option<T>, sqlx::Error> {
        let text = self.maybe_text()?;
        text.map(|text| parse_word(text).map_err(|_| self.bad(&text))).transpose()
    }

    pub fn parsed<T: FromStr>(&mut self) -> Result<Option<T>, sqlx::Error> {
        let text = self.maybe_text()?;
        text.map(|text| text.parse().map_err(|_| self.bad(&text))).transpose()
    }

    /// What stands in the column that was read last, and should not.
    pub fn bad(&self, found: &impl ToString) -> sqlx::Error {
        let column = self.row.columns()[self.next - 1].name().to_owned();
        BadColumn { table: self.table, column, found: found.to_string() }.into()
    }
}

fn parse_word<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    if text.starts_with('{') {
        serde_json::from_str(text)
    } else {
        serde_json::from_value(serde_json::Value::String(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: Insert = Insert {
        head: "insert into pairs (a, b) values",
        width: 2,
        tail: "on conflict (a) do nothing",
    };

    #[test]
    fn placeholders_count_through_all_rows() {
        assert_eq!(
            PAIRS.text(2, Placeholders::Numbered),
            "insert into pairs (a, b) values ($1, $2), ($3, $4) on conflict (a) do nothing"
        );
        assert_eq!(
            PAIRS.text(2, Placeholders::Nameless),
            "insert into pairs (a, b) values (?, ?), (?, ?) on conflict (a) do nothing"
        );
    }

    #[test]
    fn a_word_is_bare_and_anything_more_is_json() {
        use crate::engine::Reason;
        for (reason, text) in [
            (Reason::Verified, "verified"),
            (Reason::Rejected("DCS.4800".into()), r#"{"rejected":"DCS.4800"}"#),
            (Reason::TaskFailed(None), r#"{"task_failed":null}"#),
        ] {
            assert_eq!(word(&reason), text);
            assert_eq!(parse_word::<Reason>(text).unwrap(), reason);
        }
    }
}
