//! Damage that only the outside record shows.

use crate::id::{Phase, idempotency_key};
use crate::json::Json;
use crate::machine::{By, Effect, Event, Then};
use crate::store::StoredRun;
use crate::verify::Report;

use super::fixed::forged;
use super::{judged, promises};

/// A body's line in the record: phase, step, attempt, `start` or `end`.
type Wrote = (Phase, usize, u32, &'static str);

fn line(run: &StoredRun, (phase, step, attempt, event): Wrote) -> String {
    let key = idempotency_key(run.spec.id, step, phase, 0);
    let (saga, phase) = (run.spec.id, phase.name());
    format!(
        r#"{{"saga_id":"{saga}","step_idx":{step},"phase":"{phase}","attempt":{attempt},"key":"{key}","event":"{event}"}}"#
    )
}

/// One step that was taken over once, and another whose undo followed.
fn run() -> StoredRun {
    let failed = Event::StepFailed {
        step: 1,
        effect: Effect::Clean,
        error: "no".into(),
        then: Then::WalkBack,
    };
    let events = [
        (0, Event::Accepted),
        (1, Event::StepStarted { step: 0, attempt: 1 }),
        (2, Event::TakenOver),
        (2, Event::StepStarted { step: 0, attempt: 1 }),
        (2, Event::StepCompleted { step: 0, output: Json::empty_object(), by: By::Execute }),
        (2, Event::StepStarted { step: 1, attempt: 1 }),
        (2, failed),
        (2, Event::UndoStarted { step: 0, attempt: 1 }),
        (2, Event::UndoCompleted { step: 0 }),
    ];
    forged(r#"["echo","echo"]"#, &events, None)
}

async fn recorded(wrote: &[Wrote]) -> Report {
    let run = run();
    let lines: Vec<_> = wrote.iter().map(|wrote| line(&run, *wrote)).collect();
    judged(vec![run], Some(lines.join("\n"))).await
}

const EXECUTE: Phase = Phase::Execute;
const UNDO: Phase = Phase::Compensate;

#[tokio::test]
async fn a_true_record_is_clean() {
    let report = recorded(&[
        (EXECUTE, 0, 1, "start"),
        (EXECUTE, 0, 1, "start"),
        (EXECUTE, 0, 1, "end"),
        (EXECUTE, 1, 1, "start"),
        (EXECUTE, 1, 1, "end"),
        (UNDO, 0, 1, "start"),
        (UNDO, 0, 1, "end"),
    ]);
    let report = report.await;
    assert!(report.is_clean() && report.late.is_empty(), "{report}");
}

#[tokio::test]
async fn a_body_without_its_row_is_found() {
    let report = recorded(&[(UNDO, 1, 1, "start")]).await;
    assert_eq!(promises(&report), ["I3"]);
    let report = recorded(&[(EXECUTE, 1, 1, "end")]).await;
    assert!(promises(&report).contains(&"I3"), "{report}");
    let report = recorded(&[(EXECUTE, 9, 1, "start")]).await;
    assert_eq!(promises(&report), ["I3"]);
}

#[tokio::test]
async fn more_bodies_than_rows_are_found() {
    let twice = [(EXECUTE, 1, 1, "start"), (EXECUTE, 1, 1, "start")];
    assert_eq!(promises(&recorded(&twice).await), ["I10", "I3"]);
}

#[tokio::test]
async fn a_success_that_never_ran_is_found() {
    let report = recorded(&[(UNDO, 0, 1, "start"), (UNDO, 0, 1, "end")]).await;
    assert_eq!(promises(&report), ["I10"]);
}

#[tokio::test]
async fn a_body_of_a_run_that_is_not_there_is_found() {
    let report = judged(Vec::new(), Some(line(&run(), (EXECUTE, 0, 1, "start")))).await;
    assert_eq!(promises(&report), ["I3"]);
}

#[tokio::test]
async fn a_key_of_another_is_found() {
    let run = run();
    let own = line(&run, (EXECUTE, 0, 1, "start"));
    let key = idempotency_key(run.spec.id, 0, EXECUTE, 0);
    for other in [idempotency_key(run.spec.id, 0, EXECUTE, 1), "k".repeat(65), "a b".into()] {
        let text = own.replace(&key, &other);
        assert_eq!(promises(&judged(vec![run.clone()], Some(text)).await), ["I9"]);
    }
}

#[tokio::test]
async fn an_undo_beside_an_execute_is_found() {
    let report = recorded(&[
        (EXECUTE, 0, 1, "start"),
        (EXECUTE, 0, 1, "end"),
        (EXECUTE, 1, 1, "start"),
        (UNDO, 0, 1, "start"),
        (EXECUTE, 1, 1, "end"),
        (UNDO, 0, 1, "end"),
    ]);
    assert_eq!(promises(&report.await), ["I13"]);
}

#[tokio::test]
async fn a_body_that_outlived_its_claim_is_late() {
    let report = recorded(&[
        (EXECUTE, 0, 1, "start"),
        (EXECUTE, 0, 1, "start"),
        (EXECUTE, 0, 1, "end"),
        (EXECUTE, 0, 1, "end"),
    ]);
    let report = report.await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.late.len(), 1);
}

/// A worker that was stopped between its commit and its body, and went on when others had undone it.
#[tokio::test]
async fn an_execute_that_begins_after_its_undo_is_late() {
    let ended =
        [(2, Event::UndoStarted { step: 0, attempt: 1 }), (2, Event::UndoCompleted { step: 0 })];
    let failed = Event::StepFailed {
        step: 0,
        effect: Effect::Unknown,
        error: "no".into(),
        then: Then::WalkBack,
    };
    let begun = |fence| (fence, Event::StepStarted { step: 0, attempt: 1 });
    let execute = [(EXECUTE, 0, 1, "start"), (EXECUTE, 0, 1, "end")];
    let undo = [(UNDO, 0, 1, "start"), (UNDO, 0, 1, "end")];
    let judge = async |rows: &[(u64, Event)], wrote: &[[Wrote; 2]]| {
        let events = [&[(0, Event::Accepted)], rows, &ended].concat();
        let run = forged(r#"["echo"]"#, &events, None);
        let lines = wrote.as_flattened().iter().map(|wrote| line(&run, *wrote));
        let record = lines.collect::<Vec<_>>().join("\n");
        let report = judged(vec![run], Some(record)).await;
        (promises(&report), report.late.len())
    };
    // The other found that it had begun, and undid it.
    let once = [begun(1), (0, Event::CancelRequested), (2, Event::TakenOver)];
    assert_eq!(judge(&once, &[execute, undo]).await, (vec![], 0));
    assert_eq!(judge(&once, &[undo, execute]).await, (vec![], 1));
    // The other began it again, and then undid it.
    let twice = [begun(1), (2, Event::TakenOver), begun(2), (2, failed.clone())];
    assert_eq!(judge(&twice, &[execute, execute, undo]).await, (vec![], 0));
    assert_eq!(judge(&twice, &[execute, undo, execute]).await, (vec![], 1));
    // Nobody took over.
    assert_eq!(judge(&[begun(2), (2, failed)], &[undo, execute]).await, (vec!["I13"], 0));
}

#[tokio::test]
async fn a_malformed_line_is_named() {
    let run = run();
    let good = line(&run, (EXECUTE, 0, 1, "start"));
    for bad in ["{", "{}", &good.replace("execute", "exec"), &good.replace("start", "begin")] {
        let report = judged(vec![run.clone()], Some(format!("{good}\n\n{bad}\n"))).await;
        assert_eq!(promises(&report), ["I3"], "{bad}");
        assert!(report.violations[0].what.contains("line 3"), "{report}");
    }
}
