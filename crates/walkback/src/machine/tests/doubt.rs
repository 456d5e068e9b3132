//! A store that was set back: what may have been done since is looked for first.

use serde_json::json;

use super::{Run, at, completed, edited, execute, output, probed, resumed, run, step};
use crate::machine::{By, Command, Effect, Event, Finding, ParkReason, Status, Then};
use crate::time::Timestamp;

/// Three steps that can be probed and not be repeated, the first done, in a store that was set back.
fn set_back() -> Run {
    let facts = || json!({"probe": true, "repeatable": false});
    let mut run = run(&json!([step("a", facts()), step("b", facts()), step("c", facts())]));
    run.runs([0]).does(&Event::Restored).parked_for(ParkReason::Restored).wants(&[]);
    run
}

fn probe(since: Timestamp, step: usize) -> Command {
    Command::Probe { step, not_before: since }
}

/// Going on, every step that may have been begun is looked for, until one was not.
#[test]
fn what_may_have_been_done_is_looked_for_before_going_on() {
    let mut run = set_back();
    run.does(&resumed());
    run.wants(&[probe(at(4), 1)]).refuses(&Event::StepStarted { step: 1, attempt: 1 });
    run.clone().does(&completed(1, By::Probe)).refuses(&Event::StepStarted { step: 2, attempt: 1 });
    run.does(&probed(1, Finding::Absent)).starts(1).completes(1).wants(&[execute(2)]);
}

/// The walk back looks forward first, as what is behind a step can be found by its output alone.
#[test]
fn a_cancel_looks_for_everything_that_may_be_there() {
    let mut run = set_back();
    run.does(&Event::CancelRequested).is(Status::Compensating).wants(&[probe(at(4), 1)]);
    run.refuses(&Event::UndoStarted { step: 0, attempt: 1 });
    let mut absent = run.clone();
    absent.does(&probed(1, Finding::Absent)).wants(&[Command::ProbeBack { step: 1 }]);
    assert_eq!(absent.state.error().expect("turned").compensate_from_idx, Some(1));
    run.does(&completed(1, By::Probe)).wants(&[Command::ProbeBack { step: 2 }]);
    run.does(&Event::UndoProbed { step: 2, found: Some(output()) });
    run.undoes(2).undoes(1).undoes(0).is(Status::RolledBack);
}

/// A walk back looks past what it cannot look for; all of that may be there.
#[test]
fn what_cannot_be_looked_for_is_undone() {
    let mut run = set_back();
    run.does(&Event::CancelRequested).does(&probed(1, Finding::CannotTell));
    run.wants(&[Command::ProbeBack { step: 2 }]);
    let probed_last = json!(["a", "b", step("c", json!({"probe": true})), "d"]);
    let mut mixed = super::run(&probed_last);
    mixed.does(&Event::Restored).does(&Event::CancelRequested).wants(&[probe(at(2), 2)]);
    mixed.does(&probed(2, Finding::Absent)).does(&Event::UndoProbed { step: 2, found: None });
    mixed.undoes(2).undoes(1).undoes(0).is(Status::RolledBack);
    let mut plain = super::run(&json!(["a", "b"]));
    plain.does(&Event::Restored).does(&Event::CancelRequested);
    plain.undoes(1).undoes(0).is(Status::RolledBack);
}

/// What cannot be probed and not be repeated waits for a person; what can be repeated is.
#[test]
fn without_a_probe_a_step_is_repeated_or_parks() {
    let mut run = run(&json!(["a", step("b", json!({"repeatable": false}))]));
    run.does(&Event::Restored).does(&resumed());
    run.starts(0).completes(0);
    run.wants(&[Command::ParkStep { step: 1, reason: ParkReason::UnknownOutcome }]);
}

/// What changes nothing is done to see what it comes to, on the way back too.
#[test]
fn what_changes_nothing_is_looked_at_by_doing_it() {
    let looks = || step("a", json!({"undo": false, "read_only": true}));
    let mut run = run(&json!([looks(), step("b", json!({"probe": true})), "c"]));
    run.does(&Event::Restored);
    run.clone().does(&resumed()).wants(&[probe(at(2), 0)]);
    run.does(&Event::CancelRequested).wants(&[probe(at(2), 0)]);
    run.does(&completed(0, By::Probe)).wants(&[probe(at(2), 1)]);
    run.does(&probed(1, Finding::Absent)).does(&Event::UndoProbed { step: 1, found: None });
    run.undoes(1).is(Status::RolledBack);
}

/// A point of no return that may be passed is taken for passed.
#[test]
fn a_pivot_in_doubt_is_not_turned_behind() {
    let steps = json!([step("a", json!({"probe": true})), step("b", json!({"pivot": true}))]);
    let mut run = run(&steps);
    run.does(&Event::Restored).refuses(&Event::CancelRequested).does(&resumed());
    run.does(&probed(0, Finding::Absent)).does(&Event::CancelRequested);
}

/// Edits need to know what there is to edit.
#[test]
fn nothing_is_edited_while_anything_is_in_doubt() {
    let mut run = set_back();
    run.refuses(&edited()).does(&resumed());
    run.does(&probed(1, Finding::Absent)).does(&Event::PauseRequested).does(&edited());
}

/// A later round of a step may have been begun as well as its first.
#[test]
fn a_round_that_may_have_been_begun_is_looked_for() {
    let mut run = run(&json!([step("a", json!({"probe": true}))]));
    run.starts(0).fails(0, Effect::Unknown, Then::RetryAt(at(9))).does(&Event::PauseRequested);
    run.does(&edited()).does(&Event::Restored).does(&resumed());
    run.does(&Event::UndoProbed { step: 0, found: None }).undoes(0);
    run.wants(&[probe(at(6), 0)]);
}

/// A body that the backup saw under way is taken over first; a pause is still one afterwards.
#[test]
fn what_was_under_way_or_paused_stays_so() {
    let mut run = run(&json!(["a"]));
    run.does(&Event::PauseRequested).does(&Event::Restored).does(&resumed());
    run.is(Status::Running);
    run.starts(0).does(&Event::Restored).is(Status::Running).wants(&[]);
    run.does(&Event::TakenOver).parked_for(ParkReason::Restored);
}

/// What has ended is not touched, and a walk back has no doubts.
#[test]
fn what_is_over_stays_as_it_is() {
    let mut run = run(&json!(["a", "b"]));
    run.runs([0]).does(&Event::CancelRequested).does(&Event::Restored);
    run.parked_for(ParkReason::Restored).does(&resumed()).undoes(0).is(Status::RolledBack);
    run.refuses(&Event::Restored);
}
