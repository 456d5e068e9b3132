//! The same on a PostgreSQL server of its own, in turns with pgbench on the same server.

use std::process::{Command, Stdio};

use serde::Serialize;
use walkback::engine::Asked;
use walkback::store::{Filter, PostgresStore};
use walkback::testing::postgres::{Server, installed, tell};
use walkback::{Engine, Registry, clock::Clock, clock::SystemClock};

use crate::commands::bench::load::{Latency, Load, Measured, Under, in_lanes};
use crate::commands::bench::{
    BenchArgs, Stopwatch, Verified, median, memory, middle, report, verify_store,
};
use crate::commands::{App, Outcome, prune};
use crate::exit::Exit;
use crate::failure::Failure;

/// What the server is set to beside its defaults, which keep every commit.
const SETTINGS: [&str; 3] = ["shared_buffers=512MB", "max_wal_size=4GB", "autovacuum_naptime=10s"];
/// Seconds of each run of pgbench.
const SECONDS: &str = "5";
/// Turns for each repetition where two things are compared that differ by a tenth, or less: the single turns of a
/// virtual machine go up and down by two tenths.
const TURNS: usize = 3;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The server's version and what durability depends on, as it says.
    pub(super) server: String,
    pub(super) concurrency: usize,
    /// `pgbench -N -c 16 -j 2`, in turns with W1 and W2.
    pub(super) pgbench_per_second: f64,
    pub(super) pgbench_all: Vec<f64>,
    pub(super) w1: Measured,
    pub(super) w2: Measured,
    /// W1's guarded updates of runs, by pgbench's transactions.
    pub(super) updates_of_pgbench: f64,
    /// One row inserted and committed by pgbench with one connection, on average; in turns with W3.
    pub(super) one_row_commit_ms: f64,
    pub(super) w3: Latency,
    /// W3's p50 by the time of its commits: of each turn, and the median of these.
    pub(super) w3_of_commits: f64,
    pub(super) w3_of_commits_all: Vec<f64>,
    /// W1 in tables that hold so many finished runs, and in turns with it in new ones.
    pub(super) finished: usize,
    pub(super) w1_loaded: Measured,
    /// The first by the second: of each turn, and the median of these.
    pub(super) w1_loaded_of_new: f64,
    pub(super) w1_loaded_of_new_all: Vec<f64>,
    /// Finished runs that `prune` removes while nothing else happens, and how many for each that W1 makes.
    pub(super) pruned_per_second: f64,
    pub(super) pruned_of_w1: f64,
    /// Sagas a second of one worker process and of four, which find all of them in the tables, from the first
    /// one's beginning to the last one's completion; in turns.
    pub(super) processes: [f64; 2],
    pub(super) processes_all: [Vec<f64>; 2],
    pub(super) four_of_one_process: f64,
    pub(super) four_of_one_process_all: Vec<f64>,
    pub(super) verify: Verified,
    pub(super) memory: memory::Awaiting,
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Store, why.to_string())
}

/// What was measured in turns, the first by the second: the machine drifts, and both with it.
fn turn_by_turn(
    first: impl IntoIterator<Item = f64>,
    second: impl IntoIterator<Item = f64>,
) -> Vec<f64> {
    first.into_iter().zip(second).map(|(first, second)| first / second).collect()
}

fn turns(args: &BenchArgs) -> usize {
    TURNS * args.repeat.max(1)
}

fn median_of(figures: &[f64]) -> f64 {
    median(figures.to_vec(), |figure| *figure).unwrap_or_default()
}

/// A server, and pgbench on it.
struct Ground {
    server: Server,
}

impl Ground {
    fn store(&self) -> Result<Under, Failure> {
        Ok(Under::Postgres(PostgresStore::new(&self.url())?))
    }

    /// New, empty tables, by the server's socket.
    fn url(&self) -> String {
        let (folder, port) = self.server.socket();
        let folder = folder.display().to_string().replace('/', "%2F");
        let schema = self.server.place();
        let options = schema.split_once('?').map(|(_, options)| options).unwrap_or_default();
        format!("postgres://walkback@{folder}:{port}/postgres?{options}")
    }

    /// What the server still has to do about all that was before would be in the time of what is measured next.
    fn settle(&self) -> Result<(), Failure> {
        for first in ["VACUUM ANALYZE", "CHECKPOINT"] {
            self.server.tell(first).map_err(failed)?;
        }
        Ok(())
    }

