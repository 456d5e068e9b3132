//! The steps of a saga as a table, for `show` and the live view.

use walkback::machine::StepStatus;
use walkback::time::Timestamp;
use walkback::{describe::SagaView, describe::StepResult, describe::Waiting};

use crate::output::table::{Table, number, status, text};
use crate::output::time;

/// Characters of a progress bar.
const BAR: u64 = 20;

/// The steps of `of` as they stand `now`, each status after its mark.
pub(crate) fn table<'a>(
    saga: &SagaView,
    now: Timestamp,
    of: impl Iterator<Item = &'a StepResult>,
    mark: impl Fn(StepStatus) -> &'static str,
) -> Table {
    let mut table =
        Table::new(&["#", "STEP", "SCOPE", "STATUS", "TRIES", "UNDOS", "TOOK", "RESULT"]);
    for step in of {
        let cells = vec![
            number(Some(step.step_idx)),
            text(&step.step),
            text(step.scope.as_deref().unwrap_or_default()),
            status(step.status.name(), mark(step.status)),
            number(Some(step.attempts).filter(|tries| *tries > 0)),
            number(Some(step.compensation_attempts).filter(|tries| *tries > 0)),
            number(took(step, now)),
        ];
        table.row(cells, result(saga, step));
    }
    table
}

/// How long it took forward, or takes by now.
fn took(step: &StepResult, now: Timestamp) -> Option<String> {
    let end = match (step.finished_at.or(step.compensated_at), step.status) {
        (Some(end), _) => end,
        (None, StepStatus::Running) => now,
        (None, _) => return None,
    };
    Some(time::duration(end.since(step.started_at?)))
}

fn result(saga: &SagaView, step: &StepResult) -> String {
    let waits = saga.waiting_for.as_ref().filter(|waiting| waiting.step_idx == step.step_idx);
    if let Some(waiting) = waits {
        let error = step.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        return format!("{}{error}", wait(waiting));
    }
    let active = matches!(step.status, StepStatus::Running | StepStatus::Compensating);
    if let (true, Some((done, total))) = (active, step.progress) {
        return bar(done, total);
    }
    match (&step.error, &step.output) {
        (Some(error), _) if step.status != StepStatus::Completed => error.clone(),
        (_, Some(output)) if output.as_str() != "{}" => output.to_string(),
        _ => String::new(),
    }
}

/// What a saga waits for, in words.
pub(crate) fn wait(waiting: &Waiting) -> String {
    let what = match (waiting.what, &waiting.name) {
        ("retry", _) => "tries again".to_owned(),
        ("timer", _) => "goes on".to_owned(),
        ("start", _) => "begins".to_owned(),
        (what, Some(name)) => format!("waits for {what} `{name}`"),
        (what, None) => format!("waits for {what}"),
    };
    match (waiting.until, waiting.what) {
        (Some(at), "retry" | "timer" | "start") => format!("{what} {}", time::until(at)),
        (Some(at), _) => format!("{what}, at most until {}", time::moment(at)),
        (None, _) => what,
    }
}

fn bar(done: u64, total: u64) -> String {
    let filled = (done.min(total) * BAR).checked_div(total).unwrap_or(0);
    let times = |mark: &str, count: u64| mark.repeat(usize::try_from(count).unwrap_or(0));
    let (full, open) = (times("█", filled), times("░", BAR - filled));
    format!("{full}{open} {done}/{total}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_fills_its_bar() {
        assert_eq!(bar(0, 4), format!("{} 0/4", "░".repeat(20)));
        assert_eq!(bar(2, 4), format!("{}{} 2/4", "█".repeat(10), "░".repeat(10)));
        assert_eq!(bar(9, 4), format!("{} 9/4", "█".repeat(20)));
        assert_eq!(bar(0, 0), format!("{} 0/0", "░".repeat(20)));
    }
}
