//! The exit codes: one meaning each, the same for every command, stable for scripts.
//!
//! 64 and up follow `sysexits.h` where it has a word for the case.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done; warnings may have been said.
    Done = 0,
    /// Done, and there is something to look at: a target failed, a check found something.
    Findings = 1,
    /// The command line itself is wrong: an unknown option, campaign or target.
    Usage = 2,
    /// A data file (world, faults, scenario) cannot be used.
    BadData = 65,
    /// The daemon, or the cloud, cannot be reached.
    Unreachable = 69,
    /// A bug in Refit.
    Bug = 70,
    /// Another process drives this store.
    StoreInUse = 73,
    /// A file cannot be read or written: the store (damaged, replaced, or a failing disk), a log.
    InputOutput = 74,
    /// The order makes no sense in this state; nothing was changed, try later.
    NotNow = 75,
    /// A newer Refit wrote this store.
    NewerSchema = 76,
    /// A credential is missing or refused.
    Credential = 77,
    /// The configuration has errors.
    Configuration = 78,
}

impl Exit {
    pub const ALL: [Exit; 12] = [
        Exit::Done,
        Exit::Findings,
        Exit::Usage,
        Exit::BadData,
        Exit::Unreachable,
        Exit::Bug,
        Exit::StoreInUse,
        Exit::InputOutput,
        Exit::NotNow,
        Exit::NewerSchema,
        Exit::Credential,
        Exit::Configuration,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    /// What `refit --help` says of it.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Findings => "done, with failures or findings",
            Exit::Usage => "wrong usage: option, campaign or target",
            Exit::BadData => "bad data file",
            Exit::Unreachable => "daemon or cloud not reachable",
            Exit::Bug => "a bug in refit",
            Exit::StoreInUse => "the store is in use by another process",
            Exit::InputOutput => "the store is damaged, or an I/O error",
            Exit::NotNow => "refused now, nothing changed; try later",
            Exit::NewerSchema => "the store was written by a newer refit",
            Exit::Credential => "a credential is missing or refused",
            Exit::Configuration => "the configuration has errors",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_listed_once_and_keeps_its_number() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 65, 69, 70, 73, 74, 75, 76, 77, 78]);
    }
}
