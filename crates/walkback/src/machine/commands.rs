//! What ought to be under way now, and is not: read off the state, never emitted by a transition.

use crate::machine::{Forward, Locking, ParkReason, State, Undo, Wait};
use crate::plan::StepIdx;
use crate::time::Timestamp;

/// Something that the engine ought to do. A moment in it is the earliest at which to do it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "a field is named by what it holds")]
pub enum Command {
    /// Begin `execute`.
    Execute { step: StepIdx, not_before: Timestamp },
    /// Take what the step needs before it begins; not before `again`, unless somebody let it go.
    Lock { step: StepIdx, not_before: Timestamp, again: Timestamp },
    /// Probe an attempt of unknown outcome, before executing again.
    Probe { step: StepIdx, not_before: Timestamp },
    /// Begin `compensate`.
    Compensate { step: StepIdx, not_before: Timestamp },
    /// Probe what is unknown, before undoing it.
    ProbeBack { step: StepIdx },
    /// Complete the step with the oldest signal of the name it waits for.
    Deliver { step: StepIdx },
    /// Fail the step: its signal or approval did not come.
    Expire { step: StepIdx, at: Timestamp },
    /// Park one step.
    ParkStep { step: StepIdx, reason: ParkReason },
    /// Park the run.
    Park { reason: ParkReason },
    /// Turn the run: its deadline passes at this moment.
    PassDeadline { at: Timestamp },
    /// Turn the run: its hold ends at this moment.
    EndHold { at: Timestamp },
}

impl Command {
    /// The earliest moment at which to do it; the first of all moments if that is now.
    pub fn not_before(&self) -> Timestamp {
        match self {
            Self::Execute { not_before, .. }
            | Self::Probe { not_before, .. }
            | Self::Compensate { not_before, .. } => *not_before,
            Self::Lock { not_before, again, .. } => *not_before.max(again),
            Self::Expire { at, .. } | Self::PassDeadline { at } | Self::EndHold { at } => *at,
            _ => Timestamp::default(),
        }
    }
}

impl State {
    /// What ought to be under way now, and is not.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        if let Some(hold) = &self.held {
            commands.push(Command::EndHold { at: hold.until });
        }
        if self.stands_still() || !self.accepted {
            return commands;
        }
        let poisoned = self.deaths >= super::DEATHS_BEFORE_ALONE + super::DEATHS_ALONE;
        if poisoned && !self.status().at_rest() {
            return vec![Command::Park { reason: ParkReason::Poison }];
        }
        if self.turned() {
            self.commands_backward(&mut commands);
        } else {
            self.commands_forward(&mut commands);
        }
        let grows = |command: &Command| !matches!(command, Command::PassDeadline { .. });
        if !self.rows_left() && commands.iter().any(grows) {
            commands.retain(|command| !grows(command));
            commands.push(Command::Park { reason: ParkReason::LedgerFull });
        }
        commands
    }

    fn commands_forward(&self, commands: &mut Vec<Command>) {
        let frontier = self.forward_frontier();
        if let Some(at) = self.deadline.filter(|_| !frontier.is_empty() && self.deadline_acts()) {
            commands.push(Command::PassDeadline { at });
        }
        let making_room = self.making_room();
        for step in frontier {
            if self.undoes_first(step) {
                self.command_undo(step, commands);
            } else if !making_room {
                self.command_forward(step, commands);
            }
        }
    }

    fn command_forward(&self, idx: StepIdx, commands: &mut Vec<Command>) {
        let step = &self.steps[idx];
        match &step.forward {
            Forward::Idle => {
                self.command_begin(idx, self.starts_at().unwrap_or_default(), commands);
            }
            Forward::RetryAt(_) if self.may_probe(idx) => commands.extend(self.command_probe(idx)),
            Forward::RetryAt(_) if step.must_look => {
                commands.push(Command::ParkStep { step: idx, reason: ParkReason::UnknownOutcome });
            }
            Forward::LookAgainAt(at) | Forward::RetryAt(at) => {
                self.command_begin(idx, *at, commands);
            }
            Forward::Awaiting(wait) => self.command_awaiting(idx, wait, commands),
            _ => {}
        }
    }

    fn command_probe(&self, step: StepIdx) -> Option<Command> {
        match self.steps[step].forward {
            Forward::RetryAt(not_before) if self.may_probe(step) => {
                Some(Command::Probe { step, not_before })
            }
            _ => None,
        }
    }

    fn command_begin(&self, step: StepIdx, not_before: Timestamp, commands: &mut Vec<Command>) {
        if !self.needs_locks(step) {
            commands.push(Command::Execute { step, not_before });
            return;
        }
        let (again, until) = match &self.steps[step].locking {
            Locking::Waiting { again, until, .. } => (*again, *until),
            _ => (Timestamp::default(), None),
        };
        commands.push(Command::Lock { step, not_before, again });
        commands.extend(until.map(|at| Command::Expire { step, at }));
    }

    fn command_awaiting(&self, step: StepIdx, wait: &Wait, commands: &mut Vec<Command>) {
        let until = match wait {
            Wait::Signal { name, .. } if self.first_signal(name).is_some() => {
                commands.push(Command::Deliver { step });
                return;
            }
            Wait::Signal { until, .. } | Wait::Approval { until } => *until,
            Wait::Until(_) | Wait::Lock { .. } => None,
        };
        commands.extend(until.map(|at| Command::Expire { step, at }));
    }

    fn commands_backward(&self, commands: &mut Vec<Command>) {
        if self.looks_on() {
            let frontier = self.looking_frontier().into_iter();
            commands.extend(frontier.filter_map(|step| self.command_probe(step)));
            return;
        }
        for step in self.backward_frontier() {
            self.command_undo(step, commands);
        }
    }

    fn command_undo(&self, step: StepIdx, commands: &mut Vec<Command>) {
        if self.may_look_back(step) {
            commands.push(Command::ProbeBack { step });
        } else if self.may_undo(step) {
            let not_before = match self.steps[step].undo {
                Undo::RetryAt(at) | Undo::LookAgainAt(at) => at,
                _ => Timestamp::default(),
            };
            commands.push(Command::Compensate { step, not_before });
        }
    }
}
