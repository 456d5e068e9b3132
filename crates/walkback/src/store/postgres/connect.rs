//! Connections: a pool of them, patience while the server is away, and what errors mean.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError, QueueMode};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Row};
use tracing::warn;

pub(super) use crate::store::postgres::line::Value;
use crate::store::postgres::line::{Lines, Wire};
use crate::store::postgres::migrate;
use crate::store::postgres::target::Target;
use crate::store::{Answer, StoreError, sent};

/// How long a statement may take. One that waits for an absent standby takes for ever, whatever the
/// server's own limits are; what became of it is unknown then.
const STATEMENT: Duration = Duration::from_mins(1);
/// How long to wait for a server that was there and is away.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks whether it is back: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How often a statement is tried again that another one's lock made fail.
const TRIES: u32 = 10;

/// The database, from this process.
pub(super) struct Database {
    pool: Pool<Lines>,
    pub(super) place: Arc<str>,
    /// Whether statements are prepared. Not behind a pooler that gives each transaction another session: what
    /// is found there under a name may be another process's.
    prepares: AtomicBool,
    /// The server was not there, or was none to write to, since this was asked last.
    was_away: AtomicBool,
    /// Settled when it was reached and its tables are ours.
    ready: OnceCell<()>,
    /// A worker keeps its sagas here, and waits for room where the disk is full; who only asks is told.
    works: AtomicBool,
    /// Statements so far, to be counted.
    pub(super) statements: AtomicU64,
    /// Commits of runs so far, and the runs in them.
    pub(super) commits: (AtomicU64, AtomicU64),
}

/// One connection, for as long as it is needed.
pub(super) struct Connection {
    line: Option<Object<Lines>>,
    database: Arc<Database>,
    /// Something is under way on it: whoever drops it now must not give it back.
    busy: bool,
}

impl Database {
    /// With so many connections at most.
    pub(super) fn new(target: Target, connections: usize) -> Result<Self, StoreError> {
        let Target { config, tls, name } = target;
        // The one that was used last is the one that the server's caches know.
        let pool = Pool::builder(Lines::new(config, tls)).max_size(connections);
        let pool = pool.queue_mode(QueueMode::Lifo).build();
        let pool = pool.map_err(|error| StoreError::Unusable {
            place: name.to_string(),
            why: error.to_string(),
        })?;
        Ok(Self {
            pool,
            place: name,
            prepares: AtomicBool::new(false),
            was_away: AtomicBool::new(false),
            ready: OnceCell::new(),
            works: AtomicBool::new(false),
            statements: AtomicU64::new(0),
            commits: Default::default(),
        })
    }

    fn unusable(&self, why: impl std::fmt::Display) -> StoreError {
        StoreError::Unusable { place: self.place.to_string(), why: why.to_string() }
    }

