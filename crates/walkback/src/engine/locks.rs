//! What runs wait for and who holds it; and what is let go.

use tracing::warn;

use crate::engine::{Inner, lock};
use crate::error::Error;
use crate::id::SagaId;
use crate::machine::{Lock, Status};
use crate::run::Run;
use crate::store::Holder;
use crate::worker::Order;

impl Inner {
    /// Who keeps run `id` out of those of the locks that it cannot have now.
    pub(crate) async fn in_the_way(
        &self,
        id: SagaId,
        locks: &[Lock],
    ) -> Result<Vec<Holder>, Error> {
        let mut in_the_way = Vec::new();
        if locks.is_empty() {
            return Ok(in_the_way);
        }
        let keys = locks.iter().map(|lock| lock.key.clone()).collect();
        let holders = self.store.holders(keys).await?;
        for lock in locks {
            let others = holders.iter().filter(|held| held.key == lock.key && held.saga != id);
            if others.clone().count() >= lock.room() as usize {
                in_the_way.extend(others.cloned());
            }
        }
        Ok(in_the_way)
    }

    /// After a commit: whoever waits for what the run held, or waited for, is woken if it is over.
    pub(crate) async fn free_locks(&self, run: &Run) {
        let over =
            matches!(run.state.status(), Status::Completed | Status::RolledBack | Status::Failed);
        if !over || !run.state.plan().has_locks() {
            return;
        }
        if let Err(error) = self.store.let_go(run.spec.id).await {
            warn!(saga = %run.spec.id, %error, "who waits for its locks was not woken, and looks by itself");
        } else if let Some(local) = &*lock(&self.local) {
            // A worker that is just leaving has no use for it.
            local.orders.send(Order::Look(None)).ok();
        }
    }
}
