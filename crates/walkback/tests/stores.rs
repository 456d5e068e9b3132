//! T11: every store conforms; T3: told the same at random, all of them answer the same.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{JoinSet, coop};
use tokio_util::sync::CancellationToken;
use walkback::engine::{Asked, Enlistment};
use walkback::store::{Filter, PostgresStore};
use walkback::testing::conformance::{CASES, Fresh};
use walkback::testing::postgres::{Pooler, Server, tell};
use walkback::time::Timestamp;
use walkback::worker::Until;
use walkback::{Engine, MemoryStore, Order, Registry, SagaId};

#[path = "stores/fresh.rs"]
mod fresh;
#[path = "stores/tls.rs"]
mod tls;
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

/// Tables that the planner knows nothing of, then much that is due: what is asked of many runs looks each up,
/// sorts none that is not wanted, and is not compiled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_for_many_runs_reads_whole_tables() {
    let explain = "session_preload_libraries=auto_explain";
    let server = Server::start(&["fsync=off", explain, "auto_explain.log_min_duration=0"]).unwrap();
    let store = PostgresStore::connect(server.url()).await.unwrap();
    let engine = Engine::new(Registry::with_builtins(), store).unwrap();
    let mut starts = JoinSet::new();
    for _ in 0..4_000 {
        let engine = engine.clone();
        starts.spawn(async move { engine.start_saga(Order::steps(["echo"])).await.unwrap() });
    }
    starts.join_all().await;
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    worker.run(Until::Idle, CancellationToken::new()).await.unwrap();
    let prunable_before = Some(Timestamp::from_micros(i64::MAX));
    let done = Filter { prunable_before, limit: 5_000, ..Filter::default() };
    let done = engine.find_sagas(done).await.unwrap();
    assert_eq!(done.len(), 4_000);
    let asked = Asked { actor: "test".to_owned(), reason: None };
    let mut stones = Vec::new();
    for some in done[..500].chunks(25) {
        let archived = engine.archive(some, &asked).await.unwrap();
        stones.extend(archived.into_iter().map(|saga| saga.stone));
    }
    assert_eq!(engine.prune(stones).await.unwrap(), 500);
    let log = std::fs::read_to_string(server.folder().join("log")).unwrap();
    let plans: Vec<&str> = log.split("Query Text: ").skip(1).collect();
    for (asked, least) in [
        ("-- Claims", 16),
        ("-- Adds rows", 8),
        ("SELECT l.id, l.seq", 16),
        ("SELECT CASE WHEN h.owner", 16),
        ("DELETE FROM ledger_rows", 1),
        ("DELETE FROM run_specs", 1),
    ] {
        let plans: Vec<&&str> = plans.iter().filter(|plan| plan.starts_with(asked)).collect();
        assert!(plans.len() >= least, "{asked}: {} plans", plans.len());
        for slow in ["Seq Scan on run_", "Seq Scan on ledger_rows", "Scan on runs_", "JIT:"] {
            let found = plans.iter().find(|plan| plan.contains(slow));
            assert!(found.is_none(), "{slow}: {}", found.unwrap());
        }
    }
}

/// Its socket is read again only when others have had their turn, and it lets them have it: else it would ask for
/// ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_turn_is_over_gets_its_answer_all_the_same() {
    let Fresh { store, keep, .. } = postgres();
    for _ in 0..20 {
        while coop::has_budget_remaining() {
            coop::consume_budget().await;
        }
        assert!(store.head(SagaId::new()).await.unwrap().is_none());
    }
    drop((store, keep));
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
