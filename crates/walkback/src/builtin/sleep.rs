//! `sleep`: a durable timer.

use std::time::Duration;

use serde_json::{Value, json};
use std::sync::LazyLock;

use crate::recipe::StepRef;
use crate::time::parse_duration;
use crate::{Attempt, Context, DynamicStep, Options, StepError};

/// Waits `for` so long, without holding memory or a worker.
pub(crate) struct Sleep;

fn duration(value: Option<&Value>) -> Result<Duration, String> {
    let value = value.ok_or("parameter `for` is missing: expected a duration like `2s`")?;
    let text = value
        .as_str()
        .ok_or_else(|| format!("parameter `for` is {value}: expected a duration like `2s`"))?;
    parse_duration(text).map_err(|error| format!("parameter `for`: {error}"))
}

impl DynamicStep for Sleep {
    fn name(&self) -> &'static str {
        "sleep"
    }

    fn options(&self) -> Options {
        Options::new().read_only()
    }

    fn parameters(&self) -> Option<&Value> {
        static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
            json!({
                "type": "object", "required": ["for"], "additionalProperties": false,
                "properties": {"for": {"type": "string", "description": "how long: `2s`, `1h 30m`"}}
            })
        });
        Some(&SCHEMA)
    }

    fn check(&self, used: &StepRef) -> Vec<String> {
        let unknown = used.with.keys().filter(|name| *name != "for");
        let unknown = unknown.map(|name| format!("parameter `{name}` is unknown: expected `for`"));
        duration(used.with.get("for")).err().into_iter().chain(unknown).collect()
    }

    async fn execute(&self, attempt: &Attempt, context: &mut Context) -> Result<(), StepError> {
        let length = duration(context.parameter("for")).map_err(StepError::permanent)?;
        match length.saturating_sub(attempt.waited()) {
            Duration::ZERO => Ok(()),
            rest => Err(StepError::not_yet(rest)),
        }
    }
}
