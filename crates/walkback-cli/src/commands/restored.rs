//! `restored`: the store was set back to a backup, and its sagas may have done more than it knows.

use clap::Args;
use serde_json::json;

use crate::commands::ask::Who;
use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::count;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback restored
      How many sagas would be parked.
  walkback restored --yes --reason 'backup of 04:00'
  walkback resume --all --parked restored --yes

Say it after a store was set back, before any worker is started. A saga that goes on looks by its \
probes for every step that it may have done since: what is there is adopted, and what is not is done. \
What can be neither looked for nor done twice parks. One that is cancelled looks, too, and then walks \
back. Sagas that were started since are not in the store: what they made carries the tag `saga:ID`, and \
`resources --residue` names what no saga wants.";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct RestoredArgs {
    /// Do it, and not only say how many sagas would be parked.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(app: &App, args: RestoredArgs) -> Outcome {
    let engine = app.engine()?;
    if !args.yes {
        let counted = count(engine.in_flight().await?.len(), "saga");
        let line = format!("{counted} would be parked: say --yes to do it");
        return Err(Failure::new(Exit::Usage, line));
    }
    let parked = engine.restored(&args.who.asked()).await?;
    if app.out.json {
        app.out.json(&json!({"parked": parked}))?;
        return Ok(Exit::Done);
    }
    let counted = count(parked, "saga");
    app.out.line(&format!(
        "{counted} parked (`restored`): `walkback resume --all --parked restored --yes` lets all of them \
         look for what they did, and go on"
    ))?;
    Ok(Exit::Done)
}
