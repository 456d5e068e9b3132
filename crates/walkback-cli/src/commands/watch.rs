//! `watch`: follows a saga until it is at rest.

use clap::Args;
use walkback::SagaId;

use crate::commands::{App, Outcome, run};
use crate::exit::Exit;
use crate::follow::{Ended, Show, follow};

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The saga.
    id: SagaId,
}

pub(crate) async fn run(app: &App, args: WatchArgs) -> Outcome {
    let engine = app.engine()?;
    let json = app.out.json;
    let show = if json { Show::Json(app.out.clone()) } else { Show::for_people(&app.out) };
    match follow(&engine, args.id, show, false, &app.stop).await? {
        Ended::AtRest(view) => {
            run::tell(app, &view, false)?;
            Ok(view.status.into())
        }
        Ended::Interrupted => Ok(Exit::Interrupted),
    }
}
