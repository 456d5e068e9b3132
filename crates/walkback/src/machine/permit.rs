//! Which command of a person fits which status: the table of the contract.

use crate::machine::{Event, Forward, Made, ParkReason, State, Status, StepState, Undo, Wait};
use crate::plan::StepIdx;

/// What somebody asks of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Stop and walk back.
    Cancel,
    /// Stop where it is.
    Pause,
    /// Go on.
    Resume,
    /// This step is done, by hand.
    Complete(StepIdx),
    /// This step need not run.
    Skip(StepIdx),
    /// Try again what is parked or left over.
    Retry(Option<StepIdx>),
    /// This residue is removed by hand.
    Resolve(StepIdx),
    /// This residue is left on purpose.
    Abandon(StepIdx),
    /// Undo a completed run.
    Rollback,
    /// A signal, by its id if it has one.
    Signal(Option<String>),
    /// Approve this step.
    Approve(StepIdx),
    /// Deny this step.
    Deny(StepIdx),
    /// Hold for so long from now.
    Hold,
}

/// Whether a request fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Fits,
    /// It is granted already; there is nothing to record.
    AlreadySo,
    /// It does not.
    Refused,
}

impl Request {
    /// The request that `event` records, if a person's request is what it records.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::CancelRequested => Self::Cancel,
            Event::PauseRequested => Self::Pause,
            Event::Resumed { .. } => Self::Resume,
            Event::RetryRequested { step } => Self::Retry(*step),
            Event::StepSkipped { step } => Self::Skip(*step),
            Event::Resolved { step } => Self::Resolve(*step),
            Event::Abandoned { step } => Self::Abandon(*step),
            Event::RollbackRequested => Self::Rollback,
            Event::SignalReceived { id, .. } => Self::Signal(id.clone()),
            Event::HoldSet { .. } => Self::Hold,
            _ => return None,
        })
    }

    /// The command that makes the request.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Complete(_) => "complete",
            Self::Skip(_) => "skip",
            Self::Retry(_) => "retry",
            Self::Resolve(_) => "resolve",
            Self::Abandon(_) => "abandon",
            Self::Rollback => "rollback",
            Self::Signal(_) => "signal",
            Self::Approve(_) => "approve",
            Self::Deny(_) => "deny",
            Self::Hold => "hold",
        }
    }
}

impl State {
    /// Whether `request` fits how the run stands now.
    pub fn permits(&self, request: &Request) -> Verdict {
        let status = self.status();
        let forward =
            !self.turned() && matches!(status, Status::Pending | Status::Running | Status::Parked);
        let fits = match request {
            Request::Cancel if self.turned() && !status_is_end(status) => {
                return Verdict::AlreadySo;
            }
            Request::Cancel => forward && !self.past_pivot(),
            Request::Pause if matches!(status, Status::Running | Status::Compensating) => {
                if self.paused.is_some() {
                    return Verdict::AlreadySo;
                }
                true
            }
            Request::Pause => status == Status::Pending,
            Request::Resume => status == Status::Parked,
            Request::Complete(step) | Request::Skip(step) => forward && self.by_hand(*step, status),
            Request::Retry(step) => self.retriable(*step, status),
            Request::Abandon(step) if self.steps.get(*step).is_some_and(StepState::abandoned) => {
                return Verdict::AlreadySo;
            }
            Request::Resolve(step) => {
                self.settleable(*step, status) || self.blocks_its_round(*step, status)
            }
            Request::Abandon(step) => self.settleable(*step, status),
            Request::Rollback => status == Status::Completed && self.undoable(),
            Request::Signal(id) => {
                let known = id.as_ref().is_some_and(|id| self.signal_ids.contains(id));
                if forward && known {
                    return Verdict::AlreadySo;
                }
                forward && self.rows_left()
            }
            Request::Approve(step) | Request::Deny(step) => {
                let awaits = |step: &super::StepState| {
                    matches!(step.forward, Forward::Awaiting(Wait::Approval { .. }))
                };
                status == Status::Running && self.steps.get(*step).is_some_and(awaits)
            }
            Request::Hold => status == Status::Parked && self.held.is_some(),
        };
        if fits { Verdict::Fits } else { Verdict::Refused }
    }

