//! Steps that put up a web site and only say so, and helpers to start lists of them.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkback::{
    Engine, Error, MemoryStore, Options, Order, Registry, Steps, describe::SagaView, step::StepFn,
    step_fn,
};

macro_rules! records {
    ($($name:ident { $($field:ident: $type:ty),* })*) => {$(
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }
    )*};
}
pub(crate) use records;

records! {
    Place { region: String }
    Vpc { vpc_id: String }
    Wanted { vpc_id: String, size: Option<String> }
    Droplet { droplet_id: u64 }
    Backends { droplet_ids: Vec<u64> }
    Balancer { balancer_id: String }
    Sized { size: String }
    Names { names: Vec<String> }
    Ports { port: u16 }
    Half { ratio: f64 }
    Cost { ratio: u64 }
    Named { name: Option<String> }
    Maybe { maybe: Option<String> }
    Sure { maybe: String }
}

/// A step that turns its input into its output and changes nothing.
pub(crate) fn makes<I, O>(name: &'static str, make: fn(I) -> O) -> StepFn<(), I, O>
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + DeserializeOwned + JsonSchema + Send + 'static,
{
    step_fn(name, (), move |(), _, input| async move { Ok(make(input)) })
        .options(Options::new().read_only())
}

/// The steps of a site, beside `echo` and the like.
pub(crate) fn registry() -> Registry {
    Registry::with_builtins()
        .step(makes("create_vpc", |place: Place| Vpc { vpc_id: format!("vpc-{}", place.region) }))
        .step(makes("adopt_vpc", |(): ()| Vpc { vpc_id: "vpc-old".to_owned() }))
        .step(makes("create_droplet", |wanted: Wanted| Droplet {
            droplet_id: (wanted.vpc_id.len() + wanted.size.map_or(0, |size| size.len())) as u64,
        }))
        .step(makes("create_balancer", |backends: Backends| Balancer {
            balancer_id: format!("lb{:?}", backends.droplet_ids),
        }))
        .step(makes("resize", |_: Sized| ()))
        .step(makes("list_names", |_: Names| ()))
        .step(makes("open_port", |_: Ports| ()))
        .step(makes("weigh", |_: Half| ()))
        .step(makes("price", |(): ()| Cost { ratio: 2 }))
        .step(makes("count", |_: Cost| ()))
        .step(makes("name", |named: Named| Sized { size: named.name.unwrap_or_default() }))
        .step(makes("guess", |(): ()| Maybe { maybe: None }))
        .step(makes("need", |_: Sure| ()))
        .step(makes("pay", |(): ()| ()).options(Options::new().irreversible("it is paid").pivot()))
}

pub(crate) fn engine() -> Engine {
    Engine::new(registry(), MemoryStore::new()).unwrap()
}

pub(crate) fn list(json: &str) -> Steps {
    serde_json::from_str(json).unwrap()
}

pub(crate) fn of(error: Error) -> Vec<String> {
    match error {
        Error::Mistakes(mistakes) => mistakes.0,
        other => panic!("{other}"),
    }
}

/// What is wrong with an order.
pub(crate) async fn refused(order: Order) -> Vec<String> {
    of(engine().start_saga(order).await.unwrap_err())
}

/// What is wrong with a list of steps as JSON, started as `web` with this input.
pub(crate) async fn wrong(steps: &str, input: &str) -> Vec<String> {
    refused(Order::list("web", list(steps)).input(input)).await
}

/// How a run of this order ends.
pub(crate) async fn run(engine: &Engine, order: impl Into<Order>) -> SagaView {
    let started = engine.start_saga(order).await.unwrap_or_else(|error| panic!("{error}"));
    engine.work_until_idle().await.unwrap();
    engine.show_saga(started.id).await.unwrap()
}

/// A run of a list of steps as JSON.
pub(crate) async fn run_list(steps: &str, input: &str) -> SagaView {
    run(&engine(), Order::list("web", list(steps)).input(input)).await
}

/// A field of what the run knows in the end.
pub(crate) fn context(saga: &SagaView, pointer: &str) -> Value {
    let context = saga.context.as_ref().unwrap().value();
    context.pointer(pointer).cloned().unwrap_or_default()
}
