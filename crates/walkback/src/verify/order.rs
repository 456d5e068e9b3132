//! I9 to I14 as the ledger records them: what starts when, how often, and what is undone.

use crate::machine::{Event, Finding, Status, Then};
use crate::plan::StepIdx;
use crate::verify::track::{Track, Undone};
use crate::verify::{Case, Report};

/// Walks through the raw events and says what each step came to.
pub(super) fn check(case: &Case<'_>, report: &mut Report) -> Vec<Track> {
    let steps = case.plan.len();
    let mut walk = Walk {
        case,
        report,
        before: (0..steps).map(|idx| case.plan.before(idx)).collect(),
        tracks: vec![Track::default(); steps],
        turned: false,
    };
    for (at, event) in case.events.iter().enumerate() {
        walk.starts(at, event);
        walk.take_in(event);
    }
    walk.end();
    walk.tracks
}

struct Walk<'a, 'b> {
    case: &'a Case<'b>,
    report: &'a mut Report,
    /// What has to be done before each step.
    before: Vec<Vec<StepIdx>>,
    tracks: Vec<Track>,
    turned: bool,
}

impl Walk<'_, '_> {
    fn found(&mut self, promise: &'static str, what: impl std::fmt::Display) {
        self.report.add(promise, self.case.id(), what);
    }

    /// Whether a body may begin by this event.
    fn starts(&mut self, at: usize, event: &Event) {
        match event {
            Event::StepStarted { step, attempt } => {
                self.counted(at, event, self.tracks[*step].execute.next(), *attempt);
                self.execute_starts(*step);
            }
            Event::UndoStarted { step, attempt } => {
                self.counted(at, event, self.tracks[*step].compensate.next(), *attempt);
                self.undo_starts(*step);
            }
            _ => {}
        }
    }

    /// The recorded half of I9: by step and attempt a body's key and its row are found.
    fn counted(&mut self, at: usize, event: &Event, expected: u32, attempt: u32) {
        let row = &self.case.run.rows[at];
        let (seq, kind) = (row.seq, event.kind());
        if row.step_idx != event.step() || row.attempt != Some(attempt) {
            self.found("I9", format!("row {seq} (`{kind}`) names another step or attempt inside"));
        }
        if attempt != expected {
            self.found("I9", format!("row {seq} (`{kind}`) is attempt {attempt}, not {expected}"));
        }
    }

    fn execute_starts(&mut self, step: StepIdx) {
        let track = self.tracks[step];
        let undone = self.before[step].iter().copied().find(|&idx| !self.tracks[idx].passed);
        if let Some(before) = undone {
            self.found("I11", format!("step {step} started before step {before} was done"));
        }
        if track.passed {
            self.found("I11", format!("step {step} was executed again after it was done"));
        }
        if track.execute.exhausted() {
            self.found("I10", too_often("executed", step, track.execute.starts));
        }
        if self.turned {
            self.found("I13", format!("step {step} started on the walk back"));
        }
        if let Some(other) = self.tracks.iter().position(|track| track.compensate.under_way) {
            self.found("I13", format!("step {step} started beside the undo of step {other}"));
        }
    }

    fn undo_starts(&mut self, step: StepIdx) {
        let track = self.tracks[step];
        if track.compensate.exhausted() {
            self.found("I10", too_often("undone", step, track.compensate.starts));
        }
        if let Some(other) = self.tracks.iter().position(|track| track.execute.under_way) {
            self.found("I13", format!("step {step} was undone beside the execute of step {other}"));
        }
        if !track.may_have_made() {
            self.found("I12", format!("step {step} was undone but made nothing"));
        }
        let open = |idx: &StepIdx| {
            let track = self.tracks[*idx];
            let open = track.undone.is_none() && track.needs_undo(self.case.plan.facts(*idx));
            open && self.before[*idx].binary_search(&step).is_ok()
        };
        if let Some(later) = (0..self.tracks.len()).find(open).filter(|_| self.turned) {
            self.found("I13", format!("step {step} was undone before step {later}"));
        }
    }

    fn take_in(&mut self, event: &Event) {
        match event {
            Event::TakenOver | Event::HandedOver => {
                self.tracks.iter_mut().for_each(Track::claim_ended);
            }
            Event::Resumed { set } => {
                self.tracks.iter_mut().for_each(|track| track.let_go_on(set.is_some()));
            }
            Event::RetryRequested { step } => {
                for (idx, track) in self.tracks.iter_mut().enumerate() {
                    if step.is_none_or(|only| only == idx) {
                        track.let_go_on(false);
                        track.reopen();
                    }
                }
            }
            Event::Restored if !self.turned => {
                let open = self.tracks.iter_mut().filter(|track| !track.passed);
                open.for_each(|track| track.doubted = true);
            }
            Event::StepProbed { step, finding: Finding::Absent } => {
                for (idx, track) in self.tracks.iter_mut().enumerate() {
                    track.doubted &= !self.before[idx].contains(step);
                }
            }
            Event::HoldEnded
            | Event::CancelRequested
            | Event::DeadlinePassed
            | Event::RollbackRequested
            | Event::StepFailed { then: Then::WalkBack, .. } => self.turned = true,
            _ => {}
        }
        if let Some(step) = event.step() {
            self.tracks[step].take_in(event, self.turned);
        }
    }

    /// Whether the run ended as its events say (I12, I14).
    fn end(&mut self) {
        let status = self.case.run.head.status;
        let cancelled = self.case.run.head.cancel_requested
            || self.case.events.contains(&Event::CancelRequested);
        if status == Status::Completed && cancelled {
            self.found("I14", "a cancel was accepted, and it ended `completed`");
        }
        for idx in 0..self.tracks.len() {
            let track = self.tracks[idx];
            let left = track.needs_undo(self.case.plan.facts(idx));
            let settled = matches!(track.undone, Some(Undone::Done | Undone::Resolved));
            if status == Status::RolledBack && left && !settled {
                self.found("I12", format!("it is `rolled_back`, but step {idx} is not undone"));
            }
            if status == Status::Failed && left && track.undone.is_none() {
                self.found("I12", format!("it is `failed`, but step {idx} was not walked back"));
            }
        }
    }
}

fn too_often(what: &str, step: StepIdx, times: u32) -> String {
    let times = times + 1;
    format!("step {step} was {what} {times} times: more than its retries, waits and claims allow")
}
