//! Walking back: rules S5 to S9, S13 and S14.

use serde_json::json;

use super::{
    Run, at, compensate, completed, edited, execute_at, failed, late, output, probed, resumed,
    retried, run, run_until, signal, step,
};
use crate::machine::{
    By, Command, Effect, Event, Finding, ParkReason, Status, StepStatus, Then, UndoThen,
};

/// A run of three steps that all are done and is rolled back.
fn turned() -> Run {
    let mut run = run(&json!(["a", "b", "c"]));
    run.runs([0, 1, 2]).does(&Event::RollbackRequested);
    run
}

#[track_caller]
fn error(run: &Run, from: Option<usize>, reason: &str) {
    let error = run.state.error().expect("turned");
    assert_eq!((error.compensate_from_idx, error.reason.as_str()), (from, reason));
}

/// S6: the failing step is undone unless all its attempts failed clean; `error` says from where.
#[test]
fn the_failing_step_is_undone_unless_it_failed_clean() {
    let mut run = run(&json!(["a", "b"]));
    run.runs([0]).starts(1);
    let mut clean = run.clone();
    clean.fails(1, Effect::Clean, Then::WalkBack).wants(&[compensate(0)]);
    error(&clean, Some(0), "step_failed:b");
    clean.undoes(0).is(Status::RolledBack);
    assert_eq!(clean.state.step_status(1), StepStatus::Failed);
    run.fails(1, Effect::Unknown, Then::RetryAt(at(1))).starts(1);
    run.fails(1, Effect::Clean, Then::WalkBack).wants(&[compensate(1)]);
    error(&run, Some(1), "step_failed:b");
}

/// S6: steps without an undo are passed over; a skipped one that was attempted is not.
#[test]
fn what_has_no_undo_is_passed_over_and_what_was_skipped_is_not() {
    let mut run = run(&json!(["a", step("b", json!({"undo": false})), "c", "d"]));
    run.runs([0, 1]).starts(2).fails(2, Effect::Unknown, Then::RetryAt(at(9)));
    run.does(&Event::StepSkipped { step: 2 }).does(&Event::PauseRequested);
    run.does(&Event::StepSkipped { step: 3 }).is(Status::Completed);
    run.does(&Event::RollbackRequested).wants(&[compensate(2)]).undoes(2);
    run.wants(&[compensate(0)]).undoes(0).is(Status::RolledBack);
    assert_eq!(run.state.step_status(1), StepStatus::Completed);
    assert_eq!(run.state.step_status(3), StepStatus::Skipped);
}

/// S6: nothing new starts, waits are dropped, bodies are awaited, what they return is recorded.
#[test]
fn a_turn_drains_what_is_under_way_and_drops_what_waits() {
    let mut run = run(&json!([["a", "b", "c"], "d"]));
    run.starts(0).starts(1).starts(2).fails(1, Effect::Clean, Then::RetryAt(at(9)));
    run.does(&signal("s", "1", None)).does(&Event::CancelRequested).wants(&[]);
    assert!(run.state.wants_bodies_stopped() && run.state.first_signal("s").is_none());
    run.refuses(&Event::StepStarted { step: 1, attempt: 2 }).refuses(&signal("s", "1", None));
    run.completes(0).wants(&[]).fails(2, Effect::Clean, Then::WalkBack);
    run.wants(&[compensate(0)]).undoes(0).is(Status::RolledBack);
    error(&run, Some(0), "cancelled");
}

/// S6: nothing attempted, nothing to undo: the index is null.
#[test]
fn a_run_that_never_began_rolls_back_at_once() {
    let mut cancelled = run(&json!(["a"]));
    cancelled.does(&Event::CancelRequested).is(Status::RolledBack);
    error(&cancelled, None, "cancelled");
    let mut late = run_until(&json!(["a"]), at(100));
    late.does(&Event::DeadlinePassed).is(Status::RolledBack);
    error(&late, None, "deadline");
}

