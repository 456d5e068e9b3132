//! The table status × command, asked of real sagas on every store: what fits is done and recorded
//! with who and why, what does not is refused, naming what does, and leaves no trace.

use std::time::Duration;

use walkback::engine::Operation;
use walkback::testing::contract::{TABLE, expected};
use walkback::{Error, Json, SagaId};

use crate::stage::{STORES, Stage};

/// Ways to get into a column: its marks, the steps, and what is asked on the way.
const WAYS: [(&str, &str, &str, &[&str]); 21] = [
    ("pending", "", r#"["make"]"#, &[]),
    ("running", "", r#"["hang"]"#, &["work"]),
    ("running", "w", r#"["retry"]"#, &["settle"]),
    ("running", "w", r#"[{"sleep": {"for": "1h"}}]"#, &["settle"]),
    ("running", "w", r#"[{"wait_for": {"signal": "go"}}]"#, &["settle"]),
    ("running", "wa", r#"["approve"]"#, &["settle"]),
    ("compensating", "", r#"["shaky", "fail"]"#, &["settle"]),
    ("parked forward", "c", r#"["make"]"#, &["pause"]),
    ("parked forward", "c", r#"["retry"]"#, &["settle", "pause"]),
    ("parked forward", "c", r#"["approve"]"#, &["settle", "pause"]),
    ("parked forward", "cp", r#"["once"]"#, &["settle"]),
    ("parked forward", "cph", r#"[{"fail": {"hold_on_failure": "1h"}}]"#, &["settle"]),
    ("parked forward", "pu", r#"["fouled"]"#, &["settle", "pause", "edit", "settle"]),
    ("parked backward", "", r#"["shaky", "fail"]"#, &["settle", "pause"]),
    ("parked backward", "p", r#"["halt", "fail"]"#, &["settle"]),
    ("completed", "", r#"["make"]"#, &["settle"]),
    ("failed", "ol", r#"["stuck", "fail"]"#, &["settle"]),
    ("failed", "l", r#"["stuck", "fail"]"#, &["settle", "abandon"]),
    ("rolled_back", "", r#"["make", "fail"]"#, &["settle"]),
    ("rolled_back", "", r#"["make"]"#, &["cancel"]),
    ("rolled_back", "", r#"["stuck", "fail"]"#, &["settle", "resolve"]),
];

fn operation(name: &str) -> Operation {
    let step = || "0".to_owned();
    let nothing = Json::empty_object;
    match name {
        "cancel" => Operation::Cancel,
        "pause" => Operation::Pause,
        "resume" => Operation::Resume { set: None },
        "edit" => {
            Operation::Resume { set: Some(Json::of(&serde_json::json!({"size": 2})).unwrap()) }
        }
        "complete" => Operation::Complete { step: step(), output: nothing() },
        "skip" => Operation::Skip { step: step() },
        "retry" => Operation::Retry { step: None },
        "resolve" => Operation::Resolve { step: step() },
        "abandon" => Operation::Abandon { step: step() },
        "rollback" => Operation::Rollback,
        "signal" => Operation::Signal { name: "go".to_owned(), payload: nothing(), id: None },
        "approve" => Operation::Approve { step: Some(step()) },
        "deny" => Operation::Deny { step: Some(step()) },
        _ => Operation::Hold { time: Duration::from_mins(5) },
    }
}

/// A saga that has gone this way.
async fn gone(store: &str, steps: &str, way: &[&str]) -> (Stage, SagaId) {
    let mut stage = Stage::new(store);
    let id = stage.start(steps).await;
    for leg in way {
        match *leg {
            "settle" => drop(stage.settle(id).await),
            "work" => {
                stage.work().await;
                stage.until(id, |saga| saga.started_at.is_some()).await;
            }
            asked => assert!(stage.ask(id, &operation(asked)).await.unwrap(), "{asked}"),
        }
    }
    (stage, id)
}

async fn asked(store: &str, (column, marks, steps, way): (&str, &str, &str, &[&str])) -> u32 {
    let mut checks = 0;
    for (name, _) in TABLE {
        let (mut stage, id) = gone(store, steps, way).await;
        let (before, saga) = (stage.ledger(id).await, stage.show(id).await);
        let direction = if saga.error.is_some() { "backward" } else { "forward" };
        let status = saga.status.name();
        let stands =
            if status == "parked" { format!("{status} {direction}") } else { status.into() };
        assert_eq!(stands, column, "{steps} {way:?}");
        let what = format!("{name} of {column} ({steps} {way:?}) on {store}");
        let found = stage.ask(id, &operation(name)).await;
        let after = stage.ledger(id).await;
        // An abandoned residue is abandoned already.
        let again = (name, column, marks) == ("abandon", "failed", "l");
        match (found, expected(name, column, marks)) {
            (Ok(false), None) if again => assert_eq!(after.len(), before.len(), "{what}"),
            (Ok(true), Some(true)) => {
                let row = &after[before.len()];
                assert_eq!(row.actor.as_deref(), Some("ada"), "{what}");
                assert!(row.payload.contains(r#""reason":"a test""#), "{what}: {}", row.payload);
            }
            (Ok(false), Some(false)) => assert_eq!(after.len(), before.len(), "{what}"),
            (Err(Error::DoesNotFit { command, legal, .. }), None) => {
                assert_eq!(command, name, "{what}");
                let names = TABLE.iter().map(|(name, _)| *name);
                let fits: Vec<_> =
                    names.filter(|name| expected(name, column, marks) == Some(true)).collect();
                assert_eq!(legal, fits, "{what}");
                assert_eq!(after.len(), before.len(), "{what}");
            }
            (found, expected) => panic!("{what}: expected {expected:?}, found {found:?}"),
        }
        stage.verify().await;
        stage.stop().await;
        checks += 1;
    }
    checks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_does_in_every_status_what_the_table_says() {
    let mut checks = 0;
    for store in STORES {
        for way in WAYS {
            checks += asked(store, way).await;
        }
    }
    eprintln!("{checks} commands: {} ways x {} x {STORES:?}", WAYS.len(), TABLE.len());
    assert_eq!(checks, 546);
}
