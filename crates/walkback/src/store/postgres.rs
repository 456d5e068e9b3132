//! Runs in PostgreSQL: any number of processes work, on any number of machines.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::desired::{Observed, Provisioned, Resource, Survey};
use crate::id::{ClaimId, SagaId};
use crate::ledger::Row;
use crate::store::{
    Answer, Appended, Booking, Claim, Claimed, Coordination, Enlisted, Filter, Finding, Head,
    Holder, NewRun, News, Records, Runs, Started, StoreError, StoredRun, Tombstone, Transition,
    Turn, Upkeep, Wanted, WorkerId, WorkerInfo, WorkerSeen,
};
use crate::time::Timestamp;

mod budget;
mod codec;
mod connect;
mod examine;
mod hint;
mod lane;
mod line;
mod locks;
mod migrate;
mod passfile;
mod prune;
mod read;
mod records;
mod single;
mod target;
mod tls;
mod workers;
mod write;

use connect::Database;
use hint::Hints;
use lane::Lane;
use prune::Pruning;
use target::Target;
use workers::Keeper;
use write::{Accepting, Appending, End};

/// Connections at most: three that write, and the others for readers and rare transactions.
const CONNECTIONS: usize = 8;
/// How often a worker looks at least; hints make it look sooner.
const LOOK_MOST: Duration = Duration::from_secs(1);

/// A store in a PostgreSQL database, 13 or newer. Cheap to clone; tied to the runtime in which it is
/// used first.
///
/// What is committed is as durable as the server's `fsync` and `synchronous_commit` make it; the
/// store changes neither.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
/// use walkback::{Engine, Registry, store::PostgresStore};
///
/// let store = PostgresStore::new("postgres://walkback@db.example/sagas?sslmode=verify-full")?;
/// let engine = Engine::new(Registry::with_builtins(), store)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore(Arc<Parts>);

struct Parts {
    database: Arc<Database>,
    /// A connection beside, for signs of life alone: they stand in no line behind work.
    beside: Arc<Database>,
    starts: Lane<Accepting>,
    appends: Lane<Appending>,
    prunes: Lane<Pruning>,
    hints: Hints,
    keepers: Mutex<HashMap<WorkerId, Keeper>>,
}

impl PostgresStore {
    /// The store that `url` names (`postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`); what it
    /// leaves open comes from the variables of the environment that psql knows (`PGHOST`, `PGPORT`,
    /// `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGOPTIONS`). Nothing is
    /// connected yet. An empty database gets its tables when it is used first.
    ///
    /// # Errors
    /// If something in the URL or in a variable is wrong.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let target = Target::parse(url, variable);
        let target =
            target.map_err(|why| StoreError::Unusable { place: "postgres:".into(), why })?;
        let beside = Arc::new(Database::new(target.clone(), 1)?);
        let database = Arc::new(Database::new(target, CONNECTIONS)?);
        Ok(Self(Arc::new(Parts {
            beside,
            starts: Lane::new(Arc::clone(&database)),
            appends: Lane::new(Arc::clone(&database)),
            prunes: Lane::new(Arc::clone(&database)),
            hints: Hints::new(Arc::clone(&database)),
            database,
            keepers: Mutex::default(),
        })))
    }

    /// The same, and it is there.
    ///
    /// # Errors
    /// If it cannot be reached, is too old, is read-only, or has tables of a newer version.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let store = Self::new(url)?;
        store.0.database.connection().await?;
        Ok(store)
    }

    /// A worker listens to no hints. It looks by itself, ever less often, once a second while nothing
    /// happens; and it prepares no statements, as only a hint that is heard shows that sessions are its own.
    pub fn no_listen(&self) {
        self.0.hints.deafen();
    }

    /// The URL without the password.
    pub fn place(&self) -> &str {
        &self.0.database.place
    }

    /// Statements so far, by this process.
    pub fn statements(&self) -> u64 {
        let of = |database: &Database| database.statements.load(Ordering::Relaxed);
        of(&self.0.database) + of(&self.0.beside)
    }

    /// Commits of runs so far and the transitions in them, by this process: how well group commit
    /// works.
    pub fn commits(&self) -> (u64, u64) {
        let (commits, transitions) = &self.0.database.commits;
        (commits.load(Ordering::Relaxed), transitions.load(Ordering::Relaxed))
    }
}

impl Parts {
    fn keepers(&self) -> MutexGuard<'_, HashMap<WorkerId, Keeper>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this worker lives, as far as this process knows.
    fn keeps(&self, worker: WorkerId) -> bool {
        self.keepers().get(&worker).is_some_and(|keeper| !keeper.lost())
    }

