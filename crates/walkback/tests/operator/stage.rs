//! A store, an engine over it, and steps that do what a test needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use walkback::clock::{Clock, SystemClock};
use walkback::describe::SagaView;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::ledger::Row;
use walkback::time::Timestamp;
use walkback::worker::Until;
use walkback::{
    Attempt, Context, DynamicStep, Effect, Engine, Error, Json, MemoryStore, Options, Order,
    Registry, Retry, SagaId, SqliteStore, StepError, Steps,
};

/// The stores on which every test of this file's users runs.
pub(crate) const STORES: [&str; 2] = ["memory", "sqlite"];

/// An engine over an empty store.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    /// Whether what was broken is mended.
    mended: Arc<AtomicBool>,
    workers: JoinSet<()>,
    stop: CancellationToken,
    _folder: TempDir,
}

/// What the step does of this name.
struct Act {
    name: &'static str,
    mended: Arc<AtomicBool>,
}

/// Names of the steps; each makes something and can undo it, but for what its name says.
const ACTS: [&str; 8] = ["make", "hang", "retry", "once", "stuck", "shaky", "halt", "fouled"];

impl DynamicStep for Act {
    fn name(&self) -> &'static str {
        self.name
    }

    fn options(&self) -> Options {
        let hour = Duration::from_hours(1);
        // The jitter draws from zero on: thousands of hours are never none.
        let slow = Retry::attempts(9).backoff(hour * 10_000, hour * 10_000);
        let one = Options::new().retry(Retry::attempts(1)).compensate_retry(Retry::attempts(1));
        match self.name {
            "hang" => one.timeout(hour),
            "retry" => one.retry(slow),
            "once" => one.retry(slow).not_repeatable(),
            "shaky" => one.compensate_retry(slow),
            "halt" => one.halt_on_undo_failure(),
            "fouled" => one.retry(slow).halt_on_undo_failure(),
            _ => one,
        }
    }

    async fn execute(&self, attempt: &Attempt, context: &mut Context) -> Result<(), StepError> {
        let mended = self.mended.load(Ordering::SeqCst);
        match self.name {
            "hang" => attempt.stop().cancelled().await,
            "retry" | "once" | "fouled" if !mended => return Err(StepError::transient("broken")),
            _ => {}
        }
        context.put_output("made", &attempt.step_idx())
    }

    async fn compensate(&self, _: &Attempt, _: &Context, _: Effect<Json>) -> Result<(), StepError> {
        let broken = matches!(self.name, "stuck" | "shaky" | "halt" | "fouled");
        if broken && !self.mended.load(Ordering::SeqCst) {
            return Err(StepError::transient("jammed"));
        }
        Ok(())
    }
}

impl Stage {
    pub(crate) fn new(store: &str) -> Self {
        Self::with_clock(store, SystemClock)
    }

    pub(crate) fn with_clock(store: &str, clock: impl Clock + 'static) -> Self {
        let (folder, mended) = (tempfile::tempdir().unwrap(), Arc::new(AtomicBool::new(false)));
        let act = |name| Act { name, mended: Arc::clone(&mended) };
        let registry = ACTS.into_iter().map(act).fold(Registry::with_builtins(), Registry::dynamic);
        let engine = if store == "memory" {
            Engine::with_clock(registry, MemoryStore::new(), clock)
        } else {
            let file = SqliteStore::open(folder.path().join("w.db")).unwrap();
            Engine::with_clock(registry, file, clock)
        };
        let (workers, stop) = (JoinSet::new(), CancellationToken::new());
        Self { engine: engine.unwrap(), mended, workers, stop, _folder: folder }
    }

    /// What was broken works from here on.
    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }

    /// Starts these steps.
    pub(crate) async fn start(&self, steps: &str) -> SagaId {
        let steps: Steps = serde_json::from_str(steps).unwrap();
        let order = Order::list("staged", steps).input(r#"{"size":1}"#);
        self.engine.start_saga(order).await.unwrap().id
    }

    /// Works on, beside the test.
    pub(crate) async fn work(&mut self) {
        let Enlistment::Working(worker) = self.engine.enlist().await.unwrap() else {
            panic!("somebody else works");
        };
        let stop = self.stop.clone();
        self.workers.spawn(async move { worker.run(Until::Stopped, stop).await.unwrap() });
    }

    /// Works no more.
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        self.stop = CancellationToken::new();
    }

    /// Waits until the saga stands so.
    pub(crate) async fn until(&self, id: SagaId, so: impl Fn(&SagaView) -> bool) -> SagaView {
        loop {
            let saga = self.show(id).await;
            if so(&saga) {
                return saga;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Works until the saga waits or rests, and no longer.
    pub(crate) async fn settle(&mut self, id: SagaId) -> SagaView {
        self.work().await;
        let still = |saga: &SagaView| {
            let later = |at: Timestamp| at > SystemClock.now();
            let waits = saga.waiting_for.as_ref();
            saga.status.at_rest() || waits.is_some_and(|wait| wait.until.is_none_or(later))
        };
        let saga = self.until(id, still).await;
        self.stop().await;
        saga
    }

    pub(crate) async fn show(&self, id: SagaId) -> SagaView {
        self.engine.show_saga(id).await.unwrap()
    }

    /// Asks as `ada`, because of `a test`.
    pub(crate) async fn ask(&self, id: SagaId, operation: &Operation) -> Result<bool, Error> {
        let asked = Asked { actor: "ada".to_owned(), reason: Some("a test".to_owned()) };
        self.engine.operate(id, operation, &asked).await
    }

    pub(crate) async fn ledger(&self, id: SagaId) -> Vec<Row> {
        self.engine.ledger(id, 0).await.unwrap()
    }

    /// The oracle finds nothing in the store.
    pub(crate) async fn verify(&self) {
        let report = walkback::verify::verify(self.engine.store(), None, None).await.unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

/// The status of every step, in short.
pub(crate) fn steps(saga: &SagaView) -> Vec<&'static str> {
    saga.steps.iter().flatten().map(|step| step.status.name()).collect()
}
