//! `list`: the sagas of a store, newest first.

use clap::Args;
use walkback::{SagaId, describe::SagaView, store::Filter};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::table::{Fit, Table, status, text};
use crate::output::{steps, time};
use crate::selection::Selection;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback list --status parked --status failed
  walkback list --kind web_site --label customer=acme
  walkback list --limit 1000 --json | jq -r '.[].id'";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    of: Selection,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Only those that are older than this one: the next page.
    #[arg(long, value_name = "ID")]
    after: Option<SagaId>,
}

pub(crate) async fn run(app: &App, args: ListArgs) -> Outcome {
    let ListArgs { of, limit, after } = args;
    let filter = Filter { after, limit, ..of.filter() };
    let sagas = app.engine()?.list_sagas(filter).await?;
    if app.out.json {
        app.out.json(&sagas)?;
        return Ok(Exit::Done);
    }
    if sagas.is_empty() {
        eprintln!("no sagas");
        return Ok(Exit::Done);
    }
    let lines = table(&sagas).lines(&app.out, Fit::Beneath);
    lines.iter().try_for_each(|line| app.out.line(line))?;
    if let Some(last) = sagas.last().filter(|_| sagas.len() == limit) {
        eprintln!("older ones: the same with --after {}", last.id);
    }
    Ok(Exit::Done)
}

fn table(sagas: &[SagaView]) -> Table {
    let mut table = Table::new(&["ID", "KIND", "STATUS", "CREATED", "TOOK", "REMARKS"]);
    for saga in sagas {
        let took = saga.started_at.zip(saga.finished_at).map(|(from, to)| to.since(from));
        let cells = vec![
            text(saga.id.to_string()),
            text(&saga.kind),
            status(saga.status.name(), ""),
            text(time::ago(saga.created_at)),
            text(took.map(time::duration).unwrap_or_default()),
        ];
        table.row(cells, remarks(saga));
    }
    table
}

fn remarks(saga: &SagaView) -> String {
    let parked = saga.parked.as_ref().map(|parked| match parked.step_idx {
        Some(idx) => format!("{} at step {idx}", parked.reason),
        None => parked.reason.clone(),
    });
    let left = match saga.residue.len() {
        0 => None,
        1 => Some(format!("left by step {}", saga.residue[0].step_idx)),
        many => Some(format!("left by {many} steps")),
    };
    let waits = saga.waiting_for.as_ref();
    let waits = waits.map(|wait| format!("step {} {}", wait.step_idx, steps::wait(wait)));
    let error = saga.error.as_ref().map(|error| error.reason.clone());
    let labels = saga.labels.iter().map(|(name, value)| format!("{name}={value}"));
    [parked, error, left, waits].into_iter().flatten().chain(labels).collect::<Vec<_>>().join(", ")
}
