//! Why a saga stands as it does, in words: what it waits for, since when, and what ends that.

use serde::Serialize;

mod next;

use crate::builtin::goes_on;
use crate::describe::{Residue, SagaView, Waiting};
use crate::engine::{Engine, Inner, unknown_to};
use crate::error::Error;
use crate::id::SagaId;
use crate::ledger::Row;
use crate::machine::{Called, ParkReason, Request, Status, StepStatus, Verdict};
use crate::plan::StepIdx;
use crate::run::Run;
use crate::store::{Filter, StoredRun, serves};
use crate::time::Timestamp;

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
    /// What happens then.
    pub then: Option<&'static str>,
    /// What became of telling people, if a hook was called.
    pub notice: Option<String>,
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
    /// What it does to this saga as it stands now.
    pub does: String,
}

impl Engine {
    /// Why a saga stands as it does, and what may be done.
    ///
    /// # Errors
    /// If there is no saga of this id, or the store cannot be used.
    pub async fn explain_saga(&self, id: SagaId) -> Result<Explanation, Error> {
        let (run, mut explained) = self.0.explained(self.0.stored(id).await?)?;
        for key in run.state.waited_for_locks() {
            let holders = self.0.store.holders(vec![key.to_owned()]).await?;
            let held: Vec<String> = holders.iter().map(|held| held.saga.to_string()).collect();
            let because = match &held[..] {
                [] => format!("`{key}` is free by now"),
                [one] => format!("`{key}` is held by saga {one}"),
                many => format!("`{key}` is held by the sagas {}", many.join(", ")),
            };
            explained.because.push(because);
        }
        let due = run.wake_at().is_some_and(|at| at <= self.0.clock.now());
        if !run.state.status().at_rest() && (due || explained.owned) {
            explained.because.extend(self.nobody_takes(&run, explained.owned).await?);
        }
        if run.state.permits(&Request::Rollback) == Verdict::Fits {
            match self.check_rollback(&run).await {
                Err(refused @ (Error::NotTheOwner { .. } | Error::Locked { .. })) => {
                    explained.because.push(refused.to_string());
                    explained.next.retain(|next| !next.command.starts_with("walkback rollback "));
                }
                checked => checked?,
            }
        }
        Ok(explained)
    }

    /// Why nobody takes a run that is due, or goes on with one that is owned, as far as the workers tell.
    async fn nobody_takes(&self, run: &Run, owned: bool) -> Result<Option<String>, Error> {
        let mut workers = self.0.living_workers().await?;
        if workers.is_empty() {
            let silent = if owned { "the worker that has it is silent, and " } else { "" };
            return Ok(Some(format!("{silent}nobody works on this store: `walkback work` does")));
        }
        if owned {
            return Ok(None);
        }
        workers.retain(|worker| serves(&worker.info.queues, &run.spec.queue));
        if workers.is_empty() {
            return Ok(Some(format!("no worker serves queue `{}`", run.spec.queue)));
        }
        let plan = run.state.plan();
        // One has to know all of them: what the one lacks that comes farthest.
        let lacks = workers.iter().map(|worker| unknown_to(&worker.info, plan));
        let farthest = lacks.collect::<Option<Vec<_>>>().and_then(|lacks| lacks.into_iter().max());
        Ok(farthest.map(|idx| {
            format!(
                "no worker of its queue knows step {idx} `{}` and all before: perhaps it was begun without an account",
                plan.name(idx)
            )
        }))
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

impl Inner {
    /// A stored run, folded, and why it stands as it does.
    pub(crate) fn explained(&self, stored: StoredRun) -> Result<(Run, Explanation), Error> {
        let (owned, rows) = (stored.owner.is_some(), stored.rows.clone());
        let run = self.fold(stored)?;
        let explained = explain(&run, owned, &rows);
        Ok((run, explained))
    }
}

fn explain(run: &Run, owned: bool, rows: &[Row]) -> Explanation {
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
        then: until.and(then(run, parked.as_ref().map(|parked| parked.reason), waiting)),
        notice: run.state.called().map(told),
        owned,
        next: next::commands(run, parked.map(|parked| parked.reason), waiting),
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
            failed => step_failed(view, failed.trim_start_matches("step_failed:")),
        };
        because.push(format!("it {} back: {turned}", walks(view.status)));
    }
    if let Some(parked) = run.state.parked() {
        let at = parked.step.map(|idx| format!(" ({})", name(idx))).unwrap_or_default();
        because.push(format!("{}{at}", why_parked(parked.reason)));
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
                "it is accepted, and waits for a worker that serves queue `{}`",
                run.spec.queue
            ));
        }
        (Status::Completed, _) => because.push("every step is done".to_owned()),
        (Status::RolledBack, _) => because.push("nothing it made is left".to_owned()),
        (Status::Failed, _) if run.state.needs_attention() => {
            because.push(
                "not all of it could be undone: somebody has to settle what is left".to_owned(),
            );
        }
        (Status::Failed, _) => because.push("what is left is left on purpose".to_owned()),
        (Status::Running | Status::Compensating, _) if !owned => {
            because.push("it is due, and waits for a worker".to_owned());
        }
        _ => {}
    }
    because
}

