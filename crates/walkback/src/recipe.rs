//! A list of steps as data: what authors write, what files hold, what is stored with every run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::options::{OnFailure, OnUndoFailure, Options, Retry};
use crate::time::Span;

mod facts;
mod lock;
mod read;

pub(crate) use facts::Facts;
pub(crate) use lock::{LockRef, Part};
pub(crate) use read::kind_of;

/// A list of entries that follow one another; the members of a group run together.
///
/// ```
/// use walkback::{StepRef, Steps};
/// let steps = Steps::new()
///     .then("create_vpc")
///     .then_all([StepRef::new("create_droplet").scope("web"), StepRef::new("create_droplet").scope("db")]);
/// let same: Steps = serde_json::from_str(
///     r#"["create_vpc", [{"step":"create_droplet","scope":"web"}, {"step":"create_droplet","scope":"db"}]]"#,
/// ).unwrap();
/// assert_eq!(steps, same);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Steps(pub(crate) Vec<Entry>);

/// A step, or entries that belong together: a group where a list stands around it, a list where a
/// group does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Step(Box<StepRef>),
    Many(Vec<Entry>),
}

/// One use of a step in a list: its name, its scope, where its input comes from, and what differs
/// here from the step's own options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepRef {
    pub(crate) step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) from: BTreeMap<String, Source>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) with: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) for_each: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<RetryData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compensate_timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compensate_retry: Option<RetryData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) settle: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeatable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pivot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold_on_failure: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_undo_failure: Option<OnUndoFailure>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lock::read")]
    pub(crate) lock: Vec<LockRef>,
    /// What the engine must know of the step without its code; set when a run is accepted.
    #[serde(skip_serializing_if = "Facts::is_default")]
    pub(crate) facts: Facts,
}

/// Where a field of a step's input comes from: one path, or several collected into a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Source {
    /// `field` of the inputs or of an output, or `scope.field`.
    One(String),
    /// Each path's value, in this order; `web_*.id` stands for every scope that begins so.
    Several(Vec<String>),
}

/// [`Retry`] as files write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryData {
    attempts: std::num::NonZeroU32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backoff: Option<(Span, Span)>,
}

impl RetryData {
    fn over(&self, default: Retry) -> Retry {
        let retry = default.with_attempts(self.attempts.get());
        self.backoff.map_or(retry, |(min, max)| retry.backoff(min.0, max.0))
    }
}

impl Steps {
    /// No steps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Then this step.
    #[must_use]
    pub fn then(mut self, step: impl Into<StepRef>) -> Self {
        self.0.push(Entry::Step(Box::new(step.into())));
        self
    }

    /// Then these steps together.
    #[must_use]
    pub fn then_all<S: Into<StepRef>>(mut self, steps: impl IntoIterator<Item = S>) -> Self {
        let members = steps.into_iter().map(|step| Entry::Step(Box::new(step.into()))).collect();
        self.0.push(Entry::Many(members));
        self
    }

    /// Then these lists of steps beside each other, each in its own order.
    #[must_use]
    pub fn then_lists(mut self, lists: impl IntoIterator<Item = Steps>) -> Self {
        self.0.push(Entry::Many(lists.into_iter().map(|list| Entry::Many(list.0)).collect()));
        self
    }
}

impl Steps {
    /// Shows every step entry to `visit`, in the order of the list.
    pub(crate) fn for_each_mut(&mut self, visit: &mut dyn FnMut(&mut StepRef)) {
        fn walk(entries: &mut [Entry], visit: &mut dyn FnMut(&mut StepRef)) {
            for entry in entries {
                match entry {
                    Entry::Step(step) => visit(step),
                    Entry::Many(members) => walk(members, visit),
                }
            }
        }
        walk(&mut self.0, visit);
    }
}

impl<S: Into<StepRef>> FromIterator<S> for Steps {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        names.into_iter().fold(Self::new(), Self::then)
    }
}

impl From<&str> for StepRef {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for StepRef {
    fn from(name: String) -> Self {
        Self { step: name, ..Self::default() }
    }
}

impl StepRef {
    /// The step of this name.
    pub fn new(name: &str) -> Self {
        name.to_owned().into()
    }

    /// Its outputs are read as `scope.field` outside the scope; a typed step needs one to appear
    /// twice.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.to_owned());
        self
    }

    /// Reads the input's `field` from `path` (`field` or `scope.field`).
    #[must_use]
    pub fn map(mut self, field: &str, path: &str) -> Self {
        self.from.insert(field.to_owned(), Source::One(path.to_owned()));
        self
    }

