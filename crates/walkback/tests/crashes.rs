//! T2: whatever dies, at every call of the store and inside every body, a saga of every shape
//! completes, walks back, or says exactly what is left.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use walkback::SqliteStore;
use walkback::describe::SagaView;
use walkback::store::{Answer, Store, WorkerId};
use walkback::testing::{Counts, Memory, Place, Scenario, crash_everywhere, scenarios};

#[path = "crashes/views.rs"]
mod views;

/// Threads that share the sagas: as many as there are cores, and more where they wait for a file.
const THREADS: usize = 2;
const THREADS_ON_DISK: usize = 4;
/// Of the largest sagas every so manieth, unless all are asked for; no divisor of the number of
/// variants of a shape, so that every shape and every variant is among them.
const SHARE: usize = 7;
const SHARE_ON_DISK: usize = 5;

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
                for scenario in share {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_time().start_paused(jump).build().unwrap();
                    let found = runtime.block_on(crash_everywhere(&place(), scenario));
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
