//! Every kind of row, in every form its event can take, comes back as it was written.

use std::sync::Arc;

use crate::ledger::Writer;
use crate::machine::{By, Effect, Event, Finding, Lock, ParkReason, Then, UndoThen, Wait};
use crate::store::{Store, Transition};
use crate::testing::conformance::maker::{applied, at, json, load, must, owned, spec};
use crate::time::Timestamp;

type Under = Arc<dyn Store>;

/// An object that a careless store would change.
const ODD: &str = r#"{ "a\u0000'": [1.50, -0.0, 1E+2], "ü":"漢\"", "a\u0000'":null }"#;

fn done(by: By) -> Event {
    Event::StepCompleted { step: 0, output: json(ODD), by }
}

fn failed(effect: Effect, then: Then) -> Event {
    Event::StepFailed { step: 1, effect, error: ODD.to_owned(), then }
}

fn undo_failed(then: UndoThen) -> Event {
    Event::UndoFailed { step: 1, error: ODD.to_owned(), then }
}

fn waits(wait: Wait) -> Event {
    Event::StepWaits { step: 1, wait }
}

fn probed(finding: Finding) -> Event {
    Event::StepProbed { step: 0, finding }
}

fn parked(reason: ParkReason) -> Event {
    Event::Parked { reason }
}

fn signal(id: Option<String>) -> Event {
    Event::SignalReceived { name: ODD.to_owned(), payload: json(ODD), id }
}

/// Appends a row of this event, with somebody's name and reason, and reads it in both ways.
#[expect(clippy::expect_used, reason = "testing code reports by panic")]
async fn comes_back(store: &dyn Store, event: Event) {
    let (mut made, claim) = owned(store, spec()).await;
    let (actor, remark) = (Some(ODD), Some(("reason", ODD)));
    let writer = Writer { claim: claim.id(), fence: claim.fence(), at: at(-1), actor, remark };
    // A store does not ask whether an event fits: the machine does.
    let row = made.run.tip.row(claim.saga(), &event, &writer).expect("an event as JSON");
    let head = made.run.head();
    let rows = vec![row.clone()];
    let next = Transition::new(1, rows, head, Vec::new());
    applied(store, &claim, next).await;
    let stored = load(store, claim.saga()).await;
    assert_eq!(stored.rows[1], row);
    assert_eq!(stored.rows[1].hash(claim.saga()), made.run.tip.hash);
    assert!(matches!(stored.rows[1].event(), Ok(read) if read == event), "{row:?}");
    assert_eq!(must(store.rows(claim.saga(), 1).await), [row]);
}

macro_rules! kinds {
    ($($case:ident: $event:expr;)+) => {
        $(pub(super) async fn $case(store: Under) {
            comes_back(&*store, $event).await;
        })+
    };
}

