//! Durable sagas.

mod attempt;
mod builtin;
mod clock;
mod context;
pub mod desired;
mod dynamic;
mod engine;
mod erased;
mod error;
mod guard;
mod id;
mod json;
pub mod ledger;
pub mod limits;
pub mod machine;
mod options;
mod plan;
mod recipe;
mod registry;
mod run;
mod saga;
mod step;
mod step_fn;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;
mod verify;
mod wiring;
mod worker;

pub use attempt::Attempt;
pub use clock::{Clock, SystemClock};
pub use context::Context;
pub use desired::Provision;
pub use dynamic::DynamicStep;
pub use engine::{
    Asked, Engine, Enlistment, ParkedView, Residue, SagaView, Start, StepResult, Waiting,
};
pub use error::{Error, Mistakes, StepError};
pub use guard::guard_main_if_asked;
pub use id::{BadSagaId, SagaId};
pub use json::{Json, JsonError};
pub use machine::Status;
pub use options::{NoUndo, OnFailure, OnUndoFailure, Options, Retry};
pub use plan::{Plan, StepIdx};
pub use recipe::{StepRef, Steps};
pub use registry::Registry;
pub use saga::{Order, Saga};
pub use step::{Effect, Probe, Step};
pub use step_fn::{StepFn, step_fn};
#[cfg(feature = "sqlite")]
pub use store::SqliteStore;
pub use store::{Filter, MemoryStore, StoreError};
pub use time::{Timestamp, parse_duration};
pub use verify::{Report, Violation, verify};
pub use worker::{Until, Worker};
