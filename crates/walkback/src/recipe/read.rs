//! Reads a list of steps as people write it.

use serde_json::{Map, Value};

use crate::recipe::{Entry, StepRef, Steps};

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
    const FIELDS: [&str; 16] = [
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
        "lock",
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
    match entry.entry("with").or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(known) => known.extend(with),
        other => {
            return Err(format!(
                "step `{name}` has {} for `with`: expected an object",
                kind_of(other)
            ));
        }
    }
    entry.insert("step".to_owned(), Value::String(name));
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
