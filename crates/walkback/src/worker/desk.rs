//! The desk beside the foreman: calls the hook for every run that needs a person, until people know.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::engine::{Asked, Inner};
use crate::error::Error;
use crate::id::SagaId;
use crate::limits;
use crate::machine::Event;
use crate::options::Retry;
use crate::store::Appended;
use crate::time::Timestamp;
use crate::worker::hook::{Hook, Notice};

/// Calls at a time.
const CALLS: usize = 8;
/// How long a call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// How long after a failed call the next one follows; there is always one.
const RETRY: Retry =
    Retry::attempts(u32::MAX).backoff(Duration::from_secs(1), Duration::from_hours(1));
/// How long to leave a run alone of which it could not be recorded that the hook was called.
const RECORD_AGAIN: Duration = Duration::from_secs(5);

/// Calls the hook for every run that needs a person.
pub(super) struct Desk {
    engine: Arc<Inner>,
    hook: Arc<dyn Hook>,
    calls: JoinSet<SagaId>,
    under_way: HashSet<SagaId>,
}

impl Desk {
    pub(super) fn new(engine: Arc<Inner>, hook: Arc<dyn Hook>) -> Self {
        Self { engine, hook, calls: JoinSet::new(), under_way: HashSet::new() }
    }

    /// Calls until `stop` is cancelled, which drops calls under way: the next worker makes them
    /// again. Once `last` is cancelled, until each call that is due was made once.
    pub(super) async fn work(mut self, stop: &CancellationToken, last: &CancellationToken) {
        loop {
            let ends = last.is_cancelled();
            let next = match self.begin_due().await {
                Ok(next) => next,
                Err(error) => {
                    warn!(%error, "cannot tell for which sagas to call the hook");
                    Some(self.engine.clock.now().plus(RECORD_AGAIN)).filter(|_| !ends)
                }
            };
            if ends && self.calls.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = last.cancelled(), if !ends => {}
                Some(called) = self.calls.join_next() => match called {
                    Ok(id) => {
                        self.under_way.remove(&id);
                    }
                    // It stays under way, so that it does not panic again and again.
                    Err(error) => warn!(%error, "the hook panicked; another worker calls it again"),
                },
                () = self.engine.attention.notified() => {}
                () = clock::until(&*self.engine.clock, next) => {}
            }
        }
    }

    /// Begins the calls that are due, as far as there is room, and says when the next is.
    async fn begin_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let now = self.engine.clock.now();
        for (id, at) in self.engine.store.calls(2 * CALLS).await? {
            if at > now {
                return Ok(Some(at));
            }
            if self.calls.len() < CALLS && self.under_way.insert(id) {
                let (engine, hook) = (Arc::clone(&self.engine), Arc::clone(&self.hook));
                self.calls.spawn(async move {
                    if !call(&engine, &*hook, id).await.unwrap_or(false) {
                        engine.clock.sleep(RECORD_AGAIN).await;
                    }
                    id
                });
            }
        }
        Ok(None)
    }
}

/// Calls the hook for one run and records what became of it; says whether that is recorded. It is not
/// if somebody wrote meanwhile: if the run still needs a person, they are told again.
async fn call(engine: &Inner, hook: &dyn Hook, id: SagaId) -> Result<bool, Error> {
    let Some(stored) = engine.store.load(id).await? else { return Ok(true) };
    let (run, explained) = engine.explained(stored)?;
    if run.state.call_at().is_none() {
        return Ok(true);
    }
    let tries = run.state.called().map_or(0, |called| called.tries) + 1;
    let notice = Notice::new(explained, engine.clock.now());
    let told = match tokio::time::timeout(CALL_LIMIT, hook.call(&notice)).await {
        Ok(told) => told,
        Err(_) => Err(format!("no answer in {} seconds", CALL_LIMIT.as_secs())),
    };
    let parked = run.state.parked().map(|parked| parked.reason);
    let event = match told {
        Ok(()) => {
            info!(saga = %id, tries, "the hook was called");
            Event::HookDelivered { parked, tries }
        }
        Err(error) => {
            warn!(saga = %id, tries, error, "the hook could not be called");
            let retry_at = engine.clock.now().plus(RETRY.ceiling(tries));
            Event::HookFailed { parked, tries, error: limits::cut(error), retry_at }
        }
    };
    let asked = Asked { actor: limits::cut(hook.name()), reason: None };
    Ok(engine.write_unclaimed(run, event.into(), Some(&asked)).await? == Appended::Applied)
}