kinds! {
    a_row_accepted_comes_back: Event::Accepted;
    a_row_start_delayed_comes_back: Event::StartDelayed { until: at(42) };
    a_row_started_comes_back: Event::StepStarted { step: 1, attempt: 3 };
    a_row_completed_by_its_body_comes_back: done(By::Execute);
    a_row_completed_by_a_probe_comes_back: done(By::Probe);
    a_row_completed_by_hand_comes_back: done(By::Hand);
    a_row_completed_by_a_signal_comes_back: done(By::Signal);
    a_row_completed_by_an_approval_comes_back: done(By::Approval);
    a_row_completed_by_expiry_comes_back: done(By::Expiry);
    a_row_failed_clean_comes_back: failed(Effect::Clean, Then::WalkBack);
    a_row_failed_unknown_comes_back: failed(Effect::Unknown, Then::WalkBack);
    a_row_failed_and_retried_comes_back: failed(Effect::Unknown, Then::RetryAt(at(7_000_001)));
    a_row_failed_and_held_comes_back: failed(Effect::Clean, Then::HoldUntil(at(7_000_001)));
    a_row_failed_and_parked_comes_back: failed(Effect::Unknown, Then::Park(ParkReason::PivotUnknown));
    a_row_waiting_for_a_moment_comes_back: waits(Wait::Until(at(8_000_000)));
    a_row_waiting_for_a_signal_comes_back: waits(Wait::Signal { name: "go".into(), until: None });
    a_row_waiting_for_a_signal_until_comes_back: waits(Wait::Signal { name: "go".into(), until: Some(at(1)) });
    a_row_waiting_for_an_approval_comes_back: waits(Wait::Approval { until: None });
    a_row_waiting_for_an_approval_until_comes_back: waits(Wait::Approval { until: Some(Timestamp::LAST) });
    a_row_waiting_for_a_lock_comes_back: waits(Wait::Lock { key: ODD.into(), again: at(3), until: None });
    a_row_of_locks_taken_comes_back: Event::LocksTaken { step: 1, locks: vec![Lock { key: ODD.into(), at_most: Some(3) }] };
    a_row_probed_absent_comes_back: probed(Finding::Absent);
    a_row_probed_absent_too_soon_comes_back: probed(Finding::AbsentTooSoon(at(9_000_000)));
    a_row_probed_without_an_answer_comes_back: probed(Finding::CannotTell);
    a_row_undo_started_comes_back: Event::UndoStarted { step: 0, attempt: 12 };
    a_row_undo_completed_comes_back: Event::UndoCompleted { step: 0 };
    a_row_undo_failed_and_retried_comes_back: undo_failed(UndoThen::RetryAt(at(7_000_001)));
    a_row_undo_failed_for_good_comes_back: undo_failed(UndoThen::Residue);
    a_row_undo_failed_and_parked_comes_back: undo_failed(UndoThen::Park(ParkReason::UndoHalted));
    a_row_undo_waiting_comes_back: Event::UndoWaits { step: 1, until: at(2) };
    a_row_undo_probed_and_found_comes_back: Event::UndoProbed { step: 1, found: Some(json(ODD)) };
    a_row_undo_probed_in_vain_comes_back: Event::UndoProbed { step: 1, found: None };
    a_row_came_late_comes_back: Event::CameLate { step: 1, then: UndoThen::RetryAt(at(7_000_001)) };
    a_row_came_late_and_left_comes_back: Event::CameLate { step: 1, then: UndoThen::Residue };
    a_row_taken_over_comes_back: Event::TakenOver;
    a_row_handed_over_comes_back: Event::HandedOver;
    a_row_deadline_passed_comes_back: Event::DeadlinePassed;
    a_row_hold_ended_comes_back: Event::HoldEnded;
    a_row_hold_set_comes_back: Event::HoldSet { until: at(5) };
    a_row_cancel_requested_comes_back: Event::CancelRequested;
    a_row_pause_requested_comes_back: Event::PauseRequested;
    a_row_resumed_comes_back: Event::Resumed { set: None };
    a_row_resumed_with_edits_comes_back: Event::Resumed { set: Some(json(ODD)) };
    a_row_retry_of_all_requested_comes_back: Event::RetryRequested { step: None };
    a_row_retry_of_one_requested_comes_back: Event::RetryRequested { step: Some(1) };
    a_row_skipped_comes_back: Event::StepSkipped { step: 1 };
    a_row_resolved_comes_back: Event::Resolved { step: 1 };
    a_row_abandoned_comes_back: Event::Abandoned { step: 1 };
    a_row_hook_delivered_comes_back:
        Event::HookDelivered { parked: Some(ParkReason::Held), tries: u32::MAX };
    a_row_hook_failed_comes_back: Event::HookFailed {
        parked: None, tries: 1, error: ODD.to_owned(), retry_at: Timestamp::LAST
    };
    a_row_rollback_requested_comes_back: Event::RollbackRequested;
    a_row_signal_received_comes_back: signal(None);
    a_row_signal_received_with_an_id_comes_back: signal(Some(ODD.to_owned()));
    a_row_step_parked_comes_back: Event::StepParked { step: 0, reason: ParkReason::CannotDecode };
    a_row_parked_paused_comes_back: parked(ParkReason::Paused);
    a_row_parked_held_comes_back: parked(ParkReason::Held);
    a_row_parked_unknown_outcome_comes_back: parked(ParkReason::UnknownOutcome);
    a_row_parked_pivot_unknown_comes_back: parked(ParkReason::PivotUnknown);
    a_row_parked_behind_pivot_comes_back: parked(ParkReason::BehindPivot);
    a_row_parked_body_still_running_comes_back: parked(ParkReason::BodyStillRunning);
    a_row_parked_undo_halted_comes_back: parked(ParkReason::UndoHalted);
    a_row_parked_cannot_decode_comes_back: parked(ParkReason::CannotDecode);
    a_row_parked_poison_comes_back: parked(ParkReason::Poison);
    a_row_parked_no_capable_worker_comes_back: parked(ParkReason::NoCapableWorker);
    a_row_parked_ledger_full_comes_back: parked(ParkReason::LedgerFull);
    a_row_parked_restored_comes_back: parked(ParkReason::Restored);
    a_row_restored_comes_back: Event::Restored;
}
