//! The JSON twin of every step: one shape for typed, function and dynamic steps.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::attempt::Attempt;
use crate::context::Context;
use crate::desired::{Change, Provision};
use crate::error::StepError;
use crate::json::Json;
use crate::limits;
use crate::options::Options;
use crate::recipe::StepRef;
use crate::step::{Effect, Probe, Step, compensates, probes};
use crate::wiring::Form;

pub(crate) type Body<T> = Pin<Box<dyn Future<Output = Result<T, StepError>> + Send>>;

/// What an `execute` put out, and what that provisions and changes.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) output: Json,
    pub(crate) provisions: Option<Provision>,
    pub(crate) changes: Vec<Change>,
}

impl Done {
    /// An output that says nothing of what is provisioned.
    pub(crate) fn plain(output: Json) -> Self {
        Self { output, provisions: None, changes: Vec::new() }
    }
}

/// A step without its types.
pub(crate) trait AnyStep: Send + Sync {
    fn name(&self) -> &str;
    /// The options of this use of it.
    fn options(&self, used: &StepRef) -> Options;
    /// Whether this use of it can be undone, and probed.
    fn has_undo(&self, used: &StepRef) -> bool;
    fn has_probe(&self, used: &StepRef) -> bool;
    /// The schemas of what it reads and puts out; `None` where the shape is not fixed.
    fn schemas(&self) -> (Option<&Value>, Option<&Value>);
    /// What its input must be like, ready to check values.
    fn form(&self) -> Option<&Form> {
        None
    }
    /// What is wrong with this use of it, one sentence each.
    fn check(&self, _used: &StepRef) -> Vec<String> {
        Vec::new()
    }
    /// Whether its data has no fixed shape.
    fn dynamic(&self) -> bool {
        false
    }
    /// Waits until nothing is left of bodies whose process died.
    fn quiesce(self: Arc<Self>, _saga: crate::SagaId) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
    /// Whether it can read its input from the context, and an output that is stored of it.
    fn reads(&self, _context: &Context, _output: Option<&Json>) -> Result<(), StepError> {
        Ok(())
    }
    /// Takes an output that a person gives in its stead.
    ///
    /// # Errors
    /// Every way in which it could not be the step's.
    fn adopt(&self, context: &Context, output: &Json) -> Result<Done, Vec<String>>;
    /// What an output that is stored of it had changed in what is provisioned.
    fn changes(&self, _output: &Json) -> Vec<Change> {
        Vec::new()
    }
    fn execute(self: Arc<Self>, attempt: Attempt, context: Context) -> Body<Done>;
    fn compensate(
        self: Arc<Self>,
        attempt: Attempt,
        context: Context,
        made: Effect<Json>,
    ) -> Body<()>;
    fn probe(self: Arc<Self>, attempt: Attempt, context: Context) -> Body<Probe<Done>>;
}

type ExecuteFn<I, O> = Box<dyn Fn(Attempt, I) -> Body<O> + Send + Sync>;
type CompensateFn<I, O> = Box<dyn Fn(Attempt, I, Effect<O>) -> Body<()> + Send + Sync>;
type ProbeFn<I, O> = Box<dyn Fn(Attempt, I) -> Body<Probe<O>> + Send + Sync>;
type ProvisionsFn<I, O> = Box<dyn Fn(&I, &O) -> Option<Provision> + Send + Sync>;
type ChangesFn<O> = Box<dyn Fn(&O) -> Vec<Change> + Send + Sync>;

/// A step whose data has types.
pub(crate) struct Typed<I, O> {
    pub(crate) name: &'static str,
    pub(crate) options: Options,
    pub(crate) execute: ExecuteFn<I, O>,
    pub(crate) compensate: Option<CompensateFn<I, O>>,
    pub(crate) probe: Option<ProbeFn<I, O>>,
    /// `None` where it is known that there is nothing to record: its input is not read again for that.
    pub(crate) provisions: Option<ProvisionsFn<I, O>>,
    pub(crate) changes: ChangesFn<O>,
    input_schema: Value,
    output_schema: Value,
    form: OnceLock<Option<Form>>,
}

