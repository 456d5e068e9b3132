//! `upgrade-check`: whether this binary can go on with everything that is in flight.

use walkback::describe::Orphan;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::table::{Fit, Table, number, text};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ./walkback.new upgrade-check --store sqlite:/var/lib/walkback/walkback.db

Run it with the new binary, before the deploy, against the store on which the old one works; it only \
reads. It looks at every saga that moves, is parked, or has something left: whether all its steps are \
known, what is stored of them can be read, and what had an undo still has one.
Ends with 0 if the new binary can go on with all of them, else with 1.";

pub(crate) async fn run(app: &App) -> Outcome {
    let found = app.engine()?.upgrade_check().await?;
    let exit = if found.orphans.is_empty() { Exit::Done } else { Exit::RolledBack };
    if app.out.json {
        app.out.json(&found)?;
        return Ok(exit);
    }
    if !found.orphans.is_empty() {
        let lines = table(&found.orphans).lines(&app.out, Fit::Beneath);
        lines.iter().try_for_each(|line| app.out.line(line))?;
        app.out.line("")?;
    }
    let mut sagas: Vec<_> = found.orphans.iter().map(|orphan| orphan.saga_id).collect();
    sagas.dedup();
    let (orphaned, checked) = (sagas.len(), found.checked);
    app.out.line(&match orphaned {
        0 => format!("this binary can go on with all {checked} sagas in flight"),
        _ => format!("this binary cannot go on with {orphaned} of {checked} sagas in flight"),
    })?;
    Ok(exit)
}

fn table(orphans: &[Orphan]) -> Table {
    let mut table = Table::new(&["SAGA", "KIND", "STATUS", "IDX", "STEP", "WHY"]);
    for orphan in orphans {
        let step = orphan.step.as_deref().unwrap_or_default();
        let step = match &orphan.scope {
            Some(scope) => format!("{scope}.{step}"),
            None => step.to_owned(),
        };
        let cells = vec![
            text(orphan.saga_id.to_string()),
            text(&orphan.kind),
            text(orphan.status),
            number(orphan.step_idx),
            text(step),
        ];
        table.row(cells, &orphan.why);
    }
    table
}
