//! The worker: claims what is due, drives it, and sleeps until there is more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use crate::clock;
use crate::engine::Inner;
use crate::error::Error;
use crate::id::SagaId;
use crate::ledger::Writer;
use crate::machine::{Event, ParkReason};
use crate::run::Run;
use crate::store::{
    Claim, Claimed, Filter, Lease, Needs, News, StoreError, Transition, Wanted, WorkerId,
};
use crate::time::Timestamp;

mod desk;
mod drive;
mod hook;
mod perform;
mod transition;
mod unknown;

pub use hook::{Hook, Notice, ProgramHook, Told};

use desk::Desk;
use drive::{Drive, End};
use unknown::Unknown;

/// How long a run with unknown steps waits for a worker that knows them, before it parks (S15).
pub(crate) const WAIT_FOR_CAPABLE: Duration = Duration::from_mins(1);
/// How soon to look again whether another process has written, while it does.
const LOOK: Duration = Duration::from_millis(10);
/// How soon at least, where it ends as soon as others have nothing left either.
const LOOK_BEFORE_END: Duration = Duration::from_millis(40);
/// Runs claimed in one go.
const CLAIM_BATCH: usize = 256;

/// When a worker stops by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Stopped,
    /// When nothing is under way, due, or has a timer.
    Idle,
}

/// A process's right to work, as [`Engine::enlist`](crate::Engine::enlist) gave it.
pub struct Worker {
    engine: Arc<Inner>,
    id: WorkerId,
    lease: Lease,
    concurrency: usize,
    queues: Arc<[String]>,
    hook: Option<Arc<dyn Hook>>,
    /// How often to look, at least, whether another process has written.
    look_most: Duration,
}

/// What the engine of the same process tells its worker.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) id: WorkerId,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) queues: Arc<[String]>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// Something for the worker to do at once.
#[derive(Debug)]
pub(crate) enum Order {
    /// Drive this run, which was started here.
    Drive(Box<(Claim, Run)>, OwnedSemaphorePermit),
    /// Something may be due, or a run of ours was written to.
    Look(Option<SagaId>),
}

impl Worker {
    pub(crate) fn new(engine: Arc<Inner>, id: WorkerId, lease: Lease) -> Self {
        let (queues, look_most) = (Arc::new([]), engine.store.look_most());
        Self { engine, id, lease, concurrency: 1_000, queues, hook: None, look_most }
    }

    /// How many runs it holds in memory at once; waiting ones do not count. 1,000 if nothing is said.
    #[must_use]
    pub fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = runs.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// The queues it serves; all if none is named.
    #[must_use]
    pub fn queues(mut self, queues: impl IntoIterator<Item = String>) -> Self {
        self.queues = queues.into_iter().collect();
        self
    }

    /// Looks less often, where virtual time passes by the day.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn looking(mut self, most: Duration) -> Self {
        self.look_most = most;
        self
    }

    /// Tells people by this hook of every saga that needs one.
    ///
    /// ```
    /// use walkback::engine::Enlistment;
    /// use walkback::{Engine, MemoryStore, Registry, worker::ProgramHook};
    /// # use std::sync::Arc;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// if let Enlistment::Working(worker) = engine.enlist().await? {
    ///     let worker = worker.hook(Arc::new(ProgramHook::new("page-the-operator")));
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.hook = Some(hook);
        self
    }

    /// Works until `stop` is cancelled, when it hands over at once, or until `until`.
    ///
    /// # Errors
    /// If the store cannot be used any more; what was under way is taken over by the next worker.
    pub async fn run(self, until: Until, stop: CancellationToken) -> Result<(), Error> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(self.concurrency));
        let mut foreman = Foreman {
            worker: &self,
            id: self.id,
            orders,
            room,
            inbox,
            drives: JoinSet::new(),
            nudges: HashMap::new(),
            unknown: Unknown::default(),
            leave: CancellationToken::new(),
            may_be_due: true,
            next_due: None,
            next_call: None,
            others_work: false,
            look_after: LOOK,
            look_at: Timestamp::default(),
        };
        foreman.attach();
        let last = CancellationToken::new();
        let work = async {
            let mut worked = foreman.work(until, &stop).await;
            while matches!(worked, Err(Error::Store(StoreError::NotEnlisted { .. }))) {
                worked = match foreman.begin_again().await {
                    Ok(true) => foreman.work(until, &stop).await,
                    Ok(false) => break,
                    Err(error) => Err(error),
                };
            }
            last.cancel();
            worked
        };
        let desk = async {
            if let Some(hook) = &self.hook {
                Desk::new(Arc::clone(&self.engine), Arc::clone(hook)).work(&stop, &last).await;
            }
        };
        let (worked, ()) = tokio::join!(biased; work, desk);
        self.engine.attach(None);
        foreman.leave.cancel();
        while let Some(ended) = foreman.drives.join_next().await {
            if let Ok((_, Err(error))) = ended {
                warn!(%error, "a run could not be handed over");
            }
        }
        self.engine.store.retire(foreman.id).await?;
        worked
    }
}

