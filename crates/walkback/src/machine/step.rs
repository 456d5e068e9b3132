//! One step of a run: how far it went forward, what it made, how far that is undone.

use crate::json::Json;
use crate::machine::Locking;
use crate::machine::event::{ParkReason, UndoThen, Wait};
use crate::time::Timestamp;

/// How far a step is, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// Begun: a body is under way, or it waits or will be tried again.
    Running,
    /// Done.
    Completed,
    /// Failed for good, and nothing of it has to be undone.
    Failed,
    /// A person said it need not run.
    Skipped,
    /// It is being undone.
    Compensating,
    /// It is undone.
    Compensated,
    /// Its undo failed for good: residue.
    CompensationFailed,
    /// What it made is left on purpose.
    Abandoned,
    /// What it made was removed by hand.
    Resolved,
}

impl StepStatus {
    /// The name under which it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::CompensationFailed => "compensation_failed",
            Self::Abandoned => "abandoned",
            Self::Resolved => "resolved",
        }
    }

    /// The letter that stands for it in a run's head.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::Pending => 'p',
            Self::Running => 'r',
            Self::Completed => 'c',
            Self::Failed => 'f',
            Self::Skipped => 's',
            Self::Compensating => 'k',
            Self::Compensated => 'd',
            Self::CompensationFailed => 'x',
            Self::Abandoned => 'a',
            Self::Resolved => 'm',
        }
    }
}

/// The way forward of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Forward {
    #[default]
    Idle,
    /// A body is under way.
    Running,
    /// Try (or probe) again, not before this moment.
    RetryAt(Timestamp),
    /// Not yet: call the same body again at this moment.
    LookAgainAt(Timestamp),
    /// A signal or an approval has to come first.
    Awaiting(Wait),
    Done,
    Skipped,
    Failed,
    Parked(ParkReason),
}

/// The way back of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Undo {
    #[default]
    Idle,
    Running,
    RetryAt(Timestamp),
    LookAgainAt(Timestamp),
    Done,
    Failed,
    Parked(ParkReason),
    Resolved,
    Abandoned,
}

impl Undo {
    /// How far it is after a failure.
    pub(crate) fn after(then: &UndoThen) -> Self {
        match then {
            UndoThen::RetryAt(moment) => Self::RetryAt(*moment),
            UndoThen::Residue => Self::Failed,
            UndoThen::Park(reason) => Self::Parked(*reason),
        }
    }

    /// Whether nothing more happens here by itself, so that what stands before it may be undone.
    pub(crate) fn ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Resolved | Self::Abandoned)
    }
}

/// Whether something was made under the step's key after others had gone on with the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Late {
    #[default]
    No,
    /// It may have been; once what is known is undone, that is looked for and undone too.
    Behind,
    /// What is left to be undone is what came late, and is unknown.
    Here,
}

/// What is known of the work of a step that would have to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made<'a> {
    Nothing,
    Unknown,
    Known(&'a Json),
}

/// Everything that is known of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact, whatever the others are")]
pub(crate) struct StepState {
    pub(crate) forward: Forward,
    pub(crate) undo: Undo,
    /// How far it is with its locks.
    pub(crate) locking: Locking,
    /// The output, once it is done (or was found done by a probe).
    pub(crate) output: Option<Json>,
    /// Some attempt of this round may have done something without our hearing of it; one that said
    /// "not yet" has.
    pub(crate) maybe_made: bool,
    /// An outcome is unknown: look (probe) before executing again (rule S5).
    pub(crate) must_look: bool,
    /// Since when the newest unknown outcome is unknown: from then on the settle delay counts.
    pub(crate) unknown_since: Option<Timestamp>,
    /// Since when it is in doubt whether it was begun, or begun again in a later round: since the store
    /// was set back.
    pub(crate) doubted: Option<Timestamp>,
    /// The round's data was edited after it may have made something: that is undone first or, where
    /// there is no undo, looked for (rule S12).
    pub(crate) superseded: bool,
    pub(crate) late: Late,
    /// The probe that goes before the undo of an unknown effect was made.
    pub(crate) looked_back: bool,
    /// Rounds before this one.
    pub(crate) round: u32,
    /// The ledger's length when this round was opened.
    pub(crate) round_from: u64,
    /// Edits of the run's data that this round sees.
    pub(crate) edits: usize,
    /// Attempts that failed and count, since the round or a person's retry began.
    pub(crate) failures: u32,
    /// The same for the undo.
    pub(crate) undo_failures: u32,
    /// Attempts that count, over all rounds; what tables show.
    pub(crate) attempts: u32,
    /// The same for the undo.
    pub(crate) undo_attempts: u32,
    pub(crate) error: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) compensated_at: Option<Timestamp>,
}

