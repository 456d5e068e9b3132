//! The limit of a run's ledger (promise I18) and poison (rule S15).

use serde_json::json;

use super::{Run, at, resumed, run, run_until, signal};
use crate::limits::{LEDGER_ROWS, LEDGER_ROWS_GRANT};
use crate::machine::{
    Command, Effect, Event, ParkReason, Request, Status, Then, UndoThen, Verdict,
};

const FULL: [Command; 1] = [Command::Park { reason: ParkReason::LedgerFull }];
const POISON: [Command; 1] = [Command::Park { reason: ParkReason::Poison }];

/// A run of two steps whose ledger has just no row left to go forward with.
fn full() -> Run {
    let mut run = run(&json!(["a", "b"]));
    run.state.rows = LEDGER_ROWS - run.state.plan().reserve();
    run
}

/// I18: at its limit a run parks before it goes on; `resume` grants more rows.
#[test]
fn a_run_whose_ledger_is_full_parks_and_resume_grants_more() {
    let mut run = full();
    run.state.rows -= 1;
    run.starts(0);
    run.completes(0).wants(&FULL).does(&Event::Parked { reason: ParkReason::LedgerFull });
    run.parked_for(ParkReason::LedgerFull).wants(&[]);
    run.does(&resumed()).is(Status::Running).wants(&[super::execute(1)]);
    run.state.rows += LEDGER_ROWS_GRANT;
    run.wants(&FULL);
}

/// I18: what goes forward leaves a reserve for the walk back.
#[test]
fn a_full_ledger_has_room_for_the_walk_back() {
    let mut run = full();
    run.state.rows -= 2;
    run.runs([0]).wants(&FULL);
    run.does(&Event::Parked { reason: ParkReason::LedgerFull }).does(&Event::CancelRequested);
    run.wants(&[super::compensate(0)]).undoes(0).is(Status::RolledBack);
}

/// I18: the reserve has an end as well.
#[test]
fn a_walk_back_without_rows_parks_too() {
    let mut run = full();
    run.runs([0]).does(&Event::CancelRequested);
    run.state.rows = LEDGER_ROWS;
    run.wants(&FULL).does(&FULL_EVENT).parked_for(ParkReason::LedgerFull);
    run.does(&resumed()).wants(&[super::compensate(0)]);
}

const FULL_EVENT: Event = Event::Parked { reason: ParkReason::LedgerFull };

/// I18: a signal would be a row more; a body's outcome is always recorded.
#[test]
fn a_full_ledger_takes_outcomes_and_no_signals() {
    let mut run = full();
    run.starts(0).refuses(&signal("s", "1", None));
    assert_eq!(run.state.permits(&Request::Signal(None)), Verdict::Refused);
    run.completes(0);
}

/// I18: a deadline is no growth; it is still kept when the rows are gone.
#[test]
fn a_full_ledger_still_has_a_deadline() {
    let mut run = run_until(&json!(["a"]), at(100));
    run.state.rows = LEDGER_ROWS;
    run.wants(&[Command::PassDeadline { at: at(100) }, FULL[0].clone()]);
}

/// Lets its process die so often under the step that is next.
fn dies(run: &mut Run, deaths: u32) {
    for _ in 0..deaths {
        run.starts(0).does(&Event::TakenOver);
    }
}

/// S15: two deaths without progress run alone, three alone park; `resume` runs it alone again.
#[test]
fn two_deaths_run_alone_and_three_alone_park() {
    let mut run = run(&json!(["a"]));
    dies(&mut run, 1);
    assert!(!run.state.runs_alone());
    dies(&mut run, 1);
    assert!(run.state.runs_alone());
    dies(&mut run, 2);
    run.is(Status::Running);
    dies(&mut run, 1);
    run.wants(&POISON).does(&Event::Parked { reason: ParkReason::Poison });
    run.parked_for(ParkReason::Poison).does(&resumed()).is(Status::Running);
    assert_eq!((run.state.deaths(), run.state.runs_alone()), (2, true));
    dies(&mut run, 3);
    run.wants(&POISON);
}

/// S15: a cancel lets a poisoned run walk back, alone.
#[test]
fn a_poisoned_run_that_is_cancelled_walks_back() {
    let mut run = run(&json!(["a"]));
    dies(&mut run, 5);
    run.does(&Event::Parked { reason: ParkReason::Poison }).does(&Event::CancelRequested);
    run.is(Status::Compensating)
        .wants(&[Command::Compensate { step: 0, not_before: crate::time::Timestamp::default() }]);
    assert!(run.state.runs_alone());
}

/// S15: committed progress clears a suspect, forward and back.
#[test]
fn progress_clears_a_suspect() {
    let mut run = run(&json!(["a", "b"]));
    dies(&mut run, 2);
    run.runs([0]);
    assert_eq!(run.state.deaths(), 0);
    run.starts(1).does(&Event::TakenOver).starts(1);
    run.fails(1, Effect::Clean, Then::WalkBack);
    assert_eq!(run.state.deaths(), 0);
    run.starts_undo(1).does(&Event::TakenOver);
    assert_eq!(run.state.deaths(), 1);
    run.fails_undo(1, UndoThen::RetryAt(at(1)));
    assert_eq!(run.state.deaths(), 0);
}

/// S15: only runs with a body under way are suspects, and a hand-over is no death.
#[test]
fn a_hand_over_and_an_idle_run_are_no_suspects() {
    let mut run = run(&json!(["a"]));
    run.does(&Event::TakenOver).starts(0).does(&Event::HandedOver);
    assert_eq!(run.state.deaths(), 0);
}
