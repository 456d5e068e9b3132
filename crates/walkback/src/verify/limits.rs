//! I18: limits.

use crate::id::ClaimId;
use crate::json::Json;
use crate::limits::{
    CONTEXT_BYTES, INPUT_BYTES, JSON_DEPTH, LEDGER_ROWS, LEDGER_ROWS_GRANT, OUTPUT_BYTES, STEPS,
};
use crate::machine::Event;
use crate::verify::{Case, Report};

/// Whether the run keeps within the limits.
pub(super) fn check(case: &Case<'_>, report: &mut Report) {
    let (id, steps) = (case.id(), case.plan.len());
    let inputs = &case.run.spec.inputs;
    within(case, report, "input", inputs.as_str().len(), INPUT_BYTES);
    within(case, report, "list of steps", steps, STEPS);
    let mut outputs = vec![0; steps];
    let mut layers = inputs.as_str().len();
    if too_deep(inputs) {
        report.add("I18", id, format_args!("its input is deeper than {JSON_DEPTH} levels"));
    }
    for event in case.events {
        match event {
            Event::StepCompleted { step, output, .. }
            | Event::UndoProbed { step, found: Some(output) } => {
                outputs[*step] = output.as_str().len();
                within(case, report, "output", output.as_str().len(), OUTPUT_BYTES);
                if too_deep(output) {
                    let what = format!("step {step} put out more than {JSON_DEPTH} levels");
                    report.add("I18", id, what);
                }
            }
            Event::Resumed { set: Some(set) } => layers += set.as_str().len(),
            _ => {}
        }
    }
    // What was found by looking back before an undo is no longer the context of anything.
    if !case.events.iter().any(|event| matches!(event, Event::UndoProbed { .. })) {
        within(case, report, "context", layers + outputs.iter().sum::<usize>(), CONTEXT_BYTES);
    }
    rows(case, report);
}

/// Rows of the engine: those it may write, what ends the bodies that were under way at the limit,
/// and what `resume` granted.
fn rows(case: &Case<'_>, report: &mut Report) {
    let own = case.run.rows.iter().filter(|row| row.claim != ClaimId::NONE).count();
    let resumes = case.events.iter().filter(|event| matches!(event, Event::Resumed { .. })).count();
    let granted = usize::try_from(LEDGER_ROWS + LEDGER_ROWS_GRANT * resumes as u64);
    let most = granted.unwrap_or(usize::MAX).saturating_add(2 * case.plan.len() + 1);
    within(case, report, "ledger", own, most);
}

fn within(case: &Case<'_>, report: &mut Report, what: &str, size: usize, most: usize) {
    if size > most {
        report.add("I18", case.id(), format_args!("its {what} has {size}; at most {most} may be"));
    }
}

fn too_deep(json: &Json) -> bool {
    let opened = json.as_str().bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    opened > JSON_DEPTH && Json::parse(json.as_str()).is_err()
}
