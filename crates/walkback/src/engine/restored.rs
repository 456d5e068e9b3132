//! A store that was set back to a backup: nothing goes on as if nothing had happened.

use std::time::Duration;

use crate::engine::{Asked, Engine, Outside, operate::check_asked};
use crate::error::Error;
use crate::machine::{Event, Status};
use crate::store::{Appended, Filter, WorkerSeen};

/// A worker that lives says so in this time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

impl Engine {
    /// The sagas that [`Engine::restored`] would stop: whatever moves or is parked.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn in_flight(&self) -> Result<Vec<crate::SagaId>, Error> {
        let statuses = vec![Status::Pending, Status::Running, Status::Compensating, Status::Parked];
        self.find_sagas(Filter { statuses, limit: usize::MAX, ..Filter::default() }).await
    }

    /// Says that the store was set back to a backup: every saga in flight parks (`restored`), as it may
    /// have done more than its ledger knows. One that goes on (`resume`) probes each step that may have
    /// been begun since before it does anything else about it (rule S5); one that is cancelled looks first
    /// for what it has made. Says how many sagas were stopped. To be called before any worker is started.
    ///
    /// ```
    /// use walkback::engine::Asked;
    /// use walkback::{Engine, MemoryStore, Order, Registry, Status};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// let id = engine.start_saga(Order::steps(["echo"])).await?.id;
    /// let asked = Asked { actor: "ada".to_owned(), reason: Some("the disk died".to_owned()) };
    /// assert_eq!(engine.restored(&asked).await?, 1);
    /// assert_eq!(engine.show_saga(id).await?.status, Status::Parked);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If a worker lives, naming it; if the store cannot be used. It may be asked again then. A saga that is
    /// damaged is left alone, as workers leave it.
    pub async fn restored(&self, asked: &Asked) -> Result<usize, Error> {
        check_asked(asked)?;
        self.retire_the_dead().await?;
        let mut stopped = 0;
        for id in self.in_flight().await? {
            loop {
                let run = match self.0.load(id).await {
                    Ok(run) => run,
                    // No worker goes on with it either; or it is gone.
                    Err(Error::Damaged { .. } | Error::NotFound(_) | Error::Pruned(_)) => break,
                    Err(error) => return Err(error),
                };
                if run.state.status().at_rest() && run.state.parked().is_none() {
                    break;
                }
                let restored = Outside::from(Event::Restored);
                if self.0.write_unclaimed(run, restored, Some(asked)).await? == Appended::Applied {
                    stopped += 1;
                    break;
                }
            }
        }
        Ok(stopped)
    }

    /// Workers of the time before are in the backup too; who lives shows it by a new sign of life.
    async fn retire_the_dead(&self) -> Result<(), Error> {
        let known = self.0.store.workers().await?;
        if known.is_empty() {
            return Ok(());
        }
        self.0.clock.sleep(SIGN_OF_LIFE).await;
        let lives = |seen: &WorkerSeen| {
            let same = |other: &&WorkerSeen| other.info.id == seen.info.id;
            known.iter().find(same).is_none_or(|before| before.seen_at != seen.seen_at)
        };
        let (living, dead): (Vec<_>, Vec<_>) =
            self.0.store.workers().await?.into_iter().partition(lives);
        if let Some(WorkerSeen { info, .. }) = living.first() {
            let who = format!("process {} on `{}`", info.pid, info.host);
            return Err(Error::StillWorking { who });
        }
        for worker in dead.iter().filter_map(|seen| seen.info.id) {
            self.0.store.retire(worker).await?;
        }
        Ok(())
    }
}
