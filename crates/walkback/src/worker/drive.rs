//! One claimed run, until it rests or waits: commands, bodies, commits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use crate::clock;
use crate::desired::RecordChange;
use crate::engine::{Inner, news};
use crate::error::{Error, StepError};
use crate::id::{Phase, SagaId};
use crate::ledger::Row;
use crate::machine::{Command, Event, Lock, ParkReason};
use crate::run::Run;
use crate::step::Probe;
use crate::store::{Claim, Holder, Locks, StoreError, Transition};
use crate::time::Timestamp;
use crate::worker::late;
use crate::worker::perform::{Ended, Ours, Outcome, Performance, STOP_GRACE, Start};
use crate::worker::transition::Draft;
use crate::worker::write::{Written, write};

/// How long bodies may take to return when the worker leaves, before they are dropped.
const HAND_OVER_GRACE: Duration = Duration::from_secs(1);

/// A claimed run and everything that is under way for it.
pub(super) struct Drive {
    engine: Arc<Inner>,
    claim: Claim,
    run: Run,
    orphaned: bool,
    bodies: JoinSet<Result<Option<Ended>, StoreError>>,
    under_way: Vec<UnderWay>,
    /// How the drive ends, as a body could not begin.
    over: Option<Result<End, Error>>,
    /// Outcomes that are not committed yet.
    ended: Vec<(Start, Ended)>,
    quiet: Option<Quiet>,
    /// Whether what a step waits for may be free: it was claimed, or nudged.
    woken: bool,
    /// Bodies whose intent was committed with the start of the run, and when that was asked for.
    begun: Option<(Vec<Start>, Timestamp)>,
    /// Whether the store has lost what it had of the run.
    went_back: bool,
}

/// A run whose first bodies are about to begin: it was accepted with the intent of them.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) claim: Claim,
    pub(crate) run: Run,
    pub(crate) starts: Vec<Start>,
    /// When the start was asked for.
    pub(crate) asked_at: Timestamp,
    /// The right to run bodies beside others.
    pub(crate) quiet: OwnedRwLockReadGuard<()>,
    /// Its room in the worker.
    pub(crate) room: OwnedSemaphorePermit,
}

/// What a body's task returned.
type Returned = Result<(Id, Result<Option<Ended>, StoreError>), tokio::task::JoinError>;

struct UnderWay {
    task: Id,
    start: Start,
    stop: CancellationToken,
    /// When the body must have ended; a body that has not parks the run.
    overdue_at: Option<Timestamp>,
}

/// Held while bodies are under way: shared, or for a suspect of S15 alone.
#[expect(dead_code, reason = "guards are held, not read")]
enum Quiet {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

/// What a commit is for, beside what has ended and what begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Go,
    /// The last owner died.
    TakeOver,
    /// A body ignores its token beyond its time.
    Overdue,
    /// The worker leaves.
    Leave,
}

/// A transition in the making.
struct Drafted {
    rows: Vec<Row>,
    records: Vec<RecordChange>,
    locks: Locks,
    starts: Vec<Start>,
}

/// Why a drive ended.
#[derive(Debug)]
pub(super) enum End {
    /// The run rests or waits, and is released; there is something to do at this moment.
    Released(Option<Timestamp>),
    /// Somebody else owns it by now.
    Lost,
}

impl Drive {
    pub(super) fn new(engine: Arc<Inner>, claim: Claim, run: Run, orphaned: bool) -> Self {
        let (bodies, quiet, begun) = (JoinSet::new(), None, None);
        let (under_way, ended) = (Vec::new(), Vec::new());
        let (woken, over, went_back) = (true, None, false);
        Self {
            engine,
            claim,
            run,
            orphaned,
            bodies,
            under_way,
            over,
            ended,
            quiet,
            woken,
            begun,
            went_back,
        }
    }

    /// A run that was just started here; its room is left to the caller.
    pub(super) fn begun(engine: Arc<Inner>, begun: Begun) -> (Self, OwnedSemaphorePermit) {
        let Begun { claim, run, starts, asked_at, quiet, room } = begun;
        let drive = Self::new(engine, claim, run, false);
        let (quiet, begun) = (Some(Quiet::Shared(quiet)), Some((starts, asked_at)));
        (Self { quiet, begun, ..drive }, room)
    }

    /// The run.
    pub(super) fn saga(&self) -> SagaId {
        self.claim.saga()
    }

