//! A list of steps as data: what authors write, what files hold, what is stored with every run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::options::{OnFailure, OnUndoFailure, Options, Retry};
use crate::time::Span;

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

/// What is fixed of a step when a run is accepted, so that a ledger can be folded without its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Facts {
    #[serde(skip_serializing_if = "is_true")]
    pub(crate) undo: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) probe: bool,
    #[serde(skip_serializing_if = "is_true")]
    pub(crate) repeatable: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) pivot: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) read_only: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Default for Facts {
    fn default() -> Self {
        Self { undo: true, probe: false, repeatable: true, pivot: false, read_only: false }
    }
}

impl Facts {
    fn is_default(&self) -> bool {
        *self == Self::default()
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

    /// Sets a parameter of a step that takes some, such as `sleep`'s `for`.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl Into<Value>) -> Self {
        self.with.insert(parameter.to_owned(), value.into());
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

impl Steps {
    /// Reads a list as files write it, `{"sleep": {"for": "2s"}}` included.
    ///
    /// # Errors
    /// Every mistake, one sentence each.
    pub(crate) fn from_value(value: Value) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let entries = match value {
            Value::Array(entries) => entries,
            other => return Err(vec![format!("`steps` is {}: expected a list", kind_of(&other))]),
        };
        let steps = entries.into_iter().filter_map(|e| Entry::read(e, &mut mistakes)).collect();
        if mistakes.is_empty() { Ok(Self(steps)) } else { Err(mistakes) }
    }
}

impl Entry {
    fn read(value: Value, mistakes: &mut Vec<String>) -> Option<Self> {
        let step = match value {
            Value::String(name) => Ok(StepRef::from(name)),
            Value::Array(entries) => {
                let members = entries.into_iter().filter_map(|e| Self::read(e, mistakes)).collect();
                return Some(Self::Many(members));
            }
            Value::Object(map) if map.contains_key("step") => read_step(map),
            Value::Object(map) => read_shorthand(map),
            other => {
                Err(format!("a step is {}: expected a name, an object or a list", kind_of(&other)))
            }
        };
        step.map_err(|mistake| mistakes.push(mistake)).ok().map(|step| Self::Step(Box::new(step)))
    }
}

fn read_step(map: Map<String, Value>) -> Result<StepRef, String> {
    let name = map.get("step").and_then(Value::as_str).unwrap_or("?").to_owned();
    serde_json::from_value(Value::Object(map)).map_err(|error| format!("step `{name}`: {error}"))
}

/// `{"sleep": {"for": "2s", "timeout": …}}`: what is no field of a step entry is a parameter.
fn read_shorthand(map: Map<String, Value>) -> Result<StepRef, String> {
    const FIELDS: [&str; 15] = [
        "name",
        "scope",
        "from",
        "when",
        "for_each",
        "timeout",
        "retry",
        "compensate_timeout",
        "compensate_retry",
        "settle",
        "repeatable",
        "pivot",
        "hold_on_failure",
        "on_undo_failure",
        "with",
    ];
    let expected = "expected `{step: NAME, …}` or `NAME: {…}`";
    let (name, body) = match map.into_iter().collect::<Vec<_>>().as_mut_slice() {
        [(name, body)] => (std::mem::take(name), body.take()),
        many => {
            let names: Vec<_> = many.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(format!("a step entry has the fields {}: {expected}", names.join(", ")));
        }
    };
    let fields = match body {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        other => {
            return Err(format!(
                "step `{name}` has {} for its fields: {expected}",
                kind_of(&other)
            ));
        }
    };
    let (mut entry, with): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(field, _)| FIELDS.contains(&field.as_str()));
    entry.insert("step".to_owned(), Value::String(name));
    if !with.is_empty() {
        entry.insert("with".to_owned(), Value::Object(with));
    }
    read_step(entry)
}

/// What kind of JSON value this is, in words, for errors.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