/// The step that turned it, with its error.
fn step_failed(view: &SagaView, name: &str) -> String {
    let mut steps = view.steps.iter().flatten().filter(|step| step.step == name);
    match steps.find_map(|step| Some((step.step_idx, step.error.as_ref()?))) {
        Some((idx, error)) => format!("step {idx} `{name}` failed: {error}"),
        None => format!("step `{name}` failed"),
    }
}

/// What happens at the moment until which it stands so.
fn then(run: &Run, parked: Option<ParkReason>, waiting: Option<&Waiting>) -> Option<&'static str> {
    let waiting = match (parked, waiting) {
        (Some(_), _) => return Some("then it walks back by itself"),
        (None, waiting) => waiting?,
    };
    Some(match waiting.what {
        "start" => "then it begins",
        "retry" => "then it is tried again",
        "signal" | "approval" if goes_on(run.state.plan().step(waiting.step_idx)) => {
            "then it goes on without"
        }
        "signal" | "approval" | "lock" => "then that step fails, and what was done is undone",
        _ => "then it goes on",
    })
}

/// What became of telling people.
fn told(called: &Called) -> String {
    let tries = if called.tries == 1 { String::new() } else { format!(" {} times", called.tries) };
    match called.retry_at {
        None => "people were told by the hook".to_owned(),
        Some(_) => format!(
            "the hook was called{tries} in vain, so that perhaps nobody knows; it is called again"
        ),
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
        ("lock", Some(key)) => format!("waits for the lock `{key}`"),
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
            "an attempt may or may not have taken effect, and another could do it twice: find out \
             on the far side first"
        }
        ParkReason::PivotUnknown => {
            "its point of no return (the pivot) failed and may have taken effect: find out on the \
             far side; from here on it can only be finished"
        }
        ParkReason::BehindPivot => {
            "a step failed and is not tried again by itself; the saga is past its point of no \
             return (the pivot), so that it can only be finished"
        }
        ParkReason::BodyStillRunning => {
            "a body ignored that its time was over, and nothing is done beside it"
        }
        ParkReason::UndoHalted => {
            "an undo failed and is not tried again by itself; its policy is to stop there"
        }
        ParkReason::CannotDecode => "this program cannot read data that is stored for a step",
        ParkReason::Poison => "its process died again and again while it ran this saga alone",
        ParkReason::NoCapableWorker => "no worker knows all its steps",
        ParkReason::LedgerFull => "its ledger is full: it repeats something too often",
        ParkReason::Restored => {
            "the store was set back to a backup, and what it did since is not known: going on, it looks \
             for that first"
        }
    }
}
