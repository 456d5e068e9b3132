//! The ways out of an undo that cannot succeed, and of a completed saga (rules S8 and S13).

use walkback::desired::Provision;
use walkback::engine::Operation;
use walkback::{
    Attempt, Effect, Engine, Error, Json, MemoryStore, Order, Registry, Status, StepError, step_fn,
};

use crate::stage::{STORES, Stage, steps};

const STUCK: &str = r#"["make", "stuck", "stuck", "fail"]"#;

fn of(step: &str, make: fn(String) -> Operation) -> Operation {
    make(step.to_owned())
}

#[tokio::test]
async fn mended_and_retried_it_is_rolled_back() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(STUCK).await;
        let failed = stage.settle(id).await;
        assert_eq!(failed.status, Status::Failed);
        assert_eq!(
            steps(&failed),
            ["compensated", "compensation_failed", "compensation_failed", "failed"]
        );
        assert!(stage.ask(id, &Operation::Retry { step: None }).await.unwrap());
        assert_eq!(stage.settle(id).await.status, Status::Failed, "nothing was mended");
        stage.mend();
        assert!(stage.ask(id, &Operation::Retry { step: Some("2".to_owned()) }).await.unwrap());
        let one = stage.settle(id).await;
        assert_eq!((one.status, one.residue.len()), (Status::Failed, 1));
        assert!(stage.ask(id, &Operation::Retry { step: None }).await.unwrap());
        let saga = stage.settle(id).await;
        assert_eq!((saga.status, saga.residue.len()), (Status::RolledBack, 0));
        assert_eq!(steps(&saga), ["compensated", "compensated", "compensated", "failed"]);
        stage.verify().await;
    }
}

#[tokio::test]
async fn resolved_it_is_rolled_back_and_never_undone_again() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(STUCK).await;
        stage.settle(id).await;
        let resolve = |step| of(step, |step| Operation::Resolve { step });
        assert!(stage.ask(id, &resolve("1")).await.unwrap());
        let one = stage.show(id).await;
        assert_eq!((one.status, one.residue.len()), (Status::Failed, 1));
        assert!(stage.ask(id, &resolve("2")).await.unwrap());
        let saga = stage.show(id).await;
        assert_eq!((saga.status, saga.residue.len()), (Status::RolledBack, 0));
        assert_eq!(steps(&saga), ["compensated", "resolved", "resolved", "failed"]);
        let refused = stage.ask(id, &Operation::Retry { step: None }).await;
        assert!(matches!(refused, Err(Error::DoesNotFit { .. })), "{refused:?}");
        stage.verify().await;
    }
}

#[tokio::test]
async fn abandoned_it_stays_listed_and_needs_nobody() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(STUCK).await;
        stage.settle(id).await;
        for step in ["1", "2"] {
            assert!(stage.ask(id, &of(step, |step| Operation::Abandon { step })).await.unwrap());
        }
        let saga = stage.show(id).await;
        assert_eq!((saga.status, saga.residue.len()), (Status::Failed, 2));
        assert_eq!(steps(&saga), ["compensated", "abandoned", "abandoned", "failed"]);
        let attention = walkback::store::Filter { attention: true, limit: 9, ..Default::default() };
        assert!(stage.engine.find_sagas(attention).await.unwrap().is_empty());
        assert!(stage.ask(id, &of("1", |step| Operation::Resolve { step })).await.unwrap());
        stage.verify().await;
    }
}

#[tokio::test]
async fn a_completed_saga_is_undone_on_purpose() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(r#"["make", ["make", {"step": "make", "scope": "b"}]]"#).await;
        assert_eq!(stage.settle(id).await.status, Status::Completed);
        assert!(stage.ask(id, &Operation::Rollback).await.unwrap());
        let saga = stage.settle(id).await;
        assert_eq!(
            (saga.status, saga.error.unwrap().reason),
            (Status::RolledBack, "rollback".into())
        );
        stage.verify().await;
    }
}

/// An engine whose one step adopts the network that the order names.
fn networks() -> Engine {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Net {
        net: String,
    }
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Vpc {
        vpc: String,
    }
    async fn adopt((): (), _: Attempt, net: Net) -> Result<Vpc, StepError> {
        Ok(Vpc { vpc: net.net })
    }
    async fn leave((): (), _: Attempt, _: Net, _: Effect<Vpc>) -> Result<(), StepError> {
        Ok(())
    }
    let adopt = step_fn("adopt", (), adopt).compensate(leave).provisions(|_, made: &Vpc| {
        Some(Provision::new("cloud", "vpc", &made.vpc, Json::empty_object()))
    });
    Engine::new(Registry::new().step(adopt), MemoryStore::new()).unwrap()
}

#[tokio::test]
async fn what_another_saga_owns_by_now_is_not_rolled_back() {
    let engine = networks();
    let adopt = || Order::steps(["adopt"]).input(r#"{"net": "vpc-1"}"#);
    let first = engine.start_saga(adopt()).await.unwrap().id;
    let second = engine.start_saga(adopt()).await.unwrap().id;
    engine.work_until_idle().await.unwrap();
    let asked = walkback::engine::Asked::default();
    let refused = engine.operate(first, &Operation::Rollback, &asked).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("vpc `vpc-1` is by now owned by saga"), "{said}");
    assert!(said.contains(&second.to_string()), "{said}");
    // Once the other has let go, nothing is in the way.
    let abandon = engine.operate(second, &Operation::Rollback, &asked).await;
    assert!(matches!(abandon, Err(Error::NotTheOwner { owner: Some(id), .. }) if id == first));
}

#[tokio::test]
async fn work_done_by_hand_provisions_as_the_step_would() {
    let engine = networks();
    let id =
        engine.start_saga(Order::steps(["adopt"]).input(r#"{"net": "vpc-1"}"#)).await.unwrap().id;
    let asked = walkback::engine::Asked { actor: "ada".to_owned(), reason: None };
    assert!(engine.operate(id, &Operation::Pause, &asked).await.unwrap());
    let complete = |output: &str| Operation::Complete {
        step: "adopt".to_owned(),
        output: Json::parse(output).unwrap(),
    };
    for (output, expected) in [
        (r#"{"vpc": 7}"#, "output of step 0 `adopt`: `vpc` is a number: expected a string"),
        ("{}", "output of step 0 `adopt`: `vpc` is missing"),
        ("[]", "output is no JSON object"),
    ] {
        let refused = engine.operate(id, &complete(output), &asked).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    assert!(engine.operate(id, &complete(r#"{"vpc": "vpc-9"}"#), &asked).await.unwrap());
    let records = engine.store().provisioned(Some(id)).await.unwrap();
    assert_eq!((records.len(), &*records[0].what.external_id), (1, "vpc-9"));
    assert_eq!(engine.show_saga(id).await.unwrap().status, Status::Completed);
}
