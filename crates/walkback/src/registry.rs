//! Names to code: the steps and kinds that a process knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::definition::Definition;
use crate::desired::{Change, RecordChange};
use crate::dynamic::{Dynamic, DynamicStep};
use crate::erased::AnyStep;
use crate::into_step::IntoStep;
use crate::json::Json;
use crate::machine::{Made, State};
use crate::options::Options;
use crate::plan::StepIdx;
use crate::recipe::{StepRef, Steps};
use crate::saga::Saga;
use crate::time::Timestamp;
use crate::wiring::Form;

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
    /// Steps by the names that they had once.
    aliases: BTreeMap<String, String>,
    pub(crate) mistakes: Vec<String>,
}

/// The list of steps for an order, or why there is none.
type ListFn = Arc<dyn Fn(&Json) -> Result<Steps, String> + Send + Sync>;

/// A kind of saga: its order form, and the list of steps for an order.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) form: Option<Form>,
    pub(crate) steps: ListFn,
}

impl Kind {
    /// A kind with one list for every order.
    pub(crate) fn of_list(form: Option<Form>, steps: Steps) -> Self {
        Self { form, steps: Arc::new(move |_| Ok(steps.clone())) }
    }
}

impl Registry {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows `echo`, `fail`, `sleep`, `wait_for`, `approve` and `command`.
    pub fn with_builtins() -> Self {
        crate::builtin::add(Self::new())
    }

    /// Knows this step too: a [`Step`](crate::Step), or one made by [`step_fn`](crate::step_fn).
    #[must_use]
    pub fn step<Form>(self, step: impl IntoStep<Form>) -> Self {
        step.add_to(self)
    }

    /// Knows this dynamic step too.
    #[must_use]
    pub fn dynamic<D: DynamicStep>(self, step: D) -> Self {
        self.add(Dynamic(step))
    }

    /// A step that was called `before` is called `now`: sagas that are stored with the old name go
    /// on with the step of the new one, and orders that still say it mean it.
    ///
    /// ```
    /// use walkback::{Engine, MemoryStore, Order, Registry};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let registry = Registry::with_builtins().alias("say", "echo");
    /// let engine = Engine::new(registry, MemoryStore::new())?;
    /// engine.start_saga(Order::steps(["say"])).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn alias(mut self, before: &str, now: &str) -> Self {
        if self.aliases.insert(before.to_owned(), now.to_owned()).is_some() {
            self.mistakes.push(format!("`{before}` is an alias twice: expected one of each name"));
        }
        self
    }

    /// Knows this kind too.
    #[must_use]
    pub fn saga<S: Saga>(mut self) -> Self {
        let steps = |input: &Json| {
            let saga: S = input.decode().map_err(|error| format!("input: {error}"))?;
            Ok(saga.steps())
        };
        let schema = schemars::schema_for!(S).to_value();
        let name = S::KIND;
        let form = Form::new(schema).map_err(|error| {
            self.mistakes.push(format!("the input of saga `{name}` has no usable schema: {error}"));
        });
        self.add_kind(name, Kind { form: form.ok(), steps: Arc::new(steps) })
    }

    /// Knows this definition's kind too.
    ///
    /// ```
    /// use walkback::{Definition, Engine, MemoryStore, Registry};
    /// let definition = Definition::parse("{kind: greet, steps: [echo]}", None).unwrap();
    /// let registry = Registry::with_builtins().definition(definition);
    /// assert!(Engine::new(registry, MemoryStore::new()).is_ok());
    /// ```
    #[must_use]
    pub fn definition(mut self, definition: Definition) -> Self {
        let Some(kind) = definition.kind() else {
            self.mistakes.push("a registered definition has no `kind`: expected a name".to_owned());
            return self;
        };
        let kind = kind.to_owned();
        self.add_kind(&kind, definition.into_kind())
    }

    fn add_kind(mut self, name: &str, kind: Kind) -> Self {
        if self.kinds.insert(name.to_owned(), kind).is_some() {
            self.mistakes
                .push(format!("kind `{name}` is registered twice: expected one of each name"));
        }
        self
    }

    pub(crate) fn add(mut self, step: impl AnyStep + 'static) -> Self {
        let name = step.name().to_owned();
        if self.steps.insert(name.clone(), Arc::new(step)).is_some() {
            self.mistakes
                .push(format!("step `{name}` is registered twice: expected one of each name"));
        }
        self
    }

    pub(crate) fn find(&self, step: &str) -> Option<&Arc<dyn AnyStep>> {
        self.steps.get(self.current_name(step))
    }

    /// What the step of this name is called by now.
    pub(crate) fn current_name<'a>(&'a self, step: &'a str) -> &'a str {
        self.aliases.get(step).map_or(step, String::as_str)
    }

    /// Every name that a step had once, and what it is called by now.
    pub(crate) fn all_aliases(&self) -> impl Iterator<Item = (&String, &String)> {
        self.aliases.iter()
    }

    /// The options of this use of a step; the defaults, if the step is unknown here.
    pub(crate) fn options(&self, used: &StepRef) -> Options {
        self.find(&used.step).map(|known| known.options(used)).unwrap_or_default()
    }

    /// What the steps of a run have changed in what is provisioned, and that stands.
    pub(crate) fn changed(&self, state: &State) -> Vec<Change> {
        (0..state.plan().len()).flat_map(|step| self.changed_by(state, step)).collect()
    }

    /// What this step has changed.
    fn changed_by(&self, state: &State, step: StepIdx) -> Vec<Change> {
        let Made::Known(output) = state.step(step).made() else { return Vec::new() };
        let known = self.find(&state.plan().step(step).step);
        known.map(|known| known.changes(output)).unwrap_or_default()
    }

    /// What the undo of this step takes back of what is provisioned.
    pub(crate) fn undone(&self, state: &State, step: StepIdx, at: Timestamp) -> Vec<RecordChange> {
        let restore = |change| RecordChange::Restore { change, at };
        let mut records = vec![RecordChange::Close { step, at }];
        records.extend(self.changed_by(state, step).into_iter().map(restore));
        records
    }

    pub(crate) fn find_kind(&self, kind: &str) -> Option<&Kind> {
        self.kinds.get(kind)
    }

    pub(crate) fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(String::as_str)
    }

    /// Every name by which a stored run may call a step that is known.
    pub(crate) fn known_steps(&self) -> Vec<String> {
        let aliases = self.all_aliases().map(|(before, _)| before.as_str());
        self.step_names().chain(aliases).map(str::to_owned).collect()
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
