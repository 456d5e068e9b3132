//! Runs with steps that this binary does not know: they are left for others (rule S15).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::id::SagaId;
use crate::store::Needs;
use crate::time::Timestamp;

/// What was seen and left alone. What needs the same is not claimed again for a while.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    /// Since when each run was seen.
    runs: HashMap<SagaId, Timestamp>,
    needs: HashSet<Needs>,
    /// Since when there are any needs.
    since: Option<Timestamp>,
}

impl Unknown {
    /// A run was seen; answers since when it is known that this binary does not know it.
    pub(super) fn add(&mut self, run: SagaId, needs: Needs, now: Timestamp) -> Timestamp {
        self.needs.insert(needs);
        self.since.get_or_insert(now);
        *self.runs.entry(run).or_insert(now)
    }

    /// Whether this run came although it was to be left out.
    pub(super) fn left_out(&self, run: SagaId, needs: Needs) -> bool {
        self.needs.contains(&needs) && self.runs.contains_key(&run)
    }

    /// What not to claim.
    pub(super) fn needs(&self) -> Arc<[Needs]> {
        self.needs.iter().copied().collect()
    }

    /// When all of it is to be looked at again.
    pub(super) fn again_at(&self, after: Duration) -> Option<Timestamp> {
        self.since.map(|since| since.plus(after))
    }

    /// Lets all of it be claimed again, if it is time: what still is there may have to park. What was
    /// seen first long ago is forgotten.
    pub(super) fn try_again_after(&mut self, time: Duration, now: Timestamp) {
        if self.again_at(time).is_some_and(|at| at <= now) {
            self.needs.clear();
            self.since = None;
            self.runs.retain(|_, since| now.since(*since) < 10 * time);
        }
    }
}
