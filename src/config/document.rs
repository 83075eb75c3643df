//! A TOML document whose mistakes are shown in place: the configuration file, or a larger document
//! that holds the configuration's tables among others of its own.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::environment::Environment;
use super::finding::Findings;
use super::notes::Notes;
use super::problem::Problem;
use super::section::Section;
use super::source::Source;
use super::{Config, Loaded, effective, read, syntax};

/// The text of a document and what it is called.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    source: Source,
}

impl Document {
    pub fn new(path: &Path, text: String) -> Document {
        Document { path: path.to_owned(), source: Source::new(text) }
    }

    /// Reads the file and checks what no TOML parser should have to.
    ///
    /// # Errors
    /// The file cannot be read, or its bytes are no text.
    pub fn read(path: &Path, environment: &dyn Environment) -> Result<Document, Findings> {
        let path = path.to_owned();
        match Source::read(&path, environment) {
            Ok(source) => Ok(Document { path, source }),
            Err((source, problem)) => Err(Document { path, source }.finding(None, *problem)),
        }
    }

    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// The document's root.
    ///
    /// # Errors
    /// The text is not TOML. After a syntax error, what was meant is a guess, and so would every
    /// further finding be.
    pub fn table(&self) -> Result<DeTable<'_>, Findings> {
        let (document, errors) = DeTable::parse_recoverable(self.text());
        if errors.is_empty() {
            return Ok(document.into_inner());
        }
        let notes = Notes::new(&self.source);
        for (span, problem) in syntax::problems(self.text(), &errors) {
            notes.report(String::new(), span, problem);
        }
        Err(self.findings(notes))
    }

    /// Everything that a table of this document decides, in the format of `refit.toml`.
    ///
    /// # Errors
    /// Every finding, warnings included, if at least one is an error.
    pub fn config(
        &self,
        table: &DeTable<'_>,
        environment: &dyn Environment,
    ) -> Result<Loaded, Findings> {
        let notes = Notes::new(&self.source);
        let base = self.path.parent().map(Path::to_owned).unwrap_or_default();
        let config = read(Section::root(&notes, table), &base, environment);
        let (list, effective) = notes.into_parts();
        let findings = Findings { file: self.path.clone(), list };
        if findings.has_errors() {
            return Err(findings);
        }
        let config = config.expect("a table that cannot be read is reported as an error");
        let config = Config { digest: effective::digest(&effective).into(), ..config };
        Ok(Loaded { config, warnings: findings, effective })
    }

    /// One thing wrong at these bytes of the text, for a reader of its other tables.
    pub fn error(&self, at: Range<usize>, message: &str, help: Option<&str>) -> Findings {
        let problem = Problem::new(message);
        let problem = match help {
            Some(help) => problem.help(help),
            None => problem,
        };
        self.finding(Some(at), problem)
    }

    fn finding(&self, at: Option<Range<usize>>, problem: Problem) -> Findings {
        let notes = Notes::new(&self.source);
        notes.report(String::new(), at, problem);
        self.findings(notes)
    }

    fn findings(&self, notes: Notes<'_>) -> Findings {
        Findings { file: self.path.clone(), list: notes.into_parts().0 }
    }
}
