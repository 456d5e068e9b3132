//! Pruning: a run that nobody needs any more goes whole, and leaves a stone.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::desired::Provisioned;
use crate::engine::operate::check_asked;
use crate::engine::{Asked, Engine};
use crate::error::Error;
use crate::id::SagaId;
use crate::store::{Appended, StoredRun, Tombstone};

/// A saga that may go, with everything there is of it.
#[derive(Clone, Debug)]
pub struct Archived {
    /// What it was started with, how it ended, and everything that happened to it.
    pub run: StoredRun,
    /// What it had provisioned.
    pub provisioned: Vec<Provisioned>,
    /// What will be left of it; [`Engine::prune`] removes just this.
    pub stone: Tombstone,
}

impl Engine {
    /// Everything of sagas that shall go, so that it can be kept elsewhere first: each once, in their order;
    /// of those that are not there, as they were pruned or never were, nothing. Which may go, a
    /// [`Filter`](crate::store::Filter) with `prunable_before` finds. All are held in memory, and each may have
    /// ten thousand rows: ask for some dozens at a time.
    ///
    /// ```
    /// use walkback::engine::Asked;
    /// use walkback::{Engine, Error, MemoryStore, Order, Registry};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// let id = engine.start_saga(Order::steps(["echo"])).await?.id;
    /// engine.work_until_idle().await?;
    /// let asked = Asked { actor: "ada".to_owned(), reason: None };
    /// let archived = engine.archive(&[id], &asked).await?;
    /// let stones = archived.into_iter().map(|saga| saga.stone).collect();
    /// assert_eq!(engine.prune(stones).await?, 1);
    /// assert!(matches!(engine.show_saga(id).await, Err(Error::Pruned(_))));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If who asks is not said as it must be, or the store cannot be used.
    pub async fn archive(&self, ids: &[SagaId], asked: &Asked) -> Result<Vec<Archived>, Error> {
        check_asked(asked)?;
        let mut asked_for = HashSet::new();
        let ids = ids.iter().copied().filter(|id| asked_for.insert(*id)).collect();
        let found = self.0.store.archive(ids).await?;
        let pruned_at = self.0.clock.now();
        let archived = found.into_iter().map(|(run, provisioned)| {
            let (spec, head) = (&run.spec, &run.head);
            let stone = Tombstone {
                id: spec.id,
                kind: spec.kind.clone(),
                status: head.status,
                created_at: spec.created_at,
                finished_at: head.finished_at.unwrap_or_default(),
                len: head.len,
                hash: head.hash,
                pruned_at,
                pruned_by: asked.actor.clone(),
                reason: asked.reason.clone(),
            };
            Archived { run, provisioned, stone }
        });
        Ok(archived.collect())
    }

    /// Removes the sagas of these stones, each whole and only if it still is as it was archived, has
    /// completed or rolled back, and has nothing live that is its own. Says how many went.
    ///
    /// # Errors
    /// If the store cannot be used; each is then gone, or there as it was.
    pub async fn prune(&self, stones: Vec<Tombstone>) -> Result<usize, Error> {
        // All at once, so that they share commits.
        let mut sent = JoinSet::new();
        for stone in stones {
            let (store, id) = (Arc::clone(&self.0.store), stone.id);
            sent.spawn(async move {
                match store.prune(stone).await {
                    Ok(pruned) => Ok(pruned == Appended::Applied),
                    // If only the answer is lost, its stone is there (promise I19).
                    Err(error) => match store.tombstone(id).await {
                        Ok(Some(_)) => Ok(true),
                        _ => Err(error),
                    },
                }
            });
        }
        let mut gone = 0;
        for pruned in sent.join_all().await {
            gone += usize::from(pruned?);
        }
        Ok(gone)
    }
}
