//! `--durations` and `--takes`: how long a rehearsal or a forecast takes upgrades to take.

use clap::Args as ClapArgs;

use crate::exit::Exit;
use crate::model::closest;
use crate::rehearse::{DeclaredClass, Durations};
use crate::sim::world::SpanRange;

use super::data_file;
use super::failure::Failure;

/// As the store measured them.
const LEARNED: &str = "learned";
/// As if nothing had been measured.
const DECLARED: &str = "declared";

#[derive(Debug, ClapArgs)]
pub struct DurationArgs {
    /// How long upgrades take: learned, as the store measured them where it did; declared, as if it
    /// had not; or a file that declares classes of them, which goes before what was learned.
    #[arg(long, value_name = "SOURCE", default_value = LEARNED)]
    durations: String,

    /// Declares how long all upgrades take that no such file tells of, such as 20m or 5m..1h.
    #[arg(long, value_name = "RANGE")]
    takes: Option<SpanRange>,
}

impl DurationArgs {
    /// Whether anything is asked for but what was learned.
    pub fn is_usual(&self) -> bool {
        self.durations == LEARNED && self.takes.is_none()
    }

    /// Whether what the store learned counts where nothing is declared.
    pub fn counts_learned(&self) -> bool {
        self.durations != DECLARED
    }

    /// What is declared; what was learned is to be put beside it.
    ///
    /// # Errors
    /// There is no such file, or the first thing in it that is wrong.
    pub fn declared(&self) -> Result<Durations, Failure> {
        Ok(Durations { classes: self.classes()?, declared: self.takes, ..Durations::default() })
    }

    fn classes(&self) -> Result<Vec<DeclaredClass>, Failure> {
        let name = &*self.durations;
        if [LEARNED, DECLARED].contains(&name) {
            return Ok(Vec::new());
        }
        if !std::path::Path::new(name).exists() {
            let hint = closest::hint(name, [LEARNED, DECLARED]);
            let message =
                format!("--durations {name:?} is neither {LEARNED}, {DECLARED} nor a file{hint}");
            return Err(Failure::new(Exit::BadData, message));
        }
        data_file::durations(name.as_ref())
    }
}
