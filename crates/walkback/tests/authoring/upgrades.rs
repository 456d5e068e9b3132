//! A new binary over the store of an old one: what goes on, what is said before, what never happens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::engine::{Asked, Operation};
use walkback::{
    Engine, Error, MemoryStore, Options, Order, Registry, Retry, SagaId, Status, StepError, Steps,
    step_fn,
};

use crate::site::{makes, records};

records! {
    Vpc { vpc_id: String }
    Network { network_id: String }
    Wanted { vpc_id: String }
    Droplet { droplet_id: u64 }
    Other { network_id: String }
    Done {}
}

/// A step that makes a network under this name, and undoes it.
fn network(name: &'static str) -> Registry {
    let make = |(), _, (): ()| async { Ok(Vpc { vpc_id: "vpc-1".to_owned() }) };
    let step = step_fn(name, (), make).compensate(|(), _, (), _| async { Ok(()) });
    Registry::with_builtins().step(step)
}

fn droplet(registry: Registry) -> Registry {
    registry.step(makes("create_droplet", |wanted: Wanted| Droplet {
        droplet_id: wanted.vpc_id.len() as u64,
    }))
}

fn old() -> Registry {
    droplet(network("make_vpc"))
}

fn new() -> Registry {
    droplet(network("create_vpc")).alias("make_vpc", "create_vpc")
}

fn engine(registry: Registry, store: &MemoryStore) -> Engine {
    Engine::new(registry, store.clone()).unwrap()
}

fn order() -> Order {
    let steps = r#"["make_vpc", {"wait_for": {"signal": "go"}}, "create_droplet"]"#;
    Order::list("site", serde_json::from_str::<Steps>(steps).unwrap()).key("site-1")
}

/// A saga of the old binary that waits in its middle.
async fn halfway(store: &MemoryStore) -> SagaId {
    let engine = engine(old(), store);
    let id = engine.start_saga(order()).await.unwrap().id;
    engine.work_until_idle().await.unwrap();
    assert_eq!(engine.show_saga(id).await.unwrap().current_step_idx, 1);
    id
}

async fn ask(engine: &Engine, id: SagaId, operation: Operation) {
    let asked = Asked { actor: "ada".to_owned(), reason: None };
    engine.operate(id, &operation, &asked).await.unwrap();
    engine.work_until_idle().await.unwrap();
}

fn go() -> Operation {
    Operation::Signal { name: "go".to_owned(), payload: walkback::Json::empty_object(), id: None }
}

/// What would be left behind: steps, and why.
async fn orphans(registry: Registry, store: &MemoryStore) -> Vec<(Option<usize>, String)> {
    let found = engine(registry, store).upgrade_check().await.unwrap();
    assert_eq!(found.checked, 1);
    found.orphans.into_iter().map(|orphan| (orphan.step_idx, orphan.why)).collect()
}

#[tokio::test]
async fn a_renamed_step_goes_on_under_its_new_name_forward_and_back() {
    for (operation, status) in [(go(), Status::Completed), (Operation::Cancel, Status::RolledBack)]
    {
        let store = MemoryStore::new();
        let id = halfway(&store).await;
        assert_eq!(orphans(new(), &store).await, []);
        let engine = engine(new(), &store);
        ask(&engine, id, operation).await;
        assert_eq!(engine.show_saga(id).await.unwrap().status, status);
        assert!(!engine.start_saga(order()).await.unwrap().created, "the old name is the same");
        let steps = r#"["create_vpc", {"wait_for": {"signal": "go"}}, "create_droplet"]"#;
        let steps: Steps = serde_json::from_str(steps).unwrap();
        let renamed = Order::list("site", steps).key("site-1");
        assert!(!engine.start_saga(renamed).await.unwrap().created, "and so is the new one");
        let next = engine.start_saga(order().key("site-2")).await.unwrap().id;
        let steps = engine.show_saga(next).await.unwrap().steps.unwrap();
        assert_eq!(steps[0].step, "create_vpc", "what is accepted now has the new name");
    }
}

