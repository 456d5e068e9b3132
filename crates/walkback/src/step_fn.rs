//! A step of two async functions and a state.

use std::future::Future;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attempt::Attempt;
use crate::desired::{Change, Provision};
use crate::erased::Typed;
use crate::error::StepError;
use crate::options::Options;
use crate::step::{Effect, Probe};

/// A step made of functions; see [`step_fn`].
pub struct StepFn<S, I, O> {
    state: S,
    pub(crate) typed: Typed<I, O>,
}

/// A step called `name` that `execute`s with a clone of `state`.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use walkback::{Attempt, Effect, Registry, StepError, step_fn};
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Site { domain: String }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Record { record_id: u64 }
/// #[derive(Clone)]
/// struct Dns;
///
/// async fn point_domain(_: Dns, _: Attempt, site: Site) -> Result<Record, StepError> {
///     Ok(Record { record_id: site.domain.len() as u64 })
/// }
/// async fn unpoint_domain(_: Dns, _: Attempt, _: Site, _: Effect<Record>) -> Result<(), StepError> {
///     Ok(())
/// }
/// let registry = Registry::new()
///     .step(step_fn("point_domain", Dns, point_domain).compensate(unpoint_domain));
/// ```
pub fn step_fn<S, I, O, F, Fut>(name: &'static str, state: S, execute: F) -> StepFn<S, I, O>
where
    S: Clone + Send + Sync + 'static,
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + DeserializeOwned + JsonSchema + Send + 'static,
    F: Fn(S, Attempt, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, StepError>> + Send + 'static,
{
    let own = state.clone();
    let execute = move |attempt, input| -> crate::erased::Body<O> {
        Box::pin(execute(own.clone(), attempt, input))
    };
    StepFn { state, typed: Typed::new(name, Box::new(execute)) }
}

impl<S, I, O> StepFn<S, I, O>
where
    S: Clone + Send + Sync + 'static,
    I: Send + 'static,
    O: Send + 'static,
{
    /// Its options.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.typed.options = options;
        self
    }

    /// How it is taken back.
    #[must_use]
    pub fn compensate<F, Fut>(mut self, compensate: F) -> Self
    where
        F: Fn(S, Attempt, I, Effect<O>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StepError>> + Send + 'static,
    {
        let (state, compensate) = (self.state.clone(), Arc::new(compensate));
        self.typed.compensate = Some(Box::new(move |attempt, input, effect| {
            Box::pin(compensate(state.clone(), attempt, input, effect))
        }));
        self
    }

    /// How to look whether an attempt of unknown outcome succeeded.
    #[must_use]
    pub fn probe<F, Fut>(mut self, probe: F) -> Self
    where
        F: Fn(S, Attempt, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Probe<O>, StepError>> + Send + 'static,
    {
        let state = self.state.clone();
        self.typed.probe =
            Some(Box::new(move |attempt, input| Box::pin(probe(state.clone(), attempt, input))));
        self
    }

    /// What its input and output provision, if they do (rule S19).
    #[must_use]
    pub fn provisions(
        mut self,
        provisions: impl Fn(&I, &O) -> Option<Provision> + Send + Sync + 'static,
    ) -> Self {
        self.typed.provisions = Some(Box::new(provisions));
        self
    }

    /// What its output says has changed in what is provisioned, other runs' included (rule S19).
    #[must_use]
    pub fn changes(mut self, changes: impl Fn(&O) -> Vec<Change> + Send + Sync + 'static) -> Self {
        self.typed.changes = Box::new(changes);
        self
    }
}
