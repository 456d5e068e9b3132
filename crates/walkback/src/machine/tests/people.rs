//! What people do: by hand, pause, edits and rounds (rules S6, S9 and S12).

use serde_json::json;

use super::{Run, at, compensate, completed, edited, execute, probed, resumed, run, step};
use crate::machine::{By, Command, Effect, Event, Finding, ParkReason, Status, Then, UndoThen};

/// A run whose first step ended so, and that was paused then.
fn paused_after(facts: serde_json::Value, effect: Effect) -> Run {
    let mut run = run(&json!([step("a", facts), "b"]));
    run.starts(0).fails(0, effect, Then::RetryAt(at(9))).does(&Event::PauseRequested);
    run.parked_for(ParkReason::Paused);
    run
}

fn round(run: &Run) -> (u32, usize) {
    (run.state.step(0).round, run.state.step(0).edits)
}

/// S9: pause stops without walking back, after the bodies under way have ended.
#[test]
fn a_pause_lets_bodies_end_and_starts_nothing() {
    let mut run = run(&json!(["a", "b"]));
    run.starts(0).does(&Event::PauseRequested).is(Status::Running).wants(&[]);
    run.completes(0).parked_for(ParkReason::Paused);
    run.refuses(&Event::StepStarted { step: 1, attempt: 1 });
    run.does(&resumed()).wants(&[execute(1)]);
}

/// S9: a run that was not begun is paused at once.
#[test]
fn a_pending_run_can_be_paused_and_resumed() {
    let mut run = run(&json!(["a"]));
    run.does(&Event::PauseRequested).parked_for(ParkReason::Paused).wants(&[]);
    run.does(&resumed()).is(Status::Pending).runs([0]).is(Status::Completed);
}

/// S6: what a person completed by hand is undone with the output the person gave.
#[test]
fn what_was_completed_by_hand_is_undone() {
    let mut run = run(&json!(["a"]));
    run.starts(0).refuses(&completed(0, By::Hand));
    run.fails(0, Effect::Clean, Then::RetryAt(at(9))).does(&completed(0, By::Hand));
    run.is(Status::Completed).does(&Event::RollbackRequested).wants(&[compensate(0)]);
}

/// S12: after a clean end, edits open a round at once; the run does not seem unbegun.
#[test]
fn an_edit_after_a_clean_failure_opens_a_round() {
    let mut run = paused_after(json!({}), Effect::Clean);
    run.does(&edited()).is(Status::Running).wants(&[execute(0)]).starts(0);
    assert_eq!(round(&run), (1, 1));
    assert_eq!(run.state.edits_seen(0), run.state.edits());
}

/// S12: what an old round may have made is undone under its key before the new one executes.
#[test]
fn an_edit_after_an_unknown_outcome_undoes_the_old_round_first() {
    for probe in [false, true] {
        let mut run = paused_after(json!({"probe": probe}), Effect::Unknown);
        run.does(&edited()).refuses(&Event::StepStarted { step: 0, attempt: 2 });
        if probe {
            run.wants(&[Command::ProbeBack { step: 0 }]);
            run.does(&Event::UndoProbed { step: 0, found: None });
        }
        assert!(matches!(run.state.commands()[..], [Command::Compensate { step: 0, .. }]));
        assert_eq!(round(&run), (0, 0));
        run.undoes(0).wants(&[execute(0)]).starts(0);
        assert_eq!(round(&run), (1, 1));
    }
}

/// S12: without an undo the old round is probed: adopted if present, left behind if not.
#[test]
fn an_edit_without_an_undo_looks_for_the_old_round() {
    let mut run = paused_after(json!({"probe": true, "undo": false}), Effect::Unknown);
    run.does(&edited());
    assert!(matches!(run.state.commands()[..], [Command::Probe { step: 0, .. }]));
    run.clone().does(&completed(0, By::Probe)).wants(&[execute(1)]);
    for finding in [Finding::Absent, Finding::CannotTell] {
        let mut run = run.clone();
        run.does(&probed(0, finding)).starts(0);
        assert_eq!(round(&run), (1, 1));
    }
}