#[tokio::test]
async fn a_step_that_is_gone_is_named_before_the_deploy() {
    let store = MemoryStore::new();
    let id = halfway(&store).await;
    let gone = droplet(network("create_vpc"));
    let found = orphans(gone, &store).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Some(0));
    assert!(found[0].1.starts_with("step `make_vpc` is unknown: "), "{found:?}");
    let engine = engine(old(), &store);
    ask(&engine, id, go()).await;
    assert_eq!(engine.show_saga(id).await.unwrap().status, Status::Completed);
    let found = engine.upgrade_check().await.unwrap();
    assert_eq!((found.checked, found.orphans), (0, vec![]), "what has ended is not in flight");
}

#[tokio::test]
async fn data_that_cannot_be_read_any_more_is_named() {
    let store = MemoryStore::new();
    halfway(&store).await;
    let make = |(), _, (): ()| async { Ok(Network { network_id: String::new() }) };
    let step = step_fn("make_vpc", (), make).compensate(|(), _, (), _| async { Ok(()) });
    let found = orphans(droplet(Registry::with_builtins().step(step)), &store).await;
    assert_eq!(found[0].0, Some(0));
    assert!(found[0].1.starts_with("the output cannot be decoded: missing field"), "{found:?}");
    let store = MemoryStore::new();
    let steps = Order::steps(["make_vpc", "create_droplet"]);
    engine(old(), &store).start_saga(steps).await.unwrap();
    let other = network("make_vpc").step(makes("create_droplet", |_: Other| Done {}));
    let found = orphans(other, &store).await;
    let why = "needs `network_id`, which nothing before it provides";
    assert_eq!(found, [(Some(1), why.to_owned())]);
}

#[tokio::test]
async fn an_undo_that_is_gone_is_named_and_never_taken_for_done() {
    let store = MemoryStore::new();
    let id = halfway(&store).await;
    let only_makes = makes("make_vpc", |(): ()| Vpc { vpc_id: "vpc-1".to_owned() });
    let without = engine(droplet(Registry::with_builtins().step(only_makes)), &store);
    let found = without.upgrade_check().await.unwrap().orphans;
    assert_eq!((found.len(), found[0].step.as_deref()), (1, Some("make_vpc")));
    assert!(found[0].why.contains("expected a `compensate`"), "{found:?}");
    ask(&without, id, Operation::Cancel).await;
    let saga = without.show_saga(id).await.unwrap();
    let parked = saga.parked.unwrap();
    assert_eq!((saga.status, &*parked.reason), (Status::Parked, "cannot_decode"));
    let mended = engine(old(), &store);
    ask(&mended, id, Operation::Resume { set: None }).await;
    assert_eq!(mended.show_saga(id).await.unwrap().status, Status::RolledBack);
}

#[tokio::test]
async fn what_is_left_is_in_flight_until_it_is_settled() {
    let store = MemoryStore::new();
    let once = Options::new().compensate_retry(Retry::attempts(1));
    let stuck = || {
        let make = |(), _, (): ()| async { Ok(Vpc { vpc_id: "vpc-1".to_owned() }) };
        let jams = |(), _, (), _| async { Err(StepError::permanent("jammed")) };
        let step = step_fn("stuck", (), make).compensate(jams).options(once);
        Registry::with_builtins().step(step)
    };
    let engine = engine(stuck(), &store);
    let id = engine.start_saga(Order::steps(["stuck", "fail"])).await.unwrap().id;
    engine.work_until_idle().await.unwrap();
    let found = orphans(Registry::with_builtins(), &store).await;
    assert_eq!(found.iter().map(|(idx, _)| *idx).collect::<Vec<_>>(), [Some(0)]);
    ask(&engine, id, Operation::Abandon { step: "0".to_owned() }).await;
    assert_eq!(engine.upgrade_check().await.unwrap().checked, 0);
}

#[test]
fn an_alias_must_be_of_a_step_that_is_there_and_be_none_itself() {
    let registry = old().alias("create_droplet", "make_vpc").alias("x", "nothing").alias("x", "y");
    let Err(Error::Mistakes(mistakes)) = Engine::new(registry, MemoryStore::new()) else {
        panic!("expected mistakes");
    };
    let said = mistakes.to_string();
    for expected in [
        "alias `create_droplet` is a step itself",
        "alias `x`: step `y` is unknown",
        "`x` is an alias twice",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}
