//! The options that every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options for every command")]
pub struct Globals {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REFIT_CONFIG",
        default_value = config::DEFAULT_PATH
    )]
    pub config: PathBuf,

    /// The daemon's socket; else api.socket of the file, $RUNTIME_DIRECTORY/refit.sock, refit.sock
    /// beside the store, /run/refit/refit.sock.
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Form of the result on standard output: tables and sentences, or one JSON document, or one per
    /// line where a command streams.
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,

    /// Times in UTC instead of the file's time_zone.
    #[arg(long, global = true)]
    pub utc: bool,

    /// Colour; auto is on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,

    /// Form of the log on standard error; json is one object per line.
    #[arg(long, global = true, value_enum, value_name = "FORM", default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Human,
    Json,
}

impl Color {
    /// Makes every stream of this process follow the choice.
    pub fn apply(self) {
        let choice = match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}
