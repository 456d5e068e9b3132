//! A connection that is driven by whoever speaks over it: between a statement and its socket no other task has to
//! be woken.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use tokio::task::coop::unconstrained;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

/// How often question and connection are looked at in one go. A socket that shall not be read any more before others
/// had their turn says that it is to be looked at again, until then for ever.
const ROUNDS: usize = 16;

/// A value of a statement, and its type: said with it, so that no round trip asks for it.
pub(super) type Value<'a> = (&'a (dyn ToSql + Sync), Type);
/// What tokio-postgres calls a connection: the half that reads and writes.
pub(super) type Wire =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Opens lines, for a pool of them.
pub(super) struct Lines {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Lines {
    pub(super) fn new(config: Config, tls: MakeRustlsConnect) -> Self {
        Self { config, tls }
    }

    /// A connection beside the pool, with what the server says on it by itself.
    pub(super) async fn alone(&self) -> Result<(Client, Wire), Error> {
        self.config.connect(self.tls.clone()).await
    }
}

impl Manager for Lines {
    type Type = Line;
    type Error = Error;

    async fn create(&self) -> Result<Line, Error> {
        let (client, wire) = self.alone().await?;
        let driven = Driven { wire, relay: Arc::default() };
        Ok(Line { client, driven, statements: HashMap::new() })
    }

    async fn recycle(&self, line: &mut Line, _: &Metrics) -> RecycleResult<Error> {
        // Whether there is something to read may not depend on how much this task has read before.
        let open = unconstrained(async { !line.client.is_closed() && line.driven.is_open() });
        if open.await { Ok(()) } else { Err(RecycleError::message("the server has ended it")) }
    }
}

/// A connection, and the statements prepared on it.
pub(super) struct Line {
    client: Client,
    driven: Driven,
    statements: HashMap<String, Statement>,
}

impl Line {
    /// Runs a statement. Its parse, its values and its execution go in one flight; if it is to be prepared,
    /// it is so once.
    pub(super) async fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        prepared: bool,
    ) -> Result<Vec<Row>, Error> {
        let Self { client, driven, statements } = self;
        if !prepared {
            return driven.drive(client.query_typed(sql, values)).await;
        }
        let known = statements.get(sql).cloned();
        let statement = if let Some(statement) = known {
            statement
        } else {
            let types: Vec<Type> = values.iter().map(|(_, of)| of.clone()).collect();
            let statement = driven.drive(client.prepare_typed(sql, &types)).await?;
            statements.insert(sql.to_owned(), statement.clone());
            statement
        };
        let plain: Vec<&(dyn ToSql + Sync)> = values.iter().map(|(value, _)| *value).collect();
        driven.drive(client.query(&statement, &plain)).await
    }

    /// Runs statements without values.
    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), Error> {
        self.driven.drive(self.client.batch_execute(sql)).await
    }
}

/// The half that reads and writes.
struct Driven {
    wire: Wire,
    relay: Arc<Relay>,
}

impl Driven {
    /// What the server answers to `asking`, which asks over this connection alone.
    async fn drive<T>(
        &mut self,
        asking: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut asking = pin!(asking);
        let waker = Waker::from(Arc::clone(&self.relay));
        poll_fn(|task| {
            let mut context = Context::from_waker(&waker);
            for _ in 0..ROUNDS {
                if let Poll::Ready(answer) = asking.as_mut().poll(&mut context) {
                    return Poll::Ready(answer);
                }
                self.relay.begin();
                match self.wire.poll_message(&mut context) {
                    Poll::Ready(Some(Ok(message))) => tell(&message),
                    Poll::Ready(Some(Err(broken))) => {
                        // Its last words may be the answer.
                        let answer = asking.as_mut().poll(&mut context);
                        return Poll::Ready(match answer {
                            Poll::Ready(answer) => answer,
                            Poll::Pending => Err(broken),
                        });
                    }
                    // It ends without an error only when its client has gone, which is here.
                    Poll::Ready(None) | Poll::Pending => {
                        if self.relay.wait(task.waker()) {
                            return Poll::Pending;
                        }
                    }
                }
            }
            task.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Takes in what the server said while nobody asked: whether it has not ended the connection.
    fn is_open(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.relay));
        let mut context = Context::from_waker(&waker);
        self.relay.begin();
        loop {
            match self.wire.poll_message(&mut context) {
                Poll::Ready(Some(Ok(message))) => tell(&message),
                Poll::Ready(_) => return false,
                Poll::Pending => return true,
            }
        }
    }
}

fn tell(message: &AsyncMessage) {
    if let AsyncMessage::Notice(notice) = message {
        debug!("{}: {}", notice.severity(), notice.message());
    }
}

/// Wakes the task that waits for the connection. While that task is at it, it only learns that it has to look
/// once more: what question and connection tell each other in the same task needs no scheduler.
#[derive(Default)]
struct Relay(Mutex<Turn>);

enum Turn {
    Under { again: bool },
    Waits(Waker),
}

impl Default for Turn {
    fn default() -> Self {
        Self::Under { again: false }
    }
}

impl Relay {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is about to be looked at.
    fn begin(&self) {
        *self.turn() = Turn::default();
    }

    /// Waits, unless there is something to look at by now.
    fn wait(&self, waker: &Waker) -> bool {
        let mut turn = self.turn();
        let waits = !matches!(*turn, Turn::Under { again: true });
        if waits {
            *turn = Turn::Waits(waker.clone());
        }
        waits
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = std::mem::replace(&mut *self.turn(), Turn::Under { again: true });
        if let Turn::Waits(task) = before {
            task.wake();
        }
    }
}
