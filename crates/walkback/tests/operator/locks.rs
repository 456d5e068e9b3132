//! Sagas that lock what they work on, and limits of how many run at once.

use walkback::engine::Operation;
use walkback::ledger::Row;
use walkback::{Error, Json, Order, SagaId, Status, Steps};

use crate::stage::{STORES, Stage};

const HOLDS: &str = r#"[{"step": "make", "lock": "site:{size}"}, {"wait_for": {"signal": "go"}}]"#;
const WANTS: &str = r#"["make", {"step": "make", "scope": "b", "lock": ["other", "site:{size}"]}]"#;

async fn go(stage: &Stage, id: SagaId) {
    let payload = Json::empty_object();
    let signal = Operation::Signal { name: "go".to_owned(), payload, id: None };
    assert!(stage.ask(id, &signal).await.unwrap());
}

async fn waits_for_lock(stage: &Stage, id: SagaId) {
    let saga = stage.until(id, |saga| saga.waiting_for.is_some()).await;
    let waiting = saga.waiting_for.unwrap();
    assert_eq!((waiting.what, waiting.name.as_deref()), ("lock", Some("site:1")));
}

async fn rows(stage: &Stage, id: SagaId) -> Vec<Row> {
    stage.engine.ledger(id, 0).await.unwrap()
}

/// A stage on which one saga holds `site:1`, and a second one waits for it.
async fn contended(store: &str) -> (Stage, SagaId, SagaId) {
    let mut stage = Stage::new(store);
    let holder = stage.start(HOLDS).await;
    stage.work().await;
    stage.until(holder, |saga| saga.waiting_for.is_some()).await;
    let waiter = stage.start(WANTS).await;
    waits_for_lock(&stage, waiter).await;
    (stage, holder, waiter)
}

#[tokio::test]
async fn the_second_waits_until_the_first_has_ended() {
    for store in STORES {
        let (mut stage, holder, waiter) = contended(store).await;
        let because = stage.engine.explain_saga(waiter).await.unwrap().because.join("; ");
        assert_eq!(
            because,
            format!("step 1 `make` waits for the lock `site:1`; `site:1` is held by saga {holder}")
        );
        go(&stage, holder).await;
        assert_eq!(stage.engine.wait_for_rest(waiter).await.unwrap(), Status::Completed);
        stage.stop().await;
        let ended = stage.show(holder).await.finished_at.unwrap();
        let taken = rows(&stage, waiter).await.into_iter().find(|row| row.kind == "locks_taken");
        assert!(taken.unwrap().at >= ended, "{store}");
        stage.verify().await;
    }
}

#[tokio::test]
async fn what_does_not_come_free_in_time_turns_the_saga() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let holder = stage.start(HOLDS).await;
        stage.work().await;
        stage.until(holder, |saga| saga.waiting_for.is_some()).await;
        let wants = r#"["make", {"step": "make", "scope": "b",
            "lock": {"key": "site:{size}", "within": "20ms"}}]"#;
        let waiter = stage.start(wants).await;
        assert_eq!(stage.engine.wait_for_rest(waiter).await.unwrap(), Status::RolledBack);
        let saga = stage.show(waiter).await;
        let steps = saga.steps.unwrap();
        let error = steps[1].error.as_deref().unwrap();
        assert_eq!(error, "others have held the lock `site:1` all the time");
        assert_eq!((steps[1].attempts, steps[0].compensation_attempts), (0, 1));
        go(&stage, holder).await;
        stage.engine.wait_for_rest(holder).await.unwrap();
        stage.stop().await;
        stage.verify().await;
    }
}

#[tokio::test]
async fn a_waiting_saga_can_be_cancelled_and_paused() {
    for store in STORES {
        let (mut stage, holder, waiter) = contended(store).await;
        assert!(stage.ask(waiter, &Operation::Pause).await.unwrap());
        stage.until(waiter, |saga| saga.status == Status::Parked).await;
        let third = stage.start(WANTS).await;
        waits_for_lock(&stage, third).await;
        let fourth = stage.start(WANTS).await;
        waits_for_lock(&stage, fourth).await;
        assert!(stage.ask(third, &Operation::Cancel).await.unwrap());
        assert_eq!(stage.engine.wait_for_rest(third).await.unwrap(), Status::RolledBack);
        go(&stage, holder).await;
        // The first in line is paused, and holds nobody up.
        assert_eq!(stage.engine.wait_for_rest(fourth).await.unwrap(), Status::Completed);
        assert!(stage.ask(waiter, &Operation::Resume { set: None }).await.unwrap());
        assert_eq!(stage.engine.wait_for_rest(waiter).await.unwrap(), Status::Completed);
        stage.stop().await;
        stage.verify().await;
    }
}

