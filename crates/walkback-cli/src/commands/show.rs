//! `show`: everything about one saga.

use clap::Args;
use walkback::SagaId;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::table::Fit;
use crate::output::{saga, steps, time};

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The saga.
    id: SagaId,
    /// As it was after this row of its ledger.
    #[arg(long, value_name = "SEQ")]
    at: Option<u64>,
}

pub(crate) async fn run(app: &App, args: ShowArgs) -> Outcome {
    let engine = app.engine()?;
    let (view, now) = match args.at {
        Some(seq) => {
            let view = engine.show_saga_at(args.id, seq).await?;
            (view, engine.ledger(args.id, seq).await?.first().map_or_else(time::now, |row| row.at))
        }
        None => (engine.show_saga(args.id).await?, time::now()),
    };
    if app.out.json {
        app.out.json(&view)?;
        return Ok(Exit::Done);
    }
    let mut lines = saga::facts(&view, &app.out);
    lines.push(String::new());
    let of = view.steps.as_deref().unwrap_or_default();
    lines.extend(steps::table(&view, now, of.iter(), |_| "").lines(&app.out, Fit::Beneath));
    lines.extend(saga::residue(&view, &app.out));
    lines.iter().try_for_each(|line| app.out.line(line))?;
    Ok(Exit::Done)
}
