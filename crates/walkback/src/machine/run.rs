//! What happens to a run as a whole: its claims, its clocks, and the people who act on it.

use crate::json::Json;
use crate::limits;
use crate::machine::{
    Applied, DEATHS_BEFORE_ALONE, Event, Forward, Made, ParkReason, Reason, Request, Signal, State,
    Status, Undo, Verdict, permit::status_is_end,
};
use crate::plan::StepIdx;
use crate::time::Timestamp;

impl State {
    /// The owner is gone: what it had under way has an unknown outcome and counts no attempt.
    pub(super) fn claim_ended(&mut self, at: Timestamp, died: bool) -> Applied {
        if status_is_end(self.status()) {
            return Err("the run has ended");
        }
        let suspect = self.body_under_way();
        for idx in 0..self.steps.len() {
            if self.steps[idx].forward == Forward::Running {
                self.outcome_unknown(at, idx);
                self.steps[idx].forward = Forward::RetryAt(at);
                self.steps[idx].attempts -= 1;
            }
            let step = &mut self.steps[idx];
            if step.undo == Undo::Running {
                step.undo = Undo::RetryAt(at);
                step.undo_attempts -= 1;
            }
        }
        if suspect && died {
            self.deaths += 1;
        }
        Ok(())
    }

    pub(super) fn start_delayed(&mut self, until: Timestamp) -> Applied {
        if self.status() != Status::Pending {
            return Err("only what has not begun is delayed");
        }
        self.starts_at = Some(until);
        Ok(())
    }

    pub(super) fn run_parked(&mut self, at: Timestamp, reason: ParkReason) -> Applied {
        if self.status().at_rest() {
            return Err("the run is at rest");
        }
        self.stopped = Some((reason, at));
        Ok(())
    }

    /// Whether the deadline still acts: on pending and running runs before a pivot.
    pub(super) fn deadline_acts(&self) -> bool {
        !self.turned() && !self.stands_still() && !self.past_pivot() && self.stuck_step().is_none()
    }

    pub(super) fn deadline_passed(&mut self) -> Applied {
        if self.deadline.is_none() || !self.deadline_acts() || self.walked_forward() {
            return Err("no deadline acts on the run");
        }
        self.turn(Reason::Deadline);
        Ok(())
    }

    pub(super) fn hold_ended(&mut self) -> Applied {
        let hold = self.held.take().ok_or("the run is not held")?;
        self.turn(Reason::StepFailed(hold.step));
        Ok(())
    }

    /// What people ask for; legal when [`State::permits`] says so.
    pub(super) fn requested(&mut self, at: Timestamp, event: &Event) -> Applied {
        let Some(request) = Request::of(event) else { return Err("nobody asks for this") };
        if self.permits(&request) != Verdict::Fits {
            return Err("the command does not fit the run's status");
        }
        match event {
            Event::CancelRequested => {
                self.cancel_requested = true;
                self.go_on();
                self.turn(Reason::Cancelled);
            }
            Event::PauseRequested => self.paused = Some(at),
            Event::Resumed { set: Some(_) } if self.turned() || self.in_doubt() => {
                return Err("edits are for going forward, with nothing in doubt");
            }
            Event::Resumed { set } => self.resume(at, set.as_ref()),
            Event::RetryRequested { step } => self.retry(at, *step),
            Event::StepSkipped { step } => {
                self.steps[*step].forward = Forward::Skipped;
                self.steps[*step].finished_at = Some(at);
                self.release_hold();
            }
            Event::Resolved { step } => self.is_gone(at, *step, Undo::Resolved),
            Event::Abandoned { step } => self.steps[*step].undo = Undo::Abandoned,
            Event::RollbackRequested => {
                self.go_on();
                self.turn(Reason::Rollback);
            }
            Event::SignalReceived { name, payload, id } => {
                self.signals.push_back(Signal { name: name.clone(), payload: payload.clone() });
                self.signal_ids.extend(id.clone());
            }
            Event::HoldSet { until } => {
                if let Some(hold) = &mut self.held {
                    hold.until = *until;
                }
            }
            _ => return Err("nobody asks for this"),
        }
        Ok(())
    }

    /// Nothing that stopped the run as a whole holds any longer.
    fn go_on(&mut self) {
        if let Some((reason, _)) = self.stopped.take() {
            match reason {
                ParkReason::LedgerFull => self.rows_granted += limits::LEDGER_ROWS_GRANT,
                ParkReason::Poison => self.deaths = DEATHS_BEFORE_ALONE,
                _ => {}
            }
        }
        self.paused = None;
    }

    /// Goes on where it stands: whatever is parked is tried again.
    fn resume(&mut self, at: Timestamp, set: Option<&Json>) {
        self.go_on();
        self.held = None;
        for idx in 0..self.steps.len() {
            self.release(at, idx);
        }
        self.look_for_locks(set.is_some());
        if let Some(set) = set {
            self.edits.push(set.clone());
            for idx in 0..self.steps.len() {
                self.supersede(idx);
            }
        }
    }

    fn retry(&mut self, at: Timestamp, step: Option<StepIdx>) {
        self.go_on();
        for idx in 0..self.steps.len() {
            if step.is_none_or(|only| only == idx) {
                self.release(at, idx);
                if self.steps[idx].undo == Undo::Failed {
                    self.steps[idx].undo = Undo::RetryAt(at);
                    self.steps[idx].undo_failures = 0;
                }
            }
        }
        self.release_hold();
    }

    /// Lets a parked or held step be tried again, with all its attempts. Where only a person could
    /// tell whether to execute again, the person now has.
    fn release(&mut self, at: Timestamp, idx: StepIdx) {
        let (turned, rows) = (self.turned(), self.rows + 1);
        let facts = self.plan.facts(idx);
        let step = &mut self.steps[idx];
        if matches!(step.forward, Forward::Parked(_) | Forward::Failed) && !turned {
            step.forward = Forward::RetryAt(at);
            step.failures = 0;
            step.must_look &= facts.probe;
            step.finished_at = None;
            if step.superseded && !facts.undo && !step.must_look {
                step.open_round(rows);
            }
        }
        if matches!(step.undo, Undo::Parked(_)) {
            step.undo = Undo::RetryAt(at);
            step.undo_failures = 0;
        }
    }

    /// The data was edited: what this step did under the old data goes first.
    fn supersede(&mut self, idx: StepIdx) {
        let (facts, rows) = (self.plan.facts(idx), self.rows + 1);
        let step = &mut self.steps[idx];
        if step.passed() || !step.begun() || step.forward == Forward::Running {
            return;
        }
        let look = step.must_look || facts.probe;
        if step.made() == Made::Nothing || !facts.undo && !look {
            step.open_round(rows);
            return;
        }
        step.superseded = true;
        step.must_look = look && !facts.undo;
        if !matches!(step.forward, Forward::RetryAt(_)) {
            step.forward = Forward::RetryAt(Timestamp::default());
        }
    }
}