/// S7 and S14: the walk back is the reverse of the structure; members go back together.
#[test]
fn undoing_is_the_reverse_of_the_structure() {
    let mut run = run(&json!(["a", ["b", ["c", "d"]], "e"]));
    run.runs(0..5).does(&Event::RollbackRequested);
    error(&run, Some(4), "rollback");
    run.wants(&[compensate(4)]).refuses(&Event::UndoStarted { step: 1, attempt: 1 }).undoes(4);
    run.wants(&[compensate(1), compensate(3)]).starts_undo(1);
    run.refuses(&Event::UndoStarted { step: 2, attempt: 1 }).undoes(3);
    run.wants(&[compensate(2)]).undoes(2).wants(&[]);
    run.does(&Event::UndoCompleted { step: 1 }).wants(&[compensate(0)]).undoes(0);
    run.is(Status::RolledBack);
}

/// S5: going back, a probe turns unknown into known, and finding nothing suppresses no undo.
#[test]
fn a_probe_before_the_undo_never_suppresses_it() {
    for found in [None, Some(output())] {
        let mut run = run(&json!([step("a", json!({"probe": true}))]));
        run.starts(0).does(&Event::CancelRequested).does(&Event::TakenOver);
        run.wants(&[Command::ProbeBack { step: 0 }]);
        run.refuses(&Event::UndoStarted { step: 0, attempt: 1 });
        run.does(&Event::UndoProbed { step: 0, found: found.clone() });
        run.refuses(&Event::UndoProbed { step: 0, found: found.clone() });
        assert_eq!(run.state.step(0).output, found);
        run.wants(&[compensate(0)]).undoes(0).is(Status::RolledBack);
    }
}

/// S3 and S4: an undo waits and retries; a claim that ended under it counts no attempt.
#[test]
fn an_undo_waits_retries_and_survives_a_takeover() {
    let mut run = turned();
    run.starts_undo(2).does(&Event::UndoWaits { step: 2, until: at(50) });
    run.wants(&[Command::Compensate { step: 2, not_before: at(50) }]);
    run.fails_undo(2, UndoThen::RetryAt(at(60)));
    run.wants(&[Command::Compensate { step: 2, not_before: at(60) }]);
    run.starts_undo(2).does(&Event::TakenOver);
    assert_eq!(run.state.step(2).undo_attempts, 1);
    run.undoes(2).wants(&[compensate(1)]);
}

/// S8: an undo that failed for good stops no other; `retry` opens a new pass over the open ones.
#[test]
fn a_failed_undo_is_residue_and_the_walk_goes_on() {
    let mut run = turned();
    run.fails_undo(2, UndoThen::Residue).undoes(1).fails_undo(0, UndoThen::Residue);
    run.is(Status::Failed).wants(&[]);
    assert_eq!(run.state.residue().collect::<Vec<_>>(), [0, 2]);
    assert!(run.state.needs_attention());
    run.does(&Event::RetryRequested { step: None }).is(Status::Compensating);
    run.refuses(&Event::UndoStarted { step: 0, attempt: 2 }).undoes(2).undoes(0);
    run.is(Status::RolledBack);
}

/// S8: resolved is gone; abandoned stays listed, without attention, and can still be resolved.
#[test]
fn residue_is_resolved_or_abandoned() {
    let mut run = turned();
    run.fails_undo(2, UndoThen::Residue).fails_undo(1, UndoThen::Residue).undoes(0);
    run.does(&Event::Resolved { step: 2 }).refuses(&retried(2)).is(Status::Failed);
    run.does(&Event::Abandoned { step: 1 }).is(Status::Failed);
    assert!(!run.state.needs_attention());
    assert_eq!(run.state.residue().collect::<Vec<_>>(), [1]);
    run.refuses(&retried(1)).refuses(&Event::Abandoned { step: 1 });
    run.does(&Event::Resolved { step: 1 }).is(Status::RolledBack);
    assert_eq!(run.state.step_status(1), StepStatus::Resolved);
}

/// S8: with the policy `halt` the run parks; a person retries, resolves or abandons.
#[test]
fn a_halted_undo_parks_the_run() {
    let mut run = turned();
    run.fails_undo(2, UndoThen::Residue);
    run.fails_undo(1, UndoThen::Park(ParkReason::UndoHalted)).parked_for(ParkReason::UndoHalted);
    run.clone().does(&retried(1)).undoes(1).undoes(0).is(Status::Failed);
    run.clone().does(&Event::Resolved { step: 1 }).undoes(0).is(Status::Failed);
    run.does(&Event::Resolved { step: 2 }).does(&Event::Abandoned { step: 1 }).undoes(0);
    run.is(Status::Failed);
    assert_eq!(run.state.residue().collect::<Vec<_>>(), [1]);
}

