//! What the reading of one file brings to light: findings, and the effective keys.
//!
//! Shared by every section of the file that is open at the same time, hence the cells; nothing
//! else in here changes while a file is read.

use std::cell::RefCell;
use std::ops::Range;

use super::effective::EffectiveKey;
use super::finding::Finding;
use super::problem::Problem;
use super::source::Source;

/// Findings of one severity that are kept; a file wrong in more places is no configuration.
pub const FINDINGS_MAX: usize = 200;

/// Collects what the reading of one file brings to light.
pub struct Notes<'a> {
    source: &'a Source,
    findings: RefCell<Vec<Finding>>,
    effective: RefCell<Vec<EffectiveKey>>,
}

impl<'a> Notes<'a> {
    pub fn new(source: &'a Source) -> Notes<'a> {
        Notes { source, findings: RefCell::default(), effective: RefCell::default() }
    }

    /// Places a problem: at its own span, else at `span`, else at the file as a whole.
    pub fn report(&self, key: String, span: Option<Range<usize>>, problem: Problem) {
        let mut findings = self.findings.borrow_mut();
        // Counted by severity, so that no number of warnings can hide an error.
        let same = findings.iter().filter(|finding| finding.severity == problem.severity).count();
        if same >= FINDINGS_MAX {
            return;
        }
        let span = problem.span.or(span);
        findings.push(Finding {
            severity: problem.severity,
            subject: problem.subject,
            key,
            message: problem.message,
            help: problem.help,
            position: span.as_ref().map(|span| self.source.position(span.start)),
            excerpt: span.map(|span| self.source.excerpt(&span, problem.show)),
        });
    }

    pub fn record(&self, key: EffectiveKey) {
        self.effective.borrow_mut().push(key);
    }

    /// Line of the first byte of a span.
    pub fn line(&self, span: &Range<usize>) -> usize {
        self.source.line(span.start)
    }

    /// All findings, in the order of the file, and all effective keys.
    pub fn into_parts(self) -> (Vec<Finding>, Vec<EffectiveKey>) {
        let mut findings = self.findings.into_inner();
        findings.sort_by_key(|finding| finding.position.map(|place| (place.line, place.column)));
        (findings, self.effective.into_inner())
    }
}
