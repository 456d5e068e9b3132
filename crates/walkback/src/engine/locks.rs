//! What runs wait for and who holds it; and what is let go.

use std::collections::HashMap;

use tracing::warn;

use crate::engine::{Inner, lock};
use crate::error::Error;
use crate::id::SagaId;
use crate::machine::{Command, Status};
use crate::plan::StepIdx;
use crate::run::Run;
use crate::worker::{Order, locks_of};

impl Inner {
    /// The steps of the run that want what others hold, and the first such key of each.
    pub(crate) async fn blocked(&self, run: &Run) -> Result<HashMap<StepIdx, String>, Error> {
        let mut blocked = HashMap::new();
        for command in run.state.commands() {
            let Command::Lock { step, .. } = command else { continue };
            for (lock, _) in locks_of(run, step).unwrap_or_default() {
                let holders = self.store.holders(vec![lock.key.clone()]).await?;
                let others = holders.iter().filter(|holder| holder.saga != run.spec.id).count();
                if others >= lock.room() as usize {
                    blocked.insert(step, lock.key);
                    break;
                }
            }
        }
        Ok(blocked)
    }

    /// The first key that a completed run held and that is somebody else's by now, and whose.
    pub(crate) async fn relocked(&self, run: &Run) -> Result<Option<(String, SagaId)>, Error> {
        for lock in run.state.locks() {
            let holders = self.store.holders(vec![lock.key.clone()]).await?;
            let mut others = holders.iter().filter(|holder| holder.saga != run.spec.id);
            if let Some(other) = others.nth(lock.room() as usize - 1) {
                return Ok(Some((lock.key.clone(), other.saga)));
            }
        }
        Ok(None)
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
