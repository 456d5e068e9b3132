//! `diff`: what changed in a saga between two rows of its ledger.

use clap::Args;
use serde_json::{Value, json};
use walkback::SagaId;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::output::table::clean;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The saga.
    id: SagaId,
    /// A row of its ledger: how the saga was after it.
    #[arg(value_name = "SEQ")]
    from: u64,
    /// Another.
    #[arg(value_name = "SEQ")]
    to: u64,
}

pub(crate) async fn run(app: &App, args: DiffArgs) -> Outcome {
    let engine = app.engine()?;
    let from = serde_json::to_value(engine.show_saga_at(args.id, args.from).await?)?;
    let to = serde_json::to_value(engine.show_saga_at(args.id, args.to).await?)?;
    let mut changes = Vec::new();
    compare("", &from, &to, &mut changes);
    if app.out.json {
        let changes: Vec<_> = changes
            .iter()
            .map(|(at, from, to)| json!({"at": at, "from": from, "to": to}))
            .collect();
        app.out.json(&changes)?;
        return Ok(Exit::Done);
    }
    for (at, from, to) in &changes {
        app.out.line(&format!("{}  {}", app.out.bold(at), clean(&format!("{from} → {to}"))))?;
    }
    if changes.is_empty() {
        eprintln!("no difference");
    }
    Ok(Exit::Done)
}

/// Collects the places at which the two differ, by path.
fn compare(at: &str, from: &Value, to: &Value, changes: &mut Vec<(String, Value, Value)>) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match (from, to) {
        (Value::Object(old), Value::Object(new)) => {
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                let value = |of: &serde_json::Map<String, Value>| of.get(name).cloned();
                let (old, new) = (value(old).unwrap_or_default(), value(new).unwrap_or_default());
                compare(&below(name), &old, &new, changes);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (idx, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{at}[{idx}]"), old, new, changes);
            }
        }
        _ if from == to => {}
        _ => changes.push((at.to_owned(), from.clone(), to.clone())),
    }
}
