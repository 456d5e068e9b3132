//! `steps`: the steps that this binary knows.

use walkback::describe::StepDescription;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::schema;
use crate::output::table::{Fit, Table, text};

pub(crate) fn run(app: &App) -> Outcome {
    let steps = app.registry()?.describe_steps();
    if app.out.json {
        app.out.json(&steps)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["STEP", "UNDO", "PROBE", "DATA"]);
    for step in &steps {
        let undo =
            step.no_undo.as_ref().map_or("yes", |no| no.reason.unwrap_or(no.why)).replace('_', " ");
        let probe = if step.probe { "yes" } else { "" };
        table.row(vec![text(&step.step), text(undo), text(probe)], data(step));
    }
    table.lines(&app.out, Fit::Beneath).iter().try_for_each(|line| app.out.line(line))?;
    Ok(Exit::Done)
}

/// What it reads and puts out, in a line.
fn data(step: &StepDescription) -> String {
    let part = |name: &str, schema: &Option<serde_json::Value>| {
        let fields = schema.as_ref().map(schema::fields).filter(|fields| !fields.is_empty())?;
        Some(format!("{name} {fields}"))
    };
    let parts = [
        part("reads", &step.input_schema),
        part("takes", &step.parameters_schema),
        part("puts", &step.output_schema),
        (step.dynamic).then(|| "reads the whole context".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
