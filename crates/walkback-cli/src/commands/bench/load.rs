//! A store, a worker, and the sagas that are thrown at them.

use std::path::Path;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use walkback::store::PostgresStore;
use walkback::{
    Engine, Error, Order, Registry, SqliteStore, StepRef, engine::Enlistment, worker::Until,
};

use crate::commands::bench::{Stopwatch, memory};
use crate::failure::Failure;

/// Sagas of one latency measurement.
const ONE_BY_ONE: usize = 2_000;

/// The store under the load, which tells of its commits.
#[derive(Clone)]
pub(super) enum Under {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Under {
    /// Commits so far, and the transitions in them.
    pub(super) fn commits(&self) -> (u64, u64) {
        match self {
            Self::Sqlite(store) => store.commits(),
            Self::Postgres(store) => store.commits(),
        }
    }

    fn engine(&self, registry: Registry) -> Result<Engine, Error> {
        match self.clone() {
            Self::Sqlite(store) => Engine::new(registry, store),
            Self::Postgres(store) => Engine::new(registry, store),
        }
    }
}

pub(super) struct Load {
    store: Under,
    engine: Engine,
    concurrency: usize,
    stop: CancellationToken,
    worker: JoinSet<Result<(), Error>>,
}

/// A throughput: from the first start to the last completion.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Measured {
    pub(super) sagas: usize,
    pub(super) sagas_per_second: f64,
    /// Every measurement's rate; the one above is their median.
    pub(super) all: Vec<f64>,
    /// Guarded updates of runs.
    pub(super) updates_per_second: f64,
    pub(super) commits_per_saga: f64,
    pub(super) sagas_per_commit: f64,
    pub(super) peak_memory_mb: f64,
    pub(super) peak_memory_kb_per_saga_in_flight: f64,
}

/// How long one saga takes, started and awaited one at a time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Latency {
    pub(super) sagas: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) commits_per_saga: f64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn ratio(a: u64, b: usize) -> f64 {
    a as f64 / b as f64
}

/// Does `one` so often, `lanes` at a time.
pub(super) async fn in_lanes<F>(
    lanes: usize,
    times: usize,
    one: impl Fn() -> F + Clone + Send + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let lanes = lanes.min(times).max(1);
    let mut set = JoinSet::new();
    for lane in 0..lanes {
        let share = times / lanes + usize::from(lane < times % lanes);
        let one = one.clone();
        set.spawn(async move {
            for _ in 0..share {
                one().await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(lane) = set.join_next().await {
        lane.map_err(std::io::Error::other)??;
    }
    Ok(())
}

impl Load {
    pub(super) async fn open(file: &Path, concurrency: usize) -> Result<Self, Failure> {
        let store = Under::Sqlite(SqliteStore::open(file)?);
        Self::with(store, concurrency, Registry::with_builtins()).await
    }

    pub(super) async fn with(
        store: Under,
        concurrency: usize,
        registry: Registry,
    ) -> Result<Self, Failure> {
        let engine = store.engine(registry)?;
        let stop = CancellationToken::new();
        let mut worker = JoinSet::new();
        if let Enlistment::Working(enlisted) = engine.enlist().await? {
            worker.spawn(enlisted.concurrency(concurrency).run(Until::Stopped, stop.clone()));
        }
        Ok(Self { store, engine, concurrency, stop, worker })
    }

    /// Lets the worker go and waits for it.
    pub(super) async fn close(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        while let Some(ended) = self.worker.join_next().await {
            ended.map_err(std::io::Error::other)??;
        }
        Ok(())
    }

    pub(super) fn order(steps: &[&str]) -> Order {
        Order::steps(steps.iter().copied()).input(r#"{"message":"hello"}"#)
    }

    /// Keeps `concurrency` sagas in flight until `sagas` have come to rest. Every start is
    /// acknowledged on its own.
    pub(super) async fn throughput(
        &self,
        sagas: usize,
        steps: &[&str],
    ) -> Result<Measured, Failure> {
        memory::reset_peak();
        let before = memory::resident_kb();
        let (commits, transitions) = self.store.commits();
        let clock = Stopwatch::start();
        self.run_all(sagas, &Self::order(steps)).await?;
        let seconds = clock.read().as_secs_f64();
        let peak = memory::peak_kb();
        let after = self.store.commits();
        let commits = after.0 - commits;
        Ok(Measured {
            sagas,
            sagas_per_second: ratio(sagas as u64, 1) / seconds,
            all: Vec::new(),
            // The first one of each saga is its start.
            updates_per_second: ratio(after.1 - transitions - sagas as u64, 1) / seconds,
            commits_per_saga: ratio(commits, sagas),
            sagas_per_commit: ratio(sagas as u64, 1) / ratio(commits, 1),
            peak_memory_mb: ratio(peak, 1_000),
            peak_memory_kb_per_saga_in_flight: ratio(peak.saturating_sub(before), self.concurrency),
        })
    }

    async fn run_all(&self, sagas: usize, order: &Order) -> Result<(), Failure> {
        let (engine, order) = (self.engine.clone(), order.clone());
        let run = move || {
            let (engine, order) = (engine.clone(), order.clone());
            async move { engine.start_and_wait(order).await.map(drop) }
        };
        in_lanes(self.concurrency, sagas, run).await
    }

    /// Finished and waiting runs, to see what they cost the others.
    pub(super) async fn fill(&self, finished: usize, waiting: usize) -> Result<(), Failure> {
        for _ in 0..waiting {
            self.engine.start_saga(Order::steps([StepRef::new("sleep").with("for", "1h")])).await?;
        }
        self.run_all(finished, &Self::order(&["echo", "echo", "echo"])).await
    }

    /// One saga after another, by a task as those of a service are: the thread of `main` would have to be woken
    /// by another one each time.
    pub(super) async fn latency(&self) -> Result<Latency, Failure> {
        let order = Self::order(&["echo", "echo", "echo"]);
        self.run_all(100, &order).await?;
        let (commits, _) = self.store.commits();
        let engine = self.engine.clone();
        let mut caller = JoinSet::new();
        caller.spawn(async move {
            let mut took = Vec::with_capacity(ONE_BY_ONE);
            for _ in 0..ONE_BY_ONE {
                let clock = Stopwatch::start();
                engine.start_and_wait(order.clone()).await?;
                took.push(clock.read());
            }
            Ok::<_, Error>(took)
        });
        let mut took = caller.join_all().await.pop().transpose()?.unwrap_or_default();
        took.sort_unstable();
        let at =
            |part: usize| took[(ONE_BY_ONE * part / 100).min(ONE_BY_ONE - 1)].as_secs_f64() * 1e3;
        let commits_per_saga = ratio(self.store.commits().0 - commits, ONE_BY_ONE);
        Ok(Latency { sagas: ONE_BY_ONE, p50_ms: at(50), p99_ms: at(99), commits_per_saga })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }
}
