//! T11: every store conforms; T3: told the same at random, all of them answer the same.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use walkback::engine::Enlistment;
use walkback::store::PostgresStore;
use walkback::testing::conformance::{CASES, Fresh};
use walkback::testing::postgres::{Pooler, Server, tell};
use walkback::worker::Until;
use walkback::{Engine, MemoryStore, Order, Registry};

#[path = "stores/fresh.rs"]
mod fresh;
use fresh::{postgres, sqlite};

walkback::store_conformance!(memory, Fresh::new(MemoryStore::new()));
walkback::store_conformance!(sqlite_file, sqlite());
walkback::store_conformance!(postgres_server, postgres());

/// T7: a pooler hands every transaction to another session, two of them for each store.
#[test]
fn every_case_holds_behind_a_pooler() {
    let given = std::env::var("WALKBACK_TEST_POSTGRES").is_ok_and(|url| !url.is_empty());
    if given || !Pooler::is_installed() {
        eprintln!("PgBouncer is not installed, or the server is not ours: nothing is tried");
        return;
    }
    let pooler = Pooler::before(Server::shared(), 2).unwrap();
    let next = AtomicUsize::new(0);
    let pooled = |url: &str| {
        tell(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").unwrap();
        let url = url.to_owned();
        let store = move || PostgresStore::new(&url).unwrap();
        Fresh::new(store()).reopening(store)
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let url = pooler.place(Server::shared()).unwrap();
                while let Some((name, _)) = CASES.get(next.fetch_add(1, Ordering::SeqCst)) {
                    walkback::testing::conformance::run(name, pooled(&url));
                }
            });
        }
    });
}

/// Starts sagas one after another, a worker being there, and says how often the server executed a
/// statement under a name.
async fn prepared(server: &Server, url: &str) -> usize {
    let store = PostgresStore::connect(url).await.unwrap();
    let engine = Engine::new(Registry::with_builtins(), store).unwrap();
    let (stop, mut work) = (CancellationToken::new(), JoinSet::new());
    if let Enlistment::Working(worker) = engine.enlist().await.unwrap() {
        work.spawn(worker.run(Until::Stopped, stop.clone()));
    }
    for _ in 0..200 {
        let id = engine.start_saga(Order::steps(["echo"])).await.unwrap().id;
        engine.wait_for_rest(id).await.unwrap();
    }
    stop.cancel();
    work.join_next().await.unwrap().unwrap().unwrap();
    std::fs::read_to_string(server.folder().join("log")).unwrap().matches("execute s").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_sessions_of_its_own_prepares_statements() {
    let server = Server::start(&["fsync=off", "log_min_duration_statement=0"]).unwrap();
    if Pooler::is_installed() {
        let pooler = Pooler::before(&server, 2).unwrap();
        let url = pooler.place(&server).unwrap();
        assert_eq!(prepared(&server, &url).await, 0);
    }
    let prepared = prepared(&server, server.url()).await;
    assert!(prepared > 200, "{prepared}");
}

/// Comparisons of every day; `WALKBACK_AGREEMENTS=N` makes more.
const AGREEMENTS: u64 = 500;
/// Each takes a schema, which is slow to make.
const AGREEMENTS_ON_A_SERVER: u64 = 120;

/// Tells the memory store and these stores the same.
fn agree(others: fn() -> Fresh, usual: u64) {
    let more = std::env::var("WALKBACK_AGREEMENTS").ok().and_then(|text| text.parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in 0..more.unwrap_or(usual) {
        let Fresh { store, keep, .. } = others();
        let memory = std::sync::Arc::new(MemoryStore::new());
        let agreed = runtime.block_on(walkback::testing::agree(seed, memory, store));
        assert!(agreed.is_ok(), "{}", agreed.unwrap_err());
        drop(keep);
    }
}

#[test]
fn memory_and_sqlite_answer_alike() {
    agree(sqlite, AGREEMENTS);
}

#[test]
fn memory_and_postgres_answer_alike() {
    agree(postgres, AGREEMENTS_ON_A_SERVER);
}
