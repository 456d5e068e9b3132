//! Durable sagas.
mod json;
pub mod limits;
pub mod machine;
mod options;
mod plan;
mod recipe;
mod time;
pub use json::{Json, JsonError};
pub use options::{NoUndo, OnFailure, OnUndoFailure, Options, Retry};
pub use plan::{Plan, StepIdx};
pub use recipe::{StepRef, Steps};
pub use time::Timestamp;