    /// The commands that fit now, by name, in the order of the table.
    pub fn legal(&self) -> Vec<&'static str> {
        let any_step = |make: fn(StepIdx) -> Request| {
            let of_step = (0..self.steps.len()).map(make);
            of_step.into_iter().find(|request| self.permits(request) == Verdict::Fits)
        };
        let plain = [Request::Cancel, Request::Pause, Request::Resume]
            .into_iter()
            .chain(any_step(Request::Complete))
            .chain(any_step(Request::Skip))
            .chain([Request::Retry(None)])
            .chain(any_step(Request::Resolve))
            .chain(any_step(Request::Abandon))
            .chain([Request::Rollback, Request::Signal(None)])
            .chain(any_step(Request::Approve))
            .chain(any_step(Request::Deny))
            .chain([Request::Hold]);
        plain.filter(|r| self.permits(r) == Verdict::Fits).map(|r| r.name()).collect()
    }

    /// Whether a person may say that the step is done, or need not run.
    fn by_hand(&self, step: StepIdx, status: Status) -> bool {
        let Some(state) = self.steps.get(step) else { return false };
        if state.superseded || !self.forward_frontier().contains(&step) {
            return false;
        }
        match status {
            Status::Running => state.waits() || matches!(state.forward, Forward::Parked(_)),
            Status::Parked => !matches!(state.forward, Forward::Running),
            _ => false,
        }
    }

    fn retriable(&self, step: Option<StepIdx>, status: Status) -> bool {
        let chosen = |idx: StepIdx| step.is_none_or(|only| only == idx);
        (0..self.steps.len()).filter(|&idx| chosen(idx)).any(|idx| match status {
            Status::Parked if self.stopped.is_some() || self.paused.is_some() => false,
            Status::Parked => {
                let stuck = matches!(self.steps[idx].forward, Forward::Parked(_) | Forward::Failed);
                matches!(self.steps[idx].undo, Undo::Parked(_)) || !self.turned() && stuck
            }
            Status::Failed => self.steps[idx].undo == Undo::Failed,
            _ => false,
        })
    }

    fn settleable(&self, step: StepIdx, status: Status) -> bool {
        let undo = self.steps.get(step).map(|state| state.undo);
        let left = matches!(undo, Some(Undo::Parked(_) | Undo::Failed | Undo::Abandoned));
        left && self.turned() && matches!(status, Status::Parked | Status::Failed)
    }

    /// Whether an undo of old data is parked on the way forward: removed by hand, the next round may
    /// begin. Behind a pivot there would be no other way out (rules S8, S10, S12).
    fn blocks_its_round(&self, step: StepIdx, status: Status) -> bool {
        let parked = |state: &StepState| state.superseded && matches!(state.undo, Undo::Parked(_));
        status == Status::Parked && !self.turned() && self.steps.get(step).is_some_and(parked)
    }

    /// Whether nothing at or behind a pivot stands in the way of undoing a completed run (S13).
    fn undoable(&self) -> bool {
        let pivot = (0..self.steps.len()).find(|&idx| self.plan.facts(idx).pivot);
        let stuck = |idx| {
            let facts = self.plan.facts(idx);
            !facts.undo && !facts.read_only && self.steps[idx].made() != Made::Nothing
        };
        pivot.is_none_or(|pivot| !(pivot..self.steps.len()).any(stuck))
    }

    /// Whether a run with this reason to stand still waits for the engine, not for a person.
    pub fn waits_for_worker(&self) -> bool {
        matches!(self.stopped, Some((ParkReason::NoCapableWorker, _)))
    }
}

pub(super) fn status_is_end(status: Status) -> bool {
    matches!(status, Status::Completed | Status::Failed | Status::RolledBack)
}
