//! The state of one run and how events change it. Pure: data in, data out.
//!
//! ```text
//! State::new(plan, deadline)          nothing has happened
//! state.apply(at, &event)             something has; an error is a damaged ledger or our bug
//! state.commands()                    what ought to be under way now, and is not
//! state.status()                      derived, never set by hand
//! ```
//!
//! Recovery is: load, fold, ask for the commands. There is no second path.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use crate::json::Json;
use crate::limits;
use crate::plan::{Plan, StepIdx};
use crate::time::Timestamp;

mod backward;
mod commands;
mod doubt;
mod event;
mod forward;
mod hook;
mod lock;
mod permit;
mod policy;
mod run;
mod step;
#[cfg(test)]
mod tests;
mod walk;

pub use commands::Command;
pub use event::{By, Effect, Event, Finding, ParkReason, Then, UndoThen, Wait};
pub(crate) use hook::Called;
pub use lock::Lock;
pub(crate) use lock::Locking;
pub use permit::{Request, Verdict};
pub use policy::{Class, Failure, after_failure, after_undo_failure};
pub use step::StepStatus;
pub(crate) use step::{Forward, Made, StepState, Undo};

/// Deaths of its process without progress after which a run's bodies run alone (rule S15).
const DEATHS_BEFORE_ALONE: u32 = 2;
/// Deaths while it ran alone after which the run parks.
const DEATHS_ALONE: u32 = 3;

/// Everything that is known of one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    plan: Arc<Plan>,
    deadline: Option<Timestamp>,
    steps: Vec<StepState>,
    accepted: bool,
    /// Nothing begins before this moment.
    starts_at: Option<Timestamp>,
    turned: Option<Reason>,
    cancel_requested: bool,
    paused: Option<Timestamp>,
    held: Option<Hold>,
    stopped: Option<(ParkReason, Timestamp)>,
    /// Since when a parked step keeps the run from moving, if one does.
    stuck_since: Option<Timestamp>,
    edits: Vec<Json>,
    signals: VecDeque<Signal>,
    /// What it holds.
    locks: Vec<Lock>,
    /// Ids of the signals ever received, against duplicates.
    signal_ids: Vec<String>,
    deaths: u32,
    rows: u64,
    rows_granted: u64,
    /// What became of telling people, while the run needs one.
    called: Option<Called>,
}

/// Why a run walks back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    StepFailed(StepIdx),
    Cancelled,
    Deadline,
    Rollback,
}

/// A failed run that waits for a look before it walks back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hold {
    pub(crate) step: StepIdx,
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

/// A signal that no step has taken yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) payload: Json,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Accepted, durable, not begun.
    Pending,
    /// Going forward; it may be waiting.
    Running,
    /// Walking back; it may be waiting.
    Compensating,
    /// The engine must not guess, or was told to pause.
    Parked,
    /// Every step is done.
    Completed,
    /// Walked back as far as it could; something is left.
    Failed,
    /// Every effect is taken back.
    RolledBack,
}

impl Status {
    /// Every status, in the order of a run's life.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Compensating,
        Self::Parked,
        Self::Completed,
        Self::Failed,
        Self::RolledBack,
    ];

    /// The name under which it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
        }
    }

    /// The status of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the engine has nothing to do for it.
    pub const fn at_rest(self) -> bool {
        matches!(self, Self::Parked | Self::Completed | Self::Failed | Self::RolledBack)
    }
}

/// An event that cannot follow what happened before: a damaged ledger, or a bug of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` cannot happen here: {why}")]
pub struct Illegal {
    event: String,
    why: &'static str,
}

/// What stands still, why and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Why.
    pub reason: ParkReason,
    /// The step it is about, if it is about one.
    pub step: Option<StepIdx>,
    /// Since when.
    pub since: Timestamp,
    /// Until when, if it goes on by itself then.
    pub until: Option<Timestamp>,
}

/// Why and from where a run walked back, exactly as `error` shows it (rule S6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TurnError {
    /// The highest index to be undone, if any step has to be.
    pub compensate_from_idx: Option<StepIdx>,
    /// `step_failed:<name>`, `cancelled`, `deadline` or `rollback`.
    pub reason: String,
}

type Applied = Result<(), &'static str>;

