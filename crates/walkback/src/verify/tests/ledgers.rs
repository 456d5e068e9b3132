//! Damage that the store alone shows.

use crate::id::ClaimId;
use crate::json::Json;
use crate::machine::{By, Effect, Event, Status, Then, UndoThen};
use crate::plan::StepIdx;
use crate::store::StoredRun;
use crate::time::Timestamp;

use super::fixed::{forged, reseal};
use super::{damaged, judged, promises};

const THREE: &str = r#"["echo","echo","echo"]"#;

fn start(step: StepIdx) -> (u64, Event) {
    (1, Event::StepStarted { step, attempt: 1 })
}

fn done(step: StepIdx) -> (u64, Event) {
    (1, Event::StepCompleted { step, output: Json::empty_object(), by: By::Execute })
}

fn clean_failure(step: StepIdx) -> (u64, Event) {
    let (effect, then) = (Effect::Clean, Then::WalkBack);
    (1, Event::StepFailed { step, effect, error: "no".into(), then })
}

fn undo(step: StepIdx) -> (u64, Event) {
    (1, Event::UndoStarted { step, attempt: 1 })
}

fn undone(step: StepIdx) -> (u64, Event) {
    (1, Event::UndoCompleted { step })
}

/// Which promises are broken by a run of three steps to which this happened.
async fn happened(events: &[(u64, Event)], status: Option<Status>) -> Vec<&'static str> {
    let accepted = [(0, Event::Accepted)];
    let events: Vec<_> = accepted.into_iter().chain(events.iter().cloned()).collect();
    promises(&judged(vec![forged(THREE, &events, status)], None).await)
}

fn late(step: usize) -> Event {
    Event::CameLate { step, then: UndoThen::RetryAt(Timestamp::default()) }
}

fn second(runs: &mut [StoredRun]) -> &mut StoredRun {
    &mut runs[1]
}

#[tokio::test]
async fn a_forged_run_is_clean_by_itself() {
    let events = [start(0), done(0), start(1), clean_failure(1), undo(0), undone(0)];
    assert!(happened(&events, None).await.is_empty());
}

#[tokio::test]
async fn two_runs_with_one_key_are_found() {
    let found = damaged(|runs| {
        let key = runs[0].spec.key.clone();
        second(runs).spec.key = key;
    });
    assert_eq!(found.await, ["I2"]);
}

#[tokio::test]
async fn a_head_that_differs_from_its_ledger_is_found() {
    assert_eq!(damaged(|runs| second(runs).head.current_step = 0).await, ["I4"]);
    assert_eq!(damaged(|runs| second(runs).head.error = None).await, ["I4"]);
    assert_eq!(damaged(|runs| second(runs).head.status = Status::Completed).await, ["I4"]);
}

#[tokio::test]
async fn a_broken_chain_is_found() {
    let cut = damaged(|runs| second(runs).rows.truncate(3)).await;
    assert!(cut.contains(&"I5"), "{cut:?}");
    let swapped = damaged(|runs| second(runs).rows.swap(2, 3)).await;
    assert!(swapped.contains(&"I5"), "{swapped:?}");
    let by_name = damaged(|runs| second(runs).rows[2].actor = Some("mallory".into())).await;
    assert_eq!(by_name, ["I5"]);
    assert_eq!(damaged(|runs| second(runs).head.hash.0[0] ^= 1).await, ["I5"]);
    assert_eq!(
        damaged(|runs| second(runs).spec.inputs = Json::parse("{ }").unwrap()).await,
        ["I5"]
    );
}

#[tokio::test]
async fn a_fence_without_a_claim_is_found() {
    let found = damaged(|runs| {
        let run = second(runs);
        run.rows[1].claim = ClaimId::NONE;
        reseal(run);
    });
    assert_eq!(found.await, ["I5"]);
}

#[tokio::test]
async fn what_cannot_happen_is_found() {
    assert_eq!(happened(&[done(0)], None).await, ["I6"]);
    let garbage = damaged(|runs| {
        let run = second(runs);
        run.rows[1].payload = "[]".into();
        reseal(run);
    });
    assert!(garbage.await.contains(&"I6"));
    let events = [start(0), done(7)];
    assert_eq!(happened(&events, None).await, ["I6"]);
}

#[tokio::test]
async fn a_row_after_rolled_back_is_found() {
    let events = [start(0), clean_failure(0), (2, Event::TakenOver)];
    assert_eq!(happened(&events, None).await, ["I6"]);
}

