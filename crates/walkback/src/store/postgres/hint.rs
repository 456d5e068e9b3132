//! Hints that something was written, by `NOTIFY`: outside of transactions, as it takes a lock of
//! the whole server at commit, and seldom. Nothing relies on them; but who hears one has sessions of its own, in which
//! statements can be prepared: a pooler that gives each transaction another session passes none on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::AsyncMessage;

use crate::store::postgres::connect::Database;

/// A process hints at most so often.
const SELDOM: Duration = Duration::from_millis(25);
/// How long a hint may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait before listening again, if the connection broke.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Hints {
    database: Arc<Database>,
    heard: Arc<Notify>,
    deaf: AtomicBool,
    last: Mutex<Option<Instant>>,
    /// A hint that has to wait for its time.
    later: Arc<Notify>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    tell: Option<JoinSet<()>>,
    listen: Option<JoinSet<()>>,
}

impl Hints {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self {
            database,
            heard: Arc::default(),
            deaf: AtomicBool::new(false),
            last: Mutex::default(),
            later: Arc::default(),
            tasks: Mutex::default(),
        }
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::SeqCst)
    }

    pub(super) fn deafen(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }

    /// Listens from now on; what is heard is told to the one that is returned.
    pub(super) fn listen(&self) -> Arc<Notify> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.listen.is_none() && !self.is_deaf() {
            let (database, heard) = (Arc::clone(&self.database), Arc::clone(&self.heard));
            tasks.listen.get_or_insert_default().spawn(listen(database, heard));
        }
        Arc::clone(&self.heard)
    }

    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Tells the workers that something was written.
    pub(super) async fn hint(&self) {
        let now = Instant::now();
        let soon = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let soon = last.is_some_and(|last| now.duration_since(last) < SELDOM);
            if !soon {
                *last = Some(now);
            }
            soon
        };
        if !soon {
            return notify(&self.database).await;
        }
        self.later.notify_one();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.tell.is_none() {
            let (database, later) = (Arc::clone(&self.database), Arc::clone(&self.later));
            tasks.tell.get_or_insert_default().spawn(async move {
                loop {
                    later.notified().await;
                    tokio::time::sleep(SELDOM).await;
                    notify(&database).await;
                }
            });
        }
    }
}

async fn notify(database: &Arc<Database>) {
    let hint = database.write(|connection| {
        Box::pin(async move { connection.query("SELECT pg_notify('walkback', '')", &[]).await })
    });
    // Whoever hears nothing looks by itself, and nobody waits for a server that is away.
    tokio::time::timeout(PATIENCE, hint).await.ok();
}

async fn listen(database: Arc<Database>, heard: Arc<Notify>) {
    loop {
        if let Ok((client, mut connection)) = database.alone().await {
            let listens = AtomicBool::new(false);
            let listening = async {
                let mut next = std::future::poll_fn(|context| connection.poll_message(context));
                while let Some(Ok(message)) = (&mut next).await {
                    if matches!(message, AsyncMessage::Notification(_)) {
                        // Before, it could be one for whoever had a pooler's session last.
                        if listens.load(Ordering::SeqCst) {
                            database.prepare_statements();
                        }
                        heard.notify_one();
                    }
                }
            };
            // Heard by itself as well, though not on the connection that says it, where it would always be.
            let asking = async {
                if client.batch_execute("LISTEN walkback").await.is_ok() {
                    listens.store(true, Ordering::SeqCst);
                    notify(&database).await;
                }
            };
            // What comes of the one shows in the other, which ends when the connection does.
            let ((), ()) = tokio::join!(asking, listening);
        }
        tokio::time::sleep(AGAIN).await;
    }
}