/// The members that an object of this schema may have.
pub(crate) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Whether it is the schema of `()`.
fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The schema of `T`, with its own properties where it stands for another type.
fn schema<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut root = settings.into_generator().into_root_schema_for::<T>().to_value();
    let target = root.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    if let Some(Value::Object(target)) = target.and_then(|path| root.pointer(path)).cloned()
        && let Value::Object(own) = &mut root
    {
        own.remove("$ref");
        own.extend(target);
    }
    root
}

impl<I, O> Typed<I, O>
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + DeserializeOwned + JsonSchema + Send + 'static,
{
    pub(crate) fn new(name: &'static str, execute: ExecuteFn<I, O>) -> Self {
        Self {
            name,
            options: Options::new(),
            execute,
            compensate: None,
            probe: None,
            provisions: None,
            changes: Box::new(|_| Vec::new()),
            input_schema: schema::<I>(SchemaSettings::default()),
            output_schema: schema::<O>(SchemaSettings::default().for_serialize()),
            form: OnceLock::new(),
        }
    }

    fn input(&self, context: &Context) -> Result<I, StepError> {
        let null = is_null(&self.input_schema);
        let mut text = String::from("{");
        for (name, _) in properties(&self.input_schema) {
            if let Some(json) = context.field(name) {
                let comma = if text.len() > 1 { "," } else { "" };
                let name = serde_json::to_string(name)?;
                text.extend([comma, &name, ":", json.as_str()]);
            }
        }
        text.push('}');
        let text = if null { "null" } else { &text };
        serde_json::from_str(text).map_err(|error| StepError::cannot_decode("the input", &error))
    }

    /// An output as it was stored; that of `()` is an empty object.
    fn output(output: &Json) -> Result<O, serde_json::Error> {
        output.decode().or_else(|error| serde_json::from_str("null").map_err(|_| error))
    }

    fn read_output(output: &Json) -> Result<O, StepError> {
        Self::output(output).map_err(|error| StepError::cannot_decode("the output", &error))
    }

    /// What this input and output provision.
    fn provisioned(&self, context: &Context, output: &O) -> Result<Option<Provision>, StepError> {
        let Some(provisions) = &self.provisions else { return Ok(None) };
        Ok(provisions(&self.input(context)?, output))
    }

    fn done(&self, context: &Context, output: &O) -> Result<Done, StepError> {
        let (provisions, changes) = (self.provisioned(context, output)?, (self.changes)(output));
        let json =
            Json::of(output).map_err(|e| StepError::permanent(format_args!("output: {e}")))?;
        let json = if json.as_str() == "null" { Json::empty_object() } else { json };
        Ok(Done { output: check_output(json)?, provisions, changes })
    }
}

/// A fresh output that is no object or too large: permanent, and what was done stays unknown (S3).
pub(crate) fn check_output(output: Json) -> Result<Json, StepError> {
    let size = output.as_str().len();
    if size > limits::OUTPUT_BYTES {
        let most = limits::OUTPUT_BYTES;
        return Err(StepError::permanent(format_args!(
            "output has {size} bytes; at most {most} are allowed"
        )));
    }
    if !output.as_str().starts_with('{') {
        return Err(StepError::permanent("output is no JSON object: expected fields with names"));
    }
    Ok(output)
}

