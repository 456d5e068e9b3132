//! What would be undone, if a saga walked back now.

use serde::Serialize;

use crate::engine::Engine;
use crate::engine::operate::does_not_fit;
use crate::error::Error;
use crate::id::SagaId;
use crate::machine::{Event, Illegal, Request, State, StepStatus, Verdict};
use crate::plan::StepIdx;

/// What would be undone, if a saga walked back now.
#[derive(Clone, Debug, Serialize)]
pub struct WalkBack {
    /// The saga.
    pub id: SagaId,
    /// `cancel` or `rollback`: which of them would begin it; `none` if it walks back already.
    pub by: &'static str,
    /// Its steps, the first to be undone first.
    pub steps: Vec<WalkBackStep>,
}

/// What would become of one step.
#[derive(Clone, Debug, Serialize)]
pub struct WalkBackStep {
    /// Its place.
    pub step_idx: StepIdx,
    /// Its name.
    pub step: String,
    /// Its scope.
    pub scope: Option<String>,
    /// Whether its `compensate` would run.
    pub undo: bool,
    /// Why so, or why not.
    pub why: &'static str,
}

impl Engine {
    /// Exactly what would be undone, if the saga were cancelled (or, once completed, rolled back) now.
    ///
    /// # Errors
    /// If neither fits, naming what does, or who owns by now what it made; if there is no saga of this id.
    pub async fn plan_walk_back(&self, id: SagaId) -> Result<WalkBack, Error> {
        let run = self.0.load(id).await?;
        let fits = |request: &Request| run.state.permits(request);
        let (by, event) = match (fits(&Request::Cancel), fits(&Request::Rollback)) {
            (Verdict::Fits, _) => ("cancel", Some(Event::CancelRequested)),
            (_, Verdict::Fits) => ("rollback", Some(Event::RollbackRequested)),
            (Verdict::AlreadySo, _) => ("none", None),
            _ => return Err(does_not_fit(&run, &Request::Cancel)),
        };
        if by == "rollback" {
            self.check_rollback(&run).await?;
        }
        let mut state = run.state.clone();
        if let Some(event) = event {
            let damaged = |why: Illegal| Error::Damaged { id, why: why.to_string() };
            state.apply(run.last_at, &event).map_err(damaged)?;
        }
        let step = |step_idx: StepIdx| {
            let (undo, why) = fate(&run.state, &state, step_idx);
            let plan = state.plan();
            let (step, scope) = (plan.name(step_idx).to_owned(), plan.scope(step_idx));
            WalkBackStep { step_idx, step, scope: scope.map(str::to_owned), undo, why }
        };
        let steps = (0..state.plan().len()).rev().map(step).collect();
        Ok(WalkBack { id, by, steps })
    }
}

/// What becomes of a step when the run, standing as in `now`, has turned to `turned`.
fn fate(now: &State, turned: &State, idx: StepIdx) -> (bool, &'static str) {
    let status = now.step_status(idx);
    let undone = matches!(status, StepStatus::Compensated | StepStatus::Resolved);
    if turned.owes_undo(idx) && !undone {
        return match status {
            StepStatus::Abandoned => (false, "what it left is left on purpose"),
            StepStatus::CompensationFailed => (false, "its undo has failed for good"),
            StepStatus::Compensating => (true, "it is being undone"),
            StepStatus::Completed => (true, "it is done"),
            StepStatus::Running => (true, "it was begun; its body is stopped and awaited first"),
            _ => (true, "it may have done something"),
        };
    }
    let why = match status {
        _ if undone => "nothing of it is left",
        StepStatus::Pending => "it was not begun",
        StepStatus::Failed => "it failed and certainly did nothing",
        _ if turned.plan().facts(idx).read_only => "it changes nothing",
        StepStatus::Completed => "it has no undo",
        _ => "it has no undo, or did nothing",
    };
    (false, why)
}
