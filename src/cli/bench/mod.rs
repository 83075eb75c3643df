//! `refit bench`: what deciding, storing and sending cost on this machine. Printed, never asserted:
//! machines differ, and the figures mean something only beside each other.

mod durable;
mod engine;
pub mod load;
mod machine;
mod makespan;
mod opening;
mod process;
mod rehearsal;
mod stage;

use clap::ValueEnum;

use crate::exit::Exit;

use super::Context;
use super::failure::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure; nothing named: all.
    #[arg(value_enum)]
    rows: Vec<Row>,
    /// The large versions: a million targets for the engine, 20,000 durable starts, the whole
    /// cap-bound workload. Takes over an hour.
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Time per step of the engine alone.
    Engine,
    /// Durable starts beside those of the same client without a store.
    Durable,
    /// The wait between an opening and the first start.
    Opening,
    /// The daemon's memory.
    Memory,
    /// From the start of a process with 100,000 open targets to its first request.
    Restart,
    /// Whole campaigns beside their lower bound, and the calls they make.
    Makespan,
    /// A fleet of 100,000 rehearsed over six weeks.
    Rehearsal,
}

/// One figure beside its budget.
#[derive(Debug, serde::Serialize)]
pub struct Figure {
    pub what: String,
    pub measured: String,
    pub budget: &'static str,
    pub how: String,
}

/// # Errors
/// A figure cannot be measured here, or standard output cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let rows = if args.rows.is_empty() { Row::value_variants() } else { &args.rows };
    for row in rows {
        let mut show = |figure: Figure| print(context, &figure);
        match row {
            Row::Engine => engine::measure(args.full, &mut show)?,
            Row::Durable => show(context.block_on(durable::measure(args.full))?)?,
            Row::Opening => show(context.block_on(opening::measure())?)?,
            Row::Memory => show(context.block_on(process::memory())?)?,
            Row::Restart => show(context.block_on(process::restart())?)?,
            Row::Rehearsal => rehearsal::measure(&mut show)?,
            Row::Makespan => context.block_on(makespan::measure(args.full, &mut show))?,
        }
    }
    Ok(Exit::Done)
}

/// Shows a figure as soon as it is measured: the next may take minutes.
type Show<'a> = &'a mut dyn FnMut(Figure) -> Result<(), Failure>;

fn print(context: &Context, figure: &Figure) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.output.json_line(figure);
    }
    let Figure { what, measured, budget, how } = figure;
    context.output.data(&format!("{what}\n    {measured}  (budget: {budget})\n    {how}\n"))
}
