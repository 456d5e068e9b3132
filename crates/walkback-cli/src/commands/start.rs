//! `start`: starts a saga and returns.

use clap::Args;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::order::OrderArgs;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback start --steps echo,echo
  walkback start --file examples/hello.yaml --key order-42 --json

Prints the saga's id; with --json {\"id\": …, \"created\": true|false}. Not created means that the \
key was known: the id is that of the saga that has it.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    order: OrderArgs,
}

pub(crate) async fn run(app: &App, args: StartArgs) -> Outcome {
    let order = args.order.order()?;
    let started = app.new_engine()?.start_saga(order).await?;
    if app.out.json {
        app.out.json(&started)?;
    } else {
        app.out.line(&started.id.to_string())?;
        if !started.created {
            eprintln!("its key is known: this is the saga that has it");
        }
    }
    Ok(Exit::Done)
}
