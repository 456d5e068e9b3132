//! `cancel`: a saga walks back until nothing it made is left.

use clap::Args;
use serde_json::json;
use walkback::{SagaId, engine::Asked};

use crate::commands::{App, Outcome};
use crate::exit::Exit;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The saga.
    id: SagaId,
    /// Why; it is kept with the saga.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who asks; $USER if nothing is said.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

pub(crate) async fn run(app: &App, args: CancelArgs) -> Outcome {
    let CancelArgs { id, reason, actor } = args;
    let asked = Asked { actor: actor.unwrap_or_else(user), reason };
    let changed = app.engine()?.cancel_saga(id, &asked).await?;
    if app.out.json {
        app.out.json(&json!({"id": id, "changed": changed}))?;
    } else if changed {
        app.out.line(&format!("saga {id} is cancelled: it walks back"))?;
    } else {
        app.out.line(&format!("no change: saga {id} walks back already"))?;
    }
    Ok(Exit::Done)
}

/// Whoever is logged in, as far as the environment says.
fn user() -> String {
    let named = |name| std::env::var(name).ok().filter(|name: &String| !name.is_empty());
    named("USER").or_else(|| named("LOGNAME")).unwrap_or_else(|| "unknown".to_owned())
}
