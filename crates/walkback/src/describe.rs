//! What the engine and the registry tell of sagas, plans, steps and kinds.

pub use crate::engine::{
    Explanation, Next, NoUndoView, OptionsView, Orphan, ParkedView, Place, PlanView, PlannedStep,
    PlannedUndo, Residue, RetryView, SagaView, StepResult, UpgradeCheck, Waiting, WalkBack,
    WalkBackStep,
};
pub use crate::registry::{KindDescription, StepDescription};
pub use crate::time::Span;
