//! The table status × command of the contract, generated: every cell for every way to be there.

use serde_json::json;

use super::{Run, approval, at, edited, run, signal_named, step, waits};
use crate::machine::{
    By, Effect, Event, ParkReason, Request, Status, Then, UndoThen, Verdict, Wait,
};
use crate::testing::contract::{self, TABLE};

fn request(name: &str) -> Request {
    match name {
        "cancel" => Request::Cancel,
        "pause" => Request::Pause,
        "resume" => Request::Resume,
        "complete" => Request::Complete(0),
        "skip" => Request::Skip(0),
        "retry" => Request::Retry(None),
        "resolve" => Request::Resolve(0),
        "abandon" => Request::Abandon(0),
        "rollback" => Request::Rollback,
        "signal" => Request::Signal(None),
        "approve" => Request::Approve(0),
        "deny" => Request::Deny(0),
        _ => Request::Hold,
    }
}

/// What records `request` of step 0.
fn event(request: &Request) -> Event {
    match request {
        Request::Cancel => Event::CancelRequested,
        Request::Pause => Event::PauseRequested,
        Request::Resume => Event::Resumed { set: None },
        Request::Complete(step) => super::completed(*step, By::Hand),
        Request::Skip(step) => Event::StepSkipped { step: *step },
        Request::Retry(step) => Event::RetryRequested { step: *step },
        Request::Resolve(step) => Event::Resolved { step: *step },
        Request::Abandon(step) => Event::Abandoned { step: *step },
        Request::Rollback => Event::RollbackRequested,
        Request::Signal(_) => super::signal("s", "1", None),
        Request::Approve(step) => super::completed(*step, By::Approval),
        Request::Deny(step) => super::failed(*step, Effect::Clean, Then::WalkBack),
        Request::Hold => Event::HoldSet { until: at(99) },
    }
}

/// A run of one step, after these events.
fn after(events: &[Event]) -> Run {
    let mut run = run(&json!(["a"]));
    for event in events {
        run.does(event);
    }
    run
}

fn started() -> Event {
    Event::StepStarted { step: 0, attempt: 1 }
}

fn failed(then: Then) -> Event {
    super::failed(0, Effect::Unknown, then)
}

/// Runs in each column, with the marks that tell their conditional cells.
fn runs() -> Vec<(&'static str, &'static str, Run)> {
    let mut all = pending_and_running();
    all.extend(parked_forward());
    all.extend(walking_back());
    all
}

fn pending_and_running() -> Vec<(&'static str, &'static str, Run)> {
    let mut sibling = run(&json!([["a", "b"]]));
    sibling.starts(0).starts(1).fails(0, Effect::Clean, Then::Park(ParkReason::CannotDecode));
    vec![
        ("pending", "", after(&[])),
        ("running", "", after(&[started()])),
        ("running", "w", after(&[started(), failed(Then::RetryAt(at(9)))])),
        ("running", "w", after(&[started(), waits(0, Wait::Until(at(9)))])),
        ("running", "w", after(&[started(), waits(0, signal_named("s"))])),
        ("running", "wa", after(&[started(), waits(0, approval())])),
        ("running", "w", sibling),
    ]
}

fn parked_forward() -> Vec<(&'static str, &'static str, Run)> {
    let parked = "parked forward";
    let whole = |reason| Event::Parked { reason };
    let retry = || failed(Then::RetryAt(at(9)));
    let mut waiting = after(&[started(), waits(0, approval())]);
    waiting.does(&Event::PauseRequested);
    let mut edited_and_stuck = after(&[started(), retry(), Event::PauseRequested, edited()]);
    edited_and_stuck.fails_undo(0, UndoThen::Park(ParkReason::UndoHalted));
    vec![
        (parked, "c", after(&[Event::PauseRequested])),
        (parked, "c", after(&[started(), retry(), Event::PauseRequested])),
        (parked, "c", waiting),
        (parked, "c", after(&[started(), retry(), whole(ParkReason::Poison)])),
        (parked, "c", after(&[whole(ParkReason::NoCapableWorker)])),
        (parked, "cp", after(&[started(), failed(Then::Park(ParkReason::UnknownOutcome))])),
        (parked, "cph", after(&[started(), failed(Then::HoldUntil(at(9)))])),
        (parked, "pu", edited_and_stuck),
    ]
}

