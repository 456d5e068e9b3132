//! Walking back: what the end of a `compensate`, or of the probe before it, changes.

use crate::json::Json;
use crate::machine::step::{Late, StepState};
use crate::machine::{Applied, Forward, Made, State, Undo, UndoThen};
use crate::plan::StepIdx;
use crate::time::Timestamp;

impl State {
    /// Whether the undo of step `idx` is next, its time and its probe apart: on the walk back, or
    /// because its data was edited after it may have made something (rule S12).
    pub(super) fn undo_is_next(&self, idx: StepIdx) -> bool {
        let undo = self.steps[idx].undo;
        let open = matches!(undo, Undo::Idle | Undo::RetryAt(_) | Undo::LookAgainAt(_));
        let turn = if self.turned() {
            self.backward_frontier().contains(&idx)
        } else {
            self.undoes_first(idx)
        };
        open && turn && !self.executing() && !self.looks_on() && !self.stands_still()
    }

    /// Whether what step `idx` made under old data is undone before it is executed again.
    pub(super) fn undoes_first(&self, idx: StepIdx) -> bool {
        !self.turned() && self.steps[idx].superseded && self.has_to_undo(idx)
    }

    /// Whether what happens next at step `idx` is its undo: on the walk back, or of old data.
    pub(crate) fn undo_comes_first(&self, idx: StepIdx) -> bool {
        self.turned() || self.undoes_first(idx)
    }

    /// Whether such an undo comes before any `execute` may begin. A parked one lets the others
    /// finish.
    pub(super) fn making_room(&self) -> bool {
        let first =
            |idx| self.undoes_first(idx) && !matches!(self.steps[idx].undo, Undo::Parked(_));
        (0..self.steps.len()).any(first)
    }

    /// Whether a `compensate` of step `idx` may begin, its time apart.
    pub(super) fn may_undo(&self, idx: StepIdx) -> bool {
        self.undo_is_next(idx) && !self.looks_back_first(idx)
    }

    /// Whether a probe goes before the undo of step `idx`, as what it made is unknown (rule S5).
    pub(super) fn may_look_back(&self, idx: StepIdx) -> bool {
        self.undo_is_next(idx) && self.looks_back_first(idx)
    }

    fn looks_back_first(&self, idx: StepIdx) -> bool {
        let step = &self.steps[idx];
        step.made() == Made::Unknown && self.plan.facts(idx).probe && !step.looked_back
    }

    /// Whether an `execute` is under way, beside which nothing is undone (promise I13).
    pub(super) fn executing(&self) -> bool {
        self.steps.iter().any(|step| step.forward == Forward::Running)
    }

    pub(super) fn undo_started(&mut self, idx: StepIdx, attempt: u32) -> Applied {
        if idx >= self.steps.len() || !self.may_undo(idx) {
            return Err("the undo may not start now");
        }
        let step = &mut self.steps[idx];
        if attempt != step.undo_attempts + 1 {
            return Err("attempts are counted one by one");
        }
        step.undo_attempts = attempt;
        step.undo = Undo::Running;
        Ok(())
    }

    fn undo_ended(&mut self, idx: StepIdx) -> Result<&mut StepState, &'static str> {
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        if step.undo != Undo::Running {
            return Err("no undo of the step is under way");
        }
        self.deaths = 0;
        Ok(step)
    }

    pub(super) fn undo_completed(&mut self, at: Timestamp, idx: StepIdx) -> Applied {
        self.undo_ended(idx)?;
        self.is_gone(at, idx, Undo::Done);
        Ok(())
    }

    /// What is known of step `idx` is gone, by its undo or by a person's hand; what came late is not.
    pub(super) fn is_gone(&mut self, at: Timestamp, idx: StepIdx, by: Undo) {
        let (turned, rows) = (self.turned(), self.rows + 1);
        let step = &mut self.steps[idx];
        if step.late == Late::Behind {
            step.undo_what_came_late(at, Undo::RetryAt(at));
        } else if turned {
            step.undo = by;
            step.late = Late::No;
            step.compensated_at = (by == Undo::Done).then_some(at);
        } else {
            step.open_round(rows);
        }
    }

    pub(super) fn undo_failed(&mut self, idx: StepIdx, error: &str, then: &UndoThen) -> Applied {
        if *then == UndoThen::Residue && !self.turned() {
            return Err("going forward, a failed undo parks");
        }
        let step = self.undo_ended(idx)?;
        step.undo_failures += 1;
        step.error = Some(error.to_owned());
        step.undo = Undo::after(then);
        Ok(())
    }

    pub(super) fn undo_waits(&mut self, idx: StepIdx, until: Timestamp) -> Applied {
        let step = self.undo_ended(idx)?;
        step.undo_attempts -= 1;
        step.undo = Undo::LookAgainAt(until);
        Ok(())
    }

    pub(super) fn undo_probed(&mut self, idx: StepIdx, found: Option<&Json>) -> Applied {
        if idx >= self.steps.len() || !self.may_look_back(idx) {
            return Err("the step is not to be probed now");
        }
        let step = &mut self.steps[idx];
        step.looked_back = true;
        if let Some(output) = found {
            step.output = Some(output.clone());
            if step.late == Late::Here {
                step.late = Late::No;
            }
        }
        Ok(())
    }

    /// What was made under the step's key without anybody's knowing is undone: now, if the walk back has
    /// been here, even if it had ended; else after what is known of.
    pub(super) fn came_late(&mut self, at: Timestamp, idx: StepIdx, then: &UndoThen) -> Applied {
        let turned = self.turned();
        let step = self.steps.get_mut(idx).ok_or("there is no such step")?;
        if !self.plan.facts(idx).undo || !step.begun() || step.abandoned() {
            return Err("there is nothing that would be undone");
        }
        if turned && matches!(step.undo, Undo::Done | Undo::Resolved) {
            step.undo_what_came_late(at, Undo::after(then));
            return Ok(());
        }
        step.late = Late::Behind;
        step.maybe_made = true;
        if matches!(step.forward, Forward::RetryAt(_) | Forward::Failed | Forward::Parked(_)) {
            self.outcome_unknown(at, idx);
        }
        Ok(())
    }
}
