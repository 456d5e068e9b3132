//! What a person asks of one saga or of many: said to the engine, told in a line.

use clap::Args;
use serde_json::json;
use walkback::engine::{Asked, Operation};
use walkback::{Error, SagaId};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::{Failure, complain};
use crate::output::count;
use crate::selection::Selection;

/// Who asks, and why.
#[derive(Clone, Debug, Args)]
pub(crate) struct Who {
    /// Why; it is kept with the saga.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who asks; $USER if nothing is said.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

/// One saga by its id, or all that fit.
#[derive(Clone, Debug, Args)]
pub(crate) struct Target {
    /// The saga.
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "Selection"])]
    id: Option<SagaId>,
    /// Every saga that fits the filters; says how many, and needs --yes.
    #[arg(long)]
    all: bool,
    /// Do it, and not only say of how many sagas it would be asked.
    #[arg(long, requires = "all")]
    yes: bool,
    #[command(flatten)]
    of: Selection,
}

impl Who {
    pub(crate) fn asked(self) -> Asked {
        Asked { actor: self.actor.unwrap_or_else(user), reason: self.reason }
    }
}

/// Whoever is logged in, as far as the environment says.
fn user() -> String {
    let named = |name| std::env::var(name).ok().filter(|name: &String| !name.is_empty());
    named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "unknown".to_owned())
}

/// What to say when it was done, and when it was so already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// `is paused`.
    pub(crate) done: &'static str,
    /// `is pausing already`.
    pub(crate) already: &'static str,
}

/// Asks it of one saga.
pub(crate) async fn one(
    app: &App,
    id: SagaId,
    operation: &Operation,
    who: Who,
    said: Said,
) -> Outcome {
    let changed = app.engine()?.operate(id, operation, &who.asked()).await?;
    if app.out.json {
        app.out.json(&json!({"id": id, "changed": changed}))?;
    } else if changed {
        app.out.line(&format!("saga {id} {}", said.done))?;
    } else {
        app.out.line(&format!("no change: saga {id} {}", said.already))?;
    }
    Ok(Exit::Done)
}

/// Asks it of one saga, or of all that fit; those whom it does not fit are named.
pub(crate) async fn each(
    app: &App,
    target: Target,
    operation: &Operation,
    who: Who,
    said: Said,
) -> Outcome {
    let Target { id, yes, of, .. } = target;
    if let Some(id) = id {
        return one(app, id, operation, who, said).await;
    }
    let (engine, asked) = (app.engine()?, who.asked());
    let sagas = engine.find_sagas(of.filter()).await?;
    let (count, counted) = (sagas.len(), count(sagas.len(), "saga"));
    if !yes {
        let line = format!("this would be asked of {counted}: say --yes to do it");
        return Err(Failure::new(Exit::Usage, line));
    }
    eprintln!("asked of {counted}");
    let (mut changed, mut unchanged, mut refused) = (0, 0, Vec::new());
    for id in sagas {
        match engine.operate(id, operation, &asked).await {
            Ok(true) => changed += 1,
            Ok(false) => unchanged += 1,
            Err(
                error @ (Error::DoesNotFit { .. }
                | Error::NotTheOwner { .. }
                | Error::Locked { .. }),
            ) => {
                refused.push((id, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (_, why) in &refused {
        complain(why);
    }
    let exit = if refused.is_empty() { Exit::Done } else { Exit::DoesNotFit };
    if app.out.json {
        let refused: Vec<_> =
            refused.iter().map(|(id, why)| json!({"id": id, "error": why})).collect();
        let document = json!({
            "count": count, "changed": changed, "unchanged": unchanged, "refused": refused
        });
        app.out.json(&document)?;
    } else {
        app.out.line(&format!(
            "{changed} of {counted}: {}; no change: {unchanged}; does not fit: {}",
            said.done,
            refused.len()
        ))?;
    }
    Ok(exit)
}
