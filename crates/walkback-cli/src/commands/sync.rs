//! `sync`: takes in what the account says exists, so that what is gone or nobody's is known.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use walkback::Engine;
use walkback::clock::SystemClock;
use walkback::time::parse_duration;
use walkback_digitalocean::inventory;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::count;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback sync
  walkback sync --every 5m
      Until it is interrupted.
  walkback resources --residue
      What sagas left behind, by the newest look.

Everything is read by list: a call for each 200 things of a kind, and one for each domain. What one \
list does not show is missing, as lists overlook things; what the next does not show either is gone. \
Secrets are not kept.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// Look again and again, so often: `5m`.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    every: Option<Duration>,
}

pub(crate) async fn run(app: &App, args: SyncArgs) -> Outcome {
    let engine = app.new_engine()?;
    loop {
        let ended = once(app, &engine).await;
        let Some(every) = args.every else { return ended };
        // The account and the store may be away for a while.
        if let Err(failure) = ended {
            failure.warn(&format!("again in {every:?}"));
        }
        tokio::time::sleep(every).await;
    }
}

async fn once(app: &App, engine: &Engine) -> Outcome {
    // A simulated account is read anew: another process may have changed its file.
    let account = app.account()?;
    account.share_budget(engine.shared_store());
    let found = inventory::survey(&account, &SystemClock).await;
    let found =
        found.map_err(|error| Failure::new(Exit::Store, format!("nothing is synced: {error}")))?;
    for (kind, error) in &found.not_allowed {
        eprintln!("warning: {kind}: not listed: {error}");
    }
    let seen = engine.record_survey(found.survey).await?;
    if app.out.json {
        let skipped: Vec<_> = found.not_allowed.iter().map(|(kind, _)| kind).collect();
        app.out.json(&json!({"observed": seen, "not_listed": skipped}))?;
    } else {
        let things = count(seen.seen, "thing");
        app.out.line(&format!(
            "{things} in the account: {} new, {} missing, {} gone",
            seen.new, seen.missing, seen.gone
        ))?;
    }
    Ok(Exit::Done)
}