/// S8: what cannot be decoded parks its undo, and the siblings are undone.
#[test]
fn an_undo_that_cannot_be_decoded_parks_beside_its_siblings() {
    let mut run = run(&json!([["a", "b"]]));
    run.runs([0, 1]).does(&Event::RollbackRequested);
    run.does(&Event::StepParked { step: 0, reason: ParkReason::CannotDecode });
    run.is(Status::Compensating).wants(&[compensate(1)]).undoes(1);
    run.parked_for(ParkReason::CannotDecode);
    run.refuses(&Event::StepParked { step: 1, reason: ParkReason::CannotDecode });
}

/// S9: pausing the walk back lets the undo end; nothing is undone until it is resumed.
#[test]
fn a_walk_back_can_be_paused() {
    let mut run = turned();
    run.starts_undo(2).does(&Event::PauseRequested).is(Status::Compensating);
    run.does(&Event::UndoCompleted { step: 2 }).parked_for(ParkReason::Paused).wants(&[]);
    run.does(&resumed()).wants(&[compensate(1)]);
}

/// S9: a pause that came too late to stop anything does not stop what is asked for later.
#[test]
fn a_rollback_or_retry_is_not_held_up_by_an_old_pause() {
    let mut run = run(&json!(["a"]));
    run.starts(0).does(&Event::PauseRequested).completes(0).is(Status::Completed);
    run.does(&Event::RollbackRequested).wants(&[compensate(0)]).starts_undo(0);
    run.does(&Event::PauseRequested);
    let error = String::new();
    run.does(&Event::UndoFailed { step: 0, error, then: UndoThen::Residue }).is(Status::Failed);
    run.does(&retried(0)).is(Status::Compensating).undoes(0);
}

/// S9 and I14: a success that comes after the cancel is recorded, undone, and never `completed`.
#[test]
fn an_accepted_cancel_never_ends_completed() {
    let mut run = run(&json!(["a"]));
    run.starts(0).does(&Event::CancelRequested).completes(0).is(Status::Compensating);
    assert!(run.state.cancel_requested());
    run.undoes(0).is(Status::RolledBack);
}

/// S13: a completed run is rolled back unless a step behind a pivot cannot be.
#[test]
fn a_rollback_is_refused_where_something_behind_a_pivot_has_no_undo() {
    let pivot = || step("p", json!({"pivot": true}));
    let kept = || step("k", json!({"undo": false}));
    let read = || step("r", json!({"undo": false, "read_only": true}));
    for (steps, fits) in [
        (json!([kept(), pivot(), read()]), true),
        (json!([pivot(), kept()]), false),
        (json!([kept(), "b"]), true),
    ] {
        let mut run = run(&steps);
        let all = 0..run.state.plan().len();
        run.runs(all).is(Status::Completed);
        if fits {
            run.does(&Event::RollbackRequested)
        } else {
            run.refuses(&Event::RollbackRequested)
        };
    }
}

/// S3: a claim that ends while a body drains leaves its effect unknown: it is undone.
#[test]
fn a_takeover_while_draining_leaves_an_effect_to_undo() {
    let mut run = run(&json!(["a"]));
    run.starts(0).does(&Event::CancelRequested).does(&Event::HandedOver);
    run.refuses(&completed(0, By::Execute)).refuses(&failed(0, Effect::Clean, Then::WalkBack));
    run.undoes(0).is(Status::RolledBack);
}

/// What was made after others had walked back is undone too, and looked for first.
#[test]
fn what_came_late_is_undone_though_the_run_had_ended() {
    let mut run = run(&json!([step("a", json!({"probe": true})), "b"]));
    run.runs([0]).starts(1).does(&Event::CancelRequested).does(&Event::TakenOver);
    run.undoes(1).undoes(0).is(Status::RolledBack);
    run.does(&late(0)).is(Status::Compensating);
    run.wants(&[Command::ProbeBack { step: 0 }]);
    run.does(&Event::UndoProbed { step: 0, found: Some(output()) });
    run.wants(&[compensate(0)]);
    run.undoes(0).is(Status::RolledBack);
    run.does(&late(1)).undoes(1).is(Status::RolledBack);
}

