//! Findings as people read them, with the line and a caret, and as machines read them.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::finding::{Finding, Findings, Severity};

/// Whether the reader's terminal shows colour; colour carries no meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Plain,
    Styled,
}

/// Wide enough that no message is folded; the excerpt is already clipped.
const WIDTH: usize = 200;

impl Findings {
    /// Every finding, separated by blank lines, ending in a line break; empty if there is none.
    pub fn render(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Plain => Renderer::plain(),
            Colour::Styled => Renderer::styled(),
        };
        let renderer = renderer.term_width(WIDTH);
        let file = self.file.display().to_string();
        let mut text = String::new();
        for finding in &self.list {
            if !text.is_empty() {
                text.push('\n');
            }
            let rendered = renderer.render(&[group(finding, &file)]);
            text.push_str(&with_true_column(rendered, finding, &file));
            text.push('\n');
        }
        text
    }

    /// One object per finding: `severity`, `subject`, `key`, `message`, `help`, `file`, `line`,
    /// `column`; what is not known is null.
    pub fn to_json(&self) -> Value {
        let file = self.file.display().to_string();
        self.list
            .iter()
            .map(|finding| {
                json!({
                    "severity": finding.severity,
                    "subject": finding.subject,
                    "key": (!finding.key.is_empty()).then_some(&finding.key),
                    "message": finding.message,
                    "help": finding.help,
                    "file": file,
                    "line": finding.position.map(|position| position.line),
                    "column": finding.position.map(|position| position.column),
                })
            })
            .collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Colour::Plain).trim_end())
    }
}

fn group<'a>(finding: &'a Finding, file: &'a str) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(title(finding));
    let group = match (&finding.excerpt, finding.position) {
        (Some(excerpt), Some(place)) => title.element(
            Snippet::source(excerpt.text.as_str())
                .path(file)
                .line_start(place.line)
                .annotation(AnnotationKind::Primary.span(excerpt.mark.clone())),
        ),
        (_, Some(place)) => {
            title.element(Origin::path(file).line(place.line).char_column(place.column))
        }
        (_, None) => title.element(Origin::path(file)),
    };
    match &finding.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The renderer counts columns in the excerpt, which may lack what stood before the mark.
fn with_true_column(rendered: String, finding: &Finding, file: &str) -> String {
    let (Some(excerpt), Some(place)) = (&finding.excerpt, finding.position) else {
        return rendered;
    };
    let shown = excerpt.text[..excerpt.mark.start].chars().count() + 1;
    let at = |column: usize| format!("{file}:{}:{column}", place.line);
    rendered.replacen(&at(shown), &at(place.column), 1)
}

fn title(finding: &Finding) -> String {
    match finding.key.as_str() {
        "" => finding.message.clone(),
        key => format!("{key}: {}", finding.message),
    }
}
