//! `attention`: every saga that needs a person, and the command that ends that.

use clap::Args;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::explanation;
use crate::selection::Selection;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback attention
  walkback attention --kind web_site --json | jq -r '.[].next[0].command'

The saga that waits longest comes first. Ends with 0 if nothing needs anybody, else with 1.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct AttentionArgs {
    #[command(flatten)]
    of: Selection,
}

pub(crate) async fn run(app: &App, args: AttentionArgs) -> Outcome {
    let found = app.engine()?.attention(args.of.filter()).await?;
    let exit = if found.is_empty() { Exit::Done } else { Exit::RolledBack };
    if app.out.json {
        app.out.json(&found)?;
        return Ok(exit);
    }
    if found.is_empty() {
        eprintln!("nothing needs a person");
    }
    for (at, explained) in found.iter().enumerate() {
        if at > 0 {
            app.out.line("")?;
        }
        let lines = explanation::brief(explained, &app.out);
        lines.iter().try_for_each(|line| app.out.line(line))?;
    }
    Ok(exit)
}