/// S5 and S12: what is not repeatable is not executed with new data on a guess either.
#[test]
fn an_edit_does_not_repeat_what_must_not_be() {
    for probe in [false, true] {
        let facts = json!({"probe": probe, "undo": false, "repeatable": false});
        let mut run = paused_after(facts, Effect::Unknown);
        run.does(&edited()).refuses(&Event::StepStarted { step: 0, attempt: 2 });
        if probe {
            run.does(&probed(0, Finding::CannotTell));
        } else {
            run.does(&Event::StepParked { step: 0, reason: ParkReason::UnknownOutcome });
        }
        run.parked_for(ParkReason::UnknownOutcome).does(&resumed()).starts(0);
        assert_eq!(round(&run), (1, 1));
    }
}

/// I13: making room for new data is an undo, and none runs beside an execute.
#[test]
fn room_for_new_data_is_made_alone() {
    let mut run = run(&json!([["a", "b"]]));
    run.starts(0).fails(0, Effect::Unknown, Then::RetryAt(at(9))).does(&Event::PauseRequested);
    run.does(&edited()).refuses(&Event::StepStarted { step: 1, attempt: 1 });
    assert!(matches!(run.state.commands()[..], [Command::Compensate { step: 0, .. }]));
    run.starts_undo(0).wants(&[]).refuses(&Event::StepStarted { step: 1, attempt: 1 });
    run.does(&Event::UndoCompleted { step: 0 }).wants(&[execute(0), execute(1)]);
}

/// S12 and S8: an undo that fails on the way forward parks, and can be edited and tried again.
#[test]
fn an_undo_that_fails_going_forward_parks() {
    let mut run = paused_after(json!({"probe": true}), Effect::Unknown);
    run.does(&edited()).does(&Event::UndoProbed { step: 0, found: None }).starts_undo(0);
    let error = String::new;
    run.refuses(&Event::UndoFailed { step: 0, error: error(), then: UndoThen::Residue });
    let then = UndoThen::Park(ParkReason::UndoHalted);
    run.does(&Event::UndoFailed { step: 0, error: error(), then });
    run.parked_for(ParkReason::UndoHalted).does(&edited());
    run.undoes(0).starts(0);
    assert_eq!(round(&run), (1, 2));
}

/// S8 and S12: what an old round made may be removed by hand, also behind a pivot, where nothing
/// else would lead out; it is not left there, as the next round would not know of it.
#[test]
fn what_blocks_the_next_round_is_removed_by_hand() {
    let mut run = paused_after(json!({"pivot": true}), Effect::Unknown);
    run.does(&edited()).fails_undo(0, UndoThen::Park(ParkReason::UndoHalted));
    run.refuses(&Event::CancelRequested).refuses(&Event::Abandoned { step: 0 });
    run.does(&Event::Resolved { step: 0 }).starts(0);
    assert_eq!(round(&run), (1, 1));
}

/// S12: a step that is done keeps its result, and those to come see the edit.
#[test]
fn an_edit_leaves_what_is_done_alone() {
    let mut run = run(&json!(["a", "b"]));
    run.runs([0]).does(&Event::PauseRequested).does(&edited()).starts(1);
    assert_eq!(round(&run), (0, 0));
    assert_eq!(run.state.step(1).edits, 1);
}

/// S12: a cancel while room is made turns the same undo into the walk back.
#[test]
fn a_cancel_while_room_is_made_walks_back() {
    let mut run = paused_after(json!({}), Effect::Unknown);
    run.does(&edited()).starts_undo(0).does(&Event::CancelRequested);
    run.does(&Event::UndoCompleted { step: 0 }).is(Status::RolledBack);
}
