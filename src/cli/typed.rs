//! Commands as the reader can type them: with the options that this invocation was given.
//!
//! Whoever runs `refit status --config my.toml` and copies `refit resume weekly` would order another
//! daemon about, or none. The engine knows nothing of options, so they are added where text is shown.

use clap::CommandFactory;

use crate::config;
use crate::engine::hold::shell_word;

use super::Cli;
use super::globals::Globals;

/// How a command of ours begins.
const PROGRAM: &str = "refit ";

/// The options that say which daemon, store and file are meant.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// ` --config FILE --socket PATH`, without what is the default.
    options: String,
}

impl Typed {
    pub fn new(globals: &Globals) -> Typed {
        let mut options = String::new();
        if globals.config.as_path() != config::DEFAULT_PATH {
            let file = globals.config.display().to_string();
            options.push_str(&format!(" --config {}", shell_word(&file)));
        }
        if let Some(socket) = &globals.socket {
            options.push_str(&format!(" --socket {}", shell_word(&socket.display().to_string())));
        }
        Typed { options }
    }

    /// The text, in which every command of ours has the options behind its name, unless it says
    /// itself which file it means.
    pub fn complete(&self, text: &str) -> String {
        if self.options.is_empty() || !text.contains(PROGRAM) || text.contains("--config") {
            return text.to_owned();
        }
        let cli = Cli::command();
        let mut result = String::with_capacity(text.len() + self.options.len());
        let mut rest = text;
        while let Some(at) = rest.find(PROGRAM) {
            let begins_a_word = !rest[..at].ends_with(|before: char| before.is_alphanumeric());
            let (before, after) = rest.split_at(at + PROGRAM.len());
            let name = name_length(&cli, after);
            result.push_str(before);
            result.push_str(&after[..name]);
            if name > 0 && begins_a_word {
                result.push_str(&self.options);
            }
            rest = &after[name..];
        }
        result.push_str(rest);
        result
    }
}

/// Bytes of the subcommand's name that the text begins with, `store verify` for one; 0 if it is none.
fn name_length(cli: &clap::Command, text: &str) -> usize {
    let end = text.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(text.len());
    let Some(command) = cli.get_subcommands().find(|one| one.get_name() == &text[..end]) else {
        return 0;
    };
    match text[end..].strip_prefix(' ').map(|nested| name_length(command, nested)) {
        Some(nested) if nested > 0 => end + 1 + nested,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn typed(options: &str) -> Typed {
        let arguments = format!("refit status {options}");
        Typed::new(&Cli::try_parse_from(arguments.split_whitespace()).unwrap().globals)
    }

    #[test]
    fn a_command_carries_the_options_that_its_reader_gave() {
        let typed = typed("--config my.toml --socket /tmp/a");
        for (text, shown) in [
            ("refit resume prod", "refit resume --config my.toml --socket /tmp/a prod"),
            (
                "gone; refit store init --accept-loss",
                "gone; refit store init --config my.toml --socket /tmp/a --accept-loss",
            ),
            (
                "refit run, then refit plan",
                "refit run --config my.toml --socket /tmp/a, then refit plan --config my.toml \
                 --socket /tmp/a",
            ),
        ] {
            assert_eq!(typed.complete(text), shown);
        }
    }

    #[test]
    fn what_is_no_command_of_ours_or_names_its_file_stays() {
        let typed = typed("--config my.toml");
        for text in [
            "systemctl status refit; journalctl -u refit -n 50",
            "refit --version",
            "refit run --config other.toml",
            "unrefit plan",
            "rm /var/lib/refit/FREEZE",
        ] {
            assert_eq!(typed.complete(text), text);
        }
        assert_eq!(self::typed("").complete("refit plan"), "refit plan");
    }

    #[test]
    fn a_completed_command_parses() {
        let typed = typed("--config my.toml --socket /tmp/a");
        for command in [
            "refit events --target weekly/sg/i-1",
            "refit resolve weekly/sg/i-1 --applied",
            "refit unfreeze --all",
            "refit store verify",
            "refit check --effective",
        ] {
            let words = typed.complete(command);
            let globals = Cli::try_parse_from(words.split(' ')).expect(&words).globals;
            assert_eq!(globals.config.as_path(), "my.toml", "{words}");
        }
    }
}
