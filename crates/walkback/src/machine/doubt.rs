//! A store that was set back to a backup: what its runs did since is not known. Going on, each step that
//! may have been begun is looked for before anything else is done about it; and before a walk back,
//! what can be found by looking is found first.

use crate::machine::permit::status_is_end;
use crate::machine::{Applied, Forward, ParkReason, State, StepState};
use crate::plan::StepIdx;
use crate::time::Timestamp;

impl State {
    /// Stops the run. Whatever is not done may have been done since. A walk back needs no doubts: it
    /// began before, and undoing what is gone is success.
    pub(super) fn restored(&mut self, at: Timestamp) -> Applied {
        if status_is_end(self.status()) {
            return Err("the run has ended");
        }
        self.stopped = Some((ParkReason::Restored, at));
        if self.turned() {
            return Ok(());
        }
        for idx in 0..self.steps.len() {
            let step = &mut self.steps[idx];
            if step.passed() {
                continue;
            }
            step.doubted = Some(at);
            match step.forward {
                // The end of its claim is still to come; or what it waits for has to come again.
                Forward::Running | Forward::Awaiting(_) => step.maybe_made = true,
                Forward::LookAgainAt(again) => {
                    step.forward = Forward::RetryAt(again);
                    self.outcome_unknown(at, idx);
                }
                Forward::RetryAt(_) | Forward::Failed | Forward::Parked(_) => {
                    self.outcome_unknown(at, idx);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether any step may have been begun of which the ledger does not know.
    pub(crate) fn in_doubt(&self) -> bool {
        self.steps.iter().any(StepState::in_doubt)
    }

    /// Whether, before the walk back, more of what was done can be found by looking forward.
    pub(super) fn looks_on(&self) -> bool {
        self.turned() && self.in_doubt() && !self.looking_frontier().is_empty()
    }

    /// What is in doubt has an unknown outcome once it is next. A walk back looks past what it cannot look
    /// for, up to the first step that was not done: what is behind that was not begun.
    pub(super) fn face_doubts(&mut self) {
        while self.in_doubt() {
            let frontier =
                if self.turned() { self.looking_frontier() } else { self.forward_frontier() };
            let doubted: Vec<StepIdx> =
                frontier.into_iter().filter(|idx| self.steps[*idx].in_doubt()).collect();
            if doubted.is_empty() {
                break;
            }
            for idx in doubted {
                self.face_doubt(idx);
            }
        }
    }

    /// The first steps on every way of which it may still be found out what they came to.
    pub(super) fn looking_frontier(&self) -> Vec<StepIdx> {
        let over = |idx: StepIdx| {
            let step = &self.steps[idx];
            let asked = matches!(step.forward, Forward::RetryAt(_)) && step.must_look;
            let open = asked && self.can_look(idx) || step.forward == Forward::Running;
            step.passed() || !step.in_doubt() && !open
        };
        self.frontier_beyond(&over)
    }

    fn face_doubt(&mut self, idx: StepIdx) {
        let (edits, starts_at) = (self.edits.len(), self.starts_at().unwrap_or_default());
        let step = &mut self.steps[idx];
        if let Some(since) = step.doubted.filter(|_| step.in_doubt()) {
            step.forward = Forward::RetryAt(since.max(starts_at));
            step.edits = edits;
            self.outcome_unknown(since, idx);
            self.steps[idx].must_look |= self.can_look(idx);
        }
    }

    /// Whether it can be found out what step `idx` came to: by its probe; or by doing it, if it changes
    /// nothing.
    pub(super) fn can_look(&self, idx: StepIdx) -> bool {
        let facts = self.plan.facts(idx);
        facts.probe || facts.read_only
    }

    /// Step `idx` was not done: nothing that comes after it was begun.
    pub(super) fn nothing_behind(&mut self, idx: StepIdx) {
        for other in 0..self.steps.len() {
            if self.steps[other].doubted.is_some() && self.plan.before(other).contains(&idx) {
                self.steps[other].doubted = None;
            }
        }
    }
}