fn walking_back() -> Vec<(&'static str, &'static str, Run)> {
    let turned = || after(&[started(), failed(Then::WalkBack)]);
    let undo = |then: UndoThen| {
        let mut run = turned();
        run.fails_undo(0, then);
        run
    };
    let mut undoing = turned();
    undoing.starts_undo(0);
    let mut paused = turned();
    paused.does(&Event::PauseRequested);
    let mut abandoned = undo(UndoThen::Residue);
    abandoned.does(&Event::Abandoned { step: 0 });
    let mut undone = turned();
    undone.undoes(0);
    vec![
        ("compensating", "", turned()),
        ("compensating", "", undoing),
        ("compensating", "", undo(UndoThen::RetryAt(at(9)))),
        ("compensating", "", after(&[started(), Event::CancelRequested])),
        ("parked backward", "", paused),
        ("parked backward", "p", undo(UndoThen::Park(ParkReason::UndoHalted))),
        ("completed", "", after(&[started(), super::completed(0, By::Execute)])),
        ("failed", "ol", undo(UndoThen::Residue)),
        ("failed", "l", abandoned),
        ("rolled_back", "", undone),
        ("rolled_back", "", after(&[Event::CancelRequested])),
    ]
}

fn status_of(column: &str) -> Status {
    Status::named(column).unwrap_or(Status::Parked)
}

/// Rule 3, the table: all 8 columns × 13 commands, for every way to be in a column.
#[test]
fn every_command_fits_exactly_where_the_table_says() {
    for (column, marks, run) in runs() {
        assert_eq!(run.state.status(), status_of(column), "{column}");
        assert_eq!(run.state.turned(), !matches!(column, "completed") && back(column), "{column}");
        let mut legal = Vec::new();
        for (name, _) in TABLE {
            let expected = match contract::expected(name, column, marks) {
                Some(true) => Verdict::Fits,
                Some(false) => Verdict::AlreadySo,
                None => Verdict::Refused,
            };
            let found = run.state.permits(&request(name));
            let so_already = name == "abandon" && found == Verdict::AlreadySo && marks == "l";
            assert!(
                found == expected || so_already,
                "{name} of a {column} run ({marks}): {found:?}"
            );
            if expected == Verdict::Fits {
                legal.push(name);
            }
        }
        assert_eq!(run.state.legal(), legal, "{column}");
    }
}

fn back(column: &str) -> bool {
    matches!(column, "compensating" | "parked backward" | "failed" | "rolled_back")
}

/// What fits can happen, and nothing else: the machine and the table agree.
#[test]
fn what_a_command_records_is_legal_exactly_when_it_fits() {
    for (column, _, run) in runs() {
        for (name, _) in TABLE {
            let request = request(name);
            let event = event(&request);
            let mut run = run.clone();
            if name == "deny" && run.state.body_under_way() {
                continue;
            }
            let deniable = name == "deny" && column == "running";
            if run.state.permits(&request) == Verdict::Fits {
                run.does(&event);
            } else if !deniable {
                run.refuses(&event);
            }
        }
    }
}

/// Rule 3: a second pause is so already, while bodies still end.
#[test]
fn a_run_that_is_pausing_is_paused_once() {
    let mut run = after(&[started(), Event::PauseRequested]);
    assert_eq!(run.state.permits(&Request::Pause), Verdict::AlreadySo);
    run.is(Status::Running).wants(&[]).completes(0).is(Status::Completed);
}

/// S10: from a pivot's start on, cancel is refused; S13: and so is a rollback that could not be.
#[test]
fn a_pivot_refuses_cancel_from_its_start_and_rollback_without_an_undo() {
    let pivot = step("p", json!({"pivot": true, "undo": false}));
    let mut run = run(&json!(["a", pivot]));
    run.runs([0]);
    assert_eq!(run.state.permits(&Request::Cancel), Verdict::Fits);
    run.starts(1);
    assert_eq!(run.state.permits(&Request::Cancel), Verdict::Refused);
    run.completes(1).is(Status::Completed);
    assert_eq!(run.state.permits(&Request::Rollback), Verdict::Refused);
    assert_eq!(run.state.legal(), Vec::<&str>::new());
}

/// S12: data is edited to go forward again; a run that walks back does not.
#[test]
fn a_run_that_walks_back_takes_no_edits() {
    let mut run = after(&[started(), failed(Then::WalkBack), Event::PauseRequested]);
    run.refuses(&edited()).does(&Event::Resumed { set: None }).is(Status::Compensating);
}
