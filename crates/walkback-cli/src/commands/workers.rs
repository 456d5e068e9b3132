//! `workers`: who works on the store.

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::table::{Fit, Table, number, text};
use crate::output::time::{ago, moment};

pub(crate) async fn run(app: &App) -> Outcome {
    let engine = app.engine()?;
    let workers = engine.list_workers().await?;
    if app.out.json {
        app.out.json(&workers)?;
        return Ok(Exit::Done);
    }
    if workers.is_empty() {
        eprintln!("nobody works on {}; `walkback work` does", app.place);
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new(&["HOST", "PROCESS", "VERSION", "SAGAS", "SINCE", "SEEN", "QUEUES", "STEPS"]);
    for worker in &workers {
        let info = &worker.info;
        let queues = if info.queues.is_empty() { "all".to_owned() } else { info.queues.join(" ") };
        let silent = if worker.silent { ", silent" } else { "" };
        let seen = format!("{}{silent}", ago(worker.seen_at));
        let cells = vec![
            text(&info.host),
            number(Some(info.pid)),
            text(&info.version),
            number(Some(worker.runs)),
            text(moment(info.since)),
            text(seen),
            text(queues),
        ];
        table.row(cells, info.steps.join(" "));
    }
    table.lines(&app.out, Fit::Beneath).iter().try_for_each(|line| app.out.line(line))?;
    Ok(Exit::Done)
}
