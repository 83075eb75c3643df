//! The file's text: read, checked byte by byte, and shown one line at a time without secrets.

use std::io;
use std::ops::Range;
use std::path::Path;

use rustix::io::Errno;

use super::environment::Environment;
use super::finding::{Excerpt, Position};
use super::problem::Problem;
use super::redact::{self, Show};

/// A fleet of a hundred projects takes some 40 KiB; more than this is not a configuration.
pub const FILE_LIMIT: u64 = 1024 * 1024;

/// Bytes of a line that an excerpt shows, around its mark.
const EXCERPT_LIMIT: usize = 160;

/// The text and where its lines begin.
#[derive(Debug)]
pub struct Source {
    text: String,
    line_starts: Vec<usize>,
}

/// The problem, and the text as far as it can be shown: empty if nothing could be read.
pub type Unreadable = (Source, Box<Problem>);

impl Source {
    pub fn new(text: String) -> Source {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Source { text, line_starts }
    }

    /// Reads the file and checks what no TOML parser should have to.
    pub fn read(path: &Path, environment: &dyn Environment) -> Result<Source, Unreadable> {
        let content = environment
            .read(path, FILE_LIMIT)
            .map_err(|error| (Source::new(String::new()), Box::new(unreadable(&error))))?;
        if content.size > FILE_LIMIT {
            let problem = Problem::new(format!("the file is larger than {FILE_LIMIT} bytes"))
                .help("name the configuration file: this is none");
            return Err((Source::new(String::new()), Box::new(problem)));
        }
        match decode(&content.bytes) {
            None => Ok(Source::new(
                String::from_utf8(content.bytes).expect("decode found no invalid UTF-8"),
            )),
            Some(problem) => {
                let text = String::from_utf8_lossy(&content.bytes).into_owned();
                Err((Source::new(text), Box::new(problem)))
            }
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line of a byte, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    pub fn position(&self, at: usize) -> Position {
        let line = self.line(at);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// The line that `span` begins in, clipped, with what must not be shown hidden.
    pub fn excerpt(&self, span: &Range<usize>, show: Show) -> Excerpt {
        let number = self.line(span.start);
        let line = self.line_text(number);
        let start = self.line_starts[number - 1];
        let from = (span.start - start).min(line.len());
        let to = span.end.saturating_sub(start).clamp(from, line.len());
        let credentials =
            redact::is_in_credentials((1..=number).rev().map(|earlier| self.line_text(earlier)));
        let shown = redact::line(line, from..to, show, credentials);
        clip(shown)
    }

    fn line_text(&self, number: usize) -> &str {
        let start = self.line_starts[number - 1];
        let end = self.line_starts.get(number).map_or(self.text.len(), |next| next - 1);
        let line = &self.text[start..end];
        line.strip_suffix('\r').unwrap_or(line)
    }
}

fn unreadable(error: &io::Error) -> Problem {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "name the file with --config FILE",
        io::ErrorKind::PermissionDenied => "let the user that runs refit read it",
        io::ErrorKind::IsADirectory => "name the file in it",
        _ => "name a regular file",
    };
    Problem::new(format!("cannot read the configuration: {}", reason(error))).help(help)
}

/// The reason without the number that the system's own text ends in.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            "its symbolic links form a loop".into()
        }
        _ => error.to_string(),
    }
}

/// What is wrong with the bytes, if anything. Spans count in the lossy text, which is the same up
/// to the first invalid byte.
fn decode(bytes: &[u8]) -> Option<Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Some(
            Problem::new("the file is empty")
                .at(0..0)
                .help("begin with a credential, a project, a window and a campaign"),
        );
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Some(Problem::new("the file is UTF-16").help("save it as UTF-8"));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Some(
            Problem::new("the file begins with a byte order mark")
                .at(0..3)
                .help("save it as UTF-8 without a byte order mark"),
        );
    }
    let invalid = std::str::from_utf8(bytes).err().map(|error| error.valid_up_to());
    let nul = bytes.iter().position(|byte| *byte == 0);
    match (invalid, nul) {
        (invalid, Some(at)) if invalid.is_none_or(|other| at < other) => {
            Some(Problem::new("the file holds a NUL byte").at(at..at + 1).help("remove it"))
        }
        (Some(at), _) => Some(
            Problem::new("the file is not valid UTF-8 from here on")
                .at(at..at + char::REPLACEMENT_CHARACTER.len_utf8())
                .help("save it as UTF-8"),
        ),
        _ => None,
    }
}

/// Keeps the neighbourhood of the mark.
fn clip(excerpt: Excerpt) -> Excerpt {
    let Excerpt { text, mark } = excerpt;
    if text.len() <= EXCERPT_LIMIT {
        return Excerpt { text, mark };
    }
    let from = text.floor_char_boundary(mark.start.saturating_sub(EXCERPT_LIMIT / 2));
    let to = text.floor_char_boundary((from + EXCERPT_LIMIT).min(text.len()));
    let start = mark.start.max(from) - from;
    let end = mark.end.clamp(mark.start, to.max(mark.start)) - from;
    let lead = if from > 0 { "…" } else { "" };
    let tail = if to < text.len() { "…" } else { "" };
    Excerpt {
        mark: start + lead.len()..end + lead.len(),
        text: format!("{lead}{}{tail}", &text[from..to]),
    }
}
