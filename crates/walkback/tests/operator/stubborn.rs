//! A body that ignores its time: nothing is done beside it, and it is said (rule S3).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::testing::VirtualClock;
use walkback::worker::Until;
use walkback::{
    Attempt, Engine, MemoryStore, Options, Order, Registry, Retry, SagaId, Status, step_fn,
};

/// A step that blocks a thread until it is let go, and says whether it was undone beside that.
struct Deaf {
    let_go: Mutex<mpsc::Receiver<()>>,
    lives: AtomicBool,
    undone_beside: AtomicBool,
}

fn registry(deaf: &Arc<Deaf>) -> Registry {
    let once = Options::new().timeout(Duration::from_secs(1)).retry(Retry::attempts(1));
    let execute = |deaf: Arc<Deaf>, attempt: Attempt, (): ()| async move {
        let waits = move || {
            deaf.lives.store(true, Ordering::SeqCst);
            deaf.let_go.lock().unwrap().recv().ok();
            deaf.lives.store(false, Ordering::SeqCst);
        };
        attempt.blocking(waits).await
    };
    let undo = |deaf: Arc<Deaf>, _, (), _| async move {
        deaf.undone_beside.fetch_or(deaf.lives.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    };
    let step = step_fn("deaf", Arc::clone(deaf), execute).compensate(undo).options(once);
    Registry::new().step(step)
}

/// Lets time pass until the saga stands so; a thread that blocks keeps it from passing by itself.
async fn until(engine: &Engine, id: SagaId, so: impl Fn(Status) -> bool) -> Status {
    loop {
        let status = engine.show_saga(id).await.unwrap().status;
        if so(status) {
            return status;
        }
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ignores_its_time_parks_the_saga_and_nothing_is_undone_beside_it() {
    let (let_go, receiver) = mpsc::channel();
    let deaf = Arc::new(Deaf {
        let_go: Mutex::new(receiver),
        lives: AtomicBool::new(false),
        undone_beside: AtomicBool::new(false),
    });
    let clock = VirtualClock::new();
    let engine = Engine::with_clock(registry(&deaf), MemoryStore::new(), clock).unwrap();
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    let stop = CancellationToken::new();
    let id = engine.start_saga(Order::steps(["deaf"])).await.unwrap().id;
    let acts = async {
        until(&engine, id, |status| status == Status::Parked).await;
        let saga = engine.show_saga(id).await.unwrap();
        assert_eq!(saga.parked.unwrap().reason, "body_still_running");
        let said = engine.explain_saga(id).await.unwrap().because.join("; ");
        assert!(said.contains("a body ignored that its time was over"), "{said}");
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        assert!(engine.operate(id, &Operation::Cancel, &asked).await.unwrap());
        for _ in 0..600 {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
        assert!(deaf.lives.load(Ordering::SeqCst));
        assert!(!engine.show_saga(id).await.unwrap().status.at_rest(), "it waits for the body");
        let_go.send(()).unwrap();
        let ended = until(&engine, id, Status::at_rest).await;
        assert_eq!(ended, Status::RolledBack);
        assert!(!deaf.undone_beside.load(Ordering::SeqCst));
        stop.cancel();
    };
    let (worked, ()) = tokio::join!(worker.run(Until::Stopped, stop.clone()), acts);
    worked.unwrap();
    let report = walkback::verify::verify(engine.store(), None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
