//! The command line: one file per command, and what they share.
//!
//! Every message to an operator names the thing, the reason and the next command to type. Standard
//! output is data, standard error is talk; `exit` lists what the exit codes mean.

pub mod bench;
mod check;
mod control;
pub mod data_file;
mod demo;
mod durations;
mod escape;
mod events;
mod export;
pub mod failure;
mod forecast;
mod forecast_store;
pub mod globals;
mod json;
pub mod moment;
pub mod output;
mod panic;
mod plan;
mod planning;
mod rehearse;
mod run;
pub mod scenario;
mod settings;
mod simulate;
pub mod site;
pub mod socket;
mod source;
mod status;
mod store;
mod target;
mod typed;
mod why;
mod windows;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::exit::Exit;

use failure::Failure;
use globals::Globals;
use output::Output;
use site::Site;

#[derive(Debug, Parser)]
#[command(
    name = "refit",
    version,
    about = "Upgrades fleets of managed Redis instances in maintenance windows",
    max_term_width = 100,
    after_help = exit_codes()
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub globals: Globals,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Upgrade a simulated fleet of two hundred, judge every rule, and leave nothing behind.
    Demo(demo::Args),
    /// Read the configuration and say everything that is wrong with it.
    Check(check::Args),
    /// Show when windows open next, and what freezes leave of them.
    Windows(windows::Args),
    /// Show every instance with its verdict; upgrades nothing.
    Plan(plan::Args),
    /// Show what the campaigns will do: weeks of windows in seconds, against a simulated cloud.
    Rehearse(rehearse::Args),
    /// Show when the campaigns complete, and when each target starts and ends, from here on.
    Forecast(forecast::Args),
    /// Run the daemon until SIGTERM or SIGINT.
    Run(run::Args),
    /// Show where every campaign stands, and what stands in the way.
    Status(status::Args),
    /// Show why one target is not moving.
    Why(why::Args),
    /// Show what happened, from the ledger.
    Events(events::Args),
    #[command(flatten)]
    Control(control::Control),
    /// Verify the store, or begin anew after a loss.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Play on what the store holds: what the daemon runs for its forecasts.
    #[command(hide = true)]
    ForecastStore(forecast_store::Args),
    /// Run the simulated cloud, for experiments.
    Simulate(simulate::Args),
    /// Measure what Refit costs on this machine.
    Bench(bench::Args),
}

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    pub globals: Globals,
    pub site: Site,
    pub output: Output,
}

impl Context {
    fn new(globals: Globals) -> Context {
        Context { site: Site::find(&globals), output: Output::new(&globals), globals }
    }

    /// Runs a command that waits for something.
    ///
    /// # Errors
    /// The future's own, or the system gives no threads.
    pub fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Failure::new(Exit::Bug, "cannot start threads").because(&error))?;
        runtime.block_on(future)
    }
}

/// Parses the process's arguments, runs the command, says what went wrong.
pub fn main() -> Exit {
    panic::install();
    crate::cloud::install_tls_provider();
    let cli = match Cli::command().try_get_matches().and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; a closed pipe is nothing to report.
            error.print().ok();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    cli.globals.color.apply();
    let context = Context::new(cli.globals);
    dispatch(cli.command, &context).unwrap_or_else(|failure| {
        report(&failure, &context.output);
        failure.exit
    })
}

fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments, context),
        Command::Demo(args) => demo::run(&args, context),
        Command::Check(args) => check::run(&args, context),
        Command::Windows(args) => windows::run(&args, context),
        Command::Bench(args) => bench::run(&args, context),
        Command::Plan(args) => plan::run(&args, context),
        Command::Rehearse(args) => rehearse::run(&args, context),
        Command::Forecast(args) => forecast::run(&args, context),
        Command::Status(args) => status::run(&args, context),
        Command::Why(args) => why::run(&args, context),
        Command::Events(args) => events::run(&args, context),
        Command::Store(command) => store::run(&command, context),
        Command::ForecastStore(args) => forecast_store::run(&args, context),
        Command::Control(control) => control::run(control, context),
        Command::Simulate(simulate) => simulate::run(simulate, context),
    }
}

fn report(failure: &Failure, output: &Output) {
    if failure.is_silent() {
        return;
    }
    let text = match output.is_json() {
        true => format!("{}\n", failure.to_json(output)),
        false => failure.to_human(output),
    };
    output.say(text.trim_end());
}

fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        text.push_str(&format!("  {:<3} {}\n", exit.code(), exit.meaning()));
    }
    text
}
