//! Lanes to the server: whatever is waiting when a statement can go goes in it. Under load many
//! runs share one commit, and a single one waits for nobody.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::id::SagaId;
use crate::store::postgres::codec::damaged;
use crate::store::postgres::connect::{Connection, Database, Working};
use crate::store::postgres::write::{self, Accepting, Appending, End};
use crate::store::{Started, StoreError};

/// Most jobs of one statement, and most bytes of what runs bring along: more would only make the
/// others wait.
const MOST: (usize, usize) = (1_000, 4 * 1024 * 1024);
/// How often a start is tried again whose key's run went away in between.
const TRIES: usize = 5;

/// What goes in one statement.
pub(super) type Jobs<J> = Arc<[Arc<J>]>;

/// Something to do for one run, together with others of its kind.
pub(super) trait Job: Send + Sync + Sized + 'static {
    /// What becomes of it.
    type End: Send + 'static;
    /// Statements of this kind on their way at once.
    const AT_ONCE: usize;

    /// The run.
    fn run(&self) -> SagaId;

    /// Roughly how much is sent for it.
    fn bytes(&self) -> usize;

    /// Does all of them in one commit, no run twice; of one that has to be tried again nothing is
    /// said.
    fn all(connection: &mut Connection, jobs: Jobs<Self>) -> Working<'_, Vec<Option<Self::End>>>;
}

impl Job for Accepting {
    type End = Started;
    const AT_ONCE: usize = 1;

    fn run(&self) -> SagaId {
        self.run.spec.id
    }

    fn bytes(&self) -> usize {
        self.run.spec.inputs.as_str().len() + self.run.spec.steps.len()
    }

    fn all(connection: &mut Connection, jobs: Jobs<Self>) -> Working<'_, Vec<Option<Started>>> {
        Box::pin(async move { write::start(connection, &jobs).await })
    }
}

impl Job for Appending {
    type End = End;
    const AT_ONCE: usize = 2;

    fn run(&self) -> SagaId {
        self.id
    }

    fn bytes(&self) -> usize {
        self.transition.rows.iter().map(|row| row.payload.len()).sum()
    }

    fn all(connection: &mut Connection, jobs: Jobs<Self>) -> Working<'_, Vec<Option<End>>> {
        Box::pin(async move {
            let ends = write::append(connection, &jobs).await?;
            Ok(ends.into_iter().map(Some).collect())
        })
    }
}

/// Room for statements that are on their way at once.
struct Room {
    places: Arc<Semaphore>,
    /// One place less, while others work as well: the server has enough to do, and more runs share each statement. On
    /// two cores four processes do a fifth more by that, and one alone a fifth less.
    narrow: AtomicBool,
    /// Whether that place was taken away.
    narrowed: AtomicBool,
}

impl Room {
    /// The statement has ended.
    fn leave(&self, place: OwnedSemaphorePermit) {
        if self.narrow.load(Ordering::SeqCst) && !self.narrowed.swap(true, Ordering::SeqCst) {
            place.forget();
        }
    }

    fn narrow(&self, narrow: bool) {
        self.narrow.store(narrow, Ordering::SeqCst);
        // What leaves in between and still takes its place away is made good by the next call.
        if !narrow && self.narrowed.swap(false, Ordering::SeqCst) {
            self.places.add_permits(1);
        }
    }
}

/// The way of one kind of jobs.
pub(super) struct Lane<J: Job> {
    database: Arc<Database>,
    room: Arc<Room>,
    /// Begun with the first job that has to wait, where there is a runtime.
    queue: OnceLock<Queue<J>>,
    waiting: Arc<AtomicUsize>,
}

/// What has to wait, and the task that sees to it; that ends with the lane.
struct Queue<J: Job> {
    jobs: mpsc::UnboundedSender<Waiting<J>>,
    _task: JoinSet<()>,
}

/// A job, and who waits for it.
struct Waiting<J: Job> {
    job: Arc<J>,
    asker: oneshot::Sender<Result<J::End, StoreError>>,
}

impl<J: Job> Lane<J> {
    pub(super) fn new(database: Arc<Database>) -> Self {
        let (narrow, narrowed) = Default::default();
        let room =
            Arc::new(Room { places: Arc::new(Semaphore::new(J::AT_ONCE)), narrow, narrowed });
        Self { database, room, queue: OnceLock::new(), waiting: Arc::default() }
    }

    /// Sends a statement less at once while others work on the server as well, if one is left then.
    pub(super) fn others_work(&self, others_work: bool) {
        self.room.narrow(others_work && J::AT_ONCE > 1);
    }