    /// Runs pgbench; answers the figure of the line that holds `of`.
    fn pgbench(&self, args: &[&str], of: &str) -> Result<f64, Failure> {
        let (folder, port) = self.server.socket();
        let output = Command::new(installed().map_err(failed)?.join("pgbench"))
            .arg("-h")
            .arg(folder)
            .args(["-p", &port.to_string(), "-U", "walkback"])
            .args(args)
            .arg("postgres")
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find(|line| line.contains(of));
        let figure =
            line.and_then(|line| line.split_whitespace().find_map(|word| word.parse::<f64>().ok()));
        figure.ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr)))
    }
}

pub(super) async fn run(app: &App, args: &BenchArgs) -> Outcome {
    let server = Server::start_in(&args.dir, &SETTINGS).map_err(failed)?;
    let ground = Ground { server };
    let settings = "SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync='
        || current_setting('fsync') || ', synchronous_commit='
        || current_setting('synchronous_commit') || ', shared_buffers='
        || current_setting('shared_buffers')";
    let said = ground.server.tell(settings).map_err(failed)?;
    let memory = memory::awaiting(ground.store()?).await?;
    // It says its figure on stderr.
    ground.pgbench(&["-i", "-s", "20", "-q"], "no such line").err();
    let (mut rates, mut w1, mut w2, mut last) = (Vec::new(), Vec::new(), Vec::new(), None);
    for _ in 0..args.repeat.max(1) {
        let plain = ["-n", "-N", "-c", "16", "-j", "2", "-T", SECONDS];
        rates.push(ground.pgbench(&plain, "tps")?);
        w1.push(throughput(&ground, args, &["echo", "echo", "echo"]).await?.0);
        let (measured, store) = throughput(&ground, args, &["echo", "echo", "fail"]).await?;
        w2.push(measured);
        last = Some(store);
    }
    let (w3, one_row_commit_ms, w3_of_commits_all) = one_at_a_time(&ground, args).await?;
    let Beside { loaded, new, pruned_per_second } = beside_finished(&ground, args).await?;
    let rate = |measured: &Measured| measured.sagas_per_second;
    let w1_loaded_of_new_all = turn_by_turn(loaded.iter().map(rate), new.iter().map(rate));
    let (mut one, mut four) = (Vec::new(), Vec::new());
    for _ in 0..turns(args) {
        one.push(worker_processes(&ground, args, 1).await?);
        four.push(worker_processes(&ground, args, 4).await?);
    }
    let four_of_one_process_all = turn_by_turn(four.iter().copied(), one.iter().copied());
    let processes_all = [one, four];
    let verify = match last {
        Some(Under::Postgres(store)) => verify_store(&store).await?,
        _ => return Err(failed("nothing was measured")),
    };
    let (w1, w2) = (middle(w1), middle(w2));
    let w1_loaded = middle(loaded);
    let pgbench_per_second = median_of(&rates);
    let report = Report {
        server: said.trim().to_owned(),
        concurrency: args.concurrency,
        pgbench_per_second,
        pgbench_all: rates,
        updates_of_pgbench: w1.updates_per_second / pgbench_per_second,
        w1,
        w2,
        one_row_commit_ms,
        w3_of_commits: median_of(&w3_of_commits_all),
        w3_of_commits_all,
        w3,
        finished: args.finished,
        pruned_per_second,
        pruned_of_w1: pruned_per_second / middle(new).sagas_per_second,
        w1_loaded_of_new: median_of(&w1_loaded_of_new_all),
        w1_loaded_of_new_all,
        w1_loaded,
        four_of_one_process: median_of(&four_of_one_process_all),
        four_of_one_process_all,
        processes: [median_of(&processes_all[0]), median_of(&processes_all[1])],
        processes_all,
        verify,
        memory,
    };
    if app.out.json {
        app.out.json(&report)?;
    } else {
        report::server_lines(&report).iter().try_for_each(|line| app.out.line(line))?;
    }
    Ok(if report.verify.violations == 0 { Exit::Done } else { Exit::RolledBack })
}

/// What finished runs cost, and how fast they can be removed.
struct Beside {
    loaded: Vec<Measured>,
    new: Vec<Measured>,
    pruned_per_second: f64,
}

