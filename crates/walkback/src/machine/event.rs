//! What can happen to a run. The decision is in the event, so that a new policy cannot change the
//! past.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::machine::Lock;
use crate::plan::StepIdx;
use crate::time::Timestamp;

/// Something that happened to a run.
///
/// As JSON it is `{"step_started": {"step": 0, "attempt": 1}}`, or the name alone with null.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "a field is named by what it holds")]
pub enum Event {
    /// The run was accepted; always the first.
    Accepted,
    /// Nothing begins before this moment.
    StartDelayed { until: Timestamp },
    /// An `execute` is about to begin: its intent.
    StepStarted { step: StepIdx, attempt: u32 },
    /// The run holds what the step needs before it begins.
    LocksTaken { step: StepIdx, locks: Vec<Lock> },
    /// The step is done, and this is what it put out.
    StepCompleted {
        step: StepIdx,
        output: Json,
        #[serde(default, skip_serializing_if = "By::is_execute")]
        by: By,
    },
    /// A try at the step ended without success.
    StepFailed { step: StepIdx, effect: Effect, error: String, then: Then },
    /// The step waits; that is no failure and counts no attempt.
    StepWaits { step: StepIdx, wait: Wait },
    /// A probe of an unknown outcome did not find it finished.
    StepProbed { step: StepIdx, finding: Finding },
    /// A `compensate` is about to begin.
    UndoStarted { step: StepIdx, attempt: u32 },
    /// What the step had made is gone.
    UndoCompleted { step: StepIdx },
    /// A try at undoing the step ended without success.
    UndoFailed { step: StepIdx, error: String, then: UndoThen },
    /// The undo is under way on the far side; look again then.
    UndoWaits { step: StepIdx, until: Timestamp },
    /// The probe before an undo: what it found, if it found it finished.
    UndoProbed { step: StepIdx, found: Option<Json> },
    /// The last owner died; whatever body it had under way has an unknown outcome.
    TakenOver,
    /// The last owner let go on purpose; the same, but nobody died.
    HandedOver,
    /// The engine stopped the whole run, for this reason.
    Parked {
        #[serde(rename = "why")]
        reason: ParkReason,
    },
    /// The engine stopped one step, for this reason.
    StepParked {
        step: StepIdx,
        #[serde(rename = "why")]
        reason: ParkReason,
    },
    /// An `execute` of the step was under way, or began, when the run had gone on without it: its process
    /// had been stopped. What it made may be there, whatever the ledger says of it. `then` is for a step
    /// that is undone: by itself once more, or by a person's leave.
    CameLate { step: StepIdx, then: UndoThen },
    /// Somebody says that the store was set back to a backup: what the run did since is not known.
    Restored,
    /// The deadline has passed.
    DeadlinePassed,
    /// Nobody used the time of the hold.
    HoldEnded,
    /// Somebody wants it undone.
    CancelRequested,
    /// Somebody wants it to stop where it is.
    PauseRequested,
    /// Somebody, or the engine where its reason is gone, lets it go on; `set` edits its data.
    Resumed { set: Option<Json> },
    /// Try again: one step or all that are parked or left over.
    RetryRequested { step: Option<StepIdx> },
    /// Somebody says the step need not run.
    StepSkipped { step: StepIdx },
    /// Somebody removed by hand what the undo could not.
    Resolved { step: StepIdx },
    /// Somebody decided to leave it there.
    Abandoned { step: StepIdx },
    /// Somebody wants a completed run undone.
    RollbackRequested,
    /// A signal came in; it is kept until a step takes it.
    SignalReceived { name: String, payload: Json, id: Option<String> },
    /// The hold shall end then instead.
    HoldSet { until: Timestamp },
    /// The hook was called: people know that the run stands still for this reason, or that
    /// something is left.
    HookDelivered { parked: Option<ParkReason>, tries: u32 },
    /// The hook could not be called; it is tried again at this moment.
    HookFailed { parked: Option<ParkReason>, tries: u32, error: String, retry_at: Timestamp },
}

