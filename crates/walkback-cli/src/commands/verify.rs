//! `verify`: checks a store against the engine's promises.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use serde::Serialize;
use walkback::{SagaId, verify::Report, verify::verify};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::table::{Fit, Table, text};
use crate::output::{count, time};

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback verify
  walkback verify 01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e
  walkback verify --effects effects.jsonl --json

EFFECTS is an outside record of what the bodies of steps did, as JSON lines in order of happening:
  {\"saga_id\", \"step_idx\", \"phase\", \"attempt\", \"key\", \"event\": \"start\"|\"end\"}
With it also those promises are checked that a store alone cannot show.
Ends with 0 nothing found, 1 violations.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only this saga.
    id: Option<SagaId>,
    /// An outside record of effects.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    effects: Option<PathBuf>,
}

pub(crate) async fn run(app: &App, args: VerifyArgs) -> Outcome {
    let effects = args.effects.as_deref().map(open).transpose()?;
    let engine = app.engine()?;
    if let Some(id) = args.id {
        // Of a saga that is not there nothing would be found.
        engine.ledger(id, 0).await?;
    }
    let begun = time::now();
    let report = verify(engine.store(), args.id, effects).await?;
    let elapsed = time::now().since(begun);
    if app.out.json {
        app.out.json(&Document { report: &report, elapsed_ms: elapsed.as_millis() })?;
    } else {
        tell(app, &report, elapsed)?;
    }
    Ok(if report.violations.is_empty() { Exit::Done } else { Exit::RolledBack })
}

fn open(file: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    let opened = File::open(file).map_err(|error| {
        Failure::new(Exit::Usage, format!("effects `{}` cannot be read: {error}", file.display()))
    });
    Ok(Box::new(BufReader::new(opened?)))
}

/// The report, and how long it took.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    elapsed_ms: u128,
}

fn tell(app: &App, report: &Report, elapsed: Duration) -> Result<(), Failure> {
    let found = [("violation", &report.violations), ("late", &report.late)];
    let mut table = Table::new(&["FOUND", "PROMISE", "SAGA", "WHAT"]);
    for (name, all) in found {
        for one in all {
            table.row(vec![text(name), text(one.promise), text(one.saga.to_string())], &one.what);
        }
    }
    if report.violations.len() + report.late.len() > 0 {
        table.lines(&app.out, Fit::Beneath).iter().try_for_each(|line| app.out.line(line))?;
        app.out.line("")?;
    }
    let violations = match report.violations.len() {
        0 => "no violation".to_owned(),
        some => count(some, "violation"),
    };
    let counted = |many: u64, noun| count(usize::try_from(many).unwrap_or(usize::MAX), noun);
    if report.unlisted > 0 {
        app.out.line(&format!("{} more are not listed", report.unlisted))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = report.rows as f64 / elapsed.as_secs_f64().max(1e-6);
    app.out.line(&format!(
        "{violations} in {}, {} ({}, {rate:.0} rows/s)",
        counted(report.runs, "saga"),
        counted(report.rows, "row"),
        time::duration(elapsed)
    ))
}
