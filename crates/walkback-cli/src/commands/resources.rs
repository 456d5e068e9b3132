//! `resources`: what exists in the account, as sagas and the newest look at it know.

use std::collections::{HashMap, HashSet};

use clap::Args;
use walkback::desired::Resource;
use walkback::{Engine, Error, SagaId, Status};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::table::{Fit, Table, text};
use crate::output::time;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback resources
  walkback resources --live
      Only what a saga has made and still wants.
  walkback resources --residue
      Only what sagas have made and nobody wants, or could not be taken back.

What others have made or removed is known from the newest `walkback sync`.";

/// The arguments.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ResourcesArgs {
    /// Only what a saga has made and still wants.
    #[arg(long)]
    live: bool,
    /// Only what sagas have left behind.
    #[arg(long)]
    residue: bool,
    /// Also what is gone.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(app: &App, args: ResourcesArgs) -> Outcome {
    let engine = app.engine()?;
    let mut found = engine.list_resources().await?;
    if !args.all {
        found.retain(|thing| thing.gone_at.is_none());
    }
    if args.live || args.residue {
        let sagas = statuses(&engine, &found).await?;
        let failed = |thing: &Resource| {
            let of_it = thing.wanted_by.and_then(|id| sagas.get(&id));
            of_it.is_some_and(|status| *status == Status::Failed)
        };
        let left = |thing: &Resource| {
            let ours = maker(thing).is_some_and(|id| sagas.contains_key(&id));
            failed(thing) || thing.wanted_by.is_none() && ours
        };
        found.retain(|thing| {
            if args.live { thing.wanted_by.is_some() && !failed(thing) } else { left(thing) }
        });
    }
    if app.out.json {
        app.out.json(&found)?;
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        eprintln!("there is none; `walkback sync` looks at the account");
        return Ok(Exit::Done);
    }
    let lines = table(&found).lines(&app.out, Fit::Beneath);
    lines.iter().try_for_each(|line| app.out.line(line))?;
    Ok(Exit::Done)
}

/// How the sagas of this store stand that have made something of that.
async fn statuses(
    engine: &Engine,
    things: &[Resource],
) -> Result<HashMap<SagaId, Status>, Failure> {
    let ids: HashSet<SagaId> =
        things.iter().flat_map(|thing| thing.wanted_by.into_iter().chain(maker(thing))).collect();
    let mut known = HashMap::new();
    for id in ids {
        match engine.show_saga(id).await {
            Ok(saga) => drop(known.insert(id, saga.status)),
            // A tag can name anything.
            Err(Error::NotFound(_) | Error::Pruned(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(known)
}

/// The saga that made the thing: on record, or by the tag that the thing carries.
fn maker(thing: &Resource) -> Option<SagaId> {
    let tag = |tag: &String| tag.strip_prefix("saga:")?.parse().ok();
    thing.made_by.or_else(|| thing.tags.iter().find_map(tag))
}

fn table(things: &[Resource]) -> Table {
    let mut table =
        Table::new(&["PROVIDER", "KIND", "ID", "NAME", "REGION", "SEEN", "GONE", "SAGA"]);
    let one = things.iter().all(|thing| thing.provider == things[0].provider);
    for thing in things {
        let saga = thing.wanted_by.or(thing.made_by);
        let gone = match (thing.gone_at, thing.missing_since) {
            (Some(at), _) => time::ago(at),
            (None, Some(_)) => "missing".to_owned(),
            (None, None) => String::new(),
        };
        let cells = vec![
            text(if one { "" } else { &thing.provider }),
            text(&thing.kind),
            text(&thing.external_id),
            text(thing.name.as_deref().unwrap_or_default()),
            text(thing.region.as_deref().unwrap_or_default()),
            text(time::ago(thing.last_seen)),
            text(gone),
        ];
        table.row(cells, saga.map(|id| id.to_string()).unwrap_or_default());
    }
    table
}
