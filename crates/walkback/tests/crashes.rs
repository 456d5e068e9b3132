//! T2: whatever dies, at every call of the store and inside every body, a saga of every shape
//! completes, walks back, or says exactly what is left.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};
use walkback::SqliteStore;
use walkback::describe::SagaView;
use walkback::store::{Answer, Coordination, PostgresStore, Store, WorkerId};
use walkback::testing::postgres::{Proxy, Server};
use walkback::testing::{
    Counts, Memory, Place, Scenario, crash_everywhere, cut_everywhere, scenarios,
};

#[path = "crashes/views.rs"]
mod views;

/// Threads that share the sagas: as many as there are cores, and more where they wait for a file.
const THREADS: usize = 2;
const THREADS_ON_DISK: usize = 4;
/// Of the largest sagas every so manieth, unless all are asked for; no divisor of the number of
/// variants of a shape, so that every shape and every variant is among them.
const SHARE: usize = 7;
const SHARE_ON_DISK: usize = 5;
/// On a server one in so many of all with up to three steps.
const SHARE_ON_A_SERVER: usize = 25;

/// A file of its own for each saga, which a dead process's successor opens again.
struct File {
    folder: TempDir,
    files: AtomicU64,
    /// An empty store, copied because that is quicker than making one.
    empty: PathBuf,
}

impl File {
    fn new() -> Self {
        // In memory where there is such a folder: what dies here is the process, not the power.
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        let empty = folder.path().join("empty.db");
        drop(SqliteStore::open(&empty).unwrap());
        Self { folder, files: AtomicU64::new(0), empty }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.files.load(Ordering::SeqCst)))
    }

    fn opened(&self) -> Answer<'_, Arc<dyn Store>> {
        Box::pin(async { Ok(Arc::new(SqliteStore::open(self.path())?) as Arc<dyn Store>) })
    }
}

impl Place for File {
    fn open(&self) -> Answer<'_, Arc<dyn Store>> {
        std::fs::remove_file(self.path()).ok();
        self.files.fetch_add(1, Ordering::SeqCst);
        std::fs::copy(&self.empty, self.path()).unwrap();
        self.opened()
    }

    fn reopen(&self, store: Arc<dyn Store>, _: Option<WorkerId>) -> Answer<'_, Arc<dyn Store>> {
        drop(store);
        self.opened()
    }

    fn check(&self, saga: &SagaView) {
        views::agree(&self.path(), saga);
    }
}

/// A schema of its own for each thread, emptied for each saga, which a dead process's successor finds
/// on its server.
struct Schema {
    url: String,
    /// The same by the way that its store takes.
    way: String,
    /// A connection of its own, and the task that serves it.
    sql: OnceCell<(Client, JoinSet<()>)>,
}

impl Schema {
    fn new() -> Self {
        let url = Server::shared().place();
        Self { way: url.clone(), url, sql: OnceCell::new() }
    }

    /// A schema that its store reaches through this proxy.
    fn behind(proxy: &Proxy) -> Self {
        let url = Server::shared().place();
        Self { way: proxy.url(&url), url, sql: OnceCell::new() }
    }

    async fn empty(&self) {
        let connect = || async {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
            let mut task = JoinSet::new();
            task.spawn(async move { connection.await.unwrap() });
            (client, task)
        };
        let (client, _) = self.sql.get_or_init(connect).await;
        let delete = "DELETE FROM run_specs; DELETE FROM run_heads; DELETE FROM run_labels; \
                      DELETE FROM ledger_rows; DELETE FROM workers; DELETE FROM cloud_provisioned; \
                      DELETE FROM cloud_resources";
        client.batch_execute(delete).await.unwrap();
    }
}

