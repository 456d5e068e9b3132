//! A run that was accepted for a worker reaches it, whatever becomes of the caller and of answers.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::engine::Enlistment;
use walkback::store::{Coordination, Filter, SqliteStore, Wanted};
use walkback::testing::VirtualClock;
use walkback::worker::Until;
use walkback::{Engine, MemoryStore, Order, Registry, Status};

#[tokio::test]
async fn a_start_whose_caller_has_gone_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("walkback.db")).unwrap();
    let engine = Engine::new(Registry::with_builtins(), store).unwrap();
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    let stop = CancellationToken::new();
    let client = async {
        tokio::task::yield_now().await;
        for _ in 0..50 {
            let mut context = Context::from_waker(Waker::noop());
            let start = pin!(engine.start_saga(Order::steps(["echo"]))).poll(&mut context);
            assert!(start.is_pending(), "the disk cannot have answered yet");
        }
        let done = Filter { statuses: vec![Status::Completed], limit: 100, ..Filter::default() };
        while engine.find_sagas(done.clone()).await.unwrap().len() < 50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let all = async { tokio::join!(worker.run(Until::Stopped, stop.clone()), client).0 };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap().unwrap();
}

/// A claim whose answer never came: the store has it, and nobody else knows.
#[tokio::test(start_paused = true)]
async fn a_claim_that_nobody_knows_of_is_let_go() {
    let (clock, store) = (VirtualClock::new(), MemoryStore::new());
    let engine = Engine::with_clock(Registry::with_builtins(), store.clone(), clock).unwrap();
    let id = engine.start_saga(Order::steps(["echo"])).await.unwrap().id;
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    let worker_id = store.workers().await.unwrap()[0].info.id.unwrap();
    let now = walkback::time::Timestamp::from_micros(i64::MAX / 2);
    let (queues, cannot, turns_after) = ([].into(), [].into(), None);
    let wanted = Wanted { worker: worker_id, queues, cannot, limit: 10, turns_after, now };
    assert_eq!(store.claim(wanted).await.unwrap().len(), 1);
    let stop = CancellationToken::new();
    let client = async {
        let rest = tokio::time::timeout(Duration::from_mins(5), engine.wait_for_rest(id)).await;
        stop.cancel();
        rest.unwrap().unwrap()
    };
    let (worked, status) = tokio::join!(worker.run(Until::Stopped, stop.clone()), client);
    worked.unwrap();
    assert_eq!(status, Status::Completed);
}