    /// Works on the run until it is released, or is somebody else's. `nudge` says that somebody else wrote
    /// to it, `leave` that the worker has to go.
    pub(super) async fn drive(
        mut self,
        nudge: Arc<Notify>,
        leave: CancellationToken,
    ) -> Result<End, Error> {
        let end = self.work(&nudge, &leave).await?;
        if matches!(end, End::Lost) {
            self.tell_what_came_late().await?;
        }
        if self.went_back {
            // Whoever takes it over begins with what the store has.
            self.engine.let_go(self.saga(), self.claim.id()).await?;
        }
        Ok(end)
    }

    /// What bodies made that are under way, or ended without anybody's hearing of it.
    async fn tell_what_came_late(&mut self) -> Result<(), Error> {
        let ended = self.ended.iter().filter(|(_, ended)| ended.outcome.is_felt());
        let all =
            self.under_way.iter().map(|body| body.start).chain(ended.map(|(start, _)| *start));
        let late: Vec<_> = all.filter(|start| start.phase == Phase::Execute).collect();
        if tokio::time::timeout(HAND_OVER_GRACE, self.bodies.shutdown()).await.is_err() {
            warn!(saga = %self.saga(), "a body of a lost saga cannot be stopped");
        }
        let steps: Vec<_> = late.iter().map(|start| start.step).collect();
        late::tell(&self.engine, &self.claim, &steps).await
    }

    async fn work(&mut self, nudge: &Notify, leave: &CancellationToken) -> Result<End, Error> {
        if self.orphaned {
            self.quiesce().await;
            // A commit of its own: whether the bodies must run alone depends on it.
            match self.commit(Occasion::TakeOver).await? {
                None => return Ok(End::Lost),
                Some((_, true)) => return Ok(End::Released(self.run.wake_at())),
                Some((_, false)) => {}
            }
        }
        loop {
            if leave.is_cancelled() {
                return self.hand_over().await;
            }
            let (starts, asked_at) = if let Some(begun) = self.begun.take() {
                begun
            } else {
                self.find_quiet().await;
                let asked_at = self.engine.clock.now();
                match self.commit(Occasion::Go).await? {
                    None => return Ok(End::Lost),
                    Some((_, true)) => return Ok(End::Released(self.run.wake_at())),
                    Some((starts, false)) => (starts, asked_at),
                }
            };
            for start in starts {
                self.spawn(start, asked_at);
            }
            self.stop_bodies();
            self.wait(nudge, leave).await;
            if let Some(over) = self.over.take() {
                return over;
            }
            if self.bodies.is_empty() {
                self.quiet = None;
            }
        }
    }

    /// The last owner died: nothing of its bodies may be left before anything else begins.
    async fn quiesce(&self) {
        let plan = Arc::clone(self.run.state.plan());
        let mut names: Vec<&str> = (0..plan.len()).map(|idx| &*plan.step(idx).step).collect();
        names.sort_unstable();
        names.dedup();
        for step in names.into_iter().filter_map(|name| self.engine.registry.find(name)) {
            Arc::clone(step).quiesce(self.run.spec.id).await;
        }
    }

    /// Takes the right to run bodies, alone if this run is a suspect (rule S15).
    async fn find_quiet(&mut self) {
        if self.quiet.is_some() {
            return;
        }
        let lock = Arc::clone(&self.engine.quiet);
        self.quiet = Some(if self.run.state.runs_alone() {
            Quiet::Alone(lock.write_owned().await)
        } else {
            Quiet::Shared(lock.read_owned().await)
        });
    }

    /// Commits what has ended and what begins. Says which bodies to start and whether the run was
    /// released, or nothing if the claim is lost.
    async fn commit(&mut self, occasion: Occasion) -> Result<Option<(Vec<Start>, bool)>, Error> {
        let mut taken = Vec::new();
        loop {
            let expected_len = self.run.tip.len;
            self.fail_what_comes_too_late().await?;
            let Drafted { rows, records, locks, starts } = self.draft(occasion, &taken)?;
            let idle = self.under_way.is_empty() && starts.is_empty();
            let release = occasion == Occasion::Leave || idle && !self.due_now();
            if rows.is_empty() && !release {
                self.ended.clear();
                self.woken = false;
                return Ok(Some((starts, false)));
            }
            let head = self.run.head();
            let news = news(&rows);
            let transition = Transition::new(expected_len, rows, head, records);
            let wanted: Vec<Lock> = locks.take.iter().chain(&locks.wait_for).cloned().collect();
            let transition = Transition { locks, release, ..transition };
            match write(&self.engine, &self.claim, transition).await? {
                Written::Applied => {
                    self.ended.clear();
                    self.orphaned = false;
                    self.woken = false;
                    self.engine.committed(&self.run, &news);
                    self.engine.free_locks(&self.run).await;
                    return Ok(Some((starts, release)));
                }
                Written::Again(run) => {
                    self.run = *run;
                    if !wanted.is_empty() {
                        taken = self.engine.in_the_way(self.saga(), &wanted).await?;
                    }
                }
                Written::Lost => return Ok(None),
                Written::Backwards => {
                    self.went_back = true;
                    return Ok(None);
                }
            }
        }
    }

