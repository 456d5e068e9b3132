//! `prune`: removes sagas that nobody needs any more, and keeps them in a file first.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use serde_json::json;
use walkback::engine::{Archived, Asked};
use walkback::store::Filter;
use walkback::{Engine, SagaId, time::parse_duration};

use crate::commands::ask::Who;
use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::document::ArchivedSaga;
use crate::output::{count, time};
use crate::selection::Selection;

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback prune --older-than 30d
      How many would go.
  walkback prune --older-than 30d --export sagas.jsonl --yes

A saga goes whole, with its ledger and its key. What stays is its id, kind, end, length and last \
hash, and who pruned it when. What needs a person, has something left, or owns something live \
never goes. FILE is added a line of JSON for each saga, which is on the disk before the saga goes.";

/// Sagas that are kept and removed together.
const BATCH: usize = 200;
/// Sagas that are read, and held in memory, together: each may have ten thousand rows.
const READ_AT_ONCE: usize = 25;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Those that came to their end longer ago than this: `30d`, `12h`.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Duration,
    /// Keep each in this file before it goes, as a line of JSON.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    export: Option<PathBuf>,
    /// Do it, and not only say how many would go.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    of: Selection,
    #[command(flatten)]
    who: Who,
}

pub(crate) async fn run(app: &App, args: PruneArgs) -> Outcome {
    let PruneArgs { older_than, export, yes, of, who } = args;
    let (engine, asked) = (app.engine()?, who.asked());
    let before = time::now().minus(older_than);
    let filter = Filter { prunable_before: Some(before), ..of.filter() };
    let sagas = engine.find_sagas(filter).await?;
    let (count, counted) = (sagas.len(), count(sagas.len(), "saga"));
    if !yes && count > 0 {
        let line = format!("{counted} would be pruned: say --yes to do it");
        return Err(Failure::new(Exit::Usage, line));
    }
    eprintln!("pruning {counted}");
    let mut export = export.as_deref().map(Export::open).transpose()?;
    let pruned = remove(&engine, &sagas, &asked, export.as_mut()).await?;
    if app.out.json {
        app.out.json(&json!({"count": count, "pruned": pruned}))?;
    } else {
        app.out.line(&format!("{pruned} of {counted} pruned"))?;
    }
    Ok(Exit::Done)
}

/// Removes these sagas, and keeps each in the file first, if there is one; says how many went.
pub(crate) async fn remove(
    engine: &Engine,
    sagas: &[SagaId],
    asked: &Asked,
    mut export: Option<&mut Export>,
) -> Result<usize, Failure> {
    let mut pruned = 0;
    for batch in sagas.chunks(BATCH) {
        let mut stones = Vec::new();
        for few in batch.chunks(READ_AT_ONCE) {
            for saga in engine.archive(few, asked).await? {
                if let Some(export) = &mut export {
                    export.add(&saga)?;
                }
                stones.push(saga.stone);
            }
        }
        if let Some(export) = &mut export {
            export.sync()?;
        }
        pruned += engine.prune(stones).await?;
    }
    Ok(pruned)
}

/// The file in which pruned sagas are kept.
pub(crate) struct Export {
    file: BufWriter<File>,
    name: String,
}

impl Export {
    /// Opens it behind the last whole line; one that was cut off by a crash is ended.
    fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let opened = || {
            let options = OpenOptions::new().create(true).read(true).append(true).open(path);
            let mut file = options?;
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
            Ok(BufWriter::new(file))
        };
        let file = opened().map_err(|error| failed(&name, &error))?;
        Ok(Self { file, name })
    }

    fn add(&mut self, archived: &Archived) -> Result<(), Failure> {
        let line = serde_json::to_string(&ArchivedSaga::new(archived)?)?;
        writeln!(self.file, "{line}").map_err(|error| failed(&self.name, &error))
    }

    /// What was added is on the disk when this returns.
    fn sync(&mut self) -> Result<(), Failure> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|error| failed(&self.name, &error))
    }
}

fn failed(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("--export `{name}`: {error}; what is not in it was kept"))
}
