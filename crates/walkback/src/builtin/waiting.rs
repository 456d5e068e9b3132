//! `wait_for` and `approve`: steps that wait for somebody, without holding memory or a worker.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Kind;
use crate::recipe::StepRef;
use crate::time::parse_duration;
use crate::{Attempt, Context, DynamicStep, Options, StepError};

/// Waits for a signal; what that brings is the step's output.
pub(crate) struct WaitFor;

/// Waits until somebody approves or denies.
pub(crate) struct Approve;

/// What a `wait_for` does when its signal has not come in time.
const OTHERWISE: [&str; 2] = ["fail", "go_on"];

/// Whether the step is done, and does not fail, when what it waits for has not come in time.
pub(crate) fn goes_on(used: &StepRef) -> bool {
    used.step == WaitFor.name() && used.with.get("otherwise").is_some_and(|what| what == "go_on")
}

/// Names in words: `` `grace` or `alan` ``.
pub(crate) fn any_of(names: &[impl std::fmt::Display]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(" or ")
}

/// Who may approve or deny, if the list of steps says so.
pub(crate) fn deciders(used: &StepRef) -> Option<Vec<&str>> {
    let by = used.with.get("by").filter(|_| used.step == Approve.name())?;
    Some(names(by).unwrap_or_default())
}

/// A name, or a list of at least one.
fn names(value: &Value) -> Option<Vec<&str>> {
    let list = match value {
        Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
        one => vec![one.as_str()?],
    };
    Some(list).filter(|list| !list.is_empty() && list.iter().all(|name| !name.is_empty()))
}

/// The time after which it waits no longer, if one is given.
fn within(value: Option<&Value>) -> Result<Option<Duration>, String> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().ok_or("parameter `within`: expected a duration like `30m`")?;
    let time = parse_duration(text).map_err(|error| format!("parameter `within`: {error}"))?;
    Ok(Some(time))
}

/// Mistakes in parameters: unknown ones, and a `within` that is no duration.
fn check(used: &StepRef, known: &[&str]) -> Vec<String> {
    let unknown = used.with.keys().filter(|name| !known.contains(&name.as_str()));
    let expected = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let unknown = unknown.map(|name| format!("parameter `{name}` is unknown: expected {expected}"));
    within(used.with.get("within")).err().into_iter().chain(unknown).collect()
}

fn given(context: &Context) -> Result<Option<Duration>, StepError> {
    within(context.parameter("within")).map_err(|why| StepError::permanent(why).clean())
}

impl DynamicStep for WaitFor {
    fn name(&self) -> &'static str {
        "wait_for"
    }

    fn options(&self) -> Options {
        Options::new().read_only()
    }

    fn parameters(&self) -> Option<&Value> {
        static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
            json!({
                "type": "object", "required": ["signal"], "additionalProperties": false,
                "properties": {
                    "signal": {"type": "string", "description": "the signal's name"},
                    "within": {"type": "string", "description": "how long at most: `30m`; for ever if nothing is said"},
                    "otherwise": {"enum": OTHERWISE, "description": "when it has not come in time; `fail` if nothing is said"}
                }
            })
        });
        Some(&SCHEMA)
    }

    fn check(&self, used: &StepRef) -> Vec<String> {
        let mut mistakes = check(used, &["signal", "within", "otherwise"]);
        let signal = used.with.get("signal").and_then(Value::as_str);
        if signal.is_none_or(str::is_empty) {
            mistakes
                .push("parameter `signal` is missing: expected the name of a signal".to_owned());
        }
        let known = |what: &Value| OTHERWISE.iter().any(|known| what == known);
        if let Some(what) = used.with.get("otherwise").filter(|what| !known(what)) {
            mistakes.push(format!("parameter `otherwise` is {what}: expected `fail` or `go_on`"));
        }
        mistakes
    }

    async fn execute(&self, _: &Attempt, context: &mut Context) -> Result<(), StepError> {
        let name = context.parameter("signal").and_then(Value::as_str).unwrap_or_default();
        let within = given(context)?;
        Err(StepError::waiting(Kind::Signal { name: name.to_owned(), within }))
    }
}

/// The signal for which this use of a step waits, if it waits for one.
pub(crate) fn signal_of(used: &StepRef) -> Option<&str> {
    used.with.get("signal").and_then(Value::as_str).filter(|_| used.step == "wait_for")
}

impl DynamicStep for Approve {
    fn name(&self) -> &'static str {
        "approve"
    }

    fn options(&self) -> Options {
        Options::new().read_only()
    }

    fn parameters(&self) -> Option<&Value> {
        static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
            let name = json!({"type": "string"});
            json!({
                "type": "object", "additionalProperties": false,
                "properties": {
                    "by": {"anyOf": [name, {"type": "array", "items": name, "minItems": 1}],
                           "description": "who may; everybody if nothing is said"},
                    "within": {"type": "string", "description": "how long at most, then it fails: `2d`"}
                }
            })
        });
        Some(&SCHEMA)
    }

    fn check(&self, used: &StepRef) -> Vec<String> {
        let mut mistakes = check(used, &["by", "within"]);
        if let Some(by) = used.with.get("by").filter(|by| names(by).is_none()) {
            mistakes.push(format!("parameter `by` is {by}: expected a name or a list of names"));
        }
        mistakes
    }

    async fn execute(&self, _: &Attempt, context: &mut Context) -> Result<(), StepError> {
        let within = given(context)?;
        Err(StepError::waiting(Kind::Approval { within }))
    }
}
