//! What a run knows: its inputs, the edits made to them, and the outputs of the steps done so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::StepError;
use crate::json::Json;
use crate::machine::State;
use crate::plan::StepIdx;
use crate::recipe::Source;

/// The context of a run as one of its steps sees it: what precedes the step in the structure, so
/// that it is the same whenever it is read.
///
/// For steps whose data has no fixed shape; a typed [`Step`](crate::Step) is given its fields.
#[derive(Clone, Debug)]
pub struct Context {
    inputs: Json,
    edits: Vec<Json>,
    outputs: Vec<(Option<Arc<str>>, Json)>,
    scope: Option<Arc<str>>,
    put: BTreeMap<String, Json>,
    parameters: Arc<serde_json::Map<String, Value>>,
    from: Arc<BTreeMap<String, Source>>,
}

/// The whole context as one object, with members in the order of their names.
pub(crate) type Merged = BTreeMap<String, Member>;

/// A member of the context: a value, or a scope with values of its own.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Member {
    Value(Json),
    Scope(BTreeMap<String, Json>),
}

impl Member {
    fn json(&self) -> Option<Json> {
        match self {
            Self::Value(json) => Some(json.clone()),
            Self::Scope(members) => Json::of(members).ok(),
        }
    }
}

impl Context {
    /// What step `idx` sees.
    pub(crate) fn of_step(inputs: &Json, state: &State, idx: StepIdx) -> Self {
        let step = state.plan().step(idx);
        let mut context = Self::seen(inputs, state, state.plan().before(idx).into_iter());
        context.edits = state.edits_seen(idx).to_vec();
        if !state.step(idx).begun() {
            context.edits = state.edits().to_vec();
        }
        context.scope = step.scope.as_deref().map(Arc::from);
        context.parameters = Arc::new(step.with.clone());
        context.from = Arc::new(step.from.clone());
        context
    }

    /// What the run as a whole knows now.
    pub(crate) fn of_run(inputs: &Json, state: &State) -> Self {
        Self::seen(inputs, state, 0..state.plan().len())
    }

    fn seen(inputs: &Json, state: &State, steps: impl Iterator<Item = StepIdx>) -> Self {
        let output = |idx| {
            let output = state.step(idx).output.clone()?;
            Some((state.plan().scope(idx).map(Arc::from), output))
        };
        Self {
            inputs: inputs.clone(),
            edits: state.edits().to_vec(),
            outputs: steps.filter_map(output).collect(),
            scope: None,
            put: BTreeMap::new(),
            parameters: Arc::default(),
            from: Arc::default(),
        }
    }

    /// The field of this name of what the run was started with, edits included; or what the list
    /// of steps says instead of it: a mapped field, or a parameter.
    pub fn input(&self, name: &str) -> Option<Value> {
        if self.from.contains_key(name) {
            return self.field(name).map(|json| json.value());
        }
        let given = self.parameters.get(name).cloned();
        given.or_else(|| self.started_with(name).map(|json| json.value()))
    }

    /// The newest output of this name, or `scope.name`, of the steps before this one.
    pub fn output(&self, name: &str) -> Option<Value> {
        self.find_output(name).map(|json| json.value())
    }

    /// The parameter of this name in the list of steps, such as `sleep`'s `for`.
    pub fn parameter(&self, name: &str) -> Option<&Value> {
        self.parameters.get(name)
    }

    pub(crate) fn parameters(&self) -> &serde_json::Map<String, Value> {
        &self.parameters
    }

