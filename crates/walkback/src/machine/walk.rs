//! The structure of a run read against its state: what is next, forward and backward.

use crate::machine::{Effect, Forward, Made, ParkReason, State, Undo};
use crate::plan::{Node, StepIdx};

impl State {
    /// Whether every step is done or skipped.
    pub(super) fn walked_forward(&self) -> bool {
        self.steps.iter().all(super::StepState::passed)
    }

    /// Whether everything is undone that will be, and no body is left.
    pub(super) fn walked_back(&self) -> bool {
        !self.body_under_way()
            && !self.in_doubt()
            && (0..self.steps.len()).all(|idx| self.behind_us(idx))
    }

    /// Whether step `idx` made, or may have made, something that has an undo.
    pub(super) fn has_to_undo(&self, idx: StepIdx) -> bool {
        self.plan.facts(idx).undo && self.steps[idx].made() != Made::Nothing
    }

    /// Whether the walk back has, or had, something to do at step `idx`.
    pub fn owes_undo(&self, idx: StepIdx) -> bool {
        self.has_to_undo(idx)
    }

    /// Whether step `idx` may still be executed.
    pub(crate) fn may_still_run(&self, idx: StepIdx) -> bool {
        !self.turned() && !self.steps[idx].passed()
    }

    /// Whether step `idx` made something that may still be undone.
    pub(crate) fn may_still_undo(&self, idx: StepIdx) -> bool {
        self.has_to_undo(idx) && !matches!(self.steps[idx].undo, Undo::Done | Undo::Resolved)
    }

    /// Whether the walk back is done with step `idx`.
    fn behind_us(&self, idx: StepIdx) -> bool {
        self.steps[idx].undo.ended() || !self.has_to_undo(idx)
    }

    /// The steps that may be under way now: what precedes them is done and they are not.
    pub(super) fn forward_frontier(&self) -> Vec<StepIdx> {
        self.frontier_beyond(&|idx| self.steps[idx].passed())
    }

    /// The first steps that are not `over`, on every way forward.
    pub(super) fn frontier_beyond(&self, over: &impl Fn(StepIdx) -> bool) -> Vec<StepIdx> {
        let mut frontier = Vec::new();
        reach(self.plan.root(), false, over, &mut frontier);
        frontier
    }

    /// The steps whose undo may be under way now: what must be undone before them is.
    pub(super) fn backward_frontier(&self) -> Vec<StepIdx> {
        let mut frontier = Vec::new();
        reach(self.plan.root(), true, &|idx| self.behind_us(idx), &mut frontier);
        frontier
    }

    /// Whether nothing new may start: paused, held or stopped.
    pub(super) fn stands_still(&self) -> bool {
        self.paused.is_some() || self.stopped.is_some() || self.held.is_some()
    }

    /// The parked step that keeps the run from moving, if nothing else can move.
    pub(super) fn stuck_step(&self) -> Option<(StepIdx, ParkReason)> {
        if let Some(hold) = &self.held {
            return Some((hold.step, ParkReason::Held));
        }
        if self.body_under_way() || self.looks_on() {
            return None;
        }
        let mut parked = None;
        let frontier =
            if self.turned() { self.backward_frontier() } else { self.forward_frontier() };
        for idx in frontier {
            let step = &self.steps[idx];
            match (self.turned(), &step.forward, step.undo) {
                (false, Forward::Parked(reason), _) => parked = parked.or(Some((idx, *reason))),
                (_, _, Undo::Parked(reason)) => parked = parked.or(Some((idx, reason))),
                _ => return None,
            }
        }
        parked
    }

    /// Whether a pivot was begun, so that the run only goes forward.
    pub(super) fn past_pivot(&self) -> bool {
        (0..self.steps.len()).any(|idx| self.pivot_begun(idx))
    }

    /// Whether step `idx` is a pivot, was or may have been begun, and is not over without having made
    /// anything.
    fn pivot_begun(&self, idx: StepIdx) -> bool {
        let step = &self.steps[idx];
        let over = matches!(step.forward, Forward::Failed | Forward::Skipped);
        let begun = step.begun() || step.in_doubt();
        self.plan.facts(idx).pivot && begun && !(over && step.made() == Made::Nothing)
    }

    /// Why the run cannot turn when step `idx` has failed for good with this effect, if it cannot
    /// (rule S10).
    pub(super) fn only_forward(&self, idx: StepIdx, effect: Effect) -> Option<ParkReason> {
        let unknown = self.steps[idx].maybe_made || effect == Effect::Unknown;
        let behind = |other| other != idx && self.pivot_begun(other);
        if self.plan.facts(idx).pivot && unknown {
            Some(ParkReason::PivotUnknown)
        } else {
            (0..self.steps.len()).any(behind).then_some(ParkReason::BehindPivot)
        }
    }
}

/// Collects the first steps that are not `over` on every way through `node`, walked in its order
/// or, `back`, in reverse.
fn reach(node: &Node, back: bool, over: &impl Fn(StepIdx) -> bool, frontier: &mut Vec<StepIdx>) {
    match node {
        Node::Step(idx) if over(*idx) => {}
        Node::Step(idx) => frontier.push(*idx),
        Node::Group(members) => {
            for member in members {
                reach(member, back, over, frontier);
            }
        }
        Node::Sequence(entries) => {
            let found = frontier.len();
            for at in 0..entries.len() {
                let at = if back { entries.len() - 1 - at } else { at };
                reach(&entries[at], back, over, frontier);
                if frontier.len() > found {
                    return;
                }
            }
        }
    }
}
