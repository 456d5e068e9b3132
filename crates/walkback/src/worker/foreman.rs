//! The foreman of a worker: claims, hands out, looks, and sees everybody off.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use crate::clock;
use crate::error::Error;
use crate::id::{ClaimId, SagaId};
use crate::ledger::Writer;
use crate::machine::{Event, ParkReason};
use crate::options::Retry;
use crate::run::Run;
use crate::store::{
    Claim, Claimed, Filter, Needs, News, Party, StoreError, Transition, Wanted, WorkerId, serves,
};
use crate::time::Timestamp;
use crate::worker::drive::{Drive, End};
use crate::worker::unknown::Unknown;
use crate::worker::write::write;
use crate::worker::{Local, Order, Until, WAIT_FOR_CAPABLE, Worker};

/// How soon to look again whether another process has written, while it does.
const LOOK: Duration = Duration::from_millis(10);
/// How soon at least, where it ends as soon as others have nothing left either.
const LOOK_BEFORE_END: Duration = Duration::from_millis(40);
/// How long after a claim without an answer the next one follows, and how many may have none, one after the
/// other, until the worker ends with what the store said: as many as it makes in five minutes.
const CLAIM_AGAIN: Retry =
    Retry::attempts(65).backoff(Duration::from_millis(100), Duration::from_secs(5));
/// How long after a claim without an answer a worker that ends when it is idle waits for it.
const DOUBT: Duration = Duration::from_secs(8);
/// How often a worker compares what it drives with what is its own by the store: a claim whose answer
/// was lost for good is known only there.
const COMPARE: Duration = Duration::from_mins(1);
/// How long what is not known to a worker may be just on its way to it.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// How long bodies' outcomes may take to be committed when the worker leaves, and the worker to sign off:
/// others take over what was not.
const LEAVE: Duration = Duration::from_secs(6);
const SIGN_OFF: Duration = Duration::from_secs(2);
/// Runs claimed in one go.
const CLAIM_BATCH: usize = 256;

/// What a worker has, and when it looks for more.
pub(super) struct Foreman<'a> {
    worker: &'a Worker,
    id: WorkerId,
    orders: mpsc::UnboundedSender<Order>,
    room: Arc<Semaphore>,
    /// Whose turn was last, while more is due than it takes.
    turns_after: Option<Party>,
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
    /// Runs that are this worker's by the store, and that it did not know when it last compared.
    undriven: HashSet<(SagaId, ClaimId)>,
    compare_at: Timestamp,
    /// How many claims had no answer, one after the other.
    unanswered: u32,
    claim_not_before: Timestamp,
    /// Until when such a claim may well be made yet.
    in_doubt_until: Timestamp,
    /// How long after one comparison the next one follows.
    compare_after: Duration,
}

impl<'a> Foreman<'a> {
    pub(super) fn new(worker: &'a Worker) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        Self {
            worker,
            id: worker.id,
            orders,
            room: Arc::new(Semaphore::new(worker.concurrency)),
            turns_after: None,
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
            undriven: HashSet::new(),
            compare_at: worker.engine.clock.now().plus(COMPARE),
            unanswered: 0,
            claim_not_before: Timestamp::default(),
            in_doubt_until: Timestamp::default(),
            compare_after: COMPARE,
        }
    }
}

