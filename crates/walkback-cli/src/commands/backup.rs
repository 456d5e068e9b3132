//! `backup`: a copy of the store, while everything runs.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde_json::json;
use walkback::SqliteStore;

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::store::Place;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where the copy goes; the file must not be there yet.
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

pub(crate) async fn run(app: &App, args: BackupArgs) -> Outcome {
    let path = match &app.place {
        Place::Sqlite(path) => path,
        Place::Memory => {
            let why =
                "store `memory:` is gone with its process: only a `sqlite:` store is backed up";
            return Err(Failure::new(Exit::Usage, why));
        }
        Place::Postgres(_) => {
            let why = "a server is backed up by its own tools, pg_dump or a base backup with the \
                       write-ahead log: only a `sqlite:` store is backed up here";
            return Err(Failure::new(Exit::Usage, why));
        }
    };
    if args.file.exists() {
        let why = format!("`{}` is there already: expected a new file", args.file.display());
        return Err(Failure::new(Exit::Usage, why));
    }
    app.place.must_be_there()?;
    SqliteStore::open(path)?.backup(&args.file).await?;
    if app.out.json {
        app.out.json(&json!({"store": app.place.to_string(), "file": args.file}))?;
    } else {
        app.out.line(&format!("{} is copied to {}", app.place, args.file.display()))?;
    }
    Ok(Exit::Done)
}
