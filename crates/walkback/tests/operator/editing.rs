//! Going forward again with edited data (rule S12).

use walkback::engine::{Asked, Operation};
use walkback::{
    Attempt, Effect, Engine, Json, MemoryStore, Options, Order, Registry, Status, StepError,
    step_fn,
};

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Place {
    region: String,
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Vpc {
    vpc: String,
}

async fn create((): (), attempt: Attempt, place: Place) -> Result<Vpc, StepError> {
    if place.region == "mars" {
        return Err(StepError::permanent("there is no region `mars`").clean());
    }
    Ok(Vpc { vpc: format!("{} {}", place.region, attempt.idempotency_key()) })
}

async fn delete((): (), _: Attempt, _: Place, _: Effect<Vpc>) -> Result<(), StepError> {
    Ok(())
}

fn engine() -> Engine {
    let hold = Options::new().hold_on_failure(std::time::Duration::from_hours(1));
    let step = step_fn("create_vpc", (), create).compensate(delete).options(hold);
    Engine::new(Registry::new().step(step), MemoryStore::new()).unwrap()
}

fn resume(set: &str) -> Operation {
    Operation::Resume { set: Some(Json::parse(set).unwrap()) }
}

#[tokio::test]
async fn a_held_saga_goes_on_with_edited_inputs_under_a_new_key() {
    let engine = engine();
    let asked = Asked { actor: "ada".to_owned(), reason: None };
    let order = Order::steps(["create_vpc"]).input(r#"{"region": "mars"}"#);
    let (id, status) = {
        let id = engine.start_saga(order).await.unwrap().id;
        // Its hold is a timer: the worker would wait for its end.
        let walkback::engine::Enlistment::Working(worker) = engine.enlist().await.unwrap() else {
            panic!("somebody else works");
        };
        let stop = tokio_util::sync::CancellationToken::new();
        let works = worker.run(walkback::worker::Until::Stopped, stop.clone());
        let waits = async {
            let status = engine.wait_for_rest(id).await.unwrap();
            stop.cancel();
            (id, status)
        };
        let (worked, waited) = tokio::join!(works, waits);
        worked.unwrap();
        waited
    };
    assert_eq!(status, Status::Parked);
    for (set, expected) in [
        (r#"{"region": 7}"#, "`region`"),
        ("[]", "the edits are no object: expected fields with their values"),
    ] {
        let refused = engine.operate(id, &resume(set), &asked).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    assert!(engine.operate(id, &resume(r#"{"region": "fra1"}"#), &asked).await.unwrap());
    engine.work_until_idle().await.unwrap();
    let saga = engine.show_saga(id).await.unwrap();
    assert_eq!(saga.status, Status::Completed);
    assert_eq!(saga.inputs.as_str(), r#"{"region": "mars"}"#, "inputs never change");
    let context = saga.context.unwrap().value();
    assert_eq!(context["region"], "fra1");
    assert!(context["vpc"].as_str().unwrap().starts_with("fra1 "), "{context}");
    let report = walkback::verify::verify(engine.store(), None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
