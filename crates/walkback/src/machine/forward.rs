//! Going forward: what the end of an `execute` or `probe` changes.

use crate::json::Json;
use crate::machine::{
    Applied, By, Effect, Finding, Forward, Hold, Locking, ParkReason, Reason, Request, State,
    Status, Then, Undo, Verdict, Wait,
};
use crate::plan::StepIdx;
use crate::time::Timestamp;

impl State {
    /// Whether an `execute` of step `idx` may begin, its time apart.
    pub(super) fn may_execute(&self, idx: StepIdx) -> bool {
        self.may_begin(idx) && !self.needs_locks(idx)
    }

    /// The same, its locks apart.
    pub(super) fn may_begin(&self, idx: StepIdx) -> bool {
        let step = &self.steps[idx];
        let ready =
            matches!(step.forward, Forward::Idle | Forward::RetryAt(_) | Forward::LookAgainAt(_));
        ready
            && !step.must_look
            && !step.superseded
            && step.undo == Undo::Idle
            && !self.turned()
            && !self.stands_still()
            && !self.making_room()
            && self.forward_frontier().contains(&idx)
    }

    pub(super) fn step_started(&mut self, at: Timestamp, idx: StepIdx, attempt: u32) -> Applied {
        if idx >= self.steps.len() || !self.may_execute(idx) {
            return Err("the step may not start now");
        }
        let edits = self.edits.len();
        let step = &mut self.steps[idx];
        if attempt != step.attempts + 1 {
            return Err("attempts are counted one by one");
        }
        if !step.begun() {
            step.edits = edits;
        }
        step.attempts = attempt;
        step.started_at.get_or_insert(at);
        step.doubted = None;
        step.forward = Forward::Running;
        Ok(())
    }

    pub(super) fn step_completed(
        &mut self,
        at: Timestamp,
        idx: StepIdx,
        output: &Json,
        by: By,
    ) -> Applied {
        let edits = self.edits.len();
        let permitted = |request| self.permits(&request) == Verdict::Fits;
        let by_hand = permitted(Request::Complete(idx));
        let approved = permitted(Request::Approve(idx));
        let found = idx < self.steps.len() && self.may_probe(idx);
        let moving = self.status() == Status::Running;
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        let fits = match (by, &step.forward) {
            (By::Execute, forward) => *forward == Forward::Running,
            (By::Probe, _) => found,
            (By::Hand, _) => by_hand,
            (By::Signal, Forward::Awaiting(Wait::Signal { name, .. })) if moving => {
                let oldest = self.signals.iter().position(|signal| signal.name == *name);
                oldest.and_then(|taken| self.signals.remove(taken)).is_some()
            }
            (
                By::Expiry,
                Forward::Awaiting(Wait::Signal { until, .. } | Wait::Approval { until }),
            ) => moving && until.is_some(),
            (By::Signal | By::Expiry, _) => false,
            (By::Approval, _) => approved,
        };
        if !fits {
            return Err("the step does not wait for this");
        }
        if !step.begun() {
            step.edits = edits;
        }
        step.forward = Forward::Done;
        step.output = Some(output.clone());
        step.must_look = false;
        step.superseded = false;
        step.doubted = None;
        step.error = None;
        step.finished_at = Some(at);
        self.deaths = 0;
        self.release_hold();
        Ok(())
    }

    /// The step is no longer failed: the hold goes on for another that is, or ends.
    pub(super) fn release_hold(&mut self) {
        let failed = self.steps.iter().position(|step| step.forward == Forward::Failed);
        self.held = self.held.take().and_then(|hold| Some(Hold { step: failed?, ..hold }));
    }

