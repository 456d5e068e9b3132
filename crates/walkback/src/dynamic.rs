//! Steps whose data has no fixed shape.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::attempt::Attempt;
use crate::context::Context;
use crate::erased::{AnyStep, Body, Done, check_output};
use crate::error::StepError;
use crate::id::SagaId;
use crate::json::Json;
use crate::options::Options;
use crate::recipe::StepRef;
use crate::step::{Effect, Probe};

/// A step that reads the whole context and puts named outputs. For lists of names, where no types
/// can be known; otherwise a [`Step`](crate::Step) is the better form.
///
/// ```
/// use walkback::{Attempt, Context, DynamicStep, Effect, Json, StepError};
/// struct Shout;
/// impl DynamicStep for Shout {
///     fn name(&self) -> &'static str { "shout" }
///     async fn execute(&self, _: &Attempt, context: &mut Context) -> Result<(), StepError> {
///         let text = context.input("text").unwrap_or_default();
///         context.put_output("shouted", &text.to_string().to_uppercase())
///     }
///     async fn compensate(&self, _: &Attempt, _: &Context, _: Effect<Json>) -> Result<(), StepError> {
///         Ok(())
///     }
/// }
/// let registry = walkback::Registry::new().dynamic(Shout);
/// ```
pub trait DynamicStep: Send + Sync + 'static {
    /// Its name: stable, as runs are stored with it.
    fn name(&self) -> &'static str;

    /// Its options.
    fn options(&self) -> Options {
        Options::new()
    }

    /// Whether this use of it can be undone. A step that says no declares why in its options.
    fn has_undo(&self, _used: &StepRef) -> bool {
        self.options().no_undo.is_none()
    }

    /// Whether this use of it can be probed.
    fn has_probe(&self, _used: &StepRef) -> bool {
        false
    }

    /// What is wrong with the parameters of this use of it, one sentence each.
    fn check(&self, _used: &StepRef) -> Vec<String> {
        Vec::new()
    }

    /// The schema of its parameters, for people.
    fn parameters(&self) -> Option<&Value> {
        None
    }

    /// Waits until nothing is left of bodies of this run whose process died.
    fn quiesce(&self, _saga: SagaId) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Does it.
    fn execute(
        &self,
        attempt: &Attempt,
        context: &mut Context,
    ) -> impl Future<Output = Result<(), StepError>> + Send;

    /// Takes it back.
    fn compensate(
        &self,
        _attempt: &Attempt,
        _context: &Context,
        _effect: Effect<Json>,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Looks whether an attempt of unknown outcome succeeded; what is present is put as output.
    fn probe(
        &self,
        _attempt: &Attempt,
        _context: &mut Context,
    ) -> impl Future<Output = Result<Probe<()>, StepError>> + Send {
        std::future::ready(Ok(Probe::CannotTell))
    }
}

/// The twin of a [`DynamicStep`].
pub(crate) struct Dynamic<D>(pub(crate) D);

fn done(context: Context) -> Result<Done, StepError> {
    let output =
        context.into_output().map_err(|e| StepError::permanent(format_args!("output: {e}")))?;
    Ok(Done::plain(check_output(output)?))
}

impl<D: DynamicStep> AnyStep for Dynamic<D> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn options(&self, used: &StepRef) -> Options {
        used.options(self.0.options())
    }

    fn has_undo(&self, used: &StepRef) -> bool {
        self.0.has_undo(used)
    }

    fn has_probe(&self, used: &StepRef) -> bool {
        self.0.has_probe(used)
    }

    fn schemas(&self) -> (Option<&Value>, Option<&Value>) {
        (self.0.parameters(), None)
    }

    fn check(&self, used: &StepRef) -> Vec<String> {
        self.0.check(used)
    }

    fn dynamic(&self) -> bool {
        true
    }

    fn quiesce(self: Arc<Self>, saga: SagaId) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.0.quiesce(saga).await })
    }

    fn adopt(&self, _: &Context, output: &Json) -> Result<Done, Vec<String>> {
        let output = check_output(output.clone()).map_err(|error| vec![error.to_string()])?;
        Ok(Done::plain(output))
    }

    fn execute(self: Arc<Self>, attempt: Attempt, mut context: Context) -> Body<Done> {
        Box::pin(async move {
            self.0.execute(&attempt, &mut context).await?;
            done(context)
        })
    }

    fn compensate(
        self: Arc<Self>,
        attempt: Attempt,
        context: Context,
        made: Effect<Json>,
    ) -> Body<()> {
        Box::pin(async move { self.0.compensate(&attempt, &context, made).await })
    }

    fn probe(self: Arc<Self>, attempt: Attempt, mut context: Context) -> Body<Probe<Done>> {
        Box::pin(async move {
            let found = self.0.probe(&attempt, &mut context).await?;
            found.and_then(|()| done(context))
        })
    }
}
