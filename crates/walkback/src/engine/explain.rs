//! Why a saga stands as it does, in words: what it waits for, since when, and what ends that.

use serde::Serialize;

use crate::describe::{Residue, SagaView, Waiting};
use crate::engine::Engine;
use crate::error::Error;
use crate::id::SagaId;
use crate::ledger::Row;
use crate::machine::{Called, ParkReason, Request, Status, StepStatus, Verdict};
use crate::plan::StepIdx;
use crate::run::Run;
use crate::store::Filter;
use crate::time::Timestamp;

/// Steps for which one command is offered at most.
const OFFERED: usize = 3;

/// Why a saga stands as it does.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The saga.
    pub id: SagaId,
    /// The recipe by name.
    pub kind: String,
    /// How far it is.
    pub status: &'static str,
    /// Whether a person has to look at it.
    pub attention: bool,
    /// What it does or waits for, one sentence each.
    pub because: Vec<String>,
    /// The newest error of the step that it is about.
    pub error: Option<String>,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When it goes on by itself, if it does.
    pub until: Option<Timestamp>,
    /// Whether a worker has it now.
    pub owned: bool,
    /// What it made and could not take back.
    pub residue: Vec<Residue>,
    /// What may be asked of it now; what ends its trouble comes first.
    pub next: Vec<Next>,
}

/// A command that fits now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// As it is typed; words in capitals and `…` are for the person to fill in.
    pub command: String,
    /// What it does.
    pub does: &'static str,
}

impl Engine {
    /// Why a saga stands as it does, and what may be done.
    ///
    /// # Errors
    /// If there is no saga of this id, or the store cannot be used.
    pub async fn explain_saga(&self, id: SagaId) -> Result<Explanation, Error> {
        let stored = self.0.stored(id).await?;
        let (owned, rows) = (stored.owner.is_some(), stored.rows.clone());
        let run = self.0.fold(stored)?;
        Ok(explain(&run, owned, &rows))
    }