    fn not_enlisted<T>(&self) -> Result<T, StoreError> {
        Err(StoreError::NotEnlisted { place: self.database.place.to_string() })
    }
}

impl Runs for PostgresStore {
    fn start(&self, run: NewRun, claim: Option<(WorkerId, ClaimId)>) -> Answer<'_, Started> {
        let started = self.0.starts.submit(Arc::new(Accepting { run, claim }));
        Box::pin(async move {
            let started = started.await?;
            if matches!(started, Started::Created(None)) {
                self.0.hints.hint().await;
            }
            Ok(started)
        })
    }

    fn append<'a>(&'a self, claim: &'a Claim, transition: Transition) -> Answer<'a, Appended> {
        let (id, claim) = (claim.saga, Some(claim.clone()));
        self.append_either(Appending { id, claim, transition })
    }

    fn append_unclaimed(&self, id: SagaId, transition: Transition) -> Answer<'_, Appended> {
        let appended = self.append_either(Appending { id, claim: None, transition });
        Box::pin(async move {
            let appended = appended.await?;
            self.0.hints.hint().await;
            Ok(appended)
        })
    }

    fn load(&self, id: SagaId) -> Answer<'_, Option<StoredRun>> {
        self.0.database.read(move |connection| Box::pin(read::load(connection, id)))
    }

    fn head(&self, id: SagaId) -> Answer<'_, Option<Head>> {
        self.0.database.read(move |connection| Box::pin(read::head(connection, id)))
    }

    fn rows(&self, id: SagaId, from: u64) -> Answer<'_, Vec<Row>> {
        self.0.database.read(move |connection| Box::pin(read::rows(connection, id, from)))
    }

    fn list(&self, filter: Filter) -> Answer<'_, Vec<SagaId>> {
        let filter = Arc::new(filter);
        self.0.database.read(move |connection| {
            let filter = Arc::clone(&filter);
            Box::pin(async move { read::list(connection, &filter).await })
        })
    }

    fn scan(&self, after: Option<SagaId>, limit: usize) -> Answer<'_, Vec<StoredRun>> {
        self.0.database.read(move |connection| Box::pin(read::scan(connection, after, limit)))
    }
}

impl PostgresStore {
    /// Together with others if it concerns the run alone, and otherwise in a transaction.
    fn append_either(&self, appending: Appending) -> Answer<'_, Appended> {
        let appending = Arc::new(appending);
        Box::pin(async move {
            if !appending.is_wide()
                && let End::Appended(end) = self.0.appends.submit(Arc::clone(&appending)).await?
            {
                return Ok(end);
            }
            let widely = self.0.database.transact(move |connection| {
                let appending = Arc::clone(&appending);
                Box::pin(async move { write::append_wide(connection, &appending).await })
            });
            widely.await
        })
    }
}

impl Parts {
    /// Forgets a worker; whether another one of this process is left.
    fn forget(&self, worker: WorkerId) -> bool {
        let mut keepers = self.keepers();
        keepers.remove(&worker);
        !keepers.is_empty()
    }
}