    /// Does it, at once where nothing else is on its way, and otherwise with all that waits then.
    pub(super) async fn submit(&self, job: Arc<J>) -> Result<J::End, StoreError> {
        // Nobody is overtaken, and no task has to be woken: for a single saga that is half the time.
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Ok(place) = Arc::clone(&self.room.places).try_acquire_owned()
        {
            let end = alone(&self.database, job).await;
            self.room.leave(place);
            return end;
        }
        let queue = self.queue.get_or_init(|| {
            let (jobs, inbox) = mpsc::unbounded_channel();
            let (room, waiting) = (Arc::clone(&self.room), Arc::clone(&self.waiting));
            let mut task = JoinSet::new();
            task.spawn(work(Arc::clone(&self.database), inbox, room, waiting));
            Queue { jobs, _task: task }
        });
        let (asker, answer) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let (place, why) = (self.database.place.to_string(), "its runtime has ended".to_owned());
        if queue.jobs.send(Waiting { job, asker }).is_err() {
            return Err(StoreError::Unusable { place, why });
        }
        // By then it may have been sent: what became of it has to be read back.
        answer.await.map_err(|_| StoreError::Failed { place, why })?
    }
}

async fn work<J: Job>(
    database: Arc<Database>,
    mut inbox: mpsc::UnboundedReceiver<Waiting<J>>,
    room: Arc<Room>,
    waiting: Arc<AtomicUsize>,
) {
    let (mut left, mut under_way) = (Vec::new(), JoinSet::new());
    loop {
        while under_way.try_join_next().is_some() {}
        if left.is_empty() {
            let Some(first) = inbox.recv().await else { break };
            left.push(first);
        }
        // Only now is taken what came meanwhile: nothing waits for a statement that could go.
        let Ok(place) = Arc::clone(&room.places).acquire_owned().await else { break };
        while left.len() < MOST.0
            && let Ok(next) = inbox.try_recv()
        {
            left.push(next);
        }
        let batch = take(&mut left);
        waiting.fetch_sub(batch.len(), Ordering::SeqCst);
        let (database, room) = (Arc::clone(&database), Arc::clone(&room));
        under_way.spawn(async move {
            commit(&database, batch).await;
            room.leave(place);
        });
    }
    under_way.join_all().await;
}

/// What goes in one statement: no run twice, and not too much at once.
fn take<J: Job>(left: &mut Vec<Waiting<J>>) -> Vec<Waiting<J>> {
    let (mut batch, mut rest) = (Vec::with_capacity(left.len()), Vec::new());
    let (mut runs, mut bytes) = (HashSet::new(), 0);
    for waiting in left.drain(..) {
        bytes = waiting.job.bytes().saturating_add(bytes);
        if batch.is_empty() || bytes < MOST.1 && !runs.contains(&waiting.job.run()) {
            runs.insert(waiting.job.run());
            batch.push(waiting);
        } else {
            rest.push(waiting);
        }
    }
    *left = rest;
    batch
}

async fn commit<J: Job>(database: &Arc<Database>, batch: Vec<Waiting<J>>) {
    let jobs: Jobs<J> = batch.iter().map(|waiting| Arc::clone(&waiting.job)).collect();
    let ends = match database.write(|connection| J::all(connection, Arc::clone(&jobs))).await {
        Ok(ends) => {
            database.committed(batch.len());
            ends
        }
        // Nothing was done, as one of them cannot be: each has its own verdict, alone.
        Err(trouble) if trouble.is_refusal() && batch.len() > 1 => {
            batch.iter().map(|_| None).collect()
        }
        Err(trouble) => {
            let error = trouble.told(database);
            for waiting in batch {
                // Whoever asked may have gone.
                waiting.asker.send(Err(error.clone())).ok();
            }
            return;
        }
    };
    for (waiting, end) in batch.into_iter().zip(ends) {
        let answer = match end {
            Some(end) => Ok(end),
            None => alone(database, waiting.job).await,
        };
        // Whoever asked may have gone; what was committed stands all the same.
        waiting.asker.send(answer).ok();
    }
}

async fn alone<J: Job>(database: &Arc<Database>, job: Arc<J>) -> Result<J::End, StoreError> {
    let job: Jobs<J> = Arc::new([job]);
    for _ in 0..TRIES {
        let done = database.write(|connection| J::all(connection, Arc::clone(&job)));
        let ends = done.await.map_err(|trouble| trouble.told(database))?;
        if let Some(end) = ends.into_iter().flatten().next() {
            database.committed(1);
            return Ok(end);
        }
    }
    Err(damaged("its key belongs to a run that comes and goes").told(database))
}