    /// Every saga that needs a person, the one that waits longest first.
    ///
    /// # Errors
    /// If the store cannot be used, or a run in it is damaged.
    pub async fn attention(&self, filter: Filter) -> Result<Vec<Explanation>, Error> {
        let mut found = Vec::new();
        for id in self.find_sagas(Filter { attention: true, ..filter }).await? {
            match self.explain_saga(id).await {
                Ok(explained) if explained.attention => found.push(explained),
                Ok(_) | Err(Error::NotFound(_) | Error::Pruned(_)) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by_key(|explained| explained.since);
        Ok(found)
    }
}

pub(crate) fn explain(run: &Run, owned: bool, rows: &[Row]) -> Explanation {
    let view = SagaView::full(run, &crate::progress::Progress::default());
    let (parked, status) = (run.state.parked(), run.state.status());
    let waiting = view.waiting_for.as_ref();
    let about = parked.as_ref().map_or(waiting.map(|w| w.step_idx), |parked| parked.step);
    let result = |idx: StepIdx| view.steps.as_ref().and_then(|steps| steps.get(idx));
    let newest = |idx: StepIdx| rows.iter().rev().find(|row| row.step_idx == Some(idx));
    let since = match (&parked, about) {
        (Some(parked), _) => parked.since,
        (None, Some(idx)) => newest(idx).map_or(run.last_at, |row| row.at),
        (None, None) => run.last_at,
    };
    let until = match &parked {
        Some(parked) => parked.until,
        None => waiting.and_then(|waiting| waiting.until),
    };
    Explanation {
        id: run.spec.id,
        kind: run.spec.kind.to_string(),
        status: status.name(),
        attention: run.state.needs_attention(),
        because: because(run, &view, owned),
        error: about.and_then(result).and_then(|step| step.error.clone()),
        since,
        until,
        owned,
        next: next(run, parked.map(|parked| parked.reason), waiting),
        residue: view.residue,
    }
}

/// What the saga does or waits for, one sentence each.
fn because(run: &Run, view: &SagaView, owned: bool) -> Vec<String> {
    let plan = run.state.plan();
    let name = |idx: StepIdx| format!("step {idx} `{}`", plan.name(idx));
    let mut because = Vec::new();
    if let Some(error) = &view.error {
        let turned = match &*error.reason {
            "cancelled" => "it was cancelled".to_owned(),
            "deadline" => "its deadline passed".to_owned(),
            "rollback" => "it was completed, and then rolled back on purpose".to_owned(),
            failed => format!("step `{}` failed", failed.trim_start_matches("step_failed:")),
        };
        because.push(format!("it {} back: {turned}", walks(view.status)));
    }
    if let Some(parked) = run.state.parked() {
        let at = parked.step.map(|idx| format!(" ({})", name(idx))).unwrap_or_default();
        because.push(format!("{}{at}", why_parked(parked.reason)));
        because.extend(run.state.called().map(told));
        return because;
    }
    let steps = view.steps.iter().flatten();
    let moving = steps.filter(|step| run.state.step(step.step_idx).body_under_way());
    because.extend(moving.map(|step| {
        let undo = step.status == StepStatus::Compensating;
        let (what, tries) = if undo {
            ("is being undone", step.compensation_attempts)
        } else {
            ("runs", step.attempts)
        };
        format!("{} {what}, attempt {tries}", name(step.step_idx))
    }));
    match (view.status, &view.waiting_for) {
        (_, Some(waiting)) => {
            because.push(format!("{} {}", name(waiting.step_idx), waits(run, waiting)));
        }
        (Status::Pending, _) if !owned => {
            because.push(format!(
                "it is accepted, and no worker has taken it from queue `{}` yet",
                run.spec.queue
            ));
        }
        (Status::Completed, _) => because.push("every step is done".to_owned()),
        (Status::RolledBack, _) => because.push("nothing it made is left".to_owned()),
        (Status::Failed, _) if run.state.needs_attention() => {
            because
                .push("what could not be undone is left, and somebody has to settle it".to_owned());
        }
        (Status::Failed, _) => because.push("what is left is left on purpose".to_owned()),
        (Status::Running | Status::Compensating, _) if !owned => {
            because.push("it is due, and no worker has taken it yet".to_owned());
        }
        _ => {}
    }
    because.extend(run.state.called().map(told));
    because
}

/// What became of telling people.
fn told(called: &Called) -> String {
    let tries = if called.tries == 1 { String::new() } else { format!(" {} times", called.tries) };
    match called.retry_at {
        None => "people were told so by the hook".to_owned(),
        Some(at) => format!("the hook was called{tries} in vain, and is called again at {at}"),
    }
}

fn walks(status: Status) -> &'static str {
    if matches!(status, Status::Compensating | Status::Parked) { "walks" } else { "walked" }
}

fn waits(run: &Run, waiting: &Waiting) -> String {
    let used = run.state.plan().step(waiting.step_idx);
    match (waiting.what, &waiting.name) {
        ("retry", _) if run.state.turned() => {
            "could not be undone yet, and is tried again".to_owned()
        }
        ("retry", _) => "failed, and is tried again".to_owned(),
        ("start", _) => "begins at the moment that its order names".to_owned(),
        ("signal", Some(name)) => format!("waits for the signal `{name}`"),
        ("approval", _) => match crate::builtin::deciders(used) {
            Some(who) => format!("waits for an approval by {}", who.join(" or ")),
            None => "waits for an approval".to_owned(),
        },
        _ => "waits for a moment to come".to_owned(),
    }
}

const fn why_parked(reason: ParkReason) -> &'static str {
    match reason {
        ParkReason::Paused => "somebody paused it",
        ParkReason::Held => {
            "a step failed, and it holds so that somebody can look before it walks back"
        }
        ParkReason::UnknownOutcome => {
            "whether an attempt did something is not known, and another could do it twice"
        }
        ParkReason::PivotUnknown => {
            "the pivot failed and may have done something: from it on there is only forward"
        }
        ParkReason::BehindPivot => "a step behind the pivot failed for good: there is only forward",
        ParkReason::BodyStillRunning => {
            "a body ignored that its time was over, and nothing is done beside it"
        }
        ParkReason::UndoHalted => "an undo failed for good, and its policy is to stop there",
        ParkReason::CannotDecode => "this program cannot read data that is stored for a step",
        ParkReason::Poison => "its process died again and again while it ran this saga alone",
        ParkReason::NoCapableWorker => "no worker knows all its steps",
        ParkReason::LedgerFull => "its ledger is full: it repeats something too often",
    }
}

