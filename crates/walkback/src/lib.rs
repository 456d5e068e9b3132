//! Durable sagas: each completes, or walks back until nothing it made is left, or stops and says
//! exactly what is left.
//!
//! Write [`Step`]s, list them in a [`Saga`], give both to a [`Registry`], and open an [`Engine`] over a
//! store. Starting is durable when it returns; a [`Worker`](worker::Worker) of this or another process does the rest.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use walkback::{
//!     Attempt, Effect, Engine, MemoryStore, Registry, Saga, Status, Step, StepError, Steps,
//! };
//!
//! /// The order form: what a saga of this kind is started with.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct WebSite { region: String }
//!
//! impl Saga for WebSite {
//!     const KIND: &'static str = "web_site";
//!     fn steps(&self) -> Steps {
//!         Steps::new().then(CreateVpc::NAME).then("fail")
//!     }
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Place { region: String }
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Vpc { vpc_id: String }
//!
//! /// A private network for the site's machines.
//! struct CreateVpc;
//!
//! impl Step for CreateVpc {
//!     const NAME: &'static str = "create_vpc";
//!     type Input = Place; // read from the context, by field name
//!     type Output = Vpc; // merged into it
//!
//!     async fn execute(&self, attempt: Attempt, place: Place) -> Result<Vpc, StepError> {
//!         // A cloud would be asked for it under `attempt.idempotency_key()`.
//!         Ok(Vpc { vpc_id: attempt.resource_name(&place.region) })
//!     }
//!
//!     async fn compensate(&self, _: Attempt, _: Place, vpc: Effect<Vpc>) -> Result<(), StepError> {
//!         match vpc {
//!             Effect::Known(_vpc) => Ok(()), // delete it; that it is gone already is success
//!             Effect::Unknown => Ok(()),     // find out by `attempt.execute_key()`, then delete it
//!         }
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), walkback::Error> {
//!     let registry = Registry::with_builtins().step(CreateVpc).saga::<WebSite>();
//!     let engine = Engine::new(registry, MemoryStore::new())?; // every wiring mistake at once
//!     let started = engine.start_saga(WebSite { region: "fra1".to_owned() }).await?; // durable now
//!     engine.work_until_idle().await?;
//!     let saga = engine.show_saga(started.id).await?;
//!     println!("{} is {}", saga.kind, saga.status.name()); // web_site is rolled_back
//!     assert_eq!(saga.status, Status::RolledBack);
//!     Ok(())
//! }
//! ```
//!
//! Steps whose data has no fixed shape are [`DynamicStep`]s, and [`Definition`] reads whole sagas from
//! YAML or JSON. The oracle, `verify`, checks a store against the promises. What `S` and `I` with
//! a number mean stands in `docs/promises.md`.

mod attempt;
mod builtin;
pub mod clock;
mod context;
mod definition;
pub mod describe;
pub mod desired;
mod dynamic;
pub mod engine;
mod erased;
pub mod error;
#[cfg_attr(
    not(feature = "testing"),
    allow(dead_code, unreachable_pub, reason = "public for tests")
)]
mod guard;
mod id;
mod into_step;
mod json;
pub mod ledger;
pub mod limits;
pub mod machine;
pub mod options;
pub mod plan;
mod progress;
mod recipe;
mod registry;
mod run;
mod saga;
pub mod step;
mod step_fn;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod verify;
mod wiring;
pub mod worker;

pub use attempt::Attempt;
pub use context::Context;
pub use definition::Definition;
pub use dynamic::DynamicStep;
pub use engine::Engine;
pub use error::{Error, StepError};
pub use guard::guard_main_if_asked;
pub use id::SagaId;
pub use json::Json;
pub use machine::Status;
pub use options::{Options, Retry};
pub use recipe::{StepRef, Steps};
pub use registry::Registry;
pub use saga::{Order, Saga};
pub use step::{Effect, Probe, Step, step_fn};
pub use store::MemoryStore;
#[cfg(feature = "sqlite")]
pub use store::SqliteStore;