impl Foreman<'_> {
    /// From here on the engine of this process gives it what is started here.
    pub(super) fn attach(&self) {
        let (room, queues) = (Arc::clone(&self.room), Arc::clone(&self.worker.queues));
        let local = Local { id: self.id, room, queues, orders: self.orders.clone() };
        self.worker.engine.attach(Some(local));
    }

    /// This worker was taken for dead: others have its runs. It forgets them and begins again, if
    /// it may.
    pub(super) async fn begin_again(&mut self) -> Result<bool, Error> {
        warn!("this worker was taken for dead; it forgets its sagas and begins again");
        self.worker.engine.attach(None);
        while self.inbox.try_recv().is_ok() {}
        self.hand_over().await;
        self.leave = CancellationToken::new();
        self.nudges.clear();
        let Worker { engine, lease, queues, .. } = self.worker;
        let Ok(id) = engine.enlist(*lease, queues).await? else { return Ok(false) };
        self.id = id;
        self.may_be_due = true;
        self.attach();
        Ok(true)
    }

    pub(super) async fn work(
        &mut self,
        until: Until,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        self.unpark_known().await?;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // What it claims and does not get to know is given back by the sign-off.
                claimed = self.claim_due() => claimed?,
            }
            if until == Until::Idle
                && self.drives.is_empty()
                && self.next_due.is_none()
                && !self.others_work
                && self.inbox.is_empty()
                && self.undriven.is_empty()
                && self.in_doubt_until <= self.worker.engine.clock.now()
            {
                return Ok(());
            }
            let engine = Arc::clone(&self.worker.engine);
            let now = engine.clock.now();
            let due = self.next_due.filter(|_| self.room.available_permits() > 0);
            let due = due.map(|at| at.max(self.claim_not_before));
            if until == Until::Idle && self.drives.is_empty() {
                // It only waits for the others.
                self.look_at = self.look_at.min(now.plus(LOOK_BEFORE_END));
            }
            tokio::select! {
                // In an order, so that a simulation repeats itself; timers first, as they ring now
                // and then and the others may always have something.
                biased;
                () = stop.cancelled() => return Ok(()),
                () = engine.clock.sleep(self.look_at.since(now)) => tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    looked = self.look() => looked?,
                },
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

    /// Hands over what it has and signs off. A store that is away is not waited for: others take over.
    pub(super) async fn leave(&mut self) -> Result<(), Error> {
        while let Ok(order) = self.inbox.try_recv() {
            self.obey(order);
        }
        self.hand_over().await;
        let signing_off = self.worker.engine.store.retire(self.id);
        if let Ok(signed_off) = tokio::time::timeout(SIGN_OFF, signing_off).await {
            return Ok(signed_off?);
        }
        warn!("the store does not answer; this worker leaves without a word");
        Ok(())
    }

    /// Bodies are told to stop, and what became of them is committed; or said, where the runs are others'.
    async fn hand_over(&mut self) {
        self.leave.cancel();
        let handing_over = async {
            while let Some(ended) = self.drives.join_next().await {
                if let Ok((_, Err(error))) = ended {
                    warn!(%error, "a run could not be handed over");
                }
            }
        };
        if tokio::time::timeout(LEAVE, handing_over).await.is_err() {
            warn!("the store does not answer; what was under way is left to the others as it is");
            self.drives.shutdown().await;
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Drive(begun) => {
                let (drive, room) = Drive::begun(Arc::clone(&self.worker.engine), *begun);
                self.drive(drive, room);
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
        // What is due is nothing new to a worker that can take no more.
        let has_room = self.room.available_permits() > 0;
        let quiet = news.nudged.is_empty()
            && news.next_call == self.next_call
            && news.next_due.is_none_or(|at| at > now || !has_room);
        let later = (self.look_after * 2).min(self.worker.look_most);
        self.look_after = if quiet { later } else { LOOK };
        self.look_at = now.plus(self.look_after);
        self.take_in(&news);
        if self.compare_at <= now {
            self.compare().await?;
            let later = (self.compare_after * 2).min(COMPARE);
            self.compare_after = if self.undriven.is_empty() { later } else { ON_ITS_WAY };
            self.compare_at = now.plus(self.compare_after);
        }
        Ok(())
    }

    /// Lets go what is this worker's by the store and what it does not know: the answer to its claim or
    /// its start came too late, or never, or the store has lost that it let it go. What is just on its way
    /// is known by the next time.
    async fn compare(&mut self) -> Result<(), Error> {
        let owned = self.worker.engine.store.owned(self.id).await?.into_iter();
        let undriven: HashSet<_> = owned.filter(|(id, _)| !self.nudges.contains_key(id)).collect();
        for (id, claim) in undriven.intersection(&self.undriven) {
            warn!(saga = %id, "nobody drives this saga, which is this worker's; letting it go");
            if let Err(error) = self.worker.engine.let_go(*id, *claim).await {
                warn!(saga = %id, %error, "it cannot be let go yet");
            }
        }
        self.undriven = undriven;
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
        if news.was_away {
            self.store_was_away();
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
            turns_after: self.turns_after,
            now: self.worker.engine.clock.now(),
        }
    }

    async fn claim_due(&mut self) -> Result<(), Error> {
        let engine = Arc::clone(&self.worker.engine);
        if !self.may_be_due || self.claim_not_before > engine.clock.now() {
            return Ok(());
        }
        while self.may_be_due {
            let free = self.room.available_permits().min(CLAIM_BATCH);
            if free == 0 {
                return Ok(());
            }
            let claimed = match engine.store.claim(self.wanted(free)).await {
                Err(error @ StoreError::Failed { .. }) => {
                    return self.claim_without_an_answer(error);
                }
                claimed => claimed?,
            };
            self.unanswered = 0;
            let (is_full, in_turns) = (claimed.len() == free, self.turns_after.is_some());
            self.may_be_due = is_full || in_turns;
            let parties = claimed.iter().map(|claimed| Party::of(&claimed.run.spec));
            let last = Party::last_of(self.turns_after.unwrap_or(Party(i64::MAX)), parties);
            self.turns_after = last.filter(|_| is_full);
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

    /// What it may have claimed is found when it next compares; and it claims again a moment later.
    fn claim_without_an_answer(&mut self, error: StoreError) -> Result<(), Error> {
        self.unanswered += 1;
        if self.unanswered >= CLAIM_AGAIN.max_attempts() {
            return Err(error.into());
        }
        warn!(%error, "a claim has no answer; looking what became of it");
        let now = self.worker.engine.clock.now();
        self.claim_not_before = now.plus(CLAIM_AGAIN.ceiling(self.unanswered));
        self.in_doubt_until = now.plus(DOUBT);
        self.next_due = Some(self.claim_not_before);
        self.store_was_away();
        Ok(())
    }

    /// What was on its way to the store then may be written only now, or after that: it is looked for at once,
    /// and again ever less often.
    fn store_was_away(&mut self) {
        if self.undriven.is_empty() {
            self.compare_at = Timestamp::default();
            self.compare_after = ON_ITS_WAY / 2;
        }
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
            self.drive(Drive::new(Arc::clone(&self.worker.engine), claim, run, orphaned), permit);
        }
        Ok(())
    }

    fn drive(&mut self, drive: Drive, room: OwnedSemaphorePermit) {
        let id = drive.saga();
        let nudge = Arc::new(Notify::new());
        self.nudges.insert(id, Arc::clone(&nudge));
        let leave = self.leave.clone();
        let span = info_span!("run", saga = %id);
        let driven = async move {
            let end = drive.drive(nudge, leave).await;
            drop(room);
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
        write(engine, &claim, transition).await?;
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
            if serves(&self.worker.queues, &run.spec.queue) && engine.knows(&run) {
                engine.write_unclaimed(run, Event::Resumed { set: None }.into(), None).await?;
            }
        }
        Ok(())
    }
}
