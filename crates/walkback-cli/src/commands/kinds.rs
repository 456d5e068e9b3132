//! `kinds`: the kinds of sagas that this binary knows.

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::schema;
use crate::output::table::{Fit, Table, text};

pub(crate) fn run(app: &App) -> Outcome {
    let kinds = app.registry()?.describe_kinds();
    if app.out.json {
        app.out.json(&kinds)?;
        return Ok(Exit::Done);
    }
    if kinds.is_empty() {
        eprintln!("no kinds: sagas are started with --steps or --file");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["KIND", "INPUT"]);
    for kind in &kinds {
        let input = kind.input_schema.as_ref().map(schema::fields);
        table.row(vec![text(&kind.kind)], input.unwrap_or_default());
    }
    table.lines(&app.out, Fit::Beneath).iter().try_for_each(|line| app.out.line(line))?;
    Ok(Exit::Done)
}