/// What the walk back passed by, as it was not there, is undone when it came late.
#[test]
fn what_came_late_is_undone_though_it_was_not_there_before() {
    let mut run = run(&json!(["a", "b"]));
    run.runs([0]).starts(1).fails(1, Effect::Clean, Then::WalkBack).wants(&[compensate(0)]);
    run.does(&late(1)).refuses(&Event::UndoStarted { step: 0, attempt: 1 });
    run.undoes(1).undoes(1).undoes(0).is(Status::RolledBack);
}

/// What may have been made beside what is known is undone after that.
#[test]
fn what_came_late_is_undone_after_what_is_known() {
    for late_beside_the_undo in [false, true] {
        let mut run = run(&json!([step("a", json!({"probe": true}))]));
        run.runs([0]);
        if !late_beside_the_undo {
            run.does(&late(0)).is(Status::Completed);
        }
        run.does(&Event::RollbackRequested).starts_undo(0);
        assert_eq!(run.state.step(0).made(), crate::machine::Made::Known(&output()));
        if late_beside_the_undo {
            run.does(&late(0));
        }
        run.does(&Event::UndoCompleted { step: 0 }).is(Status::Compensating);
        assert_eq!(run.state.step(0).made(), crate::machine::Made::Unknown);
        run.does(&Event::UndoProbed { step: 0, found: None }).undoes(0).is(Status::RolledBack);
    }
}

/// What is found of an unknown outcome is one thing; what came late may be another.
#[test]
fn what_is_found_before_the_undo_is_not_all_that_came_late() {
    let mut run = run(&json!([step("a", json!({"probe": true}))]));
    run.starts(0).does(&Event::CancelRequested).does(&Event::TakenOver);
    run.does(&late(0));
    run.does(&Event::UndoProbed { step: 0, found: Some(output()) }).undoes(0);
    run.is(Status::Compensating).wants(&[Command::ProbeBack { step: 0 }]);
    run.does(&Event::UndoProbed { step: 0, found: None }).undoes(0).is(Status::RolledBack);
}

/// Where others may have what the run had, a person says when what came late is undone.
#[test]
fn what_came_late_can_be_residue() {
    let mut run = run(&json!(["a"]));
    run.runs([0]).does(&Event::RollbackRequested).undoes(0);
    run.does(&Event::CameLate { step: 0, then: UndoThen::Residue }).is(Status::Failed).wants(&[]);
    assert_eq!(run.state.residue().collect::<Vec<_>>(), [0]);
    run.does(&retried(0)).undoes(0).is(Status::RolledBack);
}

/// A person removed by hand what was known; what came late is still to be undone.
#[test]
fn what_came_late_is_undone_though_what_was_known_is_resolved() {
    let mut run = run(&json!(["a"]));
    run.runs([0]).does(&Event::RollbackRequested).fails_undo(0, UndoThen::Residue);
    run.does(&late(0)).is(Status::Failed);
    run.does(&Event::Resolved { step: 0 }).is(Status::Compensating).undoes(0);
    run.is(Status::RolledBack);
}

/// S12: a round is over only when what came late in it is undone too.
#[test]
fn what_came_late_is_undone_before_the_next_round() {
    let mut run = run(&json!(["a", "b"]));
    run.starts(0).does(&Event::TakenOver).does(&Event::PauseRequested).does(&edited());
    run.starts_undo(0).does(&late(0)).does(&Event::UndoCompleted { step: 0 });
    run.refuses(&Event::StepStarted { step: 0, attempt: 1 }).undoes(0);
    run.runs([0, 1]).is(Status::Completed);
}

/// Going forward, what came late is looked for before the step is executed again.
#[test]
fn what_came_late_is_looked_for_before_another_try() {
    let mut run = run(&json!([step("a", json!({"probe": true}))]));
    run.starts(0).does(&Event::TakenOver).does(&probed(0, Finding::Absent));
    run.wants(&[execute_at(0, at(4))]).does(&late(0));
    run.refuses(&Event::StepStarted { step: 0, attempt: 1 });
    run.does(&completed(0, By::Probe)).is(Status::Completed);
}