    pub(super) fn step_failed(
        &mut self,
        at: Timestamp,
        idx: StepIdx,
        effect: Effect,
        error: &str,
        then: &Then,
    ) -> Applied {
        let turned = self.turned();
        let moving = matches!(self.status(), Status::Pending | Status::Running);
        let step = self.steps.get(idx).ok_or("there is no such step")?;
        let locks = self.needs_locks(idx) && self.may_begin(idx);
        let waits = matches!(step.forward, Forward::Awaiting(_)) || locks;
        let refused = waits && effect == Effect::Clean;
        if step.forward != Forward::Running && !(refused && moving) {
            return Err("no attempt at the step is under way");
        }
        let gives_up = matches!(then, Then::WalkBack | Then::HoldUntil(_));
        if gives_up && !turned && self.only_forward(idx, effect).is_some() {
            return Err("behind a pivot nothing turns");
        }
        if effect == Effect::Unknown {
            self.outcome_unknown(at, idx);
        }
        let step = &mut self.steps[idx];
        step.failures += 1;
        step.locking = if locks { Locking::Open } else { step.locking.clone() };
        step.error = Some(error.to_owned());
        step.forward = match then {
            Then::RetryAt(moment) => Forward::RetryAt(*moment),
            Then::Park(reason) => Forward::Parked(*reason),
            Then::WalkBack | Then::HoldUntil(_) => {
                step.finished_at = Some(at);
                Forward::Failed
            }
        };
        match then {
            Then::WalkBack if !turned => self.turn(Reason::StepFailed(idx)),
            Then::HoldUntil(until) if self.held.is_none() && !turned => {
                self.held = Some(Hold { step: idx, since: at, until: *until });
            }
            _ => {}
        }
        self.deaths = 0;
        Ok(())
    }

    pub(super) fn step_waits(&mut self, at: Timestamp, idx: StepIdx, wait: &Wait) -> Applied {
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        if let Wait::Lock { key, again, until } = wait {
            return self.wait_for_lock(at, idx, key, (*again, *until));
        }
        if step.forward != Forward::Running {
            return Err("no attempt at the step is under way");
        }
        step.forward = match wait {
            Wait::Until(moment) => {
                step.attempts -= 1;
                step.maybe_made = true;
                // What it has just asked for may not be shown yet.
                step.unknown_since = Some(at);
                Forward::LookAgainAt(*moment)
            }
            other => Forward::Awaiting(other.clone()),
        };
        self.deaths = 0;
        Ok(())
    }

    /// Whether step `idx` may be probed before it is executed again, its time apart.
    pub(super) fn may_probe(&self, idx: StepIdx) -> bool {
        let step = &self.steps[idx];
        matches!(step.forward, Forward::RetryAt(_))
            && step.must_look
            && self.can_look(idx)
            && step.undo == Undo::Idle
            && (!self.turned() || self.looks_on())
            && !self.stands_still()
    }

    pub(super) fn step_probed(&mut self, at: Timestamp, idx: StepIdx, finding: Finding) -> Applied {
        if idx >= self.steps.len() || !self.may_probe(idx) {
            return Err("the step is not to be probed now");
        }
        let (repeatable, rows) = (self.plan.facts(idx).repeatable, self.rows + 1);
        if finding == Finding::Absent {
            self.nothing_behind(idx);
        }
        let turned = self.turned();
        let step = &mut self.steps[idx];
        step.must_look = matches!(finding, Finding::AbsentTooSoon(_));
        match finding {
            Finding::AbsentTooSoon(again) => step.forward = Forward::RetryAt(again),
            Finding::CannotTell if !repeatable => {
                step.forward = Forward::Parked(ParkReason::UnknownOutcome);
            }
            _ if step.superseded && !turned => step.open_round(rows),
            _ => step.forward = Forward::RetryAt(at),
        }
        Ok(())
    }

    /// The engine stops one step, forward or back.
    pub(super) fn step_parked(&mut self, idx: StepIdx, reason: ParkReason) -> Applied {
        if idx >= self.steps.len() {
            return Err("there is no such step");
        }
        let executes = !self.turned()
            && !self.stands_still()
            && !self.steps[idx].body_under_way()
            && self.forward_frontier().contains(&idx)
            && !matches!(self.steps[idx].forward, Forward::Failed | Forward::Parked(_));
        if self.undo_is_next(idx) {
            self.steps[idx].undo = Undo::Parked(reason);
        } else if executes && !self.undoes_first(idx) {
            self.steps[idx].forward = Forward::Parked(reason);
        } else {
            return Err("the step is not what comes next");
        }
        Ok(())
    }

    /// An attempt at step `idx` may have done something: look before trying again, where that can
    /// be done or must be (rule S5).
    pub(super) fn outcome_unknown(&mut self, at: Timestamp, idx: StepIdx) {
        let facts = self.plan.facts(idx);
        self.steps[idx].maybe_made = true;
        self.steps[idx].must_look = facts.probe || !facts.repeatable;
        self.steps[idx].unknown_since = Some(at);
    }

    pub(super) fn turn(&mut self, reason: Reason) {
        self.turned = Some(reason);
        self.held = None;
        self.signals.clear();
        for step in &mut self.steps {
            if matches!(step.locking, Locking::Waiting { .. }) {
                step.locking = Locking::Open;
            }
        }
    }
}
