//! Writes of those who hold no claim.

use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::engine::{Asked, Inner, Outside, lock, news};
use crate::error::Error;
use crate::id::{ClaimId, SagaId};
use crate::ledger::{RowHash, Writer};
use crate::options::Retry;
use crate::run::Run;
use crate::store::{Appended, Locks, NewRun, Started, StoreError, StoredRun, Transition, WorkerId};
use crate::worker::Order;

/// How long after a commit without an answer it is made again, and how often for somebody who waits for it:
/// ten seconds in all, beyond what the store waits.
const AGAIN: Retry = Retry::attempts(10).backoff(Duration::from_millis(20), Duration::from_secs(5));

/// A commit that is made again while it has no answer and nothing of it is there.
pub(crate) struct Again<'a> {
    clock: &'a dyn Clock,
    tries: u32,
    /// Why it is not known what became of it.
    unknown: Option<StoreError>,
}

impl<'a> Again<'a> {
    pub(crate) fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, tries: 0, unknown: None }
    }

    /// Waits until the next time.
    pub(crate) async fn wait(&mut self, error: Option<StoreError>) {
        self.tries += 1;
        self.clock.sleep(AGAIN.ceiling(self.tries)).await;
        self.unknown = self.unknown.take().or(error);
    }

    /// Whether nothing was ever written: the store says so of the first time, when nothing else is on
    /// its way.
    pub(crate) fn is_refused(&self, error: &StoreError) -> bool {
        self.tries == 0 && is_final(error)
    }

    /// Whether whoever waits for it is told that it is not known: it was made often enough, or the store
    /// says that it will not be.
    fn is_over(&self, error: &StoreError) -> bool {
        self.tries + 1 >= AGAIN.max_attempts() || is_final(error)
    }

    /// What they are told: the first error, as a later one says nothing of the first time.
    fn told(self, error: StoreError) -> Error {
        self.unknown.unwrap_or(error).into()
    }
}

/// Whether nothing was written this time, and trying again at once would not help.
pub(crate) fn is_final(error: &StoreError) -> bool {
    matches!(error, StoreError::Full { .. } | StoreError::Unusable { .. })
}

impl Inner {
    /// The process dies, and with it the starts that nobody waits for.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn drop_unwatched(&self) {
        lock(&self.unwatched).abort_all();
    }

    /// Lets a run go whose claim is lost to this process, whoever writes to it meanwhile: the next one
    /// takes it over.
    pub(crate) async fn let_go(&self, id: SagaId, lost: ClaimId) -> Result<(), Error> {
        let is_lost = |stored: &StoredRun| stored.owner == Some(lost);
        let mut again = Again::new(&*self.clock);
        while let Some(stored) = self.store.load(id).await?.filter(is_lost) {
            let run = self.fold(stored)?;
            let let_go = Transition::new(run.tip.len, Vec::new(), run.head(), Vec::new());
            let orphan = run.state.body_under_way();
            let let_go = Transition { release: true, orphan, ..let_go };
            match self.store.append_unclaimed(id, let_go).await {
                Ok(Appended::Applied) => break,
                Ok(Appended::Refused) => {}
                Err(error) if again.is_over(&error) => return Err(error.into()),
                Err(error) => again.wait(Some(error)).await,
            }
        }
        Ok(())
    }

    /// Writes without a claim: applied if nobody wrote since `run` was read. The local worker is
    /// told.
    pub(crate) async fn write_unclaimed(
        &self,
        mut run: Run,
        outside: Outside,
        asked: Option<&Asked>,
    ) -> Result<Appended, Error> {
        let Outside { event, records, sole_owner, locks } = outside;
        let expected_len = run.tip.len;
        let locks = Locks { take: locks, ..Locks::default() };
        let writer = Writer {
            claim: ClaimId::NONE,
            fence: 0,
            at: self.clock.now(),
            actor: asked.map(|asked| asked.actor.as_str()),
            remark: asked.and_then(|asked| Some(("reason", asked.reason.as_deref()?))),
        };
        let rows = vec![run.record(&event, &writer)?];
        let news = news(&rows);
        let hash = run.tip.hash;
        let head = run.head();
        let transition =
            Transition { locks, sole_owner, ..Transition::new(expected_len, rows, head, records) };
        let id = run.spec.id;
        let applied = match self.append_until_known(id, transition, hash).await {
            // Nobody waits for what the engine says by itself: it reads again and says it anew.
            Err(Error::Store(error)) if asked.is_none() && !is_final(&error) => Appended::Refused,
            applied => applied?,
        };
        if applied == Appended::Applied {
            self.committed(&run, &news);
            self.free_locks(&run).await;
            if let Some(local) = &*lock(&self.local) {
                // A worker that is just leaving has no use for it.
                local.orders.send(Order::Look(Some(id))).ok();
            }
        }
        Ok(applied)
    }

    /// Appends, and where the answer is lost, reads back and appends the very same again: what is not there
    /// may still come, and is ours then (promise I19).
    async fn append_until_known(
        &self,
        id: SagaId,
        transition: Transition,
        hash: RowHash,
    ) -> Result<Appended, Error> {
        let from = transition.expected_len;
        let mut again = Again::new(&*self.clock);
        loop {
            let error = match self.store.append_unclaimed(id, transition.clone()).await {
                Ok(Appended::Applied) => return Ok(Appended::Applied),
                Ok(Appended::Refused) if again.tries == 0 => return Ok(Appended::Refused),
                Ok(Appended::Refused) => None,
                Err(error) if again.is_refused(&error) => return Err(error.into()),
                Err(error) => Some(error),
            };
            let rows = match (self.store.rows(id, from).await, error.as_ref()) {
                (Ok(rows), _) => rows,
                (Err(_), Some(error)) => return Err(again.told(error.clone())),
                (Err(error), None) => return Err(error.into()),
            };
            if rows.first().is_some_and(|row| row.hash(id) == hash) {
                return Ok(Appended::Applied);
            }
            let Some(error) = error.filter(|_| rows.is_empty()) else {
                return Ok(Appended::Refused);
            };
            if again.is_over(&error) {
                return Err(again.told(error));
            }
            warn!(saga = %id, %error, "a commit failed, and nothing of it is there; made again");
            again.wait(Some(error)).await;
        }
    }

    /// Commits a start likewise. Nothing is said if it is there without an answer.
    pub(super) async fn start_until_known(
        &self,
        new: NewRun,
        owner: Option<(WorkerId, ClaimId)>,
    ) -> Result<Option<Started>, Error> {
        let id = new.spec.id;
        let mut again = Again::new(&*self.clock);
        loop {
            let error = match self.store.start(new.clone(), owner).await {
                Ok(Started::Exists(known)) if known.id == id => return Ok(None),
                Ok(started) => return Ok(Some(started)),
                Err(error) if again.is_refused(&error) => return Err(error.into()),
                Err(error) => error,
            };
            match self.store.head(id).await {
                Ok(Some(_)) => return Ok(None),
                Ok(None) if !again.is_over(&error) => {
                    warn!(saga = %id, %error, "a start failed, and nothing of it is there; made again");
                    again.wait(Some(error)).await;
                }
                _ => return Err(again.told(error)),
            }
        }
    }
}
