//! Where a command's words go: the result to standard output, talk to standard error.
//!
//! Standard output carries nothing but the result, so that it can be piped; a closed pipe ends the
//! command quietly. Colour is decoration: what it says is said in words too.

use std::io::{self, IsTerminal, Write};

use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, TableStyle, Width,
};
use serde::Serialize;

use super::escape;
use super::failure::Failure;
use super::globals::{Format, Globals};
use super::typed::Typed;

/// Narrower terminals get lines that the terminal wraps.
const NARROWEST: u16 = 40;

#[derive(Debug, Clone)]
pub struct Output {
    format: Format,
    /// Columns to fit tables into; `None` where nobody looks: lines are then never wrapped.
    width: Option<u16>,
    typed: Typed,
}

impl Output {
    pub fn new(globals: &Globals) -> Output {
        Output { format: globals.format, width: width(), typed: Typed::new(globals) }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Columns to fit into; `None` where nobody looks.
    pub fn width(&self) -> Option<usize> {
        self.width.map(usize::from)
    }

    /// Writes a part of the result as it is.
    ///
    /// # Errors
    /// Standard output cannot be written; a silent failure if its reader has gone.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Writes the whole result as one indented JSON document.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        text.push('\n');
        self.data(&text)
    }

    /// Writes one of many JSON documents, on a line of its own.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string(value).map_err(io::Error::from)?;
        text.push('\n');
        self.data(&text)
    }

    /// Says something that is not part of the result.
    pub fn say(&self, text: &str) {
        // Nobody is left to hear that standard error is closed.
        drop(writeln!(anstream::stderr().lock(), "{text}"));
    }

    /// `  key       text`, broken between words to fit the terminal, and indented below the key.
    pub fn entry(&self, key: &str, text: &str) -> String {
        entry(key, text, self.width().unwrap_or(usize::MAX))
    }

    /// The same for a command: with the options that this one was given, and whole, so that it can
    /// be copied.
    pub fn command(&self, key: &str, command: &str) -> String {
        entry(key, &escape::line(&self.completed(command)), usize::MAX)
    }

    /// The text with its commands as they can be typed here.
    pub fn completed(&self, text: &str) -> String {
        self.typed.complete(text)
    }

    /// A sentence on lines of its own, broken between words to fit the terminal.
    pub fn sentence(&self, text: &str) -> String {
        self.wrapped(text, SENTENCE_INDENT)
    }

    /// A line broken between words to fit the terminal; what does not fit is indented.
    pub fn wrapped(&self, text: &str, indent: usize) -> String {
        let mut lines = String::new();
        fill(&mut lines, 0, indent, text, self.width().unwrap_or(usize::MAX));
        lines
    }

    /// An empty table that fits the terminal, without lines; columns stand two spaces apart.
    pub fn table(&self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(TableStyle::new());
        table.force_no_tty().enforce_styling().style_text_only();
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width)
            }
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        let header = header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold));
        table.set_header(header.collect::<Vec<_>>());
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table
    }
}

/// Columns in front of an entry's text.
const ENTRY_INDENT: usize = 12;

/// Columns in front of the second and every later line of a sentence.
const SENTENCE_INDENT: usize = 2;

fn entry(key: &str, text: &str, width: usize) -> String {
    let mut lines = format!("  {key:<9} ");
    let column = lines.chars().count();
    fill(&mut lines, column, ENTRY_INDENT, text, width);
    lines
}

/// Appends `text` to a line that already has `column` columns, broken between words; lines after
/// the first begin with `indent` spaces.
fn fill(lines: &mut String, column: usize, indent: usize, text: &str, width: usize) {
    let mut column = column;
    for (at, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if at > 0 && column.saturating_add(1).saturating_add(length) > width {
            lines.push_str(&format!("\n{:indent$}", ""));
            column = indent;
        } else if at > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines.push('\n');
}

/// Right-aligns the columns that hold numbers.
pub fn align_numbers(table: &mut Table, columns: &[usize]) {
    for index in columns {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A cell that is wider than this may be broken after all.
const WHOLE_WIDTH: u16 = 36;

/// No column gets narrower than this: a table that is wider than its terminal reads better with
/// its lines wrapped than with letters one below the other.
const BROKEN_WIDTH: u16 = 14;

/// Keeps columns whole that would mean nothing in pieces: times, names, states.
pub fn keep_whole(table: &mut Table, columns: &[usize]) {
    let widths = table.column_max_content_widths();
    for (column, width) in table.column_iter_mut().zip(&widths) {
        let padded = (*width).min(BROKEN_WIDTH).saturating_add(2);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(padded)));
    }
    for index in columns {
        if let (Some(column), Some(width)) = (table.column_mut(*index), widths.get(*index)) {
            let padded = (*width).min(WHOLE_WIDTH).saturating_add(2);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(padded)));
        }
    }
}

/// The table as text, without spaces at the ends of lines, ending in a line break.
pub fn render(table: &Table) -> String {
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// A cell of foreign text.
pub fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(escape::line(text.as_ref()))
}

/// `$COLUMNS` where it is set, else the terminal's width.
fn width() -> Option<u16> {
    let wished = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<u16>().ok());
    let terminal = || io::stdout().is_terminal().then(|| Table::new().width()).flatten();
    wished.or_else(terminal).map(|width| width.max(NARROWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_broken_between_words_below_its_key() {
        let text = "outside_window: no window is open";
        assert_eq!(entry("waits", text, usize::MAX), format!("  waits     {text}\n"));
        assert_eq!(
            entry("waits", text, 40),
            "  waits     outside_window: no window is\n            open\n"
        );
        let long = "x".repeat(50);
        assert_eq!(entry("waits", &long, 40), format!("  waits     {long}\n"));
    }

    #[test]
    fn a_table_that_fits_no_terminal_is_wide_rather_than_broken_into_letters() {
        let output =
            Output { format: Format::Human, width: Some(NARROWEST), typed: Typed::default() };
        let mut table = output.table(&["INSTANCE", "PROJECT", "VERDICT"]);
        table.add_row(["a-cache-with-a-name", "a-project-of-some-length", "from now"]);
        keep_whole(&mut table, &[0, 1]);
        assert_eq!(render(&table).lines().count(), 2, "{}", render(&table));
    }

    #[test]
    fn a_sentence_fills_the_width_and_is_never_wider() {
        let output = |width| Output { format: Format::Human, width, typed: Typed::default() };
        let text = "ten targets";
        assert_eq!(output(Some(11)).sentence(text), "ten targets\n");
        assert_eq!(output(Some(10)).sentence(text), "ten\n  targets\n");
        assert_eq!(output(None).sentence(text), "ten targets\n");
    }
}
