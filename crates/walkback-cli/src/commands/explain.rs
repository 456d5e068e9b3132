//! `explain`: why a saga stands as it does, and what may be done.

use clap::Args;
use walkback::SagaId;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::explanation;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The saga.
    id: SagaId,
}

pub(crate) async fn run(app: &App, args: ExplainArgs) -> Outcome {
    let explained = app.engine()?.explain_saga(args.id).await?;
    if app.out.json {
        app.out.json(&explained)?;
    } else {
        let lines = explanation::full(&explained, &app.out);
        lines.iter().try_for_each(|line| app.out.line(line))?;
    }
    Ok(Exit::Done)
}
