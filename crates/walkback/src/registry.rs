//! Names to code: the steps and kinds that a process knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::dynamic::{Dynamic, DynamicStep};
use crate::erased::{AnyStep, of_step};
use crate::json::Json;
use crate::recipe::Steps;
use crate::saga::Saga;
use crate::step::Step;
use crate::step_fn::StepFn;

mod describe;

pub use describe::{KindDescription, StepDescription};

/// The steps and kinds that a process knows. Its mistakes are reported all at once by
/// [`Engine::new`](crate::Engine::new).
///
/// ```
/// use walkback::{MemoryStore, Engine, Registry};
/// let registry = Registry::with_builtins();
/// assert!(Engine::new(registry, MemoryStore::new()).is_ok());
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    steps: BTreeMap<String, Arc<dyn AnyStep>>,
    kinds: BTreeMap<String, Kind>,
    pub(crate) mistakes: Vec<String>,
}

/// A kind of saga: its order form, and the list of steps for an order.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) schema: Option<Value>,
    pub(crate) steps: Arc<dyn Fn(&Json) -> Result<Steps, String> + Send + Sync>,
}

impl Registry {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows `echo`, `fail`, `sleep` and `command`.
    pub fn with_builtins() -> Self {
        crate::builtin::add(Self::new())
    }

    /// Knows this step too.
    #[must_use]
    pub fn step<S: Step>(self, step: S) -> Self {
        self.add(of_step(step))
    }

    /// Knows this step of functions too.
    #[must_use]
    pub fn functions<S, I, O>(self, step: StepFn<S, I, O>) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + DeserializeOwned + JsonSchema + Send + 'static,
    {
        self.add(step.typed)
    }

    /// Knows this dynamic step too.
    #[must_use]
    pub fn dynamic<D: DynamicStep>(self, step: D) -> Self {
        self.add(Dynamic(step))
    }

    /// Knows this kind too.
    #[must_use]
    pub fn saga<S: Saga>(self) -> Self {
        let steps = |input: &Json| {
            let saga: S = input.decode().map_err(|error| format!("input: {error}"))?;
            Ok(saga.steps())
        };
        let schema = Some(schemars::schema_for!(S).to_value());
        self.kind(S::KIND.to_owned(), Kind { schema, steps: Arc::new(steps) })
    }

    pub(crate) fn kind(mut self, name: String, kind: Kind) -> Self {
        if self.kinds.insert(name.clone(), kind).is_some() {
            self.mistakes
                .push(format!("kind `{name}` is registered twice: expected one of each name"));
        }
        self
    }

    fn add(mut self, step: impl AnyStep + 'static) -> Self {
        let name = step.name().to_owned();
        if self.steps.insert(name.clone(), Arc::new(step)).is_some() {
            self.mistakes
                .push(format!("step `{name}` is registered twice: expected one of each name"));
        }
        self
    }

    pub(crate) fn find(&self, step: &str) -> Option<&Arc<dyn AnyStep>> {
        self.steps.get(step)
    }

    pub(crate) fn find_kind(&self, kind: &str) -> Option<&Kind> {
        self.kinds.get(kind)
    }

    pub(crate) fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(String::as_str)
    }

    pub(crate) fn all_steps(&self) -> impl Iterator<Item = &Arc<dyn AnyStep>> {
        self.steps.values()
    }

    pub(crate) fn all_kinds(&self) -> impl Iterator<Item = (&String, &Kind)> {
        self.kinds.iter()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("steps", &self.steps.keys())
            .field("kinds", &self.kinds.keys())
            .finish_non_exhaustive()
    }
}
