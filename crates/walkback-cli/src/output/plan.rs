//! A plan for people: the way forward, then the way back.

use walkback::describe::{
    NoUndoView, Place, PlanView, PlannedStep, PlannedUndo, RetryView, WalkBack,
};

use walkback_digitalocean::sagas::Quote;

use crate::output::Out;
use crate::output::table::{Fit, Table, number, text};
use crate::output::time::exact;

/// The plan's lines.
pub(crate) fn lines(plan: &PlanView, out: &Out) -> Vec<String> {
    let count = plan.steps.len();
    let steps = super::count(count, "step");
    let mut lines = vec![out.bold(&format!("forward   {}, {steps}", plan.kind))];
    lines.extend(forward(plan).lines(out, Fit::Beneath));
    lines.push(String::new());
    lines.push(out.bold("back      from whichever step the saga turns at, that one included"));
    lines.extend(back(plan).lines(out, Fit::Beneath));
    if plan.steps.iter().any(|step| !step.groups.is_empty()) {
        lines.push(String::new());
        lines.push("Steps in a bracket run together, and go back together.".to_owned());
        lines.push("├ begins the next of them.".to_owned());
    }
    lines
}

/// What the account says to the order of a site.
pub(crate) fn quote(quote: &Quote, out: &Out) -> Vec<String> {
    let counted = |(kind, count): &(&str, usize)| super::count(*count, &kind.replace('_', " "));
    let exists: Vec<_> = quote.exists.iter().map(counted).collect();
    let mut lines =
        vec![String::new(), out.bold("exists    then"), format!("  {}", exists.join(", "))];
    let unpriced = match quote.unpriced.as_slice() {
        [] => String::new(),
        kinds => format!("; the API has no price for {}", kinds.join(", ").replace('_', " ")),
    };
    lines.push(format!("  costs {:.4} dollars an hour for droplets{unpriced}", quote.per_hour));
    lines
}

/// What would be undone, step by step.
pub(crate) fn walk_back(back: &WalkBack, out: &Out) -> Vec<String> {
    let undone = back.steps.iter().filter(|step| step.undo).count();
    let steps = super::count(undone, "step");
    let mut lines = vec![out.bold(&format!("back      {steps} to undo"))];
    let mut table = Table::new(&["#", "STEP", "SCOPE", "UNDO", "WHY"]);
    for step in &back.steps {
        let cells = vec![
            number(Some(step.step_idx)),
            text(&step.step),
            text(step.scope.as_deref().unwrap_or_default()),
            text(if step.undo { "yes" } else { "no" }),
        ];
        table.row(cells, step.why);
    }
    lines.extend(table.lines(out, Fit::Beneath));
    lines.push(match back.by {
        "none" => "it walks back already".to_owned(),
        by => format!("begin it  walkback {by} {}", back.id),
    });
    lines
}

fn forward(plan: &PlanView) -> Table {
    let mut table = Table::new(&["#", "STEP", "SCOPE", "TIMEOUT", "TRIES", "REMARKS"]);
    let rows: Vec<&[Place]> = plan.steps.iter().map(|step| &*step.groups).collect();
    for (at, step) in plan.steps.iter().enumerate() {
        let cells = vec![
            number(Some(step.step_idx)),
            text(format!("{}{}", brackets(&rows, at), step.step)),
            text(step.scope.as_deref().unwrap_or_default()),
            number(Some(exact(step.options.timeout.0))),
            text(tries(step.options.retry)),
        ];
        table.row(cells, remarks(step));
    }
    table
}

fn back(plan: &PlanView) -> Table {
    let mut table = Table::new(&["#", "STEP", "SCOPE", "UNDO", "TIMEOUT", "TRIES", "WHY NOT"]);
    let step_of = |undo: &PlannedUndo| &plan.steps[undo.step_idx];
    let rows: Vec<&[Place]> = plan.walk_back.iter().map(|undo| &*step_of(undo).groups).collect();
    for (at, undo) in plan.walk_back.iter().enumerate() {
        let step = step_of(undo);
        let undone = undo.undo && !undo.past_pivot;
        let cells = vec![
            number(Some(undo.step_idx)),
            text(format!("{}{}", brackets(&rows, at), undo.step)),
            text(undo.scope.as_deref().unwrap_or_default()),
            text(what(undo)),
            number(undone.then(|| exact(step.options.compensate_timeout.0))),
            text(if undone { tries(step.options.compensate_retry) } else { String::new() }),
        ];
        let reason = undo.no_undo.as_ref().and_then(|no_undo| no_undo.reason);
        table.row(cells, reason.filter(|_| !undo.past_pivot).unwrap_or_default());
    }
    table
}

fn what(undo: &PlannedUndo) -> &'static str {
    if undo.past_pivot {
        return "no, past the pivot";
    }
    undo.no_undo.as_ref().map_or("yes", no_undo)
}

fn no_undo(no_undo: &NoUndoView) -> &'static str {
    match no_undo.why {
        "read_only" => "read only",
        "retained" => "no, it is kept",
        "irreversible" => "no, it cannot be",
        _ => "no, none is given",
    }
}

fn remarks(step: &PlannedStep) -> String {
    let hold = step.options.hold_on_failure.map(|hold| format!("holds {}", exact(hold.0)));
    let facts = [
        step.pivot.then(|| "pivot: from its start on only forward".to_owned()),
        (!step.options.repeatable).then(|| "not repeatable".to_owned()),
        step.probe.then(|| "has a probe".to_owned()),
        hold.map(|hold| format!("{hold} when it fails")),
    ];
    facts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `5, 1s to 1m apart`.
fn tries(retry: RetryView) -> String {
    if retry.attempts == 1 {
        return "1".to_owned();
    }
    let (first, most) = (exact(retry.backoff.0.0), exact(retry.backoff.1.0));
    format!("{}, {first} to {most} apart", retry.attempts)
}

/// The brackets before a step's name, one column for each group around it; `rows` are the groups
/// around each step, as they are listed.
fn brackets(rows: &[&[Place]], at: usize) -> String {
    let place_in = |row: Option<usize>, group: usize| -> Option<Place> {
        rows.get(row?)?.iter().find(|place| place.group == group).copied()
    };
    let mark = |place: &Place| {
        let before = place_in(at.checked_sub(1), place.group);
        let after = place_in(at.checked_add(1), place.group);
        match (before, after) {
            (None, None) => "─ ",
            (None, Some(_)) => "┌ ",
            (Some(_), None) => "└ ",
            (Some(before), Some(_)) if before.member != place.member => "├ ",
            (Some(_), Some(_)) => "│ ",
        }
    };
    rows[at].iter().map(mark).collect()
}