impl Place for Schema {
    fn open(&self) -> Answer<'_, Arc<dyn Store>> {
        Box::pin(async {
            let store = PostgresStore::connect(&self.way).await?;
            self.empty().await;
            Ok(Arc::new(store) as Arc<dyn Store>)
        })
    }

    fn reopen(&self, store: Arc<dyn Store>, dead: Option<WorkerId>) -> Answer<'_, Arc<dyn Store>> {
        drop(store);
        Box::pin(async move {
            let store = PostgresStore::new(&self.url)?;
            if let Some(worker) = dead {
                // Nobody waits here until its lease is over.
                store.retire(worker).await?;
            }
            Ok(Arc::new(store) as Arc<dyn Store>)
        })
    }

    fn check(&self, saga: &SagaView) {
        views::agree_on_server(&self.url, saga);
    }
}

/// Whether everything is to be tried, which takes longer than CI has.
fn all() -> bool {
    std::env::var_os("WALKBACK_CRASHES").is_some_and(|what| what == "all")
}

/// `jump`: time goes on by itself when nothing else is to do. Not where another thread works.
fn crash_all<P: Place>(place: fn() -> P, all: &[Scenario], jump: bool) -> Counts {
    let counts = Mutex::new(Counts::default());
    let threads = if jump { THREADS } else { THREADS_ON_DISK };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (share, counts) = (all.iter().skip(thread).step_by(threads), &counts);
            scope.spawn(move || {
                let place = place();
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().start_paused(jump).build().unwrap();
                for scenario in share {
                    let found = runtime.block_on(crash_everywhere(&place, scenario));
                    let mut counts = counts.lock().unwrap();
                    counts.scenarios += found.scenarios;
                    counts.crashes += found.crashes;
                }
            });
        }
    });
    counts.into_inner().unwrap()
}

#[test]
fn a_memory_store_survives_every_crash() {
    let share = if all() { 1 } else { SHARE };
    let scenarios: Vec<_> =
        (1..=3).flat_map(scenarios).chain(scenarios(4).step_by(share)).collect();
    let counts = crash_all(|| Memory, &scenarios, true);
    eprintln!("memory, up to 4 steps, one in {share} of those with 4: {counts}");
    assert!(counts.crashes > 20_000, "{counts}");
}

#[test]
fn an_sqlite_store_survives_every_crash() {
    let share = if all() { 1 } else { SHARE_ON_DISK };
    let scenarios: Vec<_> =
        (1..=2).flat_map(scenarios).chain(scenarios(3).step_by(share)).collect();
    let counts = crash_all(File::new, &scenarios, false);
    eprintln!("sqlite, up to 3 steps, one in {share} of those with 3: {counts}");
    assert!(counts.crashes > 5_000, "{counts}");
}

/// T8: sagas that complete, walk back, are cancelled and keep something, all connections cut after
/// one in so many messages, between the process and its server, of one such saga.
#[test]
fn a_lost_connection_costs_nothing() {
    if std::env::var("WALKBACK_TEST_POSTGRES").is_ok_and(|url| !url.is_empty()) {
        eprintln!("the server is not ours: nothing is cut");
        return;
    }
    let (step, sagas) = if all() { (1, 5) } else { (3, 31) };
    let cuts = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let cuts = &cuts;
            scope.spawn(move || {
                let proxy = Proxy::before(Server::shared()).unwrap();
                let place = Schema::behind(&proxy);
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build().unwrap();
                for saga in scenarios(3).step_by(sagas).skip(thread).step_by(THREADS) {
                    let cut = runtime.block_on(cut_everywhere(&place, &saga, &proxy, step));
                    cuts.fetch_add(cut, Ordering::SeqCst);
                }
            });
        }
    });
    eprintln!("connections cut {cuts:?} times");
    assert!(cuts.into_inner() > 100);
}

#[test]
fn a_postgres_store_survives_every_crash() {
    let share = if all() { 1 } else { SHARE_ON_A_SERVER };
    let scenarios: Vec<_> = (1..=3).flat_map(scenarios).step_by(share).collect();
    let counts = crash_all(Schema::new, &scenarios, false);
    eprintln!("postgres, one in {share} of those with up to 3 steps: {counts}");
    assert!(counts.crashes > 800, "{counts}");
}