#[tokio::test]
async fn with_other_data_a_step_takes_other_locks() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let steps = r#"[{"step": "retry", "lock": "site:{size}"}]"#;
        let edited = stage.start(steps).await;
        stage.work().await;
        stage.until(edited, |saga| saga.steps.as_ref().unwrap()[0].attempts == 1).await;
        assert!(stage.ask(edited, &Operation::Pause).await.unwrap());
        stage.until(edited, |saga| saga.status == Status::Parked).await;
        stage.mend();
        let set = serde_json::from_str(r#"{"size": 2}"#).unwrap();
        assert!(stage.ask(edited, &Operation::Resume { set: Some(set) }).await.unwrap());
        assert_eq!(stage.engine.wait_for_rest(edited).await.unwrap(), Status::Completed);
        let rows = rows(&stage, edited).await;
        let taken = rows.iter().filter(|row| row.kind == "locks_taken");
        let taken: Vec<&str> = taken.map(|row| row.payload.as_str()).collect();
        let of = |size| format!(r#"{{"step":0,"locks":[{{"key":"site:{size}"}}]}}"#);
        assert_eq!(taken, [of(1), of(2)]);
        stage.stop().await;
        stage.verify().await;
    }
}

#[tokio::test]
async fn residue_keeps_its_lock_until_it_is_settled() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let stuck = stage.start(r#"[{"step": "stuck", "lock": "site:{size}"}, "fail"]"#).await;
        stage.work().await;
        assert_eq!(stage.engine.wait_for_rest(stuck).await.unwrap(), Status::Failed);
        let waiter = stage.start(WANTS).await;
        waits_for_lock(&stage, waiter).await;
        let resolve = Operation::Resolve { step: "0".to_owned() };
        assert!(stage.ask(stuck, &resolve).await.unwrap());
        assert_eq!(stage.engine.wait_for_rest(waiter).await.unwrap(), Status::Completed);
        stage.stop().await;
        stage.verify().await;
    }
}

#[tokio::test]
async fn a_rollback_takes_its_locks_first() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let done = stage.start(r#"[{"step": "make", "lock": "site:{size}"}]"#).await;
        stage.work().await;
        assert_eq!(stage.engine.wait_for_rest(done).await.unwrap(), Status::Completed);
        let holder = stage.start(HOLDS).await;
        stage.until(holder, |saga| saga.waiting_for.is_some()).await;
        let refused = stage.ask(done, &Operation::Rollback).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Locked { owner, key, .. } if *owner == holder && key == "site:1"),
            "{refused}"
        );
        go(&stage, holder).await;
        stage.engine.wait_for_rest(holder).await.unwrap();
        assert!(stage.ask(done, &Operation::Rollback).await.unwrap());
        assert_eq!(stage.engine.wait_for_rest(done).await.unwrap(), Status::RolledBack);
        stage.stop().await;
        stage.verify().await;
    }
}

/// The most of these sagas that held their limit at one moment.
async fn at_once(stage: &Stage, ids: &[SagaId]) -> i32 {
    let mut changes = Vec::new();
    for id in ids {
        let taken = rows(stage, *id).await.into_iter().find(|row| row.kind == "locks_taken");
        changes.push((taken.unwrap().at, 1));
        changes.push((stage.show(*id).await.finished_at.unwrap(), -1));
    }
    // What ends at a moment ends before what begins then.
    changes.sort_unstable();
    let sums = changes.iter().scan(0, |sum, (_, change)| {
        *sum += change;
        Some(*sum)
    });
    sums.max().unwrap()
}

#[tokio::test]
async fn a_limit_lets_so_many_run_at_once() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let limited = r#"[{"step": "make", "lock": {"key": "kind:staged", "at_most": 3}},
            {"sleep": {"for": "5ms"}}]"#;
        let mut ids = Vec::new();
        for _ in 0..12 {
            ids.push(stage.start(limited).await);
        }
        stage.work().await;
        for id in &ids {
            assert_eq!(stage.engine.wait_for_rest(*id).await.unwrap(), Status::Completed);
        }
        stage.stop().await;
        assert_eq!(at_once(&stage, &ids).await, 3, "{store}");
        stage.verify().await;
    }
}

#[tokio::test]
async fn mistakes_in_locks_are_named_before_anything_is_stored() {
    let stage = Stage::new("memory");
    let mistakes = [
        (r#"[{"echo": {"lock": "a:{nothing}"}}]"#, "locks `a:{nothing}` by `nothing`, "),
        (r#"[{"echo": {"lock": "a:{size"}}]"#, "expected fields in braces"),
        (r#"[{"echo": {"lock": ""}}]"#, "expected fields in braces"),
        (r#"[{"echo": {"lock": "a:{sizes}"}}]"#, "by `sizes` as a string or an integer"),
    ];
    for (steps, expected) in mistakes {
        let steps: Steps = serde_json::from_str(steps).unwrap();
        let order = Order::list("locks", steps).input(r#"{"size": 1, "sizes": [1]}"#);
        let error = stage.engine.start_saga(order).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let unread = serde_json::from_str::<Steps>(r#"[{"echo": {"lock": {"kye": "a"}}}]"#);
    assert!(unread.unwrap_err().to_string().contains("expected a key such as"));
}
