//! The command `walkback`: starts sagas, works on them, and tells how they stand.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod cloud;
mod commands;
mod exit;
mod failure;
mod follow;
mod interrupt;
mod labour;
mod log;
mod order;
mod output;
mod selection;
mod store;
mod webhook;

fn main() -> ExitCode {
    // Before there is a thread or a runtime: this process may be a guard of another.
    walkback::guard_main_if_asked();
    let cli = args::Cli::parse();
    log::begin(&cli.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::from(error).report(),
    };
    let ended = runtime.block_on(commands::dispatch(cli));
    // Bodies that ignore their token do not keep the process.
    runtime.shutdown_background();
    ended.map_or_else(|failure| failure.report(), ExitCode::from)
}