    /// A success that changes what somebody else has changed in the meantime is none; what was done
    /// has to be undone.
    async fn fail_what_comes_too_late(&mut self) -> Result<(), Error> {
        for (_, ended) in &mut self.ended {
            let (Outcome::Executed(Ok(done)) | Outcome::Probed(Ok(Probe::Present(done)))) =
                &ended.outcome
            else {
                continue;
            };
            if let Some(why) = self.engine.moved_on(&done.changes).await? {
                ended.outcome = match ended.outcome {
                    Outcome::Executed(_) => Outcome::Executed(Err(StepError::permanent(why))),
                    // Another try finds out for itself.
                    _ => Outcome::Probed(Ok(Probe::CannotTell)),
                };
            }
        }
        Ok(())
    }

    /// `taken`: keys that cannot be had, as others hold them.
    fn draft(&mut self, occasion: Occasion, taken: &[Holder]) -> Result<Drafted, Error> {
        let now = self.engine.clock.now();
        let mut draft = Draft::new(&mut self.run, &self.engine.registry, self.claim.by(), now);
        draft.taken.extend(taken.iter().map(|held| held.key.clone()));
        draft.woken = self.woken;
        for (start, ended) in &self.ended {
            draft.ended(*start, ended)?;
        }
        let asked: Vec<Start> = self.under_way.iter().map(|body| body.start).collect();
        let starts = match occasion {
            Occasion::Go => draft.begin(&asked)?,
            Occasion::TakeOver => {
                if draft.run.state.body_under_way() {
                    draft.record(&Event::TakenOver)?;
                }
                Vec::new()
            }
            Occasion::Leave => {
                if draft.run.state.body_under_way() {
                    draft.record(&Event::HandedOver)?;
                }
                Vec::new()
            }
            Occasion::Overdue => {
                if !draft.run.state.status().at_rest() {
                    draft.record(&Event::Parked { reason: ParkReason::BodyStillRunning })?;
                }
                Vec::new()
            }
        };
        let Draft { rows, records, locks, .. } = draft;
        Ok(Drafted { rows, records, locks, starts })
    }

    fn due_now(&self) -> bool {
        let now = self.engine.clock.now();
        self.run.wake_at().is_some_and(|at| at <= now)
    }

    /// When there is something to do that is not under way already. A probe leaves no row when it
    /// begins, so that its command stands until it ends.
    fn wake_at(&self) -> Option<Timestamp> {
        let asked = |command: &Command| match command {
            Command::Probe { step, .. } | Command::ProbeBack { step } => {
                let probes = |body: &UnderWay| body.start.phase == Phase::Probe;
                self.under_way.iter().any(|body| probes(body) && body.start.step == *step)
            }
            _ => false,
        };
        let commands = self.run.state.commands().into_iter();
        commands.filter(|command| !asked(command)).map(|command| command.not_before()).min()
    }

    /// `asked_at`: when the commit was asked for that says that the body begins.
    fn spawn(&mut self, start: Start, asked_at: Timestamp) {
        let plan = self.run.state.plan();
        let used = plan.step(start.step);
        let Some(step) = self.engine.registry.find(&used.step) else { return };
        let options = step.options(used);
        let stop = CancellationToken::new();
        let now = self.engine.clock.now();
        let body = Performance::new(&self.engine, &self.run, start, step, &options, stop.clone());
        let ours = Ours::new(Arc::clone(&self.engine), &self.claim, asked_at);
        let limit = if start.phase == Phase::Compensate {
            options.compensate_timeout
        } else {
            options.timeout
        };
        let span = info_span!(
            "body", saga = %self.run.spec.id, step = plan.name(start.step),
            step_idx = start.step, phase = start.phase.name(),
            attempt = self.run.state.step(start.step).attempts,
        );
        let task = self.bodies.spawn(body.perform(ours).instrument(span)).id();
        let overdue_at = Some(now.plus(limit + 2 * STOP_GRACE));
        self.under_way.push(UnderWay { task, start, stop, overdue_at });
    }