impl<I, O> AnyStep for Typed<I, O>
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + DeserializeOwned + JsonSchema + Send + 'static,
{
    fn name(&self) -> &str {
        self.name
    }

    fn options(&self, used: &StepRef) -> Options {
        used.options(self.options)
    }

    fn has_undo(&self, _: &StepRef) -> bool {
        self.compensate.is_some()
    }

    fn has_probe(&self, _: &StepRef) -> bool {
        self.probe.is_some()
    }

    fn schemas(&self) -> (Option<&Value>, Option<&Value>) {
        (Some(&self.input_schema), Some(&self.output_schema))
    }

    fn form(&self) -> Option<&Form> {
        self.form.get_or_init(|| Form::new(self.input_schema.clone()).ok()).as_ref()
    }

    fn reads(&self, context: &Context, output: Option<&Json>) -> Result<(), StepError> {
        self.input(context)?;
        let read = output.map(Self::read_output).transpose();
        read.map(drop)
    }

    fn adopt(&self, context: &Context, output: &Json) -> Result<Done, Vec<String>> {
        let one = |text: String| vec![text];
        let json = check_output(output.clone()).map_err(|error| one(error.to_string()))?;
        let none = is_null(&self.output_schema);
        let form = Form::new(self.output_schema.clone()).map_err(one)?;
        let violations = if none { Vec::new() } else { form.violations(&json.value()) };
        if !violations.is_empty() {
            return Err(violations.iter().map(ToString::to_string).collect());
        }
        let typed = Self::output(&json).map_err(|error| one(error.to_string()))?;
        let provisions = self.provisioned(context, &typed);
        let provisions = provisions.map_err(|error| one(error.to_string()))?;
        let changes = (self.changes)(&typed);
        Ok(Done { output: json, provisions, changes })
    }

    fn changes(&self, output: &Json) -> Vec<Change> {
        Self::output(output).map(|output| (self.changes)(&output)).unwrap_or_default()
    }

    fn execute(self: Arc<Self>, attempt: Attempt, context: Context) -> Body<Done> {
        Box::pin(async move {
            let input = self.input(&context)?;
            let output = (self.execute)(attempt, input).await?;
            self.done(&context, &output)
        })
    }

    fn compensate(
        self: Arc<Self>,
        attempt: Attempt,
        context: Context,
        made: Effect<Json>,
    ) -> Body<()> {
        Box::pin(async move {
            let Some(compensate) = &self.compensate else { return Ok(()) };
            let input = self.input(&context)?;
            let effect = match made {
                Effect::Unknown => Effect::Unknown,
                Effect::Known(json) => Effect::Known(Self::read_output(&json)?),
            };
            compensate(attempt, input, effect).await
        })
    }

    fn probe(self: Arc<Self>, attempt: Attempt, context: Context) -> Body<Probe<Done>> {
        Box::pin(async move {
            let Some(probe) = &self.probe else { return Ok(Probe::CannotTell) };
            let input = self.input(&context)?;
            probe(attempt, input).await?.and_then(|output| self.done(&context, &output))
        })
    }
}

/// The twin of a [`Step`].
pub(crate) fn of_step<S: Step>(step: S) -> impl AnyStep {
    let step = Arc::new(step);
    let own = Arc::clone(&step);
    let mut typed = Typed::new(
        S::NAME,
        Box::new(move |attempt, input| {
            let step = Arc::clone(&own);
            Box::pin(async move { step.execute(attempt, input).await })
        }),
    );
    typed.options = S::OPTIONS;
    let own = Arc::clone(&step);
    typed.compensate = compensates::<S>().then(|| -> CompensateFn<S::Input, S::Output> {
        Box::new(move |attempt, input, effect| {
            let step = Arc::clone(&own);
            Box::pin(async move { step.compensate(attempt, input, effect).await })
        })
    });
    let own = Arc::clone(&step);
    typed.probe = probes::<S>().then(|| -> ProbeFn<S::Input, S::Output> {
        Box::new(move |attempt, input| {
            let step = Arc::clone(&own);
            Box::pin(async move { step.probe(attempt, input).await })
        })
    });
    let own = Arc::clone(&step);
    typed.provisions = Some(Box::new(move |input, output| own.provisions(input, output)));
    typed.changes = Box::new(move |output| step.changes(output));
    typed
}
