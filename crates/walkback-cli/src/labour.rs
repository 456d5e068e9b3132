//! Working on the store, as soon as nobody else does.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::store::{Lease, WorkerInfo};
use walkback::worker::Hook;
use walkback::{Engine, Error, engine::Enlistment, worker::Until};

/// How often to ask whether the other worker is gone.
const ASK: Duration = Duration::from_millis(200);

/// How to work.
#[derive(Clone)]
pub(crate) struct Labour {
    /// Runs in memory at once, if that is said.
    pub(crate) concurrency: Option<usize>,
    /// The queues; none means all.
    pub(crate) queues: Vec<String>,
    /// How long it may be silent before others take over.
    pub(crate) lease: Lease,
    /// When it is over.
    pub(crate) until: Until,
    /// Who tells people of what needs them.
    pub(crate) hook: Option<Arc<dyn Hook>>,
}

/// What becomes of the wish to work.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// It works.
    Works,
    /// Somebody else does; it waits.
    Waits(Option<WorkerInfo>),
}

impl Labour {
    /// Works until `stop` is cancelled, when everything is handed over at once, or until idle.
    /// Where only one can work, waits until the other is gone.
    pub(crate) async fn work(
        self,
        engine: &Engine,
        stop: CancellationToken,
        mut tell: impl FnMut(News),
    ) -> Result<(), Error> {
        let mut waits_for: Option<Option<u32>> = None;
        while !stop.is_cancelled() {
            let by = match engine.enlist_for(self.lease, self.queues.clone()).await? {
                Enlistment::Working(mut worker) => {
                    tell(News::Works);
                    if let Some(runs) = self.concurrency {
                        worker = worker.concurrency(runs);
                    }
                    if let Some(hook) = self.hook {
                        worker = worker.hook(hook);
                    }
                    return worker.run(self.until, stop).await;
                }
                Enlistment::Taken(by) => by,
            };
            let pid = by.as_ref().map(|by| by.pid);
            if waits_for != Some(pid) {
                waits_for = Some(pid);
                tell(News::Waits(by));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(ASK) => {}
            }
        }
        Ok(())
    }
}

/// Who works, in words.
pub(crate) fn who(by: Option<&WorkerInfo>) -> String {
    let Some(by) = by else { return "another process".to_owned() };
    let since = crate::output::time::moment(by.since);
    format!("process {} on {} (since {since})", by.pid, by.host)
}