impl StepState {
    /// What would have to be taken back now. A body under way counts as unknown.
    pub(crate) fn made(&self) -> Made<'_> {
        match (&self.output, &self.forward) {
            _ if self.late == Late::Here => Made::Unknown,
            (Some(output), _) => Made::Known(output),
            (None, Forward::Running) => Made::Unknown,
            (None, _) if self.maybe_made => Made::Unknown,
            (None, _) => Made::Nothing,
        }
    }

    pub(crate) fn body_under_way(&self) -> bool {
        self.forward == Forward::Running || self.undo == Undo::Running
    }

    /// Whether what follows it may go on.
    pub(crate) fn passed(&self) -> bool {
        matches!(self.forward, Forward::Done | Forward::Skipped)
    }

    /// Whether it was begun at all, in this round.
    pub(crate) fn begun(&self) -> bool {
        self.forward != Forward::Idle
    }

    /// Whether it may have been begun, though no row says so.
    pub(crate) fn in_doubt(&self) -> bool {
        self.doubted.is_some() && !self.begun()
    }

    pub(crate) fn abandoned(&self) -> bool {
        self.undo == Undo::Abandoned
    }

    /// Whether it was begun in any round.
    pub(crate) fn ever_begun(&self) -> bool {
        self.begun() || self.started_at.is_some()
    }

    /// Whether it waits for a moment, a retry, a lock, a signal or an approval.
    pub(crate) fn waits(&self) -> bool {
        use Forward::{Awaiting, LookAgainAt, RetryAt};
        let waits_for_lock = matches!(self.locking, Locking::Waiting { .. });
        waits_for_lock || matches!(self.forward, RetryAt(_) | LookAgainAt(_) | Awaiting(_))
    }

    /// Nothing is known of it but that it may be there since this moment.
    pub(crate) fn undo_what_came_late(&mut self, at: Timestamp, undo: Undo) {
        self.late = Late::Here;
        self.unknown_since = Some(at);
        self.looked_back = false;
        self.undo = undo;
        self.undo_failures = 0;
        self.compensated_at = None;
    }

    /// Forgets the round that is over; the next starts from nothing.
    /// `rows` is the length of the ledger after the event that opens it.
    pub(crate) fn open_round(&mut self, rows: u64) {
        *self = Self {
            round: self.round + 1,
            round_from: rows,
            attempts: self.attempts,
            undo_attempts: self.undo_attempts,
            started_at: self.started_at,
            doubted: self.doubted,
            ..Self::default()
        };
    }

    /// The status people see; `turned` is whether the run has begun to walk back.
    pub(crate) fn status(&self, turned: bool) -> StepStatus {
        match self.undo {
            Undo::Idle => self.status_forward(turned),
            Undo::Running | Undo::RetryAt(_) | Undo::LookAgainAt(_) | Undo::Parked(_) => {
                StepStatus::Compensating
            }
            Undo::Done => StepStatus::Compensated,
            Undo::Failed => StepStatus::CompensationFailed,
            Undo::Resolved => StepStatus::Resolved,
            Undo::Abandoned => StepStatus::Abandoned,
        }
    }

    fn status_forward(&self, turned: bool) -> StepStatus {
        match self.forward {
            Forward::Idle => StepStatus::Pending,
            Forward::Done => StepStatus::Completed,
            Forward::Skipped => StepStatus::Skipped,
            Forward::Failed => StepStatus::Failed,
            Forward::Running => StepStatus::Running,
            _ if turned => StepStatus::Failed,
            _ => StepStatus::Running,
        }
    }
}
