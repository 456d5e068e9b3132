//! `plan`: what a saga would do, forward and back, without starting it.

use clap::Args;
use walkback::{Engine, MemoryStore, SagaId};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::order::OrderArgs;
use crate::output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback plan --steps echo,sleep,fail
  walkback plan --file examples/hello.yaml
  walkback plan --cancel 01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e

Finds the mistakes that `run` would find; opens no store, but with --cancel.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Exactly what would be undone, if this saga were cancelled now (or, completed, rolled back).
    #[arg(long, value_name = "ID", group = "what")]
    cancel: Option<SagaId>,
}

pub(crate) async fn run(app: &App, args: PlanArgs) -> Outcome {
    if let Some(id) = args.cancel {
        let back = app.engine()?.plan_walk_back(id).await?;
        if app.out.json {
            app.out.json(&back)?;
        } else {
            let lines = output::plan::walk_back(&back, &app.out);
            lines.iter().try_for_each(|line| app.out.line(line))?;
        }
        return Ok(Exit::Done);
    }
    let order = args.order.order()?;
    let plan = Engine::new(app.registry()?, MemoryStore::new())?.plan(order)?;
    if app.out.json {
        app.out.json(&plan)?;
    } else {
        let lines = output::plan::lines(&plan, &app.out);
        lines.iter().try_for_each(|line| app.out.line(line))?;
    }
    Ok(Exit::Done)
}
