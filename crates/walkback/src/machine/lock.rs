//! What steps must hold before they begin, and what runs hold.

use serde::{Deserialize, Serialize};

use crate::machine::permit::status_is_end;
use crate::machine::{Applied, Forward, State, Status};
use crate::plan::StepIdx;
use crate::time::Timestamp;

/// A key that a run holds: alone, until it is settled (completed, rolled back, or failed with nothing
/// left that anybody has to see to); or with others, at most so many, until it is at rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lock {
    /// What is locked: `droplet:4711`.
    pub key: String,
    /// How many may hold it, if it is a limit and no lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
}

impl Lock {
    /// How many runs may hold it at once.
    pub fn room(&self) -> u32 {
        self.at_most.unwrap_or(1)
    }

    /// Whether a run of this status that holds it keeps the others out.
    pub(crate) fn is_held_at(&self, status: Status, attention: bool) -> bool {
        match status {
            Status::Completed | Status::RolledBack => false,
            Status::Failed => self.at_most.is_none() && attention,
            _ => true,
        }
    }
}

/// How far a step is with the locks that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Locking {
    /// Not asked for yet, or it needs none.
    #[default]
    Open,
    /// Another run holds `key`; it is looked again at `again`, and given up at `until`.
    Waiting { key: String, since: Timestamp, again: Timestamp, until: Option<Timestamp> },
    /// They are this run's.
    Held,
}

impl State {
    /// Whether step `idx` has to take locks before it begins.
    pub(super) fn needs_locks(&self, idx: StepIdx) -> bool {
        !self.plan.step(idx).lock.is_empty() && self.steps[idx].locking != Locking::Held
    }

    /// The key that step `idx` waits for, if it does.
    pub(crate) fn waits_for_lock(&self, idx: StepIdx) -> Option<&str> {
        match &self.steps[idx].locking {
            Locking::Waiting { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The keys that steps of the run wait for.
    pub(crate) fn waited_for_locks(&self) -> impl Iterator<Item = &str> {
        (0..self.steps.len()).filter_map(|idx| self.waits_for_lock(idx))
    }

    /// Everything that the run has taken, in that order.
    pub(crate) fn locks(&self) -> &[Lock] {
        &self.locks
    }

    /// What it has taken for itself alone, which its way back needs.
    pub(crate) fn own_locks(&self) -> Vec<Lock> {
        self.locks.iter().filter(|lock| lock.at_most.is_none()).cloned().collect()
    }

    /// What it has to take, before anything of it is undone, as it has ended and let that go: an undo never
    /// waits for a lock, so all of them first, or none. One that failed has them still, but for what came
    /// late.
    pub(crate) fn locks_to_walk_back(&self) -> Vec<Lock> {
        if status_is_end(self.status()) { self.own_locks() } else { Vec::new() }
    }

    /// The run goes on: what is waited for may be free by now, and with other data a step may need
    /// other locks.
    pub(super) fn look_for_locks(&mut self, edited: bool) {
        for step in &mut self.steps {
            let over = step.passed() || step.forward == Forward::Running;
            match &mut step.locking {
                Locking::Waiting { again, .. } => *again = Timestamp::default(),
                held @ Locking::Held if edited && !over => *held = Locking::Open,
                _ => {}
            }
        }
    }

    pub(super) fn locks_taken(&mut self, idx: StepIdx, locks: &[Lock]) -> Applied {
        if idx >= self.steps.len() || !self.needs_locks(idx) || !self.may_begin(idx) {
            return Err("the step does not take locks now");
        }
        self.steps[idx].locking = Locking::Held;
        for lock in locks {
            if !self.locks.contains(lock) {
                self.locks.push(lock.clone());
            }
        }
        Ok(())
    }

    pub(super) fn wait_for_lock(
        &mut self,
        at: Timestamp,
        idx: StepIdx,
        key: &str,
        (again, until): (Timestamp, Option<Timestamp>),
    ) -> Applied {
        if !self.needs_locks(idx) || !self.may_begin(idx) {
            return Err("the step does not take locks now");
        }
        let since = match &self.steps[idx].locking {
            Locking::Waiting { since, .. } => *since,
            _ => at,
        };
        self.steps[idx].locking = Locking::Waiting { key: key.to_owned(), since, again, until };
        Ok(())
    }
}
