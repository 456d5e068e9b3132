//! Writes of those who hold no claim.

use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::engine::{Asked, Inner, Outside, lock, news};
use crate::error::Error;
use crate::id::{ClaimId, SagaId};
use crate::ledger::{RowHash, Writer};
use crate::run::Run;
use crate::store::{Appended, Locks, StoreError, StoredRun, Transition};
use crate::time::Timestamp;
use crate::worker::Order;

/// How long after a commit without an answer it is made again: at first, doubled each time, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));
/// For how long somebody who asked for a commit waits until it is known what became of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A commit that is made again while it has no answer and nothing of it is there.
pub(crate) struct Again<'a> {
    clock: &'a dyn Clock,
    since: Timestamp,
    tries: u32,
}

impl<'a> Again<'a> {
    pub(crate) fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, since: clock.now(), tries: 0 }
    }

    /// Waits until the next time.
    pub(crate) async fn wait(&mut self) {
        let (first, most) = AGAIN;
        self.clock.sleep(first.saturating_mul(1 << self.tries.min(20)).min(most)).await;
        self.tries += 1;
    }

    /// Whether this is not the first time.
    fn is_another(&self) -> bool {
        self.tries > 0
    }

    /// Whether it takes longer than somebody who asked has to wait.
    pub(super) fn is_too_long(&self) -> bool {
        self.clock.now().since(self.since) >= PATIENCE
    }
}

/// Whether nothing was written, and trying again at once would not help.
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
        while let Some(stored) = self.store.load(id).await?.filter(is_lost) {
            let run = self.fold(stored)?;
            let let_go = Transition::new(run.tip.len, Vec::new(), run.head(), Vec::new());
            let orphan = run.state.body_under_way();
            let let_go = Transition { release: true, orphan, ..let_go };
            if self.store.append_unclaimed(id, let_go).await? == Appended::Applied {
                break;
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
        let applied = self.append_until_known(id, transition, hash).await?;
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
            let unknown = match self.store.append_unclaimed(id, transition.clone()).await {
                Ok(Appended::Applied) => return Ok(Appended::Applied),
                Ok(Appended::Refused) if !again.is_another() => return Ok(Appended::Refused),
                Ok(Appended::Refused) => None,
                Err(error) if is_final(&error) => return Err(error.into()),
                Err(error) => Some(error),
            };
            let rows = match (self.store.rows(id, from).await, &unknown) {
                (Ok(rows), _) => rows,
                (Err(error), None) => return Err(error.into()),
                (Err(_), Some(error)) => return Err(error.clone().into()),
            };
            if rows.first().is_some_and(|row| row.hash(id) == hash) {
                return Ok(Appended::Applied);
            }
            match unknown {
                Some(error) if rows.is_empty() && again.is_too_long() => return Err(error.into()),
                Some(error) if rows.is_empty() => {
                    warn!(saga = %id, %error, "a commit has no answer, and is not there; made again");
                    again.wait().await;
                }
                _ => return Ok(Appended::Refused),
            }
        }
    }
}
