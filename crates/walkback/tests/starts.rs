//! A run that was accepted for a worker reaches it, whatever becomes of the caller and of answers.

#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::store::{Coordination, Filter, PostgresStore, Runs, SqliteStore, Wanted};
use walkback::testing::postgres::{Proxy, Server, tell};
use walkback::testing::{Fault, Faults, Faulty, VirtualClock};
use walkback::worker::Until;
use walkback::{Engine, Json, MemoryStore, Order, Registry, Status};

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

/// Somebody who asks, whose first commit has no answer and is there only after they looked.
fn unlucky(store: &MemoryStore) -> Engine {
    let store = Faulty::new(Arc::new(store.clone()), Faults::new(Fault::LandLate, 1));
    Engine::with_clock(Registry::with_builtins(), store, VirtualClock::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_start_that_lands_late_is_told_as_started_and_is_one() {
    for key in [None, Some("k")] {
        let store = MemoryStore::new();
        let engine = unlucky(&store);
        let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
        let order = Order::steps(["echo"]);
        let order = if let Some(key) = key { order.key(key) } else { order };
        let started = engine.start_saga(order).await.unwrap();
        assert!(started.created);
        worker.run(Until::Idle, CancellationToken::new()).await.unwrap();
        let all = engine.find_sagas(Filter { limit: 10, ..Filter::default() }).await.unwrap();
        assert_eq!(all, [started.id]);
        assert_eq!(engine.show_saga(started.id).await.unwrap().status, Status::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_lands_late_is_recorded_once() {
    let store = MemoryStore::new();
    let lucky = Engine::new(Registry::with_builtins(), store.clone()).unwrap();
    let id = lucky.start_saga(Order::steps(["echo"])).await.unwrap().id;
    let (name, payload) = ("paid".to_owned(), Json::empty_object());
    let signal = Operation::Signal { name, payload, id: None };
    assert!(unlucky(&store).operate(id, &signal, &Asked::default()).await.unwrap());
    let rows = store.rows(id, 0).await.unwrap();
    let kinds: Vec<&str> = rows.iter().map(|row| &*row.kind).collect();
    assert_eq!(kinds, ["accepted", "signal_received"]);
}

/// The server is still at a write when its connection breaks: whoever looks then finds nothing, and a moment
/// later it is there, as this worker's own. `slow` says which write, as a trigger does.
async fn a_write_after_its_connection_broke(slow: &str, starts_here: bool, until: Until) {
    let server = Server::start(&["fsync=off"]).unwrap();
    let (proxy, url) = (Proxy::before(&server).unwrap(), server.place());
    let store = PostgresStore::connect(&proxy.url(&url)).await.unwrap();
    let engine = Engine::new(Registry::with_builtins(), store).unwrap();
    let order = || Order::steps(["echo"]);
    if !starts_here {
        engine.start_saga(order()).await.unwrap();
    }
    let dawdle = "CREATE SEQUENCE writes; CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS \
                  'BEGIN IF nextval(''writes'') = 1 THEN PERFORM pg_sleep(3); END IF; RETURN NEW; END'";
    tell(&url, &format!("{dawdle}; CREATE TRIGGER dawdle {slow} EXECUTE FUNCTION dawdle()"))
        .unwrap();
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    let stop = CancellationToken::new();
    let breaking = async {
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while tell(&url, asleep).unwrap().trim() != "1" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy.cut_after(1);
    };
    let client = async {
        let starting = async {
            if starts_here {
                assert!(engine.start_saga(order()).await.unwrap().created);
            }
        };
        tokio::join!(starting, breaking);
        let done = Filter { statuses: vec![Status::Completed], limit: 1, ..Filter::default() };
        while engine.find_sagas(done.clone()).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(proxy.has_cut());
        stop.cancel();
    };
    let all = async { tokio::join!(worker.run(until, stop.clone()), client).0 };
    tokio::time::timeout(Duration::from_secs(40), all).await.unwrap().unwrap();
    let all = engine.find_sagas(Filter { limit: 2, ..Filter::default() }).await.unwrap();
    assert_eq!(all.len(), 1);
}

#[tokio::test]
async fn a_start_that_is_written_after_its_connection_broke_is_told_as_started() {
    let slow = "BEFORE INSERT ON run_specs FOR EACH ROW";
    a_write_after_its_connection_broke(slow, true, Until::Stopped).await;
}

const CLAIMED: &str = "BEFORE UPDATE ON run_heads FOR EACH ROW \
                       WHEN (OLD.owner IS NULL AND NEW.owner IS NOT NULL)";

#[tokio::test]
async fn a_claim_that_is_written_after_its_connection_broke_is_found() {
    a_write_after_its_connection_broke(CLAIMED, false, Until::Stopped).await;
}

#[tokio::test]
async fn it_is_waited_for_by_a_worker_that_ends_when_it_is_idle() {
    a_write_after_its_connection_broke(CLAIMED, false, Until::Idle).await;
}
