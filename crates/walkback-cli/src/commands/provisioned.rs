//! `provisioned`: what sagas have provisioned and still want.

use clap::Args;
use walkback::SagaId;
use walkback::desired::Provisioned;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::table::{Fit, Table, number, text};
use crate::output::time;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ProvisionedArgs {
    /// Only what this saga has.
    id: Option<SagaId>,
    /// Also what is gone by now.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(app: &App, args: ProvisionedArgs) -> Outcome {
    let mut found = app.engine()?.list_provisioned(args.id).await?;
    found.retain(|row| args.all || row.closed_at.is_none());
    if app.out.json {
        app.out.json(&found)?;
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        eprintln!("nothing is provisioned");
        return Ok(Exit::Done);
    }
    let lines = table(&found).lines(&app.out, Fit::Beneath);
    lines.iter().try_for_each(|line| app.out.line(line))?;
    Ok(Exit::Done)
}

fn table(rows: &[Provisioned]) -> Table {
    let mut table =
        Table::new(&["PROVIDER", "KIND", "ID", "NAME", "STEP", "VERSION", "MADE", "GONE", "SAGA"]);
    let one = rows.iter().all(|row| row.what.provider == rows[0].what.provider);
    for row in rows {
        let what = &row.what;
        let cells = vec![
            text(if one { "" } else { &what.provider }),
            text(&what.kind),
            text(&what.external_id),
            text(what.name.as_deref().unwrap_or_default()),
            number(Some(row.step_idx)),
            number(Some(row.spec_version)),
            text(time::ago(row.created_at)),
            text(row.closed_at.map(time::ago).unwrap_or_default()),
        ];
        table.row(cells, row.saga_id.to_string());
    }
    table
}
