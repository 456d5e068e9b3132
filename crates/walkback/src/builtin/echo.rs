//! `echo`: puts the input's message, for trying things out.

use serde_json::Value;

use crate::{Attempt, Context, DynamicStep, Effect, Json, StepError};

/// Puts `echoed_at_step_<idx>` = the input's `message`, or "hello".
pub(crate) struct Echo;

impl DynamicStep for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    async fn execute(&self, attempt: &Attempt, context: &mut Context) -> Result<(), StepError> {
        let message = context.input("message").unwrap_or_else(|| Value::from("hello"));
        context.put_output(&format!("echoed_at_step_{}", attempt.step_idx()), &message)
    }

    async fn compensate(&self, _: &Attempt, _: &Context, _: Effect<Json>) -> Result<(), StepError> {
        Ok(())
    }
}
