//! What [`Registry::step`] takes.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::erased::of_step;
use crate::registry::Registry;
use crate::step::Step;
use crate::step_fn::StepFn;

/// What [`Registry::step`] takes: a type that is a [`Step`], or a [`StepFn`] made by
/// [`step_fn`](crate::step_fn). `Form` tells the two apart and is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no step",
    label = "expected a type that implements `Step`, or what `step_fn` returns",
    note = "a step whose data has no fixed shape is added by `.dynamic(…)`"
)]
pub trait IntoStep<Form> {
    #[doc(hidden)]
    fn add_to(self, registry: Registry) -> Registry;
}

/// The form of a type that implements [`Step`].
#[derive(Debug)]
pub struct OfType;

/// The form of a [`StepFn`].
#[derive(Debug)]
pub struct OfFunctions;

impl<S: Step> IntoStep<OfType> for S {
    fn add_to(self, registry: Registry) -> Registry {
        registry.add(of_step(self))
    }
}

impl<S, I, O> IntoStep<OfFunctions> for StepFn<S, I, O>
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + DeserializeOwned + JsonSchema + Send + 'static,
{
    fn add_to(self, registry: Registry) -> Registry {
        registry.add(self.typed)
    }
}
