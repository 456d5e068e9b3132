//! Whether the store and the runs in it are as they should be.

use std::time::Duration;

use crate::engine::{Engine, SagaView};
use crate::error::Error;
use crate::machine::Status;
use crate::progress::Progress;
use crate::run::Run;
use crate::store::{Filter, Finding, Head};

/// How long a run may be due before somebody has to work on it.
const OVERDUE: Duration = Duration::from_mins(1);

impl Engine {
    /// Brings the store's tables to this program's version, unless they are; says which that is. None
    /// where there are no tables. Whoever uses a store first does so, too, if it may.
    ///
    /// # Errors
    /// If the store cannot be used, or may not be changed.
    pub async fn migrate(&self) -> Result<Option<usize>, Error> {
        Ok(self.0.store.migrate().await?)
    }

    /// Looks at the store (its durability, health and size, its replicas and clock), at who works,
    /// and at every saga that is not at its end: whether this binary could go on with it, whether it is
    /// due and nobody takes it, and whether it waits for nothing (promise I15). Reads only.
    ///
    /// ```
    /// # use walkback::{Engine, MemoryStore, Order, Registry, store::Grade};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// engine.start_saga(Order::steps(["echo"])).await?;
    /// let found = engine.examine().await?;
    /// assert!(found.iter().all(|finding| finding.grade < Grade::Bad));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn examine(&self) -> Result<Vec<Finding>, Error> {
        let mut found = self.0.store.examine().await?;
        let (silent, living): (Vec<_>, Vec<_>) =
            self.0.store.workers().await?.into_iter().partition(|worker| worker.silent);
        let (workers, held) = (living.len(), silent.iter().map(|worker| worker.runs).sum::<u64>());
        let statuses = vec![Status::Pending, Status::Running, Status::Compensating];
        let filter = Filter { statuses, limit: usize::MAX, ..Filter::default() };
        let (mut overdue, mut lost) = (0_usize, Vec::new());
        for id in self.find_sagas(filter).await? {
            let Some(stored) = self.0.store.load(id).await? else { continue };
            let head = stored.head.clone();
            let is_owned = stored.owner.is_some();
            // One that cannot be folded is named below.
            let Some(run) = self.0.fold(stored).ok().filter(|_| !is_owned) else { continue };
            // What is due at once is so from its last row on.
            let due = head.wake_at.map(|at| at.max(run.last_at).plus(OVERDUE));
            overdue += usize::from(due.is_some_and(|at| at < self.0.clock.now()));
            if in_limbo(&run, &head) {
                lost.push(id);
            }
        }
        found.push(match (workers, overdue) {
            (0, _) if held > 0 => Finding::bad(
                "workers",
                format!("none, and workers that fell silent have {held} sagas: expected `walkback work`"),
            ),
            (0, 0) => Finding::good("workers", "none, and nothing is due"),
            (_, 0) => Finding::good("workers", format!("{workers}")),
            (0, _) => Finding::bad(
                "workers",
                format!("none, and {overdue} due for over a minute: expected `walkback work`"),
            ),
            (_, _) => Finding::look(
                "workers",
                format!(
                    "{workers}, and {overdue} due for over a minute: expected workers that keep up, and \
                     serve every queue"
                ),
            ),
        });
        let upgrade = self.upgrade_check().await?;
        found.push(match upgrade.orphans.first() {
            None => Finding::good(
                "sagas",
                format!("this binary can go on with all {} in flight", upgrade.checked),
            ),
            Some(orphan) => Finding::bad(
                "sagas",
                format!(
                    "this binary cannot go on with {}, among others perhaps: {}; see `walkback \
                     upgrade-check`",
                    orphan.saga_id, orphan.why
                ),
            ),
        });
        found.push(match lost.first() {
            None => {
                Finding::good("limbo", "every saga is due, owned, waits for something, or rests")
            }
            Some(id) => Finding::bad(
                "limbo",
                format!(
                    "{} sagas wait for nothing, {id} first: expected none; see `walkback verify`",
                    lost.len()
                ),
            ),
        });
        Ok(found)
    }
}

/// Whether a moving run that nobody owns is never due and waits for nothing.
fn in_limbo(run: &Run, head: &Head) -> bool {
    head.wake_at.is_none()
        && !run.state.body_under_way()
        && SagaView::full(run, &Progress::default()).waiting_for.is_none()
}
