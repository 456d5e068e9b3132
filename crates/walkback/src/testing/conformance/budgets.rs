//! Budgets that all processes share.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{Booking, Store, Turn};
use crate::testing::conformance::maker::{at, must};

type Under = Arc<dyn Store>;

/// So slow that no clock fills it while a case runs.
const PER_SECOND: f64 = 0.001;

fn one(key: &str) -> Booking {
    let (calls, burst, reserve) = (1.0, 3.0, 0.0);
    let (longest, now) = (Duration::from_mins(25), at(1));
    Booking { key: key.to_owned(), calls, burst, per_second: PER_SECOND, reserve, longest, now }
}

/// Books; the wait in thousands of seconds, that is in calls, and whether it was too long.
async fn book(store: &dyn Store, booking: Booking) -> (f64, bool) {
    let (wait, too_long) = match must(store.book(booking).await) {
        Turn::In(wait) => (wait, false),
        Turn::TooLong(wait) => (wait, true),
    };
    ((wait.as_secs_f64() * PER_SECOND).round(), too_long)
}

pub(super) async fn what_may_be_made_at_once_is_and_the_next_waits(store: Under) {
    for _ in 0..3 {
        assert_eq!(book(&*store, one("a")).await, (0.0, false));
    }
    assert_eq!(book(&*store, one("a")).await, (1.0, false));
    assert_eq!(book(&*store, one("a")).await, (2.0, true), "who comes first goes first");
    assert_eq!(book(&*store, one("a")).await, (2.0, true), "what is too long books nothing");
}

pub(super) async fn budgets_are_apart_by_their_keys(store: Under) {
    assert_eq!(book(&*store, Booking { calls: 3.0, ..one("a") }).await, (0.0, false));
    assert_eq!(book(&*store, one("A")).await, (0.0, false));
    assert_eq!(book(&*store, one("a")).await, (1.0, false));
}

pub(super) async fn a_reserve_is_left_to_the_urgent(store: Under) {
    let others = || Booking { reserve: 2.0, ..one("a") };
    assert_eq!(book(&*store, others()).await, (0.0, false));
    assert_eq!(book(&*store, others()).await, (1.0, false));
    assert_eq!(book(&*store, one("a")).await, (0.0, false));
}

pub(super) async fn a_budget_fills_up_again_and_not_over(store: Under) {
    let quick = |calls| Booking { calls, per_second: 1e9, ..one("a") };
    for now in 1..7 {
        let turn = must(store.book(Booking { now: at(now), ..quick(3.0) }).await);
        assert_eq!(turn, Turn::In(Duration::ZERO));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let more = Booking { calls: 10.0, longest: Duration::ZERO, ..one("a") };
    let (calls, too_long) = book(&*store, more).await;
    assert!(too_long && calls >= 7.0, "{calls}");
}
