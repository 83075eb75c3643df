//! Why a command could not do what it was asked: the thing, the reason, the next command to type.

use std::error::Error;
use std::io;

use serde_json::json;

use crate::config::{Colour, Findings};
use crate::exit::Exit;

use super::escape;
use super::output::Output;

/// A command's end without success. Shown once, by `cli::main`.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// Empty: there is nobody left to tell (the reader closed the pipe).
    pub message: String,
    /// What lies beneath, outermost first.
    pub causes: Vec<String>,
    /// The command to type next, or what to do first.
    pub next: Option<String>,
    /// The configuration's findings, where those are the reason.
    pub findings: Option<Box<Findings>>,
}

/// Columns in front of what does not fit into the line of an error.
const ERROR_INDENT: usize = 2;

/// Deeper chains say nothing new to an operator.
const CAUSES_LIMIT: usize = 8;

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), causes: Vec::new(), next: None, findings: None }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// With the chain of `error` beneath, `error` itself first.
    pub fn because(mut self, error: &dyn Error) -> Failure {
        let mut cause = Some(error);
        while let Some(error) = cause.filter(|_| self.causes.len() < CAUSES_LIMIT) {
            let text = error.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            cause = error.source();
        }
        self
    }

    pub fn next(mut self, command: impl Into<String>) -> Failure {
        self.next = Some(command.into());
        self
    }

    /// Whoever read our output has gone, `head` for one: nothing failed.
    fn reader_gone() -> Failure {
        Failure::new(Exit::Done, "")
    }

    pub fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// The configuration cannot be used, and all that is wrong with it.
    pub fn configuration(findings: Findings) -> Failure {
        let exit = findings.exit();
        let file = findings.file.display().to_string();
        let failure = Failure::new(exit, format!("{file} cannot be used"))
            .next(format!("refit check --config {file}, until it finds nothing"));
        Failure { findings: Some(Box::new(findings)), ..failure }
    }

    /// `error: message: cause: cause`, broken to fit, then the next command, which is not, so that it
    /// can be copied; ends in a line break. Findings come before it, each with its line and caret.
    pub fn to_human(&self, output: &Output) -> String {
        let mut text = match &self.findings {
            Some(findings) => format!("{}\n", findings.render(Colour::Styled)),
            None => String::new(),
        };
        let mut error = format!("error: {}", escape::block(&self.message));
        for cause in &self.causes {
            error.push_str(": ");
            error.push_str(&escape::line(cause));
        }
        for line in error.lines() {
            text.push_str(&output.wrapped(line, ERROR_INDENT));
        }
        if let Some(next) = &self.next {
            let next = output.completed(next);
            text.push_str(&format!("  next: {}\n", escape::line(&next)));
        }
        text
    }

    /// `{"error": {"exit", "message", "causes", "next", "findings"}}`; the last is empty unless the
    /// configuration is to blame.
    pub fn to_json(&self, output: &Output) -> serde_json::Value {
        let findings = self.findings.as_ref().map_or_else(|| json!([]), |all| all.to_json());
        json!({ "error": {
            "exit": self.exit.code(),
            "message": self.message,
            "causes": self.causes,
            "next": self.next.as_ref().map(|next| output.completed(next)),
            "findings": findings,
        }})
    }
}

/// Of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::reader_gone();
        }
        Failure::new(Exit::InputOutput, "cannot write the output").because(&error)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Cli;
    use super::*;

    fn output() -> Output {
        Output::new(&Cli::try_parse_from(["refit", "status"]).expect("a command").globals)
    }

    #[test]
    fn a_closed_pipe_is_no_failure_to_speak_of() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit, Exit::Done);
        assert!(failure.is_silent());
    }

    #[test]
    fn a_failure_names_the_thing_the_reason_and_the_next_command() {
        let failure = Failure::new(Exit::Unreachable, "no daemon answers at /run/refit.sock")
            .because(&io::Error::other("connection refused"))
            .next("refit run");
        assert_eq!(
            failure.to_human(&output()),
            "error: no daemon answers at /run/refit.sock: connection refused\n  next: refit run\n"
        );
    }

    #[test]
    fn what_a_cause_brings_along_cannot_drive_the_terminal() {
        let failure =
            Failure::usage("odd").because(&io::Error::other("\u{1b}[2Jgone\nrefit: all is well"));
        assert_eq!(
            failure.to_human(&output()),
            "error: odd: \\u{1b}[2Jgone\\nrefit: all is well\n"
        );
    }
}
