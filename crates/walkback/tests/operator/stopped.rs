//! A process that was stopped after it had committed that bodies begin: none begins late (promise I13).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use walkback::store::Coordination;
use walkback::testing::VirtualClock;
use walkback::{Attempt, Engine, MemoryStore, Order, Registry, Status, Steps, step_fn};

/// Which bodies began, by the step's place.
#[derive(Default)]
struct Begun {
    store: MemoryStore,
    steps: Mutex<Vec<usize>>,
}

/// A step of which the first body's beginning is the moment at which its process is stopped: when it
/// goes on, it is taken for dead.
fn registry(begun: &Arc<Begun>) -> Registry {
    let execute = |begun: Arc<Begun>, attempt: Attempt, (): ()| async move {
        let times = {
            let mut steps = begun.steps.lock().unwrap();
            steps.push(attempt.step_idx());
            steps.len()
        };
        if times == 1 {
            for worker in begun.store.workers().await.unwrap() {
                begun.store.retire(worker.info.id.unwrap()).await.unwrap();
            }
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        Ok(())
    };
    let undo = |_, _, (), _| async { Ok(()) };
    Registry::new().step(step_fn("begins", Arc::clone(begun), execute).compensate(undo))
}

#[tokio::test(start_paused = true)]
async fn a_body_does_not_begin_when_others_have_taken_over_since_it_was_committed() {
    let begun = Arc::new(Begun::default());
    let clock = VirtualClock::new();
    let engine = || Engine::with_clock(registry(&begun), begun.store.clone(), clock).unwrap();
    let (stopped, other) = (engine(), engine());
    let steps: Steps =
        serde_json::from_str(r#"[[{"begins": {"scope": "a"}}, {"begins": {"scope": "b"}}]]"#)
            .unwrap();
    let id = stopped.start_saga(Order::list("stopped", steps)).await.unwrap().id;
    stopped.work_until_idle().await.unwrap();
    other.work_until_idle().await.unwrap();
    assert_eq!(stopped.show_saga(id).await.unwrap().status, Status::Completed);
    let mut steps = begun.steps.lock().unwrap().clone();
    let first = steps.remove(0);
    steps.sort_unstable();
    assert_eq!(steps, [0, 1], "after {first}, which the stopped process began, the other did both");
    let rows = stopped.ledger(id, 0).await.unwrap();
    let started = rows.iter().filter(|row| row.kind == "step_started").count();
    assert_eq!(started, 4, "both were committed as begun, twice");
}
