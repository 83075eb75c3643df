//! `refit bench`: what deciding, storing and sending cost on this machine. Printed, never asserted:
//! machines differ, and the figures mean something only beside each other.

mod engine;
pub mod load;

use clap::ValueEnum;

use super::Context;
use super::exit::Exit;
use super::failure::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure; nothing named: all.
    #[arg(value_enum)]
    rows: Vec<Row>,
    /// Also measure a million targets.
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Time per step of the engine alone.
    Engine,
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
        let figures = match row {
            Row::Engine => engine::measure(args.full),
        };
        for figure in figures {
            print(context, &figure)?;
        }
    }
    Ok(Exit::Done)
}

fn print(context: &Context, figure: &Figure) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.output.json_line(figure);
    }
    let Figure { what, measured, budget, how } = figure;
    context.output.data(&format!("{what}\n    {measured}  (budget: {budget})\n    {how}\n"))
}
