//! Kinds of sagas, and orders to start one.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::definition::Definition;
use crate::json::{Json, JsonError};
use crate::recipe::{StepRef, Steps};
use crate::time::Timestamp;

/// A kind of saga whose order form has a type: the value is what a run of it is started with.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use walkback::{Saga, StepRef, Steps};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// struct WebSite { domain: String, region: String }
///
/// impl Saga for WebSite {
///     const KIND: &'static str = "web_site";
///     fn steps(&self) -> Steps {
///         Steps::new().then("create_vpc").then_all([
///             StepRef::new("create_droplet").scope("web"),
///             StepRef::new("create_droplet").scope("db"),
///         ])
///     }
/// }
/// ```
pub trait Saga: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// The kind's name.
    const KIND: &'static str;

    /// The list of steps for this order: asked once, at start; the answer is stored with the run.
    fn steps(&self) -> Steps;
}

/// What to start.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// A kind that the registry knows.
    Kind(String),
    /// A list of steps of its own, under the name of a kind.
    Steps { kind: String, steps: Steps },
    /// A definition, which the registry need not know.
    Definition(Definition),
}

/// An order to start a run.
///
/// ```
/// use std::time::Duration;
/// use walkback::Order;
/// let order = Order::steps(["echo", "echo", "fail"])
///     .input(r#"{"message": "hi"}"#)
///     .key("order-42")
///     .label("tenant", "acme")
///     .deadline(Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct Order {
    pub(crate) what: What,
    pub(crate) input: Result<Json, String>,
    pub(crate) key: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) queue: String,
    pub(crate) priority: i32,
    pub(crate) deadline: Option<Duration>,
    pub(crate) begin: Option<Begin>,
}

/// When a run begins, if not at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    At(Timestamp),
    In(Duration),
}

impl Order {
    fn new(what: What) -> Self {
        Self {
            what,
            input: Ok(Json::empty_object()),
            key: None,
            labels: BTreeMap::new(),
            queue: "default".to_owned(),
            priority: 0,
            deadline: None,
            begin: None,
        }
    }

    /// A run of a kind that the registry knows.
    pub fn kind(kind: impl Into<String>) -> Self {
        Self::new(What::Kind(kind.into()))
    }

    /// A run of these steps, one after another; its kind is `adhoc`.
    pub fn steps<S: Into<StepRef>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self::list("adhoc", steps.into_iter().collect())
    }

    /// A run of this list of steps, under the name of a kind.
    pub fn list(kind: impl Into<String>, steps: Steps) -> Self {
        Self::new(What::Steps { kind: kind.into(), steps })
    }

    /// A run of a definition, whether or not the registry knows its kind; without one it is `adhoc`.
    ///
    /// ```
    /// use walkback::{Definition, Order};
    /// let definition = Definition::parse("{steps: [echo, echo, fail]}", None).unwrap();
    /// let order = Order::definition(&definition).key("order-43");
    /// ```
    pub fn definition(definition: &Definition) -> Self {
        Self::new(What::Definition(definition.clone()))
    }

    /// What it is started with: a JSON object. A mistake in it is reported by the start.
    #[must_use]
    pub fn input(mut self, json: impl Into<String>) -> Self {
        self.input = Json::parse(json).map_err(|error| format!("input: {error}"));
        self
    }

    /// Starting twice with one key starts one run.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// For finding it again.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Only workers that serve this queue take it; `default` if nothing is said.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    /// Higher goes first; zero if nothing is said.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Walks back if it is not done so long after its start; after the moment at which it begins,
    /// where that is delayed.
    #[must_use]
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// Begins at this moment and not at once; one that has passed is at once.
    #[must_use]
    pub fn begin_at(mut self, moment: Timestamp) -> Self {
        self.begin = Some(Begin::At(moment));
        self
    }

    /// Begins so much later and not at once.
    #[must_use]
    pub fn begin_in(mut self, time: Duration) -> Self {
        self.begin = Some(Begin::In(time));
        self
    }
}

impl<S: Saga> From<S> for Order {
    fn from(saga: S) -> Self {
        let input = Json::of(&saga).map_err(|error: JsonError| format!("input: {error}"));
        Self { input, ..Self::kind(S::KIND) }
    }
}
