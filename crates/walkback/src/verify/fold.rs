//! I4, I6 and I15: the run's row against the fold of its ledger.

use crate::machine::{Event, Status};
use crate::run::Run;
use crate::store::Head;
use crate::verify::{Case, Report};

/// Folds the ledger and compares. Says of every event in which round of its step it happened.
pub(super) fn check(case: &Case<'_>, report: &mut Report) -> Vec<u32> {
    let (id, rows) = (case.id(), &case.run.rows);
    let mut rounds = Vec::with_capacity(rows.len());
    let mut run = Run::new(case.run.spec.clone(), case.plan.clone());
    for (row, event) in rows.iter().zip(case.events) {
        let ended = run.state.turned() && run.state.status() == Status::RolledBack;
        if ended && !matches!(event, Event::CameLate { .. }) {
            let what = format!("row {} (`{}`) follows `rolled_back`", row.seq, event.kind());
            report.add("I6", id, what);
            return rounds;
        }
        if let Err(illegal) = run.state.apply(row.at, event) {
            report.add("I6", id, format_args!("row {}: {illegal}", row.seq));
            return rounds;
        }
        run.happened(row.at, event);
        rounds.push(event.step().map_or(0, |step| run.state.step(step).round));
    }
    if case.events.len() == rows.len() {
        compare(case, &run.head(), report);
    }
    limbo(case, report);
    rounds
}

/// The stored head, field by field. When to wake is the worker's own: it may put it off.
fn compare(case: &Case<'_>, folded: &Head, report: &mut Report) {
    let stored = &case.run.head;
    let mut differs = |field: &str, stored: &dyn std::fmt::Debug, folded: &dyn std::fmt::Debug| {
        let what = format!("`{field}` is {stored:?}: its ledger says {folded:?}");
        report.add("I4", case.id(), what);
    };
    macro_rules! compare {
        ($($field:ident)*) => {$(
            if stored.$field != folded.$field {
                differs(stringify!($field), &stored.$field, &folded.$field);
            }
        )*};
    }
    compare!(status current_step steps cancel_requested error parked attention call_at);
    compare!(started_at finished_at);
}

/// Whether the run is due, owned, waits for something named, or rests.
fn limbo(case: &Case<'_>, report: &mut Report) {
    let (run, head) = (case.run, &case.run.head);
    let reason = match head.status {
        Status::Parked if head.parked.is_none() => "it is parked without a reason",
        Status::Pending | Status::Running | Status::Compensating
            if run.owner.is_none() && head.wake_at.is_none() && !waits_or_orphaned(case) =>
        {
            "nobody owns it, it is never due and waits for nothing"
        }
        Status::Completed | Status::Failed | Status::RolledBack if head.finished_at.is_none() => {
            "it is at its end without a time of its end"
        }
        _ => return,
    };
    report.add("I15", case.id(), reason);
}

/// Whether a step waits for a signal or an approval, or a body was under way when the owner went:
/// such a run goes to the next worker without being due.
fn waits_or_orphaned(case: &Case<'_>) -> bool {
    let mut open = vec![false; case.plan.len()];
    for event in case.events {
        match event {
            Event::TakenOver | Event::HandedOver => open.fill(false),
            Event::StepStarted { step, .. } | Event::UndoStarted { step, .. } => open[*step] = true,
            Event::StepWaits { step, wait } => {
                use crate::machine::Wait::{Lock, Until};
                open[*step] = !matches!(wait, Until(_) | Lock { .. });
            }
            Event::StepCompleted { step, .. }
            | Event::StepFailed { step, .. }
            | Event::StepSkipped { step }
            | Event::UndoCompleted { step }
            | Event::UndoFailed { step, .. }
            | Event::UndoWaits { step, .. } => open[*step] = false,
            _ => {}
        }
    }
    open.contains(&true)
}
