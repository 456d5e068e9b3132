//! Steps that wait for somebody: signals, approvals, what is done when nobody comes (rule S16).

use std::time::Duration;

use walkback::engine::{Asked, Operation};
use walkback::time::Timestamp;
use walkback::{Json, Order, SagaId, Status};

use crate::stage::{STORES, Stage, steps};

async fn signal(
    stage: &Stage,
    id: SagaId,
    name: &str,
    payload: &str,
    dedupe: Option<&str>,
) -> bool {
    let payload = Json::parse(payload).unwrap();
    let id_of = dedupe.map(str::to_owned);
    let operation = Operation::Signal { name: name.to_owned(), payload, id: id_of };
    stage.ask(id, &operation).await.unwrap()
}

fn context(saga: &walkback::describe::SagaView, field: &str) -> serde_json::Value {
    saga.context.as_ref().unwrap().value()[field].clone()
}

#[tokio::test]
async fn signals_are_taken_in_their_order_whenever_they_come() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let paid = r#"{"wait_for": {"signal": "paid"}}"#;
        let id = stage
            .start(&format!(
                r#"[{paid}, "make", {{"wait_for": {{"signal": "paid", "scope": "again"}}}}]"#
            ))
            .await;
        assert!(
            signal(&stage, id, "paid", r#"{"amount": 1}"#, Some("a")).await,
            "before it begins"
        );
        assert!(!signal(&stage, id, "paid", r#"{"amount": 9}"#, Some("a")).await, "the same again");
        let waits = stage.settle(id).await;
        assert_eq!(steps(&waits), ["completed", "completed", "running"]);
        let waiting = waits.waiting_for.as_ref().unwrap();
        assert_eq!((waiting.what, waiting.name.as_deref()), ("signal", Some("paid")));
        assert!(signal(&stage, id, "other", "{}", None).await);
        assert!(signal(&stage, id, "paid", r#"{"amount": 2}"#, None).await);
        stage.work().await;
        stage.engine.wait_for_rest(id).await.unwrap();
        stage.stop().await;
        let saga = stage.show(id).await;
        assert_eq!(saga.status, Status::Completed);
        assert_eq!(
            (context(&saga, "amount"), context(&saga, "again")["amount"].clone()),
            (1.into(), 2.into())
        );
        stage.verify().await;
    }
}

#[tokio::test]
async fn a_waiting_saga_is_woken_while_a_worker_works() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(r#"["make", {"wait_for": {"signal": "go"}}]"#).await;
        stage.work().await;
        stage.until(id, |saga| saga.waiting_for.is_some()).await;
        assert!(signal(&stage, id, "go", "{}", None).await);
        assert_eq!(stage.engine.wait_for_rest(id).await.unwrap(), Status::Completed);
        stage.stop().await;
    }
}

#[tokio::test]
async fn a_signal_that_does_not_come_fails_the_step_or_lets_it_go_on() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let never = |more: &str| {
            format!(r#"["make", {{"wait_for": {{"signal": "x", "within": "1ms"{more}}}}}]"#)
        };
        let fails = stage.start(&never("")).await;
        let goes_on = stage.start(&never(r#", "otherwise": "go_on""#)).await;
        stage.work().await;
        assert_eq!(stage.engine.wait_for_rest(fails).await.unwrap(), Status::RolledBack);
        assert_eq!(stage.engine.wait_for_rest(goes_on).await.unwrap(), Status::Completed);
        stage.stop().await;
        let saga = stage.show(fails).await;
        assert_eq!(steps(&saga), ["compensated", "failed"]);
        let error = saga.steps.unwrap()[1].error.clone();
        assert_eq!(error.as_deref(), Some("what it waited for did not come in time"));
        stage.verify().await;
    }
}

#[tokio::test]
async fn an_approval_is_given_by_those_who_may() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(r#"["make", {"approve": {"by": ["grace", "alan"]}}]"#).await;
        let waits = stage.settle(id).await;
        assert_eq!(waits.waiting_for.unwrap().what, "approval");
        let approve = Operation::Approve { step: None };
        let refused = stage.ask(id, &approve).await.unwrap_err().to_string();
        let who =
            "`ada` may not decide on step 1 `approve`: expected `grace` or `alan` (`--actor`)";
        assert_eq!(refused, who);
        // Nor is there a way round it.
        let output = walkback::Json::parse(r#"{"approved_by": "grace"}"#).unwrap();
        let step = "approve".to_owned();
        let complete = Operation::Complete { step: step.clone(), output };
        for round in [Operation::Skip { step }, complete] {
            assert_eq!(stage.ask(id, &round).await.unwrap_err().to_string(), who);
        }
        let explained = stage.engine.explain_saga(id).await.unwrap();
        assert_eq!(explained.next[0].does, "as `grace` or `alan`: let step 1 `approve` go on");
        let grace = Asked { actor: "grace".to_owned(), reason: Some("it is paid".to_owned()) };
        assert!(stage.engine.operate(id, &approve, &grace).await.unwrap());
        let saga = stage.settle(id).await;
        assert_eq!(saga.status, Status::Completed);
        assert_eq!(context(&saga, "approved_by"), "grace");
        assert_eq!(context(&saga, "reason"), "it is paid");
        stage.verify().await;
    }
}

#[tokio::test]
async fn a_denial_fails_the_step_clean_and_the_saga_walks_back() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(r#"["make", "approve"]"#).await;
        stage.settle(id).await;
        assert!(stage.ask(id, &Operation::Deny { step: None }).await.unwrap());
        let saga = stage.settle(id).await;
        assert_eq!(
            (saga.status, steps(&saga)),
            (Status::RolledBack, vec!["compensated", "failed"])
        );
        assert_eq!(saga.error.unwrap().reason, "step_failed:approve");
        let error = saga.steps.unwrap()[1].error.clone();
        assert_eq!(error.as_deref(), Some("denied by ada: a test"));
        stage.verify().await;
    }
}

#[tokio::test]
async fn of_several_that_wait_the_step_has_to_be_named() {
    let mut stage = Stage::new("memory");
    let id = stage.start(r#"[["approve", {"step": "approve", "scope": "legal"}]]"#).await;
    stage.settle(id).await;
    let several = stage.ask(id, &Operation::Approve { step: None }).await.unwrap_err().to_string();
    assert_eq!(
        several,
        "several steps wait for approval: expected one of 0 `approve`, 1 `approve`"
    );
    let named = |step: &str| Operation::Approve { step: Some(step.to_owned()) };
    let unclear = stage.ask(id, &named("approve")).await.unwrap_err().to_string();
    assert_eq!(
        unclear,
        "several steps are called `approve`: expected an index, one of 0 `approve`, 1 `legal.approve`"
    );
    let wrong = stage.ask(id, &named("legal.approves")).await.unwrap_err().to_string();
    assert_eq!(
        wrong,
        "there is no step `legal.approves`: expected one of 0 `approve`, 1 `legal.approve`"
    );
    assert!(stage.ask(id, &named("legal.approve")).await.unwrap());
    assert!(stage.ask(id, &Operation::Approve { step: None }).await.unwrap());
    assert_eq!(stage.show(id).await.status, Status::Completed);
}

#[tokio::test]
async fn a_hold_waits_for_a_look_and_can_be_made_longer() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(r#"["make", {"fail": {"hold_on_failure": "1h"}}]"#).await;
        let held = stage.settle(id).await.parked.unwrap();
        assert_eq!(held.reason, "held");
        assert!(stage.ask(id, &Operation::Hold { time: Duration::ZERO }).await.unwrap());
        stage.work().await;
        stage.until(id, |saga| saga.status == Status::RolledBack).await;
        stage.stop().await;
        stage.verify().await;
    }
}

#[tokio::test]
async fn what_a_signal_may_not_be_is_said_all_at_once() {
    let stage = Stage::new("memory");
    let id = stage.start(r#"["make"]"#).await;
    let payload = Json::parse("[1]").unwrap();
    let operation = Operation::Signal { name: String::new(), payload, id: Some("x".repeat(201)) };
    let said = stage.ask(id, &operation).await.unwrap_err().to_string();
    let expected = "signal's name has 0 bytes: expected 1 to 200\n\
                    signal's id has 201 bytes: expected 1 to 200\n\
                    signal's payload is a list: expected a JSON object";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_delayed_start_waits_for_its_moment_and_can_be_cancelled_before() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let order = || Order::steps(["make"]);
        let later =
            stage.engine.start_saga(order().begin_in(Duration::from_hours(1))).await.unwrap();
        let soon =
            stage.engine.start_saga(order().begin_in(Duration::from_millis(30))).await.unwrap();
        let past = stage.engine.start_saga(order().begin_at(Timestamp::default())).await.unwrap();
        stage.work().await;
        for id in [soon.id, past.id] {
            assert_eq!(stage.engine.wait_for_rest(id).await.unwrap(), Status::Completed);
        }
        let (soon, waits) = (stage.show(soon.id).await, stage.show(later.id).await);
        assert!(soon.started_at.unwrap().since(soon.created_at) >= Duration::from_millis(30));
        assert_eq!(waits.status, Status::Pending);
        assert_eq!(waits.waiting_for.unwrap().what, "start");
        assert!(stage.ask(later.id, &Operation::Cancel).await.unwrap());
        assert_eq!(stage.show(later.id).await.status, Status::RolledBack);
        stage.stop().await;
        stage.verify().await;
    }
}