    /// The run has turned: its executes and probes are told to stop, and awaited.
    fn stop_bodies(&self) {
        if self.run.state.wants_bodies_stopped() {
            let forward = self.under_way.iter().filter(|body| !body.start.back);
            forward.for_each(|body| body.stop.cancel());
        }
    }

    /// Waits until a body ends, somebody else writes, a timer rings, or the worker has to leave.
    async fn wait(&mut self, nudge: &Notify, leave: &CancellationToken) {
        let overdue = self.under_way.iter().filter_map(|body| body.overdue_at).min();
        let wake = self.wake_at().into_iter().chain(overdue).min();
        let clock = Arc::clone(&self.engine.clock);
        tokio::select! {
            biased;
            Some(ended) = self.bodies.join_next_with_id() => {
                self.take_in(ended);
                while let Some(ended) = self.bodies.try_join_next_with_id() {
                    self.take_in(ended);
                }
            }
            () = nudge.notified() => self.read_again().await,
            () = leave.cancelled() => {}
            () = clock::until(&*clock, wake) => {
                self.park_overdue().await;
            }
        }
    }

    fn take_in(&mut self, ended: Returned) {
        let task = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(task, _)| *task);
        let Some(at) = self.under_way.iter().position(|body| body.task == task) else { return };
        let start = self.under_way.swap_remove(at).start;
        let ended = match ended {
            Ok((_, Ok(Some(ended)))) => ended,
            Ok((_, Ok(None))) => return self.over = Some(Ok(End::Lost)),
            Ok((_, Err(error))) => return self.over = Some(Err(error.into())),
            Err(error) => Ended::without_a_word(start.phase, error),
        };
        self.ended.push((start, ended));
    }

    /// Somebody else wrote: the state is read again, so that a cancel reaches the bodies.
    async fn read_again(&mut self) {
        match self.engine.store.load(self.run.spec.id).await {
            Ok(Some(stored)) if stored.owner == Some(self.claim.id()) => {
                self.woken = true;
                match self.engine.fold(stored) {
                    Ok(run) => self.run = run,
                    Err(error) => warn!(%error, "cannot read the run again"),
                }
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "cannot read the run again"),
        }
    }

    /// A body ignores its token beyond its time: the run parks, as nothing may be done beside it.
    async fn park_overdue(&mut self) {
        let now = self.engine.clock.now();
        let late = |body: &UnderWay| body.overdue_at.is_some_and(|at| at <= now);
        if !self.under_way.iter().any(late) {
            return;
        }
        let before = self.run.clone();
        let again_at = match self.commit(Occasion::Overdue).await {
            Ok(Some(_)) => None,
            Ok(None) => return self.over = Some(Ok(End::Lost)),
            Err(error) => {
                warn!(saga = %self.saga(), %error, "cannot park the run yet");
                // What was not written is not so.
                self.run = before;
                Some(now.plus(STOP_GRACE))
            }
        };
        self.under_way
            .iter_mut()
            .filter(|body| late(body))
            .for_each(|body| body.overdue_at = again_at);
    }

    /// The worker leaves: bodies are told to stop, get a moment, and are dropped; the run is there
    /// for the next worker at once.
    async fn hand_over(&mut self) -> Result<End, Error> {
        self.under_way.iter().for_each(|body| body.stop.cancel());
        let returned = async {
            while let Some(ended) = self.bodies.join_next_with_id().await {
                self.take_in(ended);
                // What came to nothing because it was told to stop does not count (rule S4).
                self.ended.pop_if(|(_, ended)| ended.outcome.came_to_nothing());
            }
        };
        if tokio::time::timeout(HAND_OVER_GRACE, returned).await.is_err() {
            self.bodies.abort_all();
            let dropped = async { while self.bodies.join_next().await.is_some() {} };
            if tokio::time::timeout(STOP_GRACE, dropped).await.is_err() {
                warn!(saga = %self.run.spec.id, "a body cannot be stopped; the run is not handed over");
                return Ok(End::Lost);
            }
        }
        if let Some(over) = self.over.take() {
            return over;
        }
        let handed = self.commit(Occasion::Leave).await?;
        Ok(handed.map_or(End::Lost, |_| End::Released(Some(Timestamp::default()))))
    }
}
