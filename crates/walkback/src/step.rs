//! What an author writes: a typed step, or two functions that make one.

use std::future::Future;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attempt::Attempt;
use crate::desired::{Change, Provision};
use crate::error::StepError;
use crate::options::Options;

pub use crate::into_step::IntoStep;
pub use crate::step_fn::{StepFn, step_fn};

/// A unit of work whose data has a fixed shape: its input is read from the context by field name,
/// its output merged into it. Dependencies are plain fields.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use walkback::{Attempt, Effect, Step, StepError};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Place { region: String }
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct Vpc { vpc_id: String }
///
/// /// A private network.
/// struct CreateVpc;
///
/// impl Step for CreateVpc {
///     const NAME: &'static str = "create_vpc";
///     type Input = Place;
///     type Output = Vpc;
///
///     async fn execute(&self, attempt: Attempt, place: Place) -> Result<Vpc, StepError> {
///         Ok(Vpc { vpc_id: format!("{}-{}", place.region, attempt.idempotency_key()) })
///     }
///
///     async fn compensate(&self, _: Attempt, _: Place, effect: Effect<Vpc>) -> Result<(), StepError> {
///         let _known = effect.known();
///         Ok(())
///     }
/// }
/// let registry = walkback::Registry::new().step(CreateVpc);
/// ```
pub trait Step: Send + Sync + 'static {
    /// Its name: stable, as runs are stored with it.
    const NAME: &'static str;
    /// How long, how often, what it leaves behind.
    const OPTIONS: Options = Options::new();
    /// What it reads from the context.
    type Input: Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it adds to the context.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send;

    /// Does it. May be called again under the same key after an unknown outcome.
    fn execute(
        &self,
        attempt: Attempt,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// Takes it back; runs for every step that was ever attempted, unless all attempts were
    /// certainly clean. Deleting what is gone is success. A step without it declares why in its
    /// [`Options`].
    fn compensate(
        &self,
        _attempt: Attempt,
        _input: Self::Input,
        _effect: Effect<Self::Output>,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        NotWritten(PhantomData)
    }

    /// Looks whether an attempt of unknown outcome succeeded.
    fn probe(
        &self,
        _attempt: Attempt,
        _input: Self::Input,
    ) -> impl Future<Output = Result<Probe<Self::Output>, StepError>> + Send {
        NotWritten(PhantomData)
    }

    /// What an input and its output provision, if it is something to keep a record of: what was asked for is
    /// what is wanted of it.
    fn provisions(&self, _input: &Self::Input, _output: &Self::Output) -> Option<Provision> {
        None
    }

    /// What an output says has changed in what is provisioned, other runs' included: written with the
    /// step's success, taken back with its undo.
    fn changes(&self, _output: &Self::Output) -> Vec<Change> {
        Vec::new()
    }
}

/// What is known of the work to take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<O> {
    /// The step put this out.
    Known(O),
    /// It may have done something without our hearing of it: find out by the execute key.
    Unknown,
}

impl<O> Effect<O> {
    /// The output, if it is known.
    pub fn known(self) -> Option<O> {
        match self {
            Self::Known(output) => Some(output),
            Self::Unknown => None,
        }
    }
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe<O> {
    /// It is there, finished as `execute` would have finished it.
    Present(O),
    /// It is not there. Counts only after the step's settle delay.
    Absent,
    /// Cannot say, or it is still being made.
    CannotTell,
}

impl<O> Probe<O> {
    /// The same answer with what is there turned into something else.
    pub(crate) fn and_then<T>(
        self,
        turn: impl FnOnce(O) -> Result<T, StepError>,
    ) -> Result<Probe<T>, StepError> {
        Ok(match self {
            Self::Present(found) => Probe::Present(turn(found)?),
            Self::Absent => Probe::Absent,
            Self::CannotTell => Probe::CannotTell,
        })
    }
}

/// The future of a method that its author did not write. No other future takes no room, as it
/// would have to hold the method's arguments: by that the registry knows.
struct NotWritten<T>(PhantomData<fn() -> T>);

impl<T> Future for NotWritten<Result<T, StepError>> {
    type Output = Result<T, StepError>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::task::Poll::Ready(Err(StepError::permanent("the step does not have this method")))
    }
}

/// Whether `S` has its own `compensate`.
pub(crate) fn compensates<S: Step>() -> bool {
    fn size<'a, S: Step, F>(_: impl Fn(&'a S, Attempt, S::Input, Effect<S::Output>) -> F) -> usize {
        size_of::<F>()
    }
    size(S::compensate) > 0
}

/// Whether `S` has its own `probe`.
pub(crate) fn probes<S: Step>() -> bool {
    fn size<'a, S: Step, F>(_: impl Fn(&'a S, Attempt, S::Input) -> F) -> usize {
        size_of::<F>()
    }
    size(S::probe) > 0
}
