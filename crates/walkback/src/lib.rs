//! Durable sagas.

mod attempt;
mod builtin;
mod clock;
mod context;
mod definition;
pub mod desired;
mod dynamic;
mod engine;
mod erased;
mod error;
mod guard;
mod id;
mod into_step;
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

/// What [`Engine::plan`], [`Registry::describe_steps`] and [`Registry::describe_kinds`] tell.
pub mod describe {
    pub use crate::engine::{
        NoUndoView, OptionsView, Place, PlanView, PlannedStep, PlannedUndo, RetryView,
    };
    pub use crate::registry::{KindDescription, StepDescription};
    pub use crate::time::Span;
}

pub use attempt::Attempt;
pub use clock::{Clock, SystemClock};
pub use context::Context;
pub use definition::Definition;
pub use desired::Provision;
pub use dynamic::DynamicStep;
pub use engine::{
    Asked, Engine, Enlistment, ParkedView, Residue, SagaView, Start, StepResult, Waiting,
};
pub use error::{Error, Mistakes, StepError};
pub use guard::guard_main_if_asked;
pub use id::{BadSagaId, SagaId};
pub use into_step::IntoStep;
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
