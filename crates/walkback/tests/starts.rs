//! A run that was accepted for a worker reaches it, whatever becomes of the caller and of answers.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::engine::Enlistment;
use walkback::store::{Coordination, Filter, PostgresStore, SqliteStore, Wanted};
use walkback::testing::VirtualClock;
use walkback::testing::postgres::{Proxy, Server, tell};
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

/// A start that the server is still at when the connection breaks: whoever asks for it then hears that it is not
/// there, and a moment later it is, as this worker's own.
#[tokio::test]
async fn a_start_that_is_written_after_its_connection_broke_is_found() {
    let server = Server::start(&["fsync=off"]).unwrap();
    let (proxy, url) = (Proxy::before(&server).unwrap(), server.place());
    let store = PostgresStore::connect(&proxy.url(&url)).await.unwrap();
    let slow = "CREATE SEQUENCE starts; CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS \
                'BEGIN IF nextval(''starts'') = 1 THEN PERFORM pg_sleep(3); END IF; RETURN NEW; END'; \
                CREATE TRIGGER dawdle BEFORE INSERT ON run_specs FOR EACH ROW EXECUTE FUNCTION dawdle()";
    tell(&url, slow).unwrap();
    let engine = Engine::new(Registry::with_builtins(), store).unwrap();
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
        let (started, ()) = tokio::join!(engine.start_saga(Order::steps(["echo"])), breaking);
        let said = started.unwrap_err().to_string();
        assert!(proxy.has_cut() && !said.contains("nothing was written"), "{said}");
        let done = Filter { statuses: vec![Status::Completed], limit: 1, ..Filter::default() };
        while engine.find_sagas(done.clone()).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let all = async { tokio::join!(worker.run(Until::Stopped, stop.clone()), client).0 };
    tokio::time::timeout(Duration::from_secs(40), all).await.unwrap().unwrap();
}