    /// Collects the values at `paths` into the input's `field`, a list.
    #[must_use]
    pub fn collect(mut self, field: &str, paths: &[&str]) -> Self {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        self.from.insert(field.to_owned(), Source::Several(paths));
        self
    }

    /// How this use of it is called in tables and errors.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Sets a parameter of a step that takes some, such as `sleep`'s `for`; for a typed step, a
    /// field of its input.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl Into<Value>) -> Self {
        self.with.insert(parameter.to_owned(), value.into());
        self
    }

    /// Only if this field of the inputs holds something: `inputs.tls`, or `not inputs.tls`.
    #[must_use]
    pub fn when(mut self, condition: &str) -> Self {
        self.when = Some(condition.to_owned());
        self
    }

    /// As many copies beside each other as this field of the inputs says, or one for each element
    /// of its list. A copy's scope is its scope, or name, and `_0`, `_1`, …; mapping a field from
    /// `each` gives it the element, from `index` the copy's number.
    ///
    /// ```
    /// use walkback::{StepRef, Steps};
    /// let steps = Steps::new()
    ///     .then(StepRef::new("create_droplet").scope("web").for_each("inputs.sizes").map("size", "each"))
    ///     .then(StepRef::new("create_balancer").collect("droplet_ids", &["web_*.droplet_id"]));
    /// ```
    #[must_use]
    pub fn for_each(mut self, field: &str) -> Self {
        self.for_each = Some(field.to_owned());
        self
    }

    /// Begins only when the run holds `key` (with fields of the context in braces) and no other does:
    /// until it has completed, is rolled back, or has failed with nothing left to see to. Another run
    /// that wants it waits, for an hour unless [`StepRef::lock_within`] says otherwise, and then turns.
    ///
    /// ```
    /// # use walkback::{StepRef, Steps};
    /// let steps = Steps::new().then(StepRef::new("resize").lock("droplet:{droplet_id}"));
    /// let same = r#"[{"resize": {"lock": "droplet:{droplet_id}"}}]"#;
    /// assert_eq!(steps, serde_json::from_str(same).unwrap());
    /// ```
    #[must_use]
    pub fn lock(mut self, key: &str) -> Self {
        self.lock.push(LockRef::new(key, None));
        self
    }

    /// Begins only while at most `at_most` runs that move or are parked hold `key`, this one included;
    /// it waits for as long as it takes.
    ///
    /// ```
    /// # use std::num::NonZeroU32;
    /// # use walkback::{StepRef, Steps};
    /// let steps = Steps::new()
    ///     .then(StepRef::new("create_vpc").limit("customer:{customer}", NonZeroU32::new(3).unwrap()));
    /// let same = r#"[{"create_vpc": {"lock": {"key": "customer:{customer}", "at_most": 3}}}]"#;
    /// assert_eq!(steps, serde_json::from_str(same).unwrap());
    /// ```
    #[must_use]
    pub fn limit(mut self, key: &str, at_most: std::num::NonZeroU32) -> Self {
        self.lock.push(LockRef::new(key, Some(at_most)));
        self
    }

    /// How long it waits at most for each of its locks and limits so far.
    #[must_use]
    pub fn lock_within(mut self, time: Duration) -> Self {
        self.lock.iter_mut().for_each(|lock| lock.within = Some(Span(time)));
        self
    }

    /// How the step is called in tables and errors: its `name`, or the step's own.
    pub(crate) fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.step)
    }

    /// The step's own options with what differs in this use of it.
    pub(crate) fn options(&self, own: Options) -> Options {
        let span = |here: Option<Span>, own: Duration| here.map_or(own, |span| span.0);
        let retry =
            |here: &Option<RetryData>, own| here.as_ref().map_or(own, |data| data.over(own));
        Options {
            timeout: span(self.timeout, own.timeout),
            retry: retry(&self.retry, own.retry),
            compensate_timeout: span(self.compensate_timeout, own.compensate_timeout),
            compensate_retry: retry(&self.compensate_retry, own.compensate_retry),
            settle: span(self.settle, own.settle),
            repeatable: self.repeatable.unwrap_or(own.repeatable),
            pivot: self.pivot.unwrap_or(own.pivot),
            on_failure: self.hold_on_failure.map_or(own.on_failure, |span| OnFailure::Hold(span.0)),
            on_undo_failure: self.on_undo_failure.unwrap_or(own.on_undo_failure),
            no_undo: own.no_undo,
        }
    }
}

impl Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Step(step) if **step == StepRef::new(&step.step) => {
                serializer.serialize_str(&step.step)
            }
            Self::Step(step) => step.serialize(serializer),
            Self::Many(entries) => entries.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(value).map_err(|mistakes| serde::de::Error::custom(mistakes.join("; ")))
    }
}
