//! `bench`: how fast this machine runs sagas, beside what its disk can do at most.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};
use serde::Serialize;
use walkback::store::{Pragmas, Store};
use walkback::{clock::Clock, clock::SystemClock, time::Timestamp};

use crate::commands::{App, Outcome};
use crate::exit::Exit;
use crate::failure::Failure;

mod load;
mod memory;
mod postgres;
mod raw;
mod report;

use load::{Load, Measured, Under};

pub(crate) const EXAMPLES: &str = "\
Examples:
  walkback bench
  walkback bench --sagas 5000 --repeat 1
  walkback bench --dir /mnt/fast-disk --json
  walkback bench --postgres --sagas 20000";

/// The arguments.
#[derive(Clone, Debug, Args)]
pub(crate) struct BenchArgs {
    /// Sagas of each throughput measurement.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    sagas: usize,
    /// Sagas in flight at once.
    #[arg(long, value_name = "C", default_value_t = 1_000)]
    concurrency: usize,
    /// How often each throughput is measured, the median counts; three times as often, in turns, what is compared on
    /// PostgreSQL.
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeat: usize,
    /// Finished runs that lie about where it is measured what they cost.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    finished: usize,
    /// The folder for the files of the measurement; a real disk. They are removed afterwards.
    #[arg(long, value_name = "DIR", default_value = ".", value_parser = folder())]
    dir: PathBuf,
    /// On a PostgreSQL server of its own in that folder, beside pgbench; needs both installed.
    #[arg(long)]
    postgres: bool,
}

fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|dir| dir.is_dir().then_some(dir).ok_or("it is no folder"))
}

/// Runs that wait in the file that is not empty.
const WAITING: usize = 1_000;

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    pragmas: Settings,
    concurrency: usize,
    /// echo, echo, echo.
    w1: Measured,
    /// echo, echo, fail, and back.
    w2: Measured,
    /// The rows of W1's file, inserted in batches as large as W1's, and nothing else.
    raw: raw::Raw,
    /// Sagas a second that the raw inserts would be, and W1's part of that.
    w1_of_raw: f64,
    /// One at a time in an empty file, and in one with waiting and finished runs.
    w3: load::Latency,
    w3_loaded: load::Latency,
    finished: usize,
    /// Median of W3 by the median of the commits that it needs.
    w3_of_commits: f64,
    w3_loaded_of_empty: f64,
    verify: Verified,
    memory: memory::Awaiting,
}

#[derive(Debug, Serialize)]
struct Settings {
    sqlite: String,
    journal_mode: String,
    synchronous: String,
    page_size: i64,
    wal_autocheckpoint: i64,
}

impl From<&Pragmas> for Settings {
    fn from(pragmas: &Pragmas) -> Self {
        Self {
            sqlite: pragmas.version.clone(),
            journal_mode: pragmas.journal_mode.clone(),
            synchronous: pragmas.synchronous.clone(),
            page_size: pragmas.page_size,
            wal_autocheckpoint: pragmas.wal_autocheckpoint,
        }
    }
}

#[derive(Debug, Serialize)]
struct Verified {
    runs: u64,
    rows: u64,
    violations: u64,
    seconds: f64,
    runs_per_second: f64,
}

/// A file of the measurement, removed with what SQLite and the worker put beside it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &Path, name: &str) -> Self {
        let scratch = Self(dir.join(format!("walkback-bench-{}-{name}.db", std::process::id())));
        scratch.remove();
        scratch
    }

    fn remove(&self) {
        for suffix in ["", "-wal", "-shm", "-worker"] {
            let mut path = self.0.clone().into_os_string();
            path.push(suffix);
            // Most of them are not there.
            std::fs::remove_file(path).ok();
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Time that passes, by the clock that the engine uses.
struct Stopwatch(Timestamp);

impl Stopwatch {
    fn start() -> Self {
        Self(SystemClock.now())
    }

    fn read(&self) -> Duration {
        SystemClock.now().since(self.0)
    }
}

fn median<T: Clone>(mut values: Vec<T>, by: impl Fn(&T) -> f64) -> Option<T> {
    values.sort_by(|a, b| by(a).total_cmp(&by(b)));
    values.get(values.len() / 2).cloned()
}

pub(crate) async fn run(app: &App, args: BenchArgs) -> Outcome {
    if args.postgres {
        return postgres::run(app, &args).await;
    }
    let file = Scratch::new(&args.dir, "memory");
    let memory = memory::awaiting(Under::Sqlite(walkback::SqliteStore::open(&file.0)?)).await?;
    drop(file);
    let (w1, file) = throughput(&args, "w1", &["echo", "echo", "echo"]).await?;
    let raw = raw::insert(&file.0, &Scratch::new(&args.dir, "raw").0, w1.sagas_per_commit)?;
    let (w2, _) = throughput(&args, "w2", &["echo", "echo", "fail"]).await?;
    let verify = verify(&file).await?;
    drop(file);
    let file = Scratch::new(&args.dir, "w3");
    let load = Load::open(&file.0, args.concurrency).await?;
    let w3 = load.latency().await?;
    load.fill(args.finished, WAITING).await?;
    let w3_loaded = load.latency().await?;
    load.close().await?;
    let pragmas = Settings::from(walkback::SqliteStore::open(&file.0)?.pragmas());
    let report = Report {
        pragmas,
        concurrency: args.concurrency,
        w1_of_raw: w1.sagas_per_second / raw.sagas_per_second,
        w3_of_commits: w3.p50_ms / (w3.commits_per_saga * raw.one_row_commit_p50_ms),
        w3_loaded_of_empty: w3_loaded.p50_ms / w3.p50_ms,
        w1,
        w2,
        raw,
        w3,
        w3_loaded,
        finished: args.finished,
        verify,
        memory,
    };
    if app.out.json {
        app.out.json(&report)?;
    } else {
        report::lines(&report).iter().try_for_each(|line| app.out.line(line))?;
    }
    Ok(if report.verify.violations == 0 { Exit::Done } else { Exit::RolledBack })
}

/// The median of several measurements, each in a file of its own; the last file stays.
async fn throughput(
    args: &BenchArgs,
    name: &str,
    steps: &[&str],
) -> Result<(Measured, Scratch), Failure> {
    let mut measured = Vec::new();
    let mut file = Scratch::new(&args.dir, &format!("{name}-0"));
    for at in 0..args.repeat.max(1) {
        // Not the name of the one before: closing that removes what stands beside it.
        file = Scratch::new(&args.dir, &format!("{name}-{at}"));
        let load = Load::open(&file.0, args.concurrency).await?;
        measured.push(load.throughput(args.sagas, steps).await?);
        load.close().await?;
    }
    Ok((middle(measured), file))
}

/// The median of several measurements, with the rates of all.
fn middle(measured: Vec<Measured>) -> Measured {
    let rates = measured.iter().map(|m| m.sagas_per_second.round()).collect();
    let middle = median(measured, |m| m.sagas_per_second).unwrap_or_default();
    Measured { all: rates, ..middle }
}

async fn verify(file: &Scratch) -> Result<Verified, Failure> {
    verify_store(&walkback::SqliteStore::open(&file.0)?).await
}

async fn verify_store(store: &dyn Store) -> Result<Verified, Failure> {
    let clock = Stopwatch::start();
    let report = walkback::verify::verify(store, None, None).await?;
    let seconds = clock.read().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let runs_per_second = report.runs as f64 / seconds;
    let violations = report.violations.len() as u64;
    Ok(Verified { runs: report.runs, rows: report.rows, violations, seconds, runs_per_second })
}
