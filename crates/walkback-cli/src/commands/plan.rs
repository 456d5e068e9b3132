//! `plan`: what a saga would do, forward and back, without starting it.

use clap::Args;
use walkback::{Engine, MemoryStore};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::order::OrderArgs;
use crate::{output, store};

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback plan --steps echo,sleep,fail
  walkback plan --file examples/hello.yaml

Finds the mistakes that `run` would find; opens no store.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    order: OrderArgs,
}

pub(crate) fn run(app: &App, args: PlanArgs) -> Outcome {
    let order = args.order.order()?;
    let plan = Engine::new(store::registry(), MemoryStore::new())?.plan(order)?;
    if app.out.json {
        app.out.json(&plan)?;
    } else {
        let lines = output::plan::lines(&plan, &app.out);
        lines.iter().try_for_each(|line| app.out.line(line))?;
    }
    Ok(Exit::Done)
}
