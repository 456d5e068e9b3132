//! Going forward: what the end of an `execute` or `probe` changes.

use crate::json::Json;
use crate::machine::{
    Applied, By, Effect, Finding, Forward, Hold, ParkReason, Reason, Request, State, Then, Undo,
    Verdict, Wait,
};
use crate::plan::StepIdx;
use crate::time::Timestamp;

impl State {
    /// Whether an `execute` of step `idx` may begin, its time apart.
    pub(super) fn may_execute(&self, idx: StepIdx) -> bool {
        let (step, facts) = (&self.steps[idx], self.plan.facts(idx));
        let ready =
            matches!(step.forward, Forward::Idle | Forward::RetryAt(_) | Forward::LookAgainAt(_));
        let look = step.must_look && (facts.probe || !facts.repeatable);
        ready
            && !look
            && !step.superseded
            && step.undo == Undo::Idle
            && !self.turned()
            && !self.stands_still()
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
        let turned = self.turned();
        let by_hand = self.permits(&Request::Complete(idx)) == Verdict::Fits;
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        let fits = match (by, &step.forward) {
            (By::Execute, forward) => *forward == Forward::Running,
            (By::Probe, Forward::RetryAt(_)) => step.must_look && !step.superseded && !turned,
            (By::Hand, _) => by_hand,
            (By::Signal, Forward::Awaiting(Wait::Signal { name, .. })) => {
                let found = self.signals.iter().position(|signal| signal.name == *name);
                found.and_then(|taken| self.signals.remove(taken)).is_some() && !turned
            }
            (By::Approval, Forward::Awaiting(Wait::Approval { .. })) => !turned,
            _ => false,
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
        step.error = None;
        step.finished_at = Some(at);
        self.deaths = 0;
        self.release_hold_of(idx);
        Ok(())
    }

    /// The step that failed is done after all, or need not be.
    pub(super) fn release_hold_of(&mut self, idx: StepIdx) {
        self.held.take_if(|hold| hold.step == idx);
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
        let past_pivot = self.past_pivot();
        let pivot = self.plan.facts(idx).pivot;
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        let refused = matches!(step.forward, Forward::Awaiting(_)) && effect == Effect::Clean;
        if step.forward != Forward::Running && !(refused && !turned) {
            return Err("no attempt at the step is under way");
        }
        if effect == Effect::Unknown {
            step.outcome_unknown(at);
        }
        let clean_pivot = pivot && !step.maybe_made;
        if *then == Then::WalkBack && past_pivot && !clean_pivot && !turned {
            return Err("behind a pivot nothing turns");
        }
        step.failures += 1;
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

    pub(super) fn step_waits(&mut self, idx: StepIdx, wait: &Wait) -> Applied {
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        if step.forward != Forward::Running {
            return Err("no attempt at the step is under way");
        }
        step.forward = match wait {
            Wait::Until(moment) => {
                step.attempts -= 1;
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
            && self.plan.facts(idx).probe
            && step.undo == Undo::Idle
            && !self.turned()
            && !self.stands_still()
    }

    pub(super) fn step_probed(&mut self, at: Timestamp, idx: StepIdx, finding: Finding) -> Applied {
        if idx >= self.steps.len() || !self.may_probe(idx) {
            return Err("the step is not to be probed now");
        }
        let rows = self.rows + 1;
        let step = &mut self.steps[idx];
        match finding {
            Finding::AbsentTooSoon(again) => step.forward = Forward::RetryAt(again),
            Finding::Absent if step.superseded => step.open_round(rows),
            Finding::Absent | Finding::CannotTell => {
                step.must_look = false;
                step.forward = Forward::RetryAt(at);
            }
        }
        if finding == Finding::CannotTell
            && !self.plan.facts(idx).repeatable
            && !self.steps[idx].superseded
        {
            self.steps[idx].forward = Forward::Parked(ParkReason::UnknownOutcome);
        }
        Ok(())
    }

    /// The engine stops one step, forward or back.
    pub(super) fn step_parked(&mut self, idx: StepIdx, reason: ParkReason) -> Applied {
        let back = self.turned();
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        if step.body_under_way() {
            return Err("a body of the step is under way");
        }
        if back || step.superseded {
            step.undo = Undo::Parked(reason);
        } else if step.passed() || step.forward == Forward::Failed {
            return Err("the step is over");
        } else {
            step.forward = Forward::Parked(reason);
        }
        Ok(())
    }

    pub(super) fn turn(&mut self, reason: Reason) {
        self.turned = Some(reason);
        self.held = None;
        self.signals.clear();
    }
}
