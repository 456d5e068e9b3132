//! What is wired right runs, forward and back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use walkback::{
    Attempt, Effect, Engine, MemoryStore, Options, Order, Registry, Retry, Status, StepError,
    StepRef, Steps, step::StepFn, step_fn,
};

use crate::site::{Droplet, Place, Vpc, context, engine, run, run_list};

#[tokio::test]
async fn outputs_flow_by_the_names_of_their_fields() {
    let saga = run_list(r#"["create_vpc", "create_droplet"]"#, r#"{"region": "fra"}"#).await;
    assert_eq!(saga.status, Status::Completed);
    assert_eq!(context(&saga, "/vpc_id"), "vpc-fra");
    assert_eq!(context(&saga, "/droplet_id"), 7);
}

#[tokio::test]
async fn a_scope_keeps_two_uses_of_a_step_apart_and_lists_collect_them() {
    let steps = Steps::new()
        .then("create_vpc")
        .then_all([
            StepRef::new("create_droplet").scope("web"),
            StepRef::new("create_droplet").scope("db").with("size", "large"),
        ])
        .then(
            StepRef::new("create_balancer")
                .collect("droplet_ids", &["db.droplet_id", "web.droplet_id"]),
        );
    let order = Order::list("site", steps).input(r#"{"region": "fra"}"#);
    let saga = run(&engine(), order).await;
    assert_eq!(context(&saga, "/web/droplet_id"), 7);
    assert_eq!(context(&saga, "/balancer_id"), "lb[12, 7]");
}

#[tokio::test]
async fn within_a_scope_its_own_outputs_come_first() {
    let steps = r#"["create_vpc",
        {"step": "adopt_vpc", "scope": "old"},
        {"step": "create_droplet", "scope": "old"},
        {"step": "create_droplet", "scope": "new", "from": {"vpc_id": "old.vpc_id", "size": "inputs.region"}},
        {"step": "create_droplet"}]"#;
    let saga = run_list(steps, r#"{"region": "frankfurt"}"#).await;
    assert_eq!(context(&saga, "/old/droplet_id"), 7);
    assert_eq!(context(&saga, "/new/droplet_id"), 16);
    assert_eq!(context(&saga, "/droplet_id"), 13);
}

#[tokio::test]
async fn a_field_of_the_input_is_mapped_with_or_without_its_prefix() {
    for path in ["zone", "inputs.zone"] {
        let steps = Steps::new().then(StepRef::new("create_vpc").map("region", path));
        let saga = run(&engine(), Order::list("net", steps).input(r#"{"zone": "ams"}"#)).await;
        assert_eq!(context(&saga, "/vpc_id"), "vpc-ams");
    }
}

#[tokio::test]
async fn a_dynamic_step_reads_what_the_list_gives_it_before_the_input() {
    let steps = r#"["adopt_vpc", {"step": "echo", "from": {"message": "vpc_id"}},
        {"step": "echo", "with": {"message": "given"}}, "echo"]"#;
    let saga = run_list(steps, r#"{"message": "input"}"#).await;
    let said = |at| context(&saga, &format!("/echoed_at_step_{at}"));
    assert_eq!([said(1), said(2), said(3)], ["vpc-old", "given", "input"]);
}

type Heard = Arc<Mutex<Vec<String>>>;

fn telling(name: &'static str, heard: &Heard, fails: bool) -> StepFn<Heard, Place, Vpc> {
    let execute = move |_: Heard, _: Attempt, place: Place| async move {
        if fails { Err(StepError::transient("lost")) } else { Ok(Vpc { vpc_id: place.region }) }
    };
    let undo = move |heard: Heard, _: Attempt, place: Place, effect: Effect<Vpc>| async move {
        let told = format!("{name} of {} undoes {effect:?}", place.region);
        heard.lock().unwrap().push(told);
        Ok(())
    };
    let once = Retry::attempts(1).backoff(Duration::ZERO, Duration::ZERO);
    step_fn(name, heard.clone(), execute).compensate(undo).options(Options::new().retry(once))
}

#[tokio::test]
async fn an_undo_is_given_its_own_input_and_what_is_known_of_the_effect() {
    let heard = Heard::default();
    let registry = Registry::new()
        .step(telling("known", &heard, false))
        .step(telling("unknown", &heard, true))
        .step(crate::site::makes("never", |_: Droplet| ()));
    let engine = Engine::new(registry, MemoryStore::new()).unwrap();
    let steps = Steps::new()
        .then(StepRef::new("known").scope("a").with("region", "fra"))
        .then(StepRef::new("unknown").map("region", "a.vpc_id"));
    let saga = run(&engine, Order::list("undo", steps)).await;
    assert_eq!(saga.status, Status::RolledBack);
    assert_eq!(
        *heard.lock().unwrap(),
        ["unknown of fra undoes Unknown", "known of fra undoes Known(Vpc { vpc_id: \"fra\" })",]
    );
}