struct Foreman<'a> {
    worker: &'a Worker,
    id: WorkerId,
    orders: mpsc::UnboundedSender<Order>,
    room: Arc<Semaphore>,
    inbox: mpsc::UnboundedReceiver<Order>,
    drives: JoinSet<(SagaId, Result<End, Error>)>,
    nudges: HashMap<SagaId, Arc<Notify>>,
    unknown: Unknown,
    leave: CancellationToken,
    may_be_due: bool,
    next_due: Option<Timestamp>,
    next_call: Option<Timestamp>,
    others_work: bool,
    look_after: Duration,
    look_at: Timestamp,
}

impl Foreman<'_> {
    /// From here on the engine of this process gives it what is started here.
    fn attach(&self) {
        let (room, queues) = (Arc::clone(&self.room), Arc::clone(&self.worker.queues));
        let local = Local { id: self.id, room, queues, orders: self.orders.clone() };
        self.worker.engine.attach(Some(local));
    }

    /// This worker was taken for dead: others have its runs. It forgets them and begins again, if
    /// it may.
    async fn begin_again(&mut self) -> Result<bool, Error> {
        warn!("this worker was taken for dead; it forgets its sagas and begins again");
        self.worker.engine.attach(None);
        self.drives.shutdown().await;
        self.nudges.clear();
        while self.inbox.try_recv().is_ok() {}
        let Ok(id) = self.worker.engine.enlist(self.worker.lease).await? else { return Ok(false) };
        self.id = id;
        self.may_be_due = true;
        self.attach();
        Ok(true)
    }

    async fn work(&mut self, until: Until, stop: &CancellationToken) -> Result<(), Error> {
        self.unpark_known().await?;
        loop {
            self.claim_due().await?;
            if until == Until::Idle
                && self.drives.is_empty()
                && self.next_due.is_none()
                && !self.others_work
                && self.inbox.is_empty()
            {
                return Ok(());
            }
            let engine = Arc::clone(&self.worker.engine);
            let now = engine.clock.now();
            let due = self.next_due.filter(|_| self.room.available_permits() > 0);
            if until == Until::Idle && self.drives.is_empty() {
                // It only waits for the others.
                self.look_at = self.look_at.min(now.plus(LOOK_BEFORE_END));
            }
            tokio::select! {
                // In an order, so that a simulation repeats itself; timers first, as they ring now
                // and then and the others may always have something.
                biased;
                () = stop.cancelled() => return Ok(()),
                () = engine.clock.sleep(self.look_at.since(now)) => self.look().await?,
                () = clock::until(&*engine.clock, due) => {
                    self.may_be_due = true;
                    self.unknown.try_again_after(WAIT_FOR_CAPABLE, engine.clock.now());
                }
                Ok(()) = engine.store.hinted() => {
                    self.look_at = self.look_at.min(engine.clock.now().plus(LOOK));
                    self.look_after = LOOK;
                }
                Some(ended) = self.drives.join_next() => {
                    self.ended(ended)?;
                    while let Some(ended) = self.drives.try_join_next() {
                        self.ended(ended)?;
                    }
                }
                Some(order) = self.inbox.recv() => {
                    self.obey(order);
                    while let Ok(order) = self.inbox.try_recv() {
                        self.obey(order);
                    }
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Drive(started, permit) => {
                let (claim, run) = *started;
                self.drive(claim, run, false, permit);
            }
            Order::Look(run) => {
                self.may_be_due = true;
                if let Some(nudge) = run.and_then(|id| self.nudges.get(&id)) {
                    nudge.notify_one();
                }
            }
        }
    }

    fn ended(
        &mut self,
        ended: Result<(SagaId, Result<End, Error>), tokio::task::JoinError>,
    ) -> Result<(), Error> {
        let Ok((id, end)) = ended else { return Ok(()) };
        self.nudges.remove(&id);
        match end {
            Ok(End::Released(Some(at))) => {
                self.next_due = Some(self.next_due.map_or(at, |due| due.min(at)));
            }
            Ok(End::Released(None) | End::Lost) => {}
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => warn!(saga = %id, %error, "a run cannot be driven"),
        }
        Ok(())
    }

    /// Looks whether another process has written, ever less often while nobody does.
    async fn look(&mut self) -> Result<(), Error> {
        let news = self.worker.engine.store.news(self.wanted(0)).await?;
        let now = self.worker.engine.clock.now();
        let quiet = news.nudged.is_empty()
            && news.next_call == self.next_call
            && news.next_due.is_none_or(|at| at > now);
        let later = (self.look_after * 2).min(self.worker.look_most);
        self.look_after = if quiet { later } else { LOOK };
        self.look_at = now.plus(self.look_after);
        self.take_in(&news);
        Ok(())
    }

    fn take_in(&mut self, news: &News) {
        for nudge in news.nudged.iter().filter_map(|id| self.nudges.get(id)) {
            nudge.notify_one();
        }
        if news.next_call != self.next_call {
            self.next_call = news.next_call;
            self.worker.engine.attention.notify_one();
        }
        self.others_work = news.others_work;
        let again = self.unknown.again_at(WAIT_FOR_CAPABLE);
        self.next_due = news.next_due.into_iter().chain(again).min();
        self.may_be_due |= self.next_due.is_some_and(|at| at <= self.worker.engine.clock.now());
    }

    fn wanted(&self, limit: usize) -> Wanted {
        Wanted {
            worker: self.id,
            queues: Arc::clone(&self.worker.queues),
            cannot: self.unknown.needs(),
            limit,
            now: self.worker.engine.clock.now(),
        }
    }

    async fn claim_due(&mut self) -> Result<(), Error> {
        let engine = Arc::clone(&self.worker.engine);
        if !self.may_be_due {
            return Ok(());
        }
        while self.may_be_due {
            let free = self.room.available_permits().min(CLAIM_BATCH);
            if free == 0 {
                return Ok(());
            }
            let wanted = self.wanted(free);
            let claimed = engine.store.claim(wanted).await?;
            self.may_be_due = claimed.len() == free;
            for claimed in claimed {
                self.take(claimed).await?;
            }
        }
        let news = engine.store.news(self.wanted(0)).await?;
        self.take_in(&news);
        self.may_be_due = false;
        // What is due and was not given is just somebody else's: a moment later it is decided.
        let soon = engine.clock.now().plus(LOOK);
        self.next_due = self.next_due.map(|at| at.max(soon));
        Ok(())
    }

    async fn take(&mut self, claimed: Claimed) -> Result<(), Error> {
        let Claimed { claim, run, orphaned } = claimed;
        let id = claim.saga();
        let run = match self.worker.engine.fold(run) {
            Ok(run) => run,
            Err(error) => {
                warn!(saga = %id, %error, "a damaged run is left alone");
                return Ok(());
            }
        };
        if !self.worker.engine.knows(&run) {
            return self.leave_unknown(claim, run, orphaned).await;
        }
        if let Ok(permit) = Arc::clone(&self.room).acquire_owned().await {
            self.drive(claim, run, orphaned, permit);
        }
        Ok(())
    }

    fn drive(&mut self, claim: Claim, run: Run, orphaned: bool, permit: OwnedSemaphorePermit) {
        let id = claim.saga();
        let nudge = Arc::new(Notify::new());
        self.nudges.insert(id, Arc::clone(&nudge));
        let drive = Drive::new(Arc::clone(&self.worker.engine), claim, run, orphaned);
        let leave = self.leave.clone();
        let span = info_span!("run", saga = %id);
        let driven = async move {
            let end = drive.drive(nudge, leave).await;
            drop(permit);
            (id, end)
        };
        self.drives.spawn(driven.instrument(span));
    }

    /// A run with a step that this binary does not know is left as it is for one that does; if none
    /// comes in time it parks.
    async fn leave_unknown(
        &mut self,
        claim: Claim,
        mut run: Run,
        orphaned: bool,
    ) -> Result<(), Error> {
        let engine = &self.worker.engine;
        let now = engine.clock.now();
        let needs = Needs::of(run.state.plan());
        // A file from before needs were written down does not know what to leave out.
        let came_again = self.unknown.left_out(claim.saga(), needs);
        let since = self.unknown.add(claim.saga(), needs, now);
        let expected_len = run.tip.len;
        let mut rows = Vec::new();
        if now.since(since) >= WAIT_FOR_CAPABLE && !engine.known_elsewhere(&run).await? {
            let writer = Writer {
                claim: claim.id(),
                fence: claim.fence(),
                at: now,
                actor: None,
                remark: None,
            };
            rows.push(run.record(&Event::Parked { reason: ParkReason::NoCapableWorker }, &writer)?);
        }
        let (orphan, mut head) = (orphaned && rows.is_empty(), run.head());
        if came_again && rows.is_empty() && !orphan {
            head.wake_at = Some(since.plus(WAIT_FOR_CAPABLE));
        }
        let transition = Transition::new(expected_len, rows, head, Vec::new());
        let transition = Transition { release: true, orphan, ..transition };
        engine.store.append(&claim, transition).await?;
        Ok(())
    }

    /// Runs that waited for a worker like this one go on.
    async fn unpark_known(&self) -> Result<(), Error> {
        let engine = &self.worker.engine;
        let parked = Some(ParkReason::NoCapableWorker.to_string());
        let filter = Filter { parked, limit: usize::MAX, ..Filter::default() };
        for id in engine.store.list(filter).await? {
            let Some(stored) = engine.store.load(id).await? else { continue };
            let run = engine.fold(stored)?;
            if engine.knows(&run) {
                engine.write_unclaimed(run, Event::Resumed { set: None }.into(), None).await?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, concurrency, queues, .. } = self;
        let mut worker = f.debug_struct("Worker");
        worker.field("id", id).field("concurrency", concurrency).field("queues", queues);
        worker.finish_non_exhaustive()
    }
}
