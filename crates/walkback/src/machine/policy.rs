//! What follows a failure: the engine asks here, and the answer goes into the event.

use std::time::Duration;

use crate::machine::{Effect, ParkReason, State, Then, UndoThen};
use crate::options::{OnFailure, OnUndoFailure, Options, Retry};
use crate::plan::StepIdx;
use crate::time::Timestamp;

/// Whether trying again could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// It could.
    Transient,
    /// It could not.
    Permanent,
}

/// A failed attempt, as far as a policy needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is certain of its effect.
    pub effect: Effect,
    /// Whether trying again could help.
    pub class: Class,
    /// How long the far side asked us to wait.
    pub retry_after: Option<Duration>,
    /// Evenly drawn from all 64-bit numbers: decides the jitter.
    pub chance: u64,
}

impl Failure {
    /// When to try again, or nothing if it is not to be tried again.
    fn retry_at(&self, now: Timestamp, failures: u32, retry: &Retry) -> Option<Timestamp> {
        if self.class == Class::Permanent || failures >= retry.max_attempts() {
            return None;
        }
        let ceiling = u64::try_from(retry.ceiling(failures).as_micros()).unwrap_or(u64::MAX);
        let jittered = (u128::from(ceiling) * u128::from(self.chance)) >> 64;
        let wait = Duration::from_micros(u64::try_from(jittered).unwrap_or(u64::MAX));
        Some(now.plus(wait.max(self.retry_after.unwrap_or_default())))
    }
}

/// What follows a failed attempt at executing `step` (rules S4, S6, S10, S11).
pub fn after_failure(
    state: &State,
    step: StepIdx,
    failure: &Failure,
    now: Timestamp,
    options: &Options,
) -> Then {
    if state.turned() {
        return Then::WalkBack;
    }
    let own = state.step(step);
    if let Some(at) = failure.retry_at(now, own.failures + 1, &options.retry) {
        return Then::RetryAt(at);
    }
    match (state.only_forward(step, failure.effect), options.on_failure) {
        (Some(reason), _) => Then::Park(reason),
        (None, OnFailure::Hold(duration)) => Then::HoldUntil(now.plus(duration)),
        (None, OnFailure::WalkBack) => Then::WalkBack,
    }
}

/// What follows a failed attempt at undoing `step` (rules S4, S8).
pub fn after_undo_failure(
    state: &State,
    step: StepIdx,
    failure: &Failure,
    now: Timestamp,
    options: &Options,
) -> UndoThen {
    let failures = state.step(step).undo_failures + 1;
    if let Some(at) = failure.retry_at(now, failures, &options.compensate_retry) {
        return UndoThen::RetryAt(at);
    }
    if options.on_undo_failure == OnUndoFailure::Halt || !state.turned() {
        return UndoThen::Park(ParkReason::UndoHalted);
    }
    UndoThen::Residue
}
