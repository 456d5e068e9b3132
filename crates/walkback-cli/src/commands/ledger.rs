//! `ledger`: everything that happened to a saga, row by row.

use clap::Args;
use walkback::SagaId;
use walkback::ledger::Row;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::document::LedgerRow;
use crate::output::table::{Fit, Table, number, text};
use crate::output::time;

/// Characters of a payload that the table shows.
const PAYLOAD: usize = 200;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// The saga.
    id: SagaId,
}

pub(crate) async fn run(app: &App, args: LedgerArgs) -> Outcome {
    let rows = app.engine()?.ledger(args.id, 0).await?;
    if app.out.json {
        for row in &rows {
            app.out.json(&LedgerRow::new(args.id, row)?)?;
        }
        return Ok(Exit::Done);
    }
    let lines = table(&rows).lines(&app.out, Fit::Beneath);
    lines.iter().try_for_each(|line| app.out.line(line))?;
    Ok(Exit::Done)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["SEQ", "AT", "KIND", "STEP", "TRY", "ACTOR", "PAYLOAD"]);
    for row in rows {
        let cells = vec![
            number(Some(row.seq)),
            text(time::moment_ms(row.at)),
            text(&row.kind),
            number(row.step_idx),
            number(row.attempt),
            text(row.actor.as_deref().unwrap_or_default()),
        ];
        table.row(cells, cut(&row.payload));
    }
    table
}

fn cut(payload: &str) -> String {
    match payload.char_indices().nth(PAYLOAD) {
        _ if payload == "{}" => String::new(),
        Some((at, _)) => format!("{}…", &payload[..at]),
        None => payload.to_owned(),
    }
}