impl State {
    /// A run to which nothing has happened, not even its acceptance.
    pub fn new(plan: Arc<Plan>, deadline: Option<Timestamp>) -> Self {
        let steps = vec![StepState::default(); plan.len()];
        Self {
            plan,
            deadline,
            steps,
            accepted: false,
            starts_at: None,
            turned: None,
            cancel_requested: false,
            paused: None,
            held: None,
            stopped: None,
            stuck_since: None,
            edits: Vec::new(),
            signals: VecDeque::new(),
            locks: Vec::new(),
            signal_ids: Vec::new(),
            deaths: 0,
            rows: 0,
            rows_granted: 0,
            called: None,
        }
    }

    /// Takes in what has happened at `at`.
    ///
    /// # Errors
    /// If it cannot follow what happened before; the state is then unchanged.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), Illegal> {
        self.dispatch(at, event).map_err(|why| Illegal { event: format!("{event:?}"), why })?;
        self.rows += 1;
        self.face_doubts();
        if matches!(self.stuck_step(), None | Some((_, ParkReason::Held))) {
            self.stuck_since = None;
        } else {
            self.stuck_since.get_or_insert(at);
        }
        if self.called.is_some() && !self.needs_attention() {
            self.called = None;
        }
        Ok(())
    }

    fn dispatch(&mut self, at: Timestamp, event: &Event) -> Applied {
        if self.accepted == (*event == Event::Accepted) {
            return Err("a run is accepted once, and first");
        }
        match event {
            Event::Accepted => self.accepted = true,
            Event::StartDelayed { until } => return self.start_delayed(*until),
            Event::StepStarted { step, attempt } => return self.step_started(at, *step, *attempt),
            Event::StepCompleted { step, output, by } => {
                return self.step_completed(at, *step, output, *by);
            }
            Event::StepFailed { step, effect, error, then } => {
                return self.step_failed(at, *step, *effect, error, then);
            }
            Event::LocksTaken { step, locks } => return self.locks_taken(*step, locks),
            Event::StepWaits { step, wait } => return self.step_waits(at, *step, wait),
            Event::StepProbed { step, finding } => return self.step_probed(at, *step, *finding),
            Event::StepParked { step, reason } => return self.step_parked(*step, *reason),
            Event::UndoStarted { step, attempt } => return self.undo_started(*step, *attempt),
            Event::UndoCompleted { step } => return self.undo_completed(at, *step),
            Event::UndoFailed { step, error, then } => return self.undo_failed(*step, error, then),
            Event::UndoWaits { step, until } => return self.undo_waits(*step, *until),
            Event::UndoProbed { step, found } => return self.undo_probed(*step, found.as_ref()),
            Event::TakenOver => return self.claim_ended(at, true),
            Event::HandedOver => return self.claim_ended(at, false),
            Event::CameLate { step, then } => return self.came_late(at, *step, then),
            Event::Parked { reason } => return self.run_parked(at, *reason),
            Event::Restored => return self.restored(at),
            Event::DeadlinePassed => return self.deadline_passed(),
            Event::HoldEnded => return self.hold_ended(),
            Event::HookDelivered { parked, tries } => {
                return self.hook_called(*parked, *tries, None);
            }
            Event::HookFailed { parked, tries, retry_at, .. } => {
                return self.hook_called(*parked, *tries, Some(*retry_at));
            }
            _ => return self.requested(at, event),
        }
        Ok(())
    }

    /// The steps and their order.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Events so far: the length of the ledger.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether a cancel was accepted.
    pub fn cancel_requested(&self) -> bool {
        self.cancel_requested
    }

    /// Whether the run walks back, or has.
    pub fn turned(&self) -> bool {
        self.turned.is_some()
    }

    /// How often its process died without progress since.
    pub fn deaths(&self) -> u32 {
        self.deaths
    }

    /// Whether its bodies must have the process to themselves (rule S15).
    pub fn runs_alone(&self) -> bool {
        self.deaths >= DEATHS_BEFORE_ALONE
    }

    /// Whether any step was begun.
    pub(crate) fn ever_begun(&self) -> bool {
        self.steps.iter().any(StepState::ever_begun)
    }

    /// Before which moment nothing begins, while nothing has.
    pub(crate) fn starts_at(&self) -> Option<Timestamp> {
        self.starts_at.filter(|_| !self.ever_begun())
    }

    /// How far step `idx` is.
    pub fn step_status(&self, idx: StepIdx) -> StepStatus {
        self.steps[idx].status(self.turned())
    }

    /// The number of the newest attempt at step `idx`: at undoing it, once that has begun.
    pub fn attempt_of(&self, idx: StepIdx) -> u32 {
        let step = &self.steps[idx];
        if step.undo == Undo::Idle { step.attempts } else { step.undo_attempts }
    }

    /// The lowest index that is not done; the number of steps if all are.
    pub fn current_step(&self) -> StepIdx {
        self.steps.iter().position(|step| !step.passed()).unwrap_or(self.steps.len())
    }

    /// Whether a body is under way, as far as the ledger tells.
    pub fn body_under_way(&self) -> bool {
        self.steps.iter().any(StepState::body_under_way)
    }

    /// Whether bodies under way shall be told to stop: the run has turned beneath them.
    pub fn wants_bodies_stopped(&self) -> bool {
        self.turned() && self.steps.iter().any(|step| step.forward == Forward::Running)
    }

    pub(crate) fn step(&self, idx: StepIdx) -> &StepState {
        &self.steps[idx]
    }

    pub(crate) fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// The edits of the run's data that step `idx` sees in its round.
    pub(crate) fn edits_seen(&self, idx: StepIdx) -> &[Json] {
        &self.edits[..self.steps[idx].edits]
    }

    pub(crate) fn edits(&self) -> &[Json] {
        &self.edits
    }

    /// The oldest signal of this name that no step has taken.
    pub(crate) fn first_signal(&self, name: &str) -> Option<&Signal> {
        self.signals.iter().find(|signal| signal.name == name)
    }

    /// The payload of the oldest signal that step `idx` waits for, if one has come.
    pub(crate) fn signal_for(&self, idx: StepIdx) -> Option<Json> {
        match &self.steps[idx].forward {
            Forward::Awaiting(Wait::Signal { name, .. }) => {
                self.first_signal(name).map(|signal| signal.payload.clone())
            }
            _ => None,
        }
    }

    /// How far the run is.
    pub fn status(&self) -> Status {
        let ended = if self.turned() { self.walked_back() } else { self.walked_forward() };
        match ended {
            true if !self.turned() => Status::Completed,
            true if self.steps.iter().any(|s| matches!(s.undo, Undo::Failed | Undo::Abandoned)) => {
                Status::Failed
            }
            true => Status::RolledBack,
            false if self.parked().is_some() => Status::Parked,
            false if self.turned() => Status::Compensating,
            false if self.ever_begun() => Status::Running,
            false => Status::Pending,
        }
    }

    /// What keeps the run from moving until somebody acts, if something does.
    pub fn parked(&self) -> Option<Parked> {
        let parked = |reason, step, since, until| Some(Parked { reason, step, since, until });
        if let Some((reason @ ParkReason::BodyStillRunning, since)) = self.stopped {
            return parked(reason, None, since, None);
        }
        if self.body_under_way() {
            return None;
        }
        if let Some((reason, since)) = self.stopped {
            return parked(reason, None, since, None);
        }
        if let Some(since) = self.paused {
            return parked(ParkReason::Paused, None, since, None);
        }
        let (step, reason) = self.stuck_step()?;
        match &self.held {
            Some(hold) if reason == ParkReason::Held => {
                parked(reason, Some(hold.step), hold.since, Some(hold.until))
            }
            _ => parked(reason, Some(step), self.stuck_since.unwrap_or_default(), None),
        }
    }

    /// Whether a person has to look at it: parked, or failed with residue that nobody settled.
    pub fn needs_attention(&self) -> bool {
        match self.status() {
            Status::Parked => true,
            Status::Failed => self.steps.iter().any(|step| step.undo == Undo::Failed),
            _ => false,
        }
    }

    /// Why and from where the run walks back, once it does.
    pub fn error(&self) -> Option<TurnError> {
        let reason = match self.turned.as_ref()? {
            Reason::StepFailed(step) => format!("step_failed:{}", self.plan.name(*step)),
            Reason::Cancelled => "cancelled".to_owned(),
            Reason::Deadline => "deadline".to_owned(),
            Reason::Rollback => "rollback".to_owned(),
        };
        let compensate_from_idx = (0..self.steps.len()).rev().find(|&idx| self.has_to_undo(idx));
        Some(TurnError { compensate_from_idx, reason })
    }

    /// What the run made and could not take back: failed undos, and what was left on purpose.
    pub fn residue(&self) -> impl Iterator<Item = StepIdx> + '_ {
        let left = |idx: &StepIdx| matches!(self.steps[*idx].undo, Undo::Failed | Undo::Abandoned);
        (0..self.steps.len()).filter(left)
    }

    /// Whether the ledger may still grow by going forward, or (walking back) at all.
    pub(crate) fn rows_left(&self) -> bool {
        let reserve = if self.turned() { 0 } else { self.plan.reserve() };
        self.rows + reserve < limits::LEDGER_ROWS + self.rows_granted
    }
}
