//! Writes of those who hold no claim.

use crate::engine::{Asked, Inner, Outside, lock, news};
use crate::error::Error;
use crate::id::{ClaimId, SagaId};
use crate::ledger::Writer;
use crate::run::Run;
use crate::store::{Appended, Locks, StoredRun, Transition};
use crate::worker::Order;

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
        let applied = match self.store.append_unclaimed(id, transition).await {
            Ok(appended) => appended,
            Err(error) => {
                // The answer is lost: our row is there, or it is not (promise I19).
                let rows = self.store.rows(id, expected_len).await.map_err(|_| error)?;
                let there = rows.first().is_some_and(|row| row.hash(id) == hash);
                if there { Appended::Applied } else { Appended::Refused }
            }
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
}
