//! For which runs the hook is to be called, and when.

use std::sync::Arc;

use crate::machine::{Event, ParkReason};
use crate::store::{Appended, Store};
use crate::testing::conformance::maker::{Made, at, must, spec, started, transition};
use crate::time::Timestamp;

type Under = Arc<dyn Store>;

const PARKED: Option<ParkReason> = Some(ParkReason::Paused);

/// This happens to a run that nobody owns.
async fn happens(store: &dyn Store, made: &mut Made, event: Event) {
    let next = transition(&mut made.run, &[event], None);
    assert_eq!(must(store.append_unclaimed(made.run.spec.id, next).await), Appended::Applied);
}

async fn paused(store: &dyn Store) -> Made {
    let mut made = started(store, spec()).await;
    happens(store, &mut made, Event::PauseRequested).await;
    made
}

fn failed(retry_at: Timestamp) -> Event {
    Event::HookFailed { parked: PARKED, tries: 1, error: String::new(), retry_at }
}

pub(super) async fn nobody_is_called_for_a_run_that_needs_nobody(store: Under) {
    let mut made = started(&*store, spec()).await;
    assert!(must(store.calls(9).await).is_empty());
    happens(&*store, &mut made, Event::PauseRequested).await;
    happens(&*store, &mut made, Event::Resumed { set: None }).await;
    assert!(must(store.calls(9).await).is_empty());
}

pub(super) async fn a_call_is_due_until_it_was_made(store: Under) {
    let mut made = paused(&*store).await;
    assert_eq!(must(store.calls(9).await), [(made.run.spec.id, at(0))]);
    happens(&*store, &mut made, Event::HookDelivered { parked: PARKED, tries: 1 }).await;
    assert!(must(store.calls(9).await).is_empty());
}

pub(super) async fn a_call_that_failed_is_due_again_later(store: Under) {
    let mut made = paused(&*store).await;
    happens(&*store, &mut made, failed(at(7_000))).await;
    assert_eq!(must(store.calls(9).await), [(made.run.spec.id, at(7_000))]);
}

pub(super) async fn the_soonest_calls_come_first(store: Under) {
    let mut made = Vec::new();
    for moment in [9_000, 5_000, 7_000] {
        let mut one = paused(&*store).await;
        happens(&*store, &mut one, failed(at(moment))).await;
        made.push((one.run.spec.id, at(moment)));
    }
    assert_eq!(must(store.calls(2).await), [made[1], made[2]]);
}