/// W1 in tables that hold finished runs, which the server has settled with, and in turns with it in new ones.
async fn beside_finished(ground: &Ground, args: &BenchArgs) -> Result<Beside, Failure> {
    let steps = ["echo", "echo", "echo"];
    let full = Load::with(ground.store()?, args.concurrency, Registry::with_builtins()).await?;
    full.fill(args.finished, 0).await?;
    ground.settle()?;
    let (mut loaded, mut new) = (Vec::new(), Vec::new());
    for _ in 0..turns(args) {
        loaded.push(full.throughput(args.sagas, &steps).await?);
        new.push(throughput(ground, args, &steps).await?.0);
    }
    let pruned_per_second = prune(full.engine(), args.sagas).await?;
    full.close().await?;
    Ok(Beside { loaded, new, pruned_per_second })
}

/// Removes so many finished runs; answers how many went a second.
async fn prune(engine: &Engine, sagas: usize) -> Result<f64, Failure> {
    let asked = Asked { actor: "bench".to_owned(), reason: None };
    let old = Some(SystemClock.now());
    let filter = Filter { prunable_before: old, limit: sagas, ..Filter::default() };
    let clock = Stopwatch::start();
    let found = engine.find_sagas(filter).await?;
    let gone = prune::remove(engine, &found, &asked, None).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = gone as f64 / clock.read().as_secs_f64();
    Ok(rate)
}

/// One measurement in tables of its own.
async fn throughput(
    ground: &Ground,
    args: &BenchArgs,
    steps: &[&str],
) -> Result<(Measured, Under), Failure> {
    let store = ground.store()?;
    let load = Load::with(store.clone(), args.concurrency, Registry::with_builtins()).await?;
    let measured = load.throughput(args.sagas, steps).await?;
    load.close().await?;
    Ok((measured, store))
}

/// Starts the sagas first; then so many processes work until nothing is left.
async fn worker_processes(ground: &Ground, args: &BenchArgs, count: usize) -> Result<f64, Failure> {
    let url = ground.url();
    let engine = Engine::new(Registry::with_builtins(), PostgresStore::new(&url)?)?;
    let order = Load::order(&["echo", "echo", "echo"]);
    let start = move || {
        let (engine, order) = (engine.clone(), order.clone());
        async move { engine.start_saga(order).await.map(drop) }
    };
    in_lanes(args.concurrency, args.sagas, start).await?;
    let mut workers = Vec::new();
    for _ in 0..count {
        let mut work = Command::new(std::env::current_exe()?);
        work.args(["--store", &url, "work", "--until-idle"]);
        workers.push(work.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?);
    }
    for mut worker in workers {
        let ended = tokio::task::spawn_blocking(move || worker.wait()).await;
        if !ended.map_err(failed)??.success() {
            return Err(failed("a worker process failed"));
        }
    }
    // What a process needs to start and to see that the others have nothing left either is not counted.
    let took = "SELECT (max(finished_at) - min(started_at)) / 1e6 FROM run_heads";
    let seconds: f64 = tell(&url, took).map_err(failed)?.trim().parse().map_err(failed)?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = args.sagas as f64 / seconds;
    Ok(rate)
}

/// W3, in turns with one-row commits: the medians of both, and by how much W3 takes longer than its commits.
async fn one_at_a_time(
    ground: &Ground,
    args: &BenchArgs,
) -> Result<(Latency, f64, Vec<f64>), Failure> {
    ground.settle()?;
    ground.server.tell("CREATE TABLE one_row (at timestamptz)").map_err(failed)?;
    let load = Load::with(ground.store()?, args.concurrency, Registry::with_builtins()).await?;
    let (mut commits, mut w3) = (Vec::new(), Vec::new());
    for _ in 0..turns(args) {
        commits.push(one_row_commit(ground)?);
        w3.push(load.latency().await?);
    }
    load.close().await?;
    let each = w3.iter().map(|w3| w3.p50_ms / w3.commits_per_saga);
    let times = turn_by_turn(each, commits.iter().copied());
    let w3 = median(w3, |of| of.p50_ms).ok_or_else(|| failed("nothing was measured"))?;
    Ok((w3, median_of(&commits), times))
}

/// How long it takes on average to insert one row and to commit it.
fn one_row_commit(ground: &Ground) -> Result<f64, Failure> {
    let script = ground.server.folder().join("one_row.sql");
    std::fs::write(&script, "INSERT INTO one_row VALUES (now());")?;
    let file = script.display().to_string();
    let args = ["-n", "-c", "1", "-M", "prepared", "-f", &file, "-T", SECONDS];
    ground.pgbench(&args, "latency average")
}
