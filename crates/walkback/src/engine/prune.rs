//! Pruning: a run that nobody needs any more goes whole, and leaves a stone.

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
    /// Everything of a saga that shall go, so that it can be kept elsewhere first. Which may go, a
    /// [`Filter`](crate::store::Filter) with `prunable_before` finds.
    ///
    /// ```
    /// use walkback::engine::Asked;
    /// use walkback::{Engine, Error, MemoryStore, Order, Registry};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// let id = engine.start_saga(Order::steps(["echo"])).await?.id;
    /// engine.work_until_idle().await?;
    /// let asked = Asked { actor: "ada".to_owned(), reason: None };
    /// let archived = engine.archive(id, &asked).await?;
    /// assert_eq!(engine.prune(vec![archived.stone]).await?, 1);
    /// assert!(matches!(engine.show_saga(id).await, Err(Error::Pruned(_))));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If there is no saga of this id, or the store cannot be used.
    pub async fn archive(&self, id: SagaId, asked: &Asked) -> Result<Archived, Error> {
        check_asked(asked)?;
        let run = self.0.stored(id).await?;
        let provisioned = self.0.store.provisioned(Some(id)).await?;
        let (spec, head) = (&run.spec, &run.head);
        let stone = Tombstone {
            id,
            kind: spec.kind.clone(),
            status: head.status,
            created_at: spec.created_at,
            finished_at: head.finished_at.unwrap_or_default(),
            len: head.len,
            hash: head.hash,
            pruned_at: self.0.clock.now(),
            pruned_by: asked.actor.clone(),
            reason: asked.reason.clone(),
        };
        Ok(Archived { run, provisioned, stone })
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
