//! `doctor`: whether a store, its server and the sagas in it are as they should be.

use walkback::store::Grade;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::table::{Fit, Table, text};

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback doctor
  walkback doctor --store postgres://walkback@db/walkback --json

It only reads: durability settings, schema, size and rubbish, replicas, connections and clocks of a \
server, soundness of a file; who works; sagas that are due and taken by nobody, that wait for nothing, \
or with which this binary cannot go on.
Ends with 0, also if something is worth a look, and with 1 if something must be mended.";

pub(crate) async fn run(app: &App) -> Outcome {
    let found = app.engine()?.examine().await?;
    let bad = found.iter().any(|finding| finding.grade == Grade::Bad);
    let exit = if bad { Exit::RolledBack } else { Exit::Done };
    if app.out.json {
        app.out.json(&found)?;
        return Ok(exit);
    }
    let mut table = Table::new(&["", "WHAT", "FOUND"]);
    for finding in &found {
        let grade = match finding.grade {
            Grade::Good => "good",
            Grade::Look => "look",
            Grade::Bad => "BAD",
        };
        table.row(vec![text(grade), text(finding.what)], &finding.found);
    }
    table.lines(&app.out, Fit::Beneath).iter().try_for_each(|line| app.out.line(line))?;
    Ok(exit)
}
