//! `migrate`: brings a store's tables to the version of this binary.

use crate::commands::{App, Outcome};
use crate::exit::Exit;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback migrate --store postgres://owner@db/walkback

A new or older store is brought to this binary's version by whichever command uses it first, if it \
may. Where workers may not change tables, run this as their owner before the deploy. It changes nothing \
that an older binary in use does not bear, and nothing at all if there is nothing to do.";

pub(crate) async fn run(app: &App) -> Outcome {
    let version = app.new_engine()?.migrate().await?;
    if app.out.json {
        app.out.json(&serde_json::json!({ "version": version }))?;
        return Ok(Exit::Done);
    }
    app.out.line(&match version {
        Some(version) => format!("{} has version {version}", app.place),
        None => format!("{} has no tables", app.place),
    })?;
    Ok(Exit::Done)
}
