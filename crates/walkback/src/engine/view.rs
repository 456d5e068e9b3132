//! What people and programs see of a saga: the documents of `show` and `list`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::SagaId;
use crate::json::Json;
use crate::machine::{Forward, Locking, Made, State, Status, StepStatus, TurnError, Undo, Wait};
use crate::plan::StepIdx;
use crate::progress::Progress;
use crate::run::Run;
use crate::time::Timestamp;

/// A saga as `show` gives it; `list` leaves out the steps and the context.
#[derive(Clone, Debug, Serialize)]
pub struct SagaView {
    /// Its id.
    pub id: SagaId,
    /// The recipe by name.
    pub kind: String,
    /// How far it is.
    #[serde(serialize_with = "status_name")]
    pub status: Status,
    /// The lowest step that is not done.
    pub current_step_idx: StepIdx,
    /// What it was started with.
    pub inputs: Json,
    /// Inputs, edits and outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Json>,
    /// Why and from where it walks back.
    pub error: Option<TurnError>,
    /// What it made and could not take back.
    pub residue: Vec<Residue>,
    /// Whether a cancel was accepted.
    pub cancel_requested: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first step began.
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    /// What it waits for, if it only waits.
    pub waiting_for: Option<Waiting>,
    /// Why it stands still, if it does.
    pub parked: Option<ParkedView>,
    /// Its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepResult>>,
}

/// What a saga waits for.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// `start`, `timer`, `retry`, `lock`, `signal` or `approval`.
    pub what: &'static str,
    /// The step that waits.
    pub step_idx: StepIdx,
    /// The signal's name, or the lock's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Until when, at most.
    pub until: Option<Timestamp>,
}

/// Why a saga stands still, and what may be done.
#[derive(Clone, Debug, Serialize)]
pub struct ParkedView {
    /// Why.
    pub reason: String,
    /// The step it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_idx: Option<StepIdx>,
    /// Since when.
    pub since: Timestamp,
    /// Until when, if it goes on by itself then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The commands that fit.
    pub legal: Vec<&'static str>,
}

/// Something that a saga made and could not take back.
#[derive(Clone, Debug, Serialize)]
pub struct Residue {
    /// The step that made it.
    pub step_idx: StepIdx,
    /// Its name.
    pub step: String,
    /// Its scope.
    pub scope: Option<String>,
    /// What it is, if that is known.
    pub output: Option<Json>,
    /// Why it could not be taken back.
    pub error: Option<String>,
    /// The commands that end it.
    pub commands: Vec<String>,
}

/// The result of a step, as far as it is.
#[derive(Clone, Debug, Serialize)]
pub struct StepResult {
    /// Its place.
    pub step_idx: StepIdx,
    /// Its name.
    pub step: String,
    /// Its scope.
    pub scope: Option<String>,
    /// How far it is.
    #[serde(serialize_with = "step_status_name")]
    pub status: StepStatus,
    /// What it put out.
    pub output: Option<Json>,
    /// Why its last attempt failed.
    pub error: Option<String>,
    /// Attempts at executing it.
    pub attempts: u32,
    /// Attempts at undoing it.
    pub compensation_attempts: u32,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was done, or failed for good.
    pub finished_at: Option<Timestamp>,
    /// When it was undone.
    pub compensated_at: Option<Timestamp>,
    /// `[done, total]`, as a body of this process says.
    #[serde(skip)]
    pub progress: Option<(u64, u64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn status_name<S: serde::Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.name())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn step_status_name<S: serde::Serializer>(
    status: &StepStatus,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.name())
}

impl SagaView {
    pub(crate) fn brief(run: &Run) -> Self {
        let (spec, state, head) = (&run.spec, &run.state, run.head());
        Self {
            id: spec.id,
            kind: spec.kind.to_string(),
            status: head.status,
            current_step_idx: head.current_step,
            inputs: spec.inputs.clone(),
            context: None,
            error: state.error(),
            residue: state.residue().map(|idx| residue(run, idx)).collect(),
            cancel_requested: head.cancel_requested,
            labels: spec.labels.clone(),
            created_at: spec.created_at,
            started_at: head.started_at,
            finished_at: head.finished_at,
            waiting_for: waiting_for(state),
            parked: parked(state),
            steps: None,
        }
    }

    pub(crate) fn full(run: &Run, progress: &Progress) -> Self {
        let steps = (0..run.state.plan().len()).map(|idx| step_result(run, idx, progress));
        Self { context: Some(run.context()), steps: Some(steps.collect()), ..Self::brief(run) }
    }
}

fn step_result(run: &Run, idx: StepIdx, progress: &Progress) -> StepResult {
    let (step, plan) = (run.state.step(idx), run.state.plan());
    StepResult {
        step_idx: idx,
        step: plan.name(idx).to_owned(),
        scope: plan.scope(idx).map(str::to_owned),
        status: run.state.step_status(idx),
        output: step.output.clone(),
        error: step.error.clone(),
        attempts: step.attempts,
        compensation_attempts: step.undo_attempts,
        started_at: step.started_at,
        finished_at: step.finished_at,
        compensated_at: step.compensated_at,
        progress: progress.get(run.spec.id, idx),
    }
}

fn residue(run: &Run, idx: StepIdx) -> Residue {
    let (step, plan, id) = (run.state.step(idx), run.state.plan(), run.spec.id);
    let command = |verb: &str| format!("walkback {verb} {id} {idx}");
    let verbs: &[&str] = match step.undo {
        Undo::Failed => &["retry", "resolve", "abandon"],
        _ => &["resolve"],
    };
    // Of what came late nothing is known; what is known may be gone.
    let output = match step.made() {
        Made::Known(output) => Some(output.clone()),
        _ => None,
    };
    Residue {
        step_idx: idx,
        step: plan.name(idx).to_owned(),
        scope: plan.scope(idx).map(str::to_owned),
        output,
        error: step.error.clone(),
        commands: verbs.iter().map(|verb| command(verb)).collect(),
    }
}

fn parked(state: &State) -> Option<ParkedView> {
    let parked = state.parked()?;
    Some(ParkedView {
        reason: parked.reason.to_string(),
        step_idx: parked.step,
        since: parked.since,
        until: parked.until,
        legal: state.legal(),
    })
}

/// The first thing the saga waits for, if no body is under way and it is not at rest.
fn waiting_for(state: &State) -> Option<Waiting> {
    if state.body_under_way() || state.status().at_rest() {
        return None;
    }
    let waiting = |what, step_idx, name, until| Some(Waiting { what, step_idx, name, until });
    if let Some(until) = state.starts_at().filter(|_| !state.turned()) {
        return waiting("start", state.current_step(), None, Some(until));
    }
    state.steps().iter().enumerate().find_map(|(idx, step)| {
        if state.undo_comes_first(idx) {
            return match step.undo {
                Undo::RetryAt(at) => waiting("retry", idx, None, Some(at)),
                Undo::LookAgainAt(at) => waiting("timer", idx, None, Some(at)),
                _ => None,
            };
        }
        if let Locking::Waiting { key, until, .. } = &step.locking {
            return waiting("lock", idx, Some(key.clone()), *until);
        }
        match &step.forward {
            Forward::RetryAt(at) => waiting("retry", idx, None, Some(*at)),
            Forward::LookAgainAt(at) => waiting("timer", idx, None, Some(*at)),
            Forward::Awaiting(Wait::Signal { name, until }) => {
                waiting("signal", idx, Some(name.clone()), *until)
            }
            Forward::Awaiting(Wait::Approval { until }) => waiting("approval", idx, None, *until),
            _ => None,
        }
    })
}