impl Event {
    /// The name under which it stands in the ledger.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::StartDelayed { .. } => "start_delayed",
            Self::StepStarted { .. } => "step_started",
            Self::LocksTaken { .. } => "locks_taken",
            Self::StepCompleted { .. } => "step_completed",
            Self::StepFailed { .. } => "step_failed",
            Self::StepWaits { .. } => "step_waits",
            Self::StepProbed { .. } => "step_probed",
            Self::UndoStarted { .. } => "undo_started",
            Self::UndoCompleted { .. } => "undo_completed",
            Self::UndoFailed { .. } => "undo_failed",
            Self::UndoWaits { .. } => "undo_waits",
            Self::UndoProbed { .. } => "undo_probed",
            Self::TakenOver => "taken_over",
            Self::HandedOver => "handed_over",
            Self::Parked { .. } => "parked",
            Self::StepParked { .. } => "step_parked",
            Self::CameLate { .. } => "came_late",
            Self::Restored => "restored",
            Self::DeadlinePassed => "deadline_passed",
            Self::HoldEnded => "hold_ended",
            Self::CancelRequested => "cancel_requested",
            Self::PauseRequested => "pause_requested",
            Self::Resumed { .. } => "resumed",
            Self::RetryRequested { .. } => "retry_requested",
            Self::StepSkipped { .. } => "step_skipped",
            Self::Resolved { .. } => "resolved",
            Self::Abandoned { .. } => "abandoned",
            Self::RollbackRequested => "rollback_requested",
            Self::SignalReceived { .. } => "signal_received",
            Self::HoldSet { .. } => "hold_set",
            Self::HookDelivered { .. } => "hook_delivered",
            Self::HookFailed { .. } => "hook_failed",
        }
    }

    /// The step it is about, if it is about one.
    pub const fn step(&self) -> Option<StepIdx> {
        match self {
            Self::StepStarted { step, .. }
            | Self::LocksTaken { step, .. }
            | Self::StepCompleted { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepWaits { step, .. }
            | Self::StepProbed { step, .. }
            | Self::StepParked { step, .. }
            | Self::UndoStarted { step, .. }
            | Self::UndoCompleted { step }
            | Self::UndoFailed { step, .. }
            | Self::UndoWaits { step, .. }
            | Self::UndoProbed { step, .. }
            | Self::CameLate { step, .. }
            | Self::StepSkipped { step }
            | Self::Resolved { step }
            | Self::Abandoned { step } => Some(*step),
            Self::RetryRequested { step } => *step,
            _ => None,
        }
    }

    /// Whether it only tells of telling people: nothing about the run itself.
    pub(crate) const fn is_of_hook(&self) -> bool {
        matches!(self, Self::HookDelivered { .. } | Self::HookFailed { .. })
    }

    /// The attempt that begins here, if one does.
    pub const fn attempt(&self) -> Option<u32> {
        match self {
            Self::StepStarted { attempt, .. } | Self::UndoStarted { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }
}

/// Who completed a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Its own `execute`.
    #[default]
    Execute,
    /// A probe, which found that an attempt of unknown outcome had succeeded.
    Probe,
    /// A person, who did the work.
    Hand,
    /// The oldest signal that it waited for.
    Signal,
    /// A person who approved.
    Approval,
    /// Nobody: what it waited for did not come in time, and it goes on without.
    Expiry,
}

impl By {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_execute(&self) -> bool {
        *self == Self::Execute
    }
}

/// What is certain of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It certainly did nothing.
    Clean,
    /// It may have done something.
    Unknown,
}

/// What follows a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Try again, not before this moment.
    RetryAt(Timestamp),
    /// Walk back.
    WalkBack,
    /// Park until this moment, then walk back.
    HoldUntil(Timestamp),
    /// Stop this step.
    Park(ParkReason),
}

/// What follows a failed undo.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoThen {
    /// Try again, not before this moment.
    RetryAt(Timestamp),
    /// Give up; what is left is residue.
    Residue,
    /// Stop this undo.
    Park(ParkReason),
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "a field is named by what it holds")]
pub enum Wait {
    /// Call the same body again at this moment.
    Until(Timestamp),
    /// A signal of this name; without one by `until` the step fails, clean.
    Signal { name: String, until: Option<Timestamp> },
    /// A person's approval; without one by `until` the step fails, clean.
    Approval { until: Option<Timestamp> },
    /// A lock that others hold, before the step begins; it is looked at again at `again`, and without it
    /// by `until` the step fails, clean.
    Lock { key: String, again: Timestamp, until: Option<Timestamp> },
}

/// What a probe found that did not find the work finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It is not there, and the settle delay has passed.
    Absent,
    /// It is not there, but too soon to say: probe again at this moment.
    AbsentTooSoon(Timestamp),
    /// The probe cannot tell, or failed.
    CannotTell,
}

/// Why a run or a step stands still until somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParkReason {
    /// Somebody paused it.
    Paused,
    /// It failed and holds for a look before it walks back.
    Held,
    /// Whether the attempt did something is unknown, and trying again could do it twice.
    UnknownOutcome,
    /// The pivot failed and may have done something.
    PivotUnknown,
    /// A step behind the pivot failed for good; the run only goes forward.
    BehindPivot,
    /// A body did not stop when its time was over; nothing is done beside a living body.
    BodyStillRunning,
    /// An undo failed for good, and its policy is to halt.
    UndoHalted,
    /// This binary cannot decode a stored input or output.
    CannotDecode,
    /// Three times a process died while it ran this run alone.
    Poison,
    /// No worker for 60 s that knows all its steps.
    NoCapableWorker,
    /// The ledger has reached its limit.
    LedgerFull,
    /// The store was set back to a backup, and what the run did since is not known.
    Restored,
}

impl fmt::Display for ParkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paused => "paused",
            Self::Held => "held",
            Self::UnknownOutcome => "unknown_outcome",
            Self::PivotUnknown => "pivot_unknown",
            Self::BehindPivot => "behind_pivot",
            Self::BodyStillRunning => "body_still_running",
            Self::UndoHalted => "undo_halted",
            Self::CannotDecode => "cannot_decode",
            Self::Poison => "poison",
            Self::NoCapableWorker => "no_capable_worker",
            Self::LedgerFull => "ledger_full",
            Self::Restored => "restored",
        })
    }
}