impl Coordination for PostgresStore {
    fn enlist(&self, worker: &WorkerInfo) -> Answer<'_, Enlisted> {
        let info = Arc::new(worker.clone());
        Box::pin(async move {
            let parts = &self.0;
            let (worker, lease) = (info.id.unwrap_or(WorkerId(0)), info.lease.time());
            let enlisting = parts.database.read(move |connection| {
                let info = Arc::clone(&info);
                Box::pin(async move { workers::enlist(connection, &info, worker).await })
            });
            enlisting.await?;
            parts.database.works(true);
            let heard = parts.hints.listen();
            let keeper = Keeper::keep(Arc::clone(&parts.beside), worker, lease, heard);
            parts.keepers().insert(worker, keeper);
            Ok(Enlisted::Working)
        })
    }

    fn retire(&self, worker: WorkerId) -> Answer<'_, ()> {
        Box::pin(async move {
            let database = &self.0.database;
            database.works(self.0.forget(worker));
            database.read(move |connection| Box::pin(workers::retire(connection, worker))).await?;
            self.0.hints.hint().await;
            Ok(())
        })
    }

    fn claim(&self, wanted: Wanted) -> Answer<'_, Vec<Claimed>> {
        Box::pin(async move {
            if !self.0.keeps(wanted.worker) {
                return self.0.not_enlisted();
            }
            let (database, wanted) = (&self.0.database, &wanted);
            let claimed = database.write(|connection| {
                let wanted = wanted.clone();
                Box::pin(async move { workers::claim(connection, &wanted).await })
            });
            match claimed.await.map_err(|trouble| trouble.told(database))? {
                Some(claimed) => Ok(claimed),
                None => self.0.not_enlisted(),
            }
        })
    }

    fn news(&self, wanted: Wanted) -> Answer<'_, News> {
        Box::pin(async move {
            if self.0.keepers().get(&wanted.worker).is_some_and(Keeper::lost) {
                return self.0.not_enlisted();
            }
            let (worker, wanted) = (wanted.worker, Arc::new(wanted));
            let news = self.0.database.read(move |connection| {
                let wanted = Arc::clone(&wanted);
                Box::pin(async move { workers::news(connection, &wanted).await })
            });
            let (mut news, nudged) = news.await?;
            news.was_away = self.0.database.was_away();
            self.0.appends.others_work(news.others_work);
            if nudged.is_empty() {
                return Ok(news);
            }
            // Known here by now, so that no answer that is lost can lose them.
            news.nudged = nudged.iter().map(|(id, _)| *id).collect();
            let nudged = Arc::new(nudged);
            let told = self.0.database.read(move |connection| {
                let nudged = Arc::clone(&nudged);
                Box::pin(async move { workers::told(connection, worker, &nudged).await })
            });
            told.await.map(|()| news)
        })
    }

    fn owned(&self, worker: WorkerId) -> Answer<'_, Vec<(SagaId, ClaimId)>> {
        self.0.database.read(move |connection| Box::pin(workers::owned(connection, worker)))
    }

    fn holders(&self, keys: Vec<String>) -> Answer<'_, Vec<Holder>> {
        let keys = Arc::new(keys);
        self.0.database.read(move |connection| {
            let keys = Arc::clone(&keys);
            Box::pin(async move { locks::holders(connection, &keys).await })
        })
    }

    fn let_go(&self, saga: SagaId) -> Answer<'_, ()> {
        let letting_go =
            self.0.database.transact(move |connection| Box::pin(locks::let_go(connection, saga)));
        Box::pin(async move {
            letting_go.await?;
            self.0.hints.hint().await;
            Ok(())
        })
    }

    fn book(&self, booking: Booking) -> Answer<'_, Turn> {
        let booking = Arc::new(booking);
        self.0.database.transact(move |connection| {
            let booking = Arc::clone(&booking);
            Box::pin(async move { budget::book(connection, &booking).await })
        })
    }

    fn calls(&self, limit: usize) -> Answer<'_, Vec<(SagaId, Timestamp)>> {
        self.0.database.read(move |connection| Box::pin(read::calls(connection, limit)))
    }

    fn workers(&self) -> Answer<'_, Vec<WorkerSeen>> {
        self.0.database.read(|connection| Box::pin(workers::workers(connection)))
    }

    fn hinted(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.0.hints.heard().await;
            Ok(())
        })
    }

    fn look_most(&self) -> Duration {
        LOOK_MOST
    }
}

impl Records for PostgresStore {
    fn provisioned(&self, saga: Option<SagaId>) -> Answer<'_, Vec<Provisioned>> {
        self.0.database.read(move |connection| Box::pin(records::provisioned(connection, saga)))
    }

    fn owners(&self, saga: SagaId) -> Answer<'_, Vec<Provisioned>> {
        self.0.database.read(move |connection| Box::pin(records::owners(connection, saga)))
    }

    fn observe(&self, survey: Survey) -> Answer<'_, Observed> {
        let survey = Arc::new(survey);
        self.0.database.transact(move |connection| {
            let survey = Arc::clone(&survey);
            Box::pin(async move { records::observe(connection, &survey).await })
        })
    }

    fn resources(&self) -> Answer<'_, Vec<Resource>> {
        self.0.database.read(|connection| Box::pin(records::resources(connection)))
    }
}

impl Upkeep for PostgresStore {
    fn migrate(&self) -> Answer<'_, Option<usize>> {
        Box::pin(async {
            // They are brought there when a connection is first made.
            self.0.database.connection().await?;
            Ok(Some(migrate::MIGRATIONS.len()))
        })
    }

    fn examine(&self) -> Answer<'_, Vec<Finding>> {
        self.0.database.read(move |connection| Box::pin(examine::examine(connection)))
    }

    fn archive(&self, ids: Vec<SagaId>) -> Answer<'_, Vec<(StoredRun, Vec<Provisioned>)>> {
        let ids: Arc<[SagaId]> = ids.into();
        self.0.database.read(move |connection| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { prune::archive(connection, &ids).await })
        })
    }

    fn prune(&self, stone: Tombstone) -> Answer<'_, Appended> {
        Box::pin(self.0.prunes.submit(Arc::new(Pruning(stone))))
    }

    fn tombstone(&self, id: SagaId) -> Answer<'_, Option<Tombstone>> {
        self.0.database.read(move |connection| Box::pin(prune::tombstone(connection, id)))
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.place()).finish_non_exhaustive()
    }
}