    /// What an error of the server, or on the way to it, means to whoever called the store.
    pub(super) fn error(&self, error: &Error) -> StoreError {
        let place = self.place.to_string();
        let Some(said) = error.as_db_error() else {
            return StoreError::Failed { place, why: told(error) };
        };
        match said.code() {
            &SqlState::DISK_FULL => StoreError::Full { place },
            &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                self.unusable(format_args!("{}: expected another user or password", said.message()))
            }
            &SqlState::INVALID_CATALOG_NAME => self.unusable(format_args!(
                "{}: expected a database that exists; `createdb` makes one",
                said.message()
            )),
            &SqlState::INSUFFICIENT_PRIVILEGE => self.unusable(format_args!(
                "{}: expected a role that may do this; see the roles in docs/operating.md",
                said.message()
            )),
            &SqlState::READ_ONLY_SQL_TRANSACTION => {
                self.unusable("it is read-only, a replica perhaps: expected the primary")
            }
            _ => StoreError::Failed { place, why: told(error) },
        }
    }

    /// A connection to a database that is known to be ours. Once it was there, a server that is away
    /// is waited for.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Connection, StoreError> {
        let connection = self.reach().await?;
        if self.ready.initialized() {
            return Ok(connection);
        }
        let prepare = || async {
            let mut first = self.reach().await?;
            migrate::prepare(&mut first, self).await
        };
        drop(connection);
        self.ready.get_or_try_init(prepare).await?;
        self.reach().await
    }

    /// A connection beside the pool, with what the server says on it by itself.
    pub(super) async fn alone(&self) -> Result<(Client, Wire), Error> {
        self.pool.manager().alone().await
    }

    /// Prepares statements from now on: this process has sessions of its own.
    pub(super) fn prepare_statements(&self) {
        self.prepares.store(true, Ordering::Relaxed);
    }

    /// Whether a worker of this process keeps its sagas here from now on.
    pub(super) fn works(&self, works: bool) {
        self.works.store(works, Ordering::Relaxed);
    }

    /// Whether the server is there, wrote nothing of it, and may write it in a while.
    fn refuses_for_now(&self, error: &Error) -> bool {
        let is_read_only = error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION);
        is_read_only || is_full(error) && self.works.load(Ordering::Relaxed)
    }

    /// A commit was made, for so many runs.
    pub(super) fn committed(&self, runs: usize) {
        self.commits.0.fetch_add(1, Ordering::Relaxed);
        self.commits.1.fetch_add(runs as u64, Ordering::Relaxed);
    }

    /// Whether the server was away since the last ask.
    pub(super) fn was_away(&self) -> bool {
        self.was_away.swap(false, Ordering::Relaxed)
    }

    async fn reach(self: &Arc<Self>) -> Result<Connection, StoreError> {
        let mut patience = Patience::new();
        loop {
            let error = match self.pool.get().await {
                Ok(line) => {
                    if patience.has_waited() {
                        // As loud as what it ends.
                        warn!(place = %self.place, "the server is back");
                    }
                    let database = Arc::clone(self);
                    return Ok(Connection { line: Some(line), database, busy: false });
                }
                Err(PoolError::Backend(error)) => error,
                Err(error) => return Err(self.unusable(error)),
            };
            let refused = self.error(&error);
            let passing = self.ready.initialized() && away(&error);
            if !passing || patience.is_over() {
                return Err(match refused {
                    StoreError::Failed { why, .. } => self.unusable(format_args!(
                        "{why}: expected a server that takes this connection"
                    )),
                    other => other,
                });
            }
            self.was_away.store(true, Ordering::Relaxed);
            if !patience.has_waited() {
                warn!(place = %self.place, error = %refused, "the server is away; waiting for it");
            }
            patience.wait().await;
        }
    }

    /// Does `work`, which may be done twice, on a connection; again, if the server goes away meanwhile.
    pub(super) fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl for<'a> Fn(&'a mut Connection) -> Working<'a, T> + Send + Sync + 'static,
    ) -> Answer<'static, T> {
        let database = Arc::clone(self);
        Box::pin(async move {
            let mut patience = Patience::new();
            loop {
                let mut connection = database.connection().await?;
                match work(&mut connection).await {
                    Ok(answer) => return Ok(answer),
                    Err(Trouble::Server(error))
                        if (away(&error)
                            || contended(&error)
                            || database.refuses_for_now(&error))
                            && !patience.is_over() =>
                    {
                        drop(connection);
                        patience.wait().await;
                    }
                    Err(trouble) => return Err(trouble.told(&database)),
                }
            }
        })
    }

    /// Does `work` in a transaction of several statements, again where [`Database::write`] would.
    pub(super) fn transact<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl for<'a> Fn(&'a mut Connection) -> Working<'a, T> + Send + Sync + 'static,
    ) -> Answer<'static, T> {
        let (database, work) = (Arc::clone(self), Arc::new(work));
        Box::pin(async move {
            let done = database.write(|connection| {
                let work = Arc::clone(&work);
                Box::pin(async move {
                    connection.begin().await?;
                    let done = work(connection).await?;
                    connection.commit().await?;
                    Ok(done)
                })
            });
            let done = done.await.map_err(|trouble| trouble.told(&database))?;
            database.committed(1);
            Ok(done)
        })
    }

    /// Does `work`, which changes something in one commit; again, if nothing came of it because of
    /// another one's lock, because the server became a replica or, for a worker, because its disk is full.
    pub(super) async fn write<T>(
        self: &Arc<Self>,
        work: impl for<'a> Fn(&'a mut Connection) -> Working<'a, T>,
    ) -> Result<T, Trouble> {
        let (mut patience, mut tries) = (Patience::new(), 1);
        loop {
            let mut connection = self.connection().await.map_err(Trouble::Store)?;
            match work(&mut connection).await {
                Err(Trouble::Server(error)) if contended(&error) && tries < TRIES => {
                    tries += 1;
                    drop(connection);
                    tokio::time::sleep(PAUSE.0).await;
                    continue;
                }
                Err(Trouble::Server(error))
                    if self.refuses_for_now(&error) && !patience.is_over() =>
                {
                    if !patience.has_waited() {
                        let error = self.error(&error);
                        warn!(place = %self.place, %error, "the server writes nothing; waiting");
                    }
                }
                done => {
                    if patience.has_waited() && done.is_ok() {
                        warn!(place = %self.place, "the server writes again");
                    }
                    return done;
                }
            }
            drop(connection);
            patience.wait().await;
        }
    }
}

