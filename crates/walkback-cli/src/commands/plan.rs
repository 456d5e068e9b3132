//! `plan`: what a saga would do, forward and back, without starting it.

use clap::Args;
use serde::Serialize;
use walkback::describe::PlanView;
use walkback::{Saga, SagaId};
use walkback_digitalocean::sagas::{Provision, Quote};

use crate::cloud::NO_ACCOUNT;
use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::order::OrderArgs;
use crate::output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback plan --steps echo,echo,fail
  walkback plan --file examples/hello.yaml
  walkback plan --cancel 01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e

Finds the mistakes that `run` would find; opens no store, but with --cancel. With an account, the \
plan of `provision` says what will exist and what it costs.";

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
    let plan = app.plan(order)?;
    let is_a_site = plan.kind == Provision::KIND;
    let quote = quote(app, &plan).await?;
    if app.out.json {
        app.out.json(&Planned { plan, quote })?;
        return Ok(Exit::Done);
    }
    let mut lines = output::plan::lines(&plan, &app.out);
    lines.extend(quote.iter().flat_map(|quote| output::plan::quote(quote, &app.out)));
    lines.iter().try_for_each(|line| app.out.line(line))?;
    if quote.is_none() && is_a_site {
        eprintln!("what it costs is not known: {NO_ACCOUNT}");
    }
    Ok(Exit::Done)
}

/// A plan as a document.
#[derive(Serialize)]
struct Planned {
    #[serde(flatten)]
    plan: PlanView,
    /// What the account says to it, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<Quote>,
}

/// What the account, if there is one, says to the order of a site.
async fn quote(app: &App, plan: &PlanView) -> Result<Option<Quote>, Failure> {
    if plan.kind != Provision::KIND || !app.has_account() {
        return Ok(None);
    }
    let order: Provision = serde_json::from_str(plan.inputs.as_str())?;
    let quote = order.quote(&app.account()?).await;
    let quote = quote.map_err(|error| Failure::new(Exit::Store, error.to_string()))?;
    if quote.mistakes.is_empty() {
        Ok(Some(quote))
    } else {
        Err(Failure::new(Exit::Usage, quote.mistakes.join("\n")))
    }
}