#[tokio::test]
async fn a_row_of_an_old_claim_is_found() {
    let events = [(2, start(0).1), (1, done(0).1), (2, start(1).1)];
    assert_eq!(happened(&events, None).await, ["I8"]);
    let found = damaged(|runs| {
        let run = second(runs);
        run.rows[2].claim = ClaimId::random();
        reseal(run);
    });
    assert_eq!(found.await, ["I8"]);
}

#[tokio::test]
async fn an_attempt_with_another_number_is_found() {
    let events = [(1, Event::StepStarted { step: 0, attempt: 2 })];
    assert_eq!(happened(&events, None).await, ["I6", "I9"]);
    let found = damaged(|runs| {
        let run = second(runs);
        run.rows[1].step_idx = Some(2);
        reseal(run);
    });
    assert_eq!(found.await, ["I9"]);
}

#[tokio::test]
async fn an_execution_too_many_is_found() {
    let events = [start(0), (1, Event::StepStarted { step: 0, attempt: 2 })];
    assert_eq!(happened(&events, None).await, ["I10", "I6"]);
}

#[tokio::test]
async fn a_step_that_starts_too_early_or_again_is_found() {
    assert_eq!(happened(&[start(1)], None).await, ["I11", "I6"]);
    let again = [start(0), done(0), (1, Event::StepStarted { step: 0, attempt: 2 })];
    assert_eq!(happened(&again, None).await, ["I10", "I11", "I6"]);
}

#[tokio::test]
async fn something_left_behind_is_found() {
    let events = [start(0), done(0), start(1), clean_failure(1)];
    assert_eq!(happened(&events, Some(Status::RolledBack)).await, ["I12", "I4"]);
    assert_eq!(happened(&events, Some(Status::Failed)).await, ["I12", "I4"]);
    let events = [start(0), clean_failure(0), undo(0)];
    assert_eq!(happened(&events, Some(Status::RolledBack)).await, ["I12", "I6"]);
}

#[tokio::test]
async fn what_came_late_and_was_left_is_found() {
    let back_once = [undo(0), undone(0)];
    let late = [(0, late(0))];
    let again = [(0, Event::UndoStarted { step: 0, attempt: 2 }), undone(0)];
    let begun = [start(0), done(0), (0, Event::CancelRequested)];
    let rows = |after: &[&[(u64, Event)]]| [&begun[..], &after.concat()].concat();
    let back = Some(Status::RolledBack);
    for told in [[&late[..], &back_once].concat(), [&back_once[..], &late].concat()] {
        assert_eq!(happened(&rows(&[&told]), back).await, ["I12", "I4"], "{told:?}");
        assert_eq!(happened(&rows(&[&told, &again]), back).await, [""; 0], "{told:?}");
    }
}

#[tokio::test]
async fn undoing_in_another_order_is_found() {
    let forward = [start(0), done(0), start(1), done(1), start(2), clean_failure(2)];
    let events: Vec<_> = forward.iter().cloned().chain([undo(0)]).collect();
    assert_eq!(happened(&events, None).await, ["I13", "I6"]);
    let beside = [start(0), done(0), start(1), (0, Event::CancelRequested), undo(0)];
    assert_eq!(happened(&beside, None).await, ["I13", "I6"]);
    let late = [start(0), done(0), (0, Event::CancelRequested), start(1)];
    assert_eq!(happened(&late, None).await, ["I13", "I6"]);
}

#[tokio::test]
async fn a_cancel_that_was_forgotten_is_found() {
    let found = damaged(|runs| runs[0].head.cancel_requested = true).await;
    assert_eq!(found, ["I14", "I4"]);
}

#[tokio::test]
async fn limbo_is_found() {
    let mut run = forged(THREE, &[(0, Event::Accepted), start(0), done(0)], None);
    (run.owner, run.head.wake_at) = (None, None);
    assert_eq!(promises(&judged(vec![run], None).await), ["I15"]);
    assert_eq!(damaged(|runs| second(runs).head.finished_at = None).await, ["I15", "I4"]);
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_found() {
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(crate::limits::OUTPUT_BYTES));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(64), "]".repeat(64));
    for output in [large, deep] {
        let output = serde_json::from_str(&output).unwrap();
        let completed = Event::StepCompleted { step: 0, output, by: By::Execute };
        assert_eq!(happened(&[start(0), (1, completed)], None).await, ["I18"]);
    }
}
