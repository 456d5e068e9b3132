//! What the raw events say of one step, without the machine.

use crate::machine::{Effect, Event, Then, UndoThen, Wait};
use crate::recipe::Facts;

/// How an undo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    Done,
    Failed,
    Resolved,
    Abandoned,
}

/// How often a body was begun, how often more than once it may have been, and whether one is
/// under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Body {
    pub(super) starts: u32,
    /// Retries, not-yets, ends of claims under way, and people's requests to go on.
    pub(super) again: u32,
    pub(super) under_way: bool,
    /// Attempts that count: those ended by a claim's end or a not-yet do not.
    counted: u32,
}

/// What is known of one step.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact, whatever the others are")]
pub(super) struct Track {
    pub(super) execute: Body,
    pub(super) compensate: Body,
    /// Completed or skipped: what follows may start.
    pub(super) passed: bool,
    /// Put something out, or may have done something unheard.
    pub(super) made: bool,
    pub(super) undone: Option<Undone>,
    /// Whether it was begun is not known, since the store was set back.
    pub(super) doubted: bool,
    /// Something may have been made after others had gone on; it is undone after what is known of.
    late: bool,
    /// Its data was edited after it began, and it was not done.
    edited: bool,
}

impl Body {
    fn begin(&mut self) {
        self.starts += 1;
        self.counted += 1;
        self.under_way = true;
    }

    /// The number that the next attempt has.
    pub(super) fn next(&self) -> u32 {
        self.counted + 1
    }

    fn uncounted(&mut self) {
        self.counted = self.counted.saturating_sub(1);
        self.again += 1;
    }

    fn claim_ended(&mut self) {
        if std::mem::take(&mut self.under_way) {
            self.uncounted();
        }
    }

    fn allow_more(&mut self) {
        if self.starts > 0 {
            self.again += 1;
        }
    }

    /// Whether one more start is more than what happened allows.
    pub(super) fn exhausted(&self) -> bool {
        self.starts > self.again
    }

    fn open_round(&mut self) {
        *self = Self { counted: self.counted, ..Self::default() };
    }
}

impl Track {
    /// Whether the walk back has to undo it.
    pub(super) fn needs_undo(&self, facts: Facts) -> bool {
        facts.undo && self.may_have_made()
    }

    /// Whether it made something, or may have.
    pub(super) fn may_have_made(&self) -> bool {
        self.made || self.doubted
    }

    pub(super) fn claim_ended(&mut self) {
        self.made |= self.execute.under_way;
        self.execute.claim_ended();
        self.compensate.claim_ended();
    }

    /// A person let the run, or this step, go on.
    pub(super) fn let_go_on(&mut self, edited: bool) {
        self.execute.allow_more();
        self.compensate.allow_more();
        self.edited |= edited && !self.passed && self.execute.starts > 0;
    }

    /// Its residue is tried again.
    pub(super) fn reopen(&mut self) {
        self.undone.take_if(|undone| *undone == Undone::Failed);
    }

    fn open_round(&mut self) {
        self.execute.open_round();
        self.compensate.open_round();
        let Self { execute, compensate, doubted, .. } = *self;
        *self = Self { execute, compensate, doubted, ..Self::default() };
    }

    /// What is known of it is gone; what came late is not.
    fn is_gone(&mut self, by: Undone, turned: bool) {
        self.compensate.under_way = false;
        if std::mem::take(&mut self.late) {
            self.undone = None;
        } else if turned {
            self.undone = Some(by);
        } else {
            self.open_round();
        }
    }

    /// Takes in an event of this step; `turned` is whether the run walks back.
    pub(super) fn take_in(&mut self, event: &Event, turned: bool) {
        match event {
            Event::StepStarted { .. } => {
                self.execute.begin();
                self.made |= std::mem::take(&mut self.doubted);
            }
            Event::StepCompleted { .. } => {
                self.execute.under_way = false;
                self.passed = true;
                self.made = true;
            }
            Event::StepFailed { effect, then, .. } => {
                self.execute.under_way = false;
                self.made |= *effect == Effect::Unknown;
                self.execute.again += u32::from(matches!(then, Then::RetryAt(_)));
            }
            Event::StepWaits { wait: Wait::Lock { .. }, .. } => {}
            Event::StepWaits { wait, .. } => {
                self.execute.under_way = false;
                if matches!(wait, Wait::Until(_)) {
                    self.made = true;
                    self.execute.uncounted();
                }
            }
            Event::StepProbed { finding: crate::machine::Finding::Absent, .. } if self.edited => {
                self.open_round();
            }
            Event::StepSkipped { .. } => self.passed = true,
            _ => self.take_in_undo(event, turned),
        }
    }

    fn take_in_undo(&mut self, event: &Event, turned: bool) {
        match event {
            Event::UndoStarted { .. } => self.compensate.begin(),
            Event::UndoCompleted { .. } => self.is_gone(Undone::Done, turned),
            Event::CameLate { then, .. } => {
                if matches!(self.undone, Some(Undone::Done | Undone::Resolved)) {
                    self.undone = matches!(then, UndoThen::Residue).then_some(Undone::Failed);
                } else {
                    self.late = true;
                }
                self.made = true;
                self.compensate.again += 1;
            }
            Event::UndoFailed { then, .. } => {
                self.compensate.under_way = false;
                match then {
                    UndoThen::RetryAt(_) => self.compensate.again += 1,
                    UndoThen::Residue => self.undone = Some(Undone::Failed),
                    UndoThen::Park(_) => {}
                }
            }
            Event::UndoWaits { .. } => {
                self.compensate.under_way = false;
                self.compensate.uncounted();
            }
            Event::Resolved { .. } => self.is_gone(Undone::Resolved, turned),
            Event::Abandoned { .. } => self.undone = Some(Undone::Abandoned),
            _ => {}
        }
    }
}
