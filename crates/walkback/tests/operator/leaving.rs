//! A worker that leaves, and a store that forgets: whoever comes next goes on at once, and nothing counts that
//! only came to an end with them (rules S4, S15).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::testing::VirtualClock;
use walkback::worker::Until;
use walkback::{
    Attempt, Engine, MemoryStore, Options, Order, Registry, Retry, Status, StepError, Steps,
    step_fn,
};

/// Whether the worker that is told to leave has left, and what tells that a body has begun.
#[derive(Default)]
struct Leaving {
    begun: Notify,
    has_left: AtomicBool,
}

impl Leaving {
    /// A body that ends when it is told to stop, with an error as an honest one has it.
    async fn wait(&self, attempt: &Attempt) -> Result<(), StepError> {
        if self.has_left.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.begun.notify_one();
        attempt.stop().cancelled().await;
        Err(StepError::transient("stopped before it had ended"))
    }
}

/// A step that may be tried once, forward and back, and that waits in the named phase.
fn registry(leaving: &Arc<Leaving>, waits: &'static str) -> Registry {
    let execute = move |leaving: Arc<Leaving>, attempt: Attempt, (): ()| async move {
        if waits == "execute" { leaving.wait(&attempt).await } else { Ok(()) }
    };
    let undo = move |leaving: Arc<Leaving>, attempt: Attempt, (), _| async move {
        if waits == "compensate" { leaving.wait(&attempt).await } else { Ok(()) }
    };
    let once = Options::new().retry(Retry::attempts(1)).compensate_retry(Retry::attempts(1));
    Registry::new()
        .step(step_fn("once", Arc::clone(leaving), execute).compensate(undo).options(once))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_hand_over_ends_does_not_count_whatever_its_body_returns() {
    for (waits, ends) in [("execute", Status::Completed), ("compensate", Status::RolledBack)] {
        let leaving = Arc::new(Leaving::default());
        let (store, clock) = (MemoryStore::new(), VirtualClock::new());
        let engine = Engine::with_clock(registry(&leaving, waits), store, clock).unwrap();
        let id = engine.start_saga(Order::steps(["once"])).await.unwrap().id;
        if ends == Status::RolledBack {
            engine.work_until_idle().await.unwrap();
            let asked = Asked { actor: "ada".to_owned(), reason: None };
            assert!(engine.operate(id, &Operation::Rollback, &asked).await.unwrap());
        }
        let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
        let stop = CancellationToken::new();
        let told = async {
            leaving.begun.notified().await;
            stop.cancel();
        };
        let (left, ()) = tokio::join!(worker.run(Until::Stopped, stop.clone()), told);
        left.unwrap();
        leaving.has_left.store(true, Ordering::SeqCst);
        let before = tokio::time::Instant::now();
        engine.work_until_idle().await.unwrap();
        assert!(before.elapsed() < Duration::from_millis(100), "its backoff was waited for");
        assert_eq!(engine.show_saga(id).await.unwrap().status, ends, "{waits}");
        let rows = engine.ledger(id, 0).await.unwrap();
        let kinds: Vec<_> = rows.iter().map(|row| &*row.kind).collect();
        assert!(kinds.contains(&"handed_over"), "{kinds:?}");
        assert!(!kinds.iter().any(|kind| kind.ends_with("_failed")), "{kinds:?}");
    }
}

/// What lets the bodies of two steps go on, one after the other.
#[derive(Default)]
struct Gate {
    begun: Notify,
    go_on: Notify,
    times: Mutex<Vec<usize>>,
}

#[tokio::test(start_paused = true)]
async fn a_saga_of_which_the_store_has_lost_the_end_goes_on_at_once_from_what_is_left() {
    let gate = Arc::new(Gate::default());
    let execute = |gate: Arc<Gate>, attempt: Attempt, (): ()| async move {
        gate.times.lock().unwrap().push(attempt.step_idx());
        gate.begun.notify_one();
        gate.go_on.notified().await;
        Ok(())
    };
    let waits = step_fn("waits", Arc::clone(&gate), execute).options(Options::new().read_only());
    let registry = Registry::new().step(waits);
    let (store, clock) = (MemoryStore::new(), VirtualClock::new());
    let engine = Engine::with_clock(registry, store.clone(), clock).unwrap();
    let steps: Steps =
        serde_json::from_str(r#"[{"waits": {"scope": "a"}}, {"waits": {"scope": "b"}}]"#).unwrap();
    let id = engine.start_saga(Order::list("two", steps)).await.unwrap().id;
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    let stop = CancellationToken::new();
    let acts = async {
        gate.begun.notified().await;
        let backup = store.backup();
        gate.go_on.notify_one();
        gate.begun.notified().await;
        // A failover to a replica that had not got all of it.
        store.set_back(&backup);
        let before = tokio::time::Instant::now();
        for _ in 0..3 {
            gate.go_on.notify_one();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let saga = engine.show_saga(id).await.unwrap();
        assert_eq!(saga.status, Status::Completed, "after {:?}: {saga:#?}", before.elapsed());
        assert_eq!(*gate.times.lock().unwrap(), [0, 1, 0, 1]);
        stop.cancel();
    };
    let (worked, ()) = tokio::join!(worker.run(Until::Stopped, stop.clone()), acts);
    worked.unwrap();
    let report = walkback::verify::verify(engine.store(), None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