    /// Adds a field to the step's output.
    ///
    /// # Errors
    /// If the value cannot be encoded as JSON: permanent, unknown.
    pub fn put_output<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), StepError> {
        let json = Json::of(value)
            .map_err(|error| StepError::permanent(format_args!("output `{name}`: {error}")))?;
        self.put.insert(name.to_owned(), json);
        Ok(())
    }

    pub(crate) fn put_all(&mut self, output: &Json) {
        self.put.extend(output.members().unwrap_or_default());
    }

    pub(crate) fn into_output(self) -> Result<Json, crate::error::JsonError> {
        Json::of(&self.put)
    }

    /// The value that the input's `field` has: mapped, given, or found by its name. What a path
    /// means is checked by [`crate::wiring`] before the run is stored; the two must agree.
    pub(crate) fn field(&self, field: &str) -> Option<Json> {
        match (self.from.get(field), self.parameters.get(field)) {
            (Some(Source::One(path)), _) if !path.contains("*.") => self.path(path),
            (Some(Source::One(path)), _) => Json::of(&self.paths(path)).ok(),
            (Some(Source::Several(paths)), _) => {
                let found: Vec<Json> = paths.iter().flat_map(|path| self.paths(path)).collect();
                Json::of(&found).ok()
            }
            (None, Some(given)) => Json::of(given).ok(),
            (None, None) => self.path(field),
        }
    }

    fn started_with(&self, name: &str) -> Option<Json> {
        let mut layers = self.edits.iter().rev().chain([&self.inputs]);
        layers.find_map(|layer| member(layer, name))
    }

    fn path(&self, path: &str) -> Option<Json> {
        match path.strip_prefix("inputs.") {
            Some(name) => self.started_with(name),
            None => self.find_output(path).or_else(|| self.started_with(path)),
        }
    }

    /// The values at a path whose scope may end in `*`, in the order of the steps.
    fn paths(&self, path: &str) -> Vec<Json> {
        let Some((prefix, field)) = path.split_once("*.") else {
            return self.path(path).into_iter().collect();
        };
        let fits = |scope: &Option<Arc<str>>| scope.as_ref().is_some_and(|s| s.starts_with(prefix));
        let outputs = self.outputs.iter().filter(|(scope, _)| fits(scope));
        outputs.filter_map(|(_, output)| member(output, field)).collect()
    }

    /// Inside a scope its own outputs come before those without one.
    fn find_output(&self, path: &str) -> Option<Json> {
        let newest = |scope: Option<&str>, field: &str| {
            let mut outputs = self.outputs.iter().rev().filter(|(own, _)| own.as_deref() == scope);
            outputs.find_map(|(_, output)| member(output, field))
        };
        match (path.split_once('.'), self.scope.as_deref()) {
            (Some((scope, field)), _) => newest(Some(scope), field),
            (None, Some(own)) => newest(Some(own), path).or_else(|| newest(None, path)),
            (None, None) => newest(None, path),
        }
    }

    /// Everything as one object: inputs, edits and outputs, those of a scope below its name.
    pub(crate) fn merged(&self) -> Merged {
        let mut merged = Merged::new();
        for layer in [&self.inputs].into_iter().chain(&self.edits) {
            for (name, json) in layer.members().unwrap_or_default() {
                merged.insert(name, Member::Value(json));
            }
        }
        for (scope, output) in &self.outputs {
            let members = output.members().unwrap_or_default();
            let Some(scope) = scope else {
                merged.extend(members.into_iter().map(|(name, json)| (name, Member::Value(json))));
                continue;
            };
            let place = merged.entry(scope.to_string()).or_insert(Member::Scope(BTreeMap::new()));
            if !matches!(place, Member::Scope(_)) {
                *place = Member::Scope(BTreeMap::new());
            }
            if let Member::Scope(known) = place {
                known.extend(members);
            }
        }
        merged
    }

    /// The whole context as JSON.
    pub(crate) fn to_json(&self) -> Json {
        Self::encode(&self.merged())
    }

    fn encode(merged: &Merged) -> Json {
        let texts: BTreeMap<&String, Json> =
            merged.iter().filter_map(|(name, member)| Some((name, member.json()?))).collect();
        Json::of(&texts).unwrap_or_else(|_| Json::empty_object())
    }

    /// The whole context as JSON with, if it is known, the step's own `output` as a member.
    pub(crate) fn with_output(&self, output: Option<&Json>) -> Json {
        let mut merged = self.merged();
        merged.extend(output.map(|output| ("output".to_owned(), Member::Value(output.clone()))));
        Self::encode(&merged)
    }

    /// Bytes of the context as it counts against its limit.
    pub(crate) fn size(&self) -> usize {
        let layers = [&self.inputs].into_iter().chain(&self.edits);
        let outputs = self.outputs.iter().map(|(_, output)| output);
        layers.chain(outputs).map(|json| json.as_str().len()).sum()
    }
}

/// One member of an object, without reading the others' values.
fn member(object: &Json, name: &str) -> Option<Json> {
    if !object.as_str().contains(name) && !object.as_str().contains('\\') {
        return None;
    }
    let map: BTreeMap<std::borrow::Cow<'_, str>, &RawValue> =
        serde_json::from_str(object.as_str()).ok()?;
    map.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok())
}
