//! `fail`: fails, for trying things out.

use crate::{Attempt, Context, DynamicStep, Options, StepError};

/// Fails permanently and clean.
pub(crate) struct Fail;

impl DynamicStep for Fail {
    fn name(&self) -> &'static str {
        "fail"
    }

    fn options(&self) -> Options {
        Options::new().read_only()
    }

    async fn execute(&self, _: &Attempt, _: &mut Context) -> Result<(), StepError> {
        Err(StepError::permanent("fail").clean())
    }
}
