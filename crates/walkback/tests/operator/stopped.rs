//! A process that was stopped after it had committed that bodies begin: none begins late (promise I13),
//! and what one has made that was under way is undone though the run had ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use walkback::engine::{Asked, Operation};
use walkback::store::Coordination;
use walkback::testing::VirtualClock;
use walkback::{
    Attempt, Engine, Error, MemoryStore, Order, Registry, Status, StepRef, Steps, step_fn,
};

/// Which bodies began, by the step's place.
#[derive(Default)]
struct Begun {
    store: MemoryStore,
    steps: Mutex<Vec<usize>>,
}

/// The others go on without whoever works now.
async fn take_for_dead(store: &MemoryStore) {
    for worker in store.workers().await.unwrap() {
        store.retire(worker.info.id.unwrap()).await.unwrap();
    }
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
            take_for_dead(&begun.store).await;
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

/// A thing that a step makes once it is let go on.
#[derive(Default)]
struct Thing {
    begun: Notify,
    go_on: Notify,
    is_there: AtomicBool,
    undone: Mutex<u32>,
    /// Whether the body does not return once it has made it.
    hangs: bool,
}

fn maker(thing: &Arc<Thing>) -> Registry {
    let execute = |thing: Arc<Thing>, _, (): ()| async move {
        thing.begun.notify_one();
        thing.go_on.notified().await;
        thing.is_there.store(true, Ordering::SeqCst);
        if thing.hangs {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    let undo = |thing: Arc<Thing>, _, (), _| async move {
        *thing.undone.lock().unwrap() += 1;
        thing.is_there.store(false, Ordering::SeqCst);
        Ok(())
    };
    Registry::with_builtins().step(step_fn("makes", Arc::clone(thing), execute).compensate(undo))
}

/// A worker is stopped while a body is under way; others take its saga over, cancel it and walk back;
/// then it goes on, and makes the thing, while another saga has the lock, if there is one. What became of
/// the saga, and of the thing.
async fn stopped_meanwhile(steps: &str, hangs: bool, rival: bool) -> (Status, bool, u32) {
    let thing = Arc::new(Thing { hangs, ..Thing::default() });
    let (store, clock) = (MemoryStore::new(), VirtualClock::new());
    let engine = || Engine::with_clock(maker(&thing), store.clone(), clock).unwrap();
    let (stopped, other) = (engine(), engine());
    let steps: Steps = serde_json::from_str(steps).unwrap();
    let id = stopped.start_saga(Order::list("makes", steps)).await.unwrap().id;
    let asked = || Asked { actor: "ada".to_owned(), reason: None };
    let ask = async |id, operation| other.operate(id, &operation, &asked()).await;
    let waits = Steps::new().then(StepRef::new("wait_for").with("signal", "go").lock("a"));
    let others = async {
        thing.begun.notified().await;
        take_for_dead(&store).await;
        other.cancel_saga(id, &asked()).await.unwrap();
        other.work_until_idle().await.unwrap();
        assert_eq!(other.show_saga(id).await.unwrap().status, Status::RolledBack);
        assert_eq!(*thing.undone.lock().unwrap(), 1);
        let mut started = None;
        if rival {
            started = Some(other.start_saga(Order::list("rival", waits)).await.unwrap().id);
        }
        other.work_until_idle().await.unwrap();
        thing.go_on.notify_one();
        started
    };
    let (worked, rival) = tokio::join!(stopped.work_until_idle(), others);
    worked.unwrap();
    other.work_until_idle().await.unwrap();
    let rows = other.ledger(id, 0).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.kind == "came_late").count(), 1);
    let status = other.show_saga(id).await.unwrap().status;
    let (is_there, undone) = (thing.is_there.load(Ordering::SeqCst), *thing.undone.lock().unwrap());
    if let Some(rival) = rival {
        let retry = Operation::Retry { step: None };
        let refused = ask(id, retry.clone()).await.unwrap_err();
        assert!(matches!(refused, Error::Locked { owner, .. } if owner == rival), "{refused}");
        ask(rival, Operation::Cancel).await.unwrap();
        other.work_until_idle().await.unwrap();
        assert!(ask(id, retry).await.unwrap());
        other.work_until_idle().await.unwrap();
        assert_eq!(other.show_saga(id).await.unwrap().status, Status::RolledBack);
        assert!(!thing.is_there.load(Ordering::SeqCst), "it is left");
    }
    let report = walkback::verify::verify(&store, None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
    (status, is_there, undone)
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_process_makes_is_undone_though_its_run_had_ended() {
    for steps in [r#"["makes"]"#, r#"[{"makes": {"lock": "a"}}]"#] {
        for hangs in [false, true] {
            let ended = stopped_meanwhile(steps, hangs, false).await;
            assert_eq!(ended, (Status::RolledBack, false, 2), "{steps}, {hangs}");
        }
    }
}

/// The lock went with the end of the walk back: another saga may be changing what the undo would change.
#[tokio::test(start_paused = true)]
async fn what_came_late_waits_for_a_person_where_another_has_the_lock() {
    let ended = stopped_meanwhile(r#"[{"makes": {"lock": "a"}}]"#, false, true).await;
    assert_eq!(ended, (Status::Failed, true, 1));
}