/// What ends the trouble, the likeliest first.
fn remedies(
    status: Status,
    parked: Option<ParkReason>,
    waits_for: Option<&str>,
) -> &'static [&'static str] {
    match (parked, waits_for, status) {
        (
            Some(
                ParkReason::Paused
                | ParkReason::LedgerFull
                | ParkReason::Poison
                | ParkReason::BodyStillRunning
                | ParkReason::CannotDecode,
            ),
            _,
            _,
        ) => &["resume", "cancel"],
        (Some(ParkReason::Held), _, _) => &["retry", "cancel", "hold"],
        (
            Some(ParkReason::UnknownOutcome | ParkReason::PivotUnknown | ParkReason::BehindPivot),
            _,
            _,
        ) => &["complete", "retry", "skip", "cancel"],
        (Some(ParkReason::UndoHalted), _, _) | (None, _, Status::Failed) => {
            &["retry", "resolve", "abandon"]
        }
        (Some(ParkReason::NoCapableWorker), _, _) => &["cancel"],
        (None, Some("approval"), _) => &["approve", "deny"],
        (None, Some("signal"), _) => &["signal"],
        _ => &[],
    }
}

fn next(run: &Run, parked: Option<ParkReason>, waiting: Option<&Waiting>) -> Vec<Next> {
    let legal = run.state.legal();
    let waits_for = waiting.map(|waiting| waiting.what);
    let first = remedies(run.state.status(), parked, waits_for).iter().copied();
    let mut names: Vec<&str> = first.filter(|name| legal.contains(name)).collect();
    names.extend(legal.iter().filter(|name| !names.contains(*name)).copied().collect::<Vec<_>>());
    let signal = waiting.and_then(|waiting| waiting.name.as_deref());
    names.into_iter().flat_map(|name| commands(run, name, signal)).collect()
}

/// The command of this name as it is typed, once for each step that it fits.
fn commands(run: &Run, name: &str, signal: Option<&str>) -> Vec<Next> {
    let id = run.spec.id;
    let of_steps = |request: fn(StepIdx) -> Request, rest: &str, does: &'static str| {
        let fits = |idx: &StepIdx| run.state.permits(&request(*idx)) == Verdict::Fits;
        let steps = (0..run.state.plan().len()).filter(fits).take(OFFERED);
        steps
            .map(|idx| Next { command: format!("walkback {name} {id} {idx}{rest}"), does })
            .collect()
    };
    let plain =
        |rest: &str, does| vec![Next { command: format!("walkback {name} {id}{rest}"), does }];
    match name {
        "cancel" => plain("", "walk back until nothing it made is left"),
        "pause" => plain("", "stop where it is"),
        "resume" => plain("", "go on where it stands"),
        "retry" => plain("", "try again what is parked or could not be undone"),
        "rollback" => plain("", "undo what was done, on purpose"),
        "hold" => plain(" 30m", "give it so much time from now"),
        "signal" => {
            plain(&format!(" {}", signal.unwrap_or("NAME")), "send what it waits for, or will")
        }
        "complete" => of_steps(Request::Complete, " --output '{…}'", "it is done, by hand"),
        "skip" => of_steps(Request::Skip, "", "it need not run"),
        "resolve" => of_steps(Request::Resolve, "", "what it left was removed by hand"),
        "abandon" => of_steps(Request::Abandon, "", "leave there on purpose what it left"),
        "approve" => of_steps(Request::Approve, "", "let it go on"),
        "deny" => of_steps(Request::Deny, "", "let it fail"),
        _ => Vec::new(),
    }
}