/// How long what passes by itself has been waited for.
struct Patience {
    since: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { since: Instant::now(), pause: PAUSE.0 }
    }

    fn has_waited(&self) -> bool {
        self.pause > PAUSE.0
    }

    fn is_over(&self) -> bool {
        self.since.elapsed() > PATIENCE
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
    }
}

/// What is being done on a connection.
pub(super) type Working<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// Why it was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server said so, or the way to it broke.
    Server(Error),
    /// It took too long; what became of it is unknown.
    Late,
    /// What was read makes no sense.
    Damaged(String),
    /// It was known before.
    Store(StoreError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl Trouble {
    pub(super) fn told(self, database: &Database) -> StoreError {
        let failed = |why| StoreError::Failed { place: database.place.to_string(), why };
        match self {
            Self::Server(error) => database.error(&error),
            Self::Late => failed(format!("no answer for {} s", STATEMENT.as_secs())),
            Self::Damaged(why) => failed(why),
            Self::Store(error) => error,
        }
    }

    /// Whether the server is there and refused it, and would perhaps not refuse each of many alone.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Server(error) if !away(error) && !is_full(error))
    }
}

impl Trouble {
    /// What the server says, if this role may not do it.
    pub(super) fn forbidden(&self) -> Option<String> {
        let Self::Server(error) = self else { return None };
        (error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)).then(|| told(error))
    }
}

/// A deadlock, or a conflict that the server ended.
fn contended(error: &Error) -> bool {
    let codes = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
    error.code().is_some_and(|code| codes.contains(code))
}

/// Whether the server's disk has no room left.
fn is_full(error: &Error) -> bool {
    error.code() == Some(&SqlState::DISK_FULL)
}

/// Whether the server is not there, or just coming or going.
fn away(error: &Error) -> bool {
    let Some(said) = error.as_db_error() else {
        let is_io = <dyn std::error::Error>::is::<std::io::Error>;
        return error.is_closed() || std::error::Error::source(error).is_none_or(is_io);
    };
    let codes = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    // Of class 08 is also what a pooler says of a server that it has lost.
    codes.contains(said.code()) || said.code().code().starts_with("08")
}

/// An error with what caused it, as the first says little.
fn told(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{}: {} ({})", said.severity(), said.message(), said.code().code());
    }
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

impl Connection {
    /// Runs a statement. Its parse, its values and its execution go in one flight; where it may be
    /// prepared it is, once for each connection.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Trouble> {
        let sql = sent::as_sent(sql);
        let sql = &*sql;
        let database = Arc::clone(&self.database);
        database.statements.fetch_add(1, Ordering::Relaxed);
        let was_busy = std::mem::replace(&mut self.busy, true);
        let Some(line) = self.line.as_mut() else {
            return Err(Trouble::Damaged("a connection was given back".to_owned()));
        };
        let asking = line.query(sql, values, database.prepares.load(Ordering::Relaxed));
        let answer = tokio::time::timeout(STATEMENT, asking).await.map_err(|_| Trouble::Late)?;
        // A server that is none to write to any more is not asked again.
        let is_away = answer.as_ref().is_err_and(away);
        if is_away {
            self.database.was_away.store(true, Ordering::Relaxed);
        } else {
            self.busy = was_busy;
        }
        Ok(answer?)
    }

    /// From here to the next batch nobody else gets it: if it is dropped in between, it is closed, and
    /// the server takes everything back.
    pub(super) fn hold(&mut self) {
        self.busy = true;
    }

    /// Begins a transaction, for which it is held.
    pub(super) async fn begin(&mut self) -> Result<(), Trouble> {
        self.batch("BEGIN").await?;
        self.hold();
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), Trouble> {
        self.batch("COMMIT").await
    }

    /// Runs statements without values.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), Trouble> {
        self.database.statements.fetch_add(1, Ordering::Relaxed);
        self.busy = true;
        if let Some(line) = self.line.as_mut() {
            let asked = tokio::time::timeout(STATEMENT, line.batch(sql)).await;
            asked.map_err(|_| Trouble::Late)??;
        }
        self.busy = false;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // What is in the middle of something is closed and not given to the next.
        if let Some(line) = self.line.take().filter(|_| self.busy) {
            drop(Object::take(line));
        }
    }
}
