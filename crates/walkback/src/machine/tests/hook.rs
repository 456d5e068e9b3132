//! Telling people: once for each reason, again when it failed, not for what no longer needs them.

use serde_json::json;

use super::{Run, at, run, step};
use crate::limits;
use crate::machine::{Effect, Event, ParkReason, Then, UndoThen};
use crate::time::Timestamp;

const DUE: Option<Timestamp> = Some(Timestamp::from_micros(0));

fn told(parked: Option<ParkReason>) -> Event {
    Event::HookDelivered { parked, tries: 1 }
}

fn not_told(parked: Option<ParkReason>) -> Event {
    Event::HookFailed { parked, tries: 1, error: String::new(), retry_at: at(70) }
}

fn paused() -> Run {
    let mut run = run(&json!([step("a", json!({"undo": true}))]));
    run.does(&Event::PauseRequested);
    run
}

#[test]
fn a_run_that_moves_calls_nobody() {
    let mut run = run(&json!(["a"]));
    assert_eq!(run.state.call_at(), None);
    run.starts(0);
    assert_eq!(run.state.call_at(), None);
    run.completes(0);
    assert_eq!(run.state.call_at(), None);
}

#[test]
fn people_are_told_once() {
    let mut run = paused();
    assert_eq!(run.state.call_at(), DUE);
    run.does(&told(Some(ParkReason::Paused)));
    assert_eq!(run.state.call_at(), None);
}

#[test]
fn a_call_that_failed_is_made_again_when_it_says() {
    let mut run = paused();
    run.does(&not_told(Some(ParkReason::Paused)));
    assert_eq!(run.state.call_at(), Some(at(70)));
    run.does(&told(Some(ParkReason::Paused)));
    assert_eq!(run.state.call_at(), None);
}

#[test]
fn a_run_that_parks_again_calls_again() {
    let mut run = paused();
    run.does(&told(Some(ParkReason::Paused))).does(&Event::Resumed { set: None });
    assert_eq!(run.state.call_at(), None);
    run.does(&Event::PauseRequested);
    assert_eq!(run.state.call_at(), DUE);
}

#[test]
fn another_reason_is_told_too() {
    let mut run = run(&json!(["a"]));
    run.starts(0).does(&Event::PauseRequested);
    run.fails(0, Effect::Unknown, Then::Park(ParkReason::UnknownOutcome));
    run.does(&told(Some(ParkReason::Paused)));
    assert_eq!(run.state.call_at(), None);
    let mut other = run.clone();
    other.does(&Event::Resumed { set: None });
    assert_eq!(other.state.call_at(), None, "resuming tries the parked step again");
    let mut stopped = paused();
    stopped.does(&told(Some(ParkReason::Held)));
    assert_eq!(stopped.state.call_at(), DUE, "what they were told is not why it stands still");
}

#[test]
fn residue_is_told_until_it_is_settled() {
    let mut run = run(&json!([step("a", json!({"undo": true}))]));
    run.runs([0]).does(&Event::RollbackRequested).fails_undo(0, UndoThen::Residue);
    assert_eq!(run.state.call_at(), DUE);
    run.does(&told(None));
    assert_eq!(run.state.call_at(), None);
    let mut retried = run.clone();
    retried.does(&Event::RetryRequested { step: None }).fails_undo(0, UndoThen::Residue);
    assert_eq!(retried.state.call_at(), DUE, "a new pass has failed");
    run.does(&Event::Abandoned { step: 0 });
    assert_eq!(run.state.call_at(), None);
}

#[test]
fn calls_use_up_nothing_of_what_the_run_may_write() {
    let mut run = paused();
    for _ in 0..limits::LEDGER_ROWS {
        run.does(&not_told(Some(ParkReason::Paused)));
    }
    run.does(&Event::Resumed { set: None }).starts(0);
    assert!(run.state.rows_left());
}
