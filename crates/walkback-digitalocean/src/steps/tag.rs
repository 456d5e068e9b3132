//! The tag that everything of a run carries, and that its firewall is bound to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::steps::{absent_for_sure, on_account, remove_tag};

on_account! {
    /// Makes the run's tag; one that is there is the same.
    CreateTag;
}

/// The tag.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tagged {
    /// Its name: `saga:<run>`.
    pub run_tag: String,
}

impl Step for CreateTag {
    const NAME: &'static str = "create_tag";
    const OPTIONS: Options = super::OPTIONS;
    type Input = ();
    type Output = Tagged;

    async fn execute(&self, attempt: Attempt, (): ()) -> Result<Tagged, StepError> {
        let [run_tag, _] = attempt.tags();
        self.cloud.post::<Value>("/v2/tags", &json!({ "name": run_tag })).await?;
        Ok(Tagged { run_tag })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        (): (),
        _: Effect<Tagged>,
    ) -> Result<(), StepError> {
        let (cloud, [run_tag, _]) = (self.cloud.undoing(), attempt.tags());
        if cloud.find::<Value>(&format!("/v2/tags/{run_tag}")).await?.is_none() {
            return absent_for_sure(&cloud, &attempt);
        }
        remove_tag(&cloud, &run_tag).await
    }

    async fn probe(&self, attempt: Attempt, (): ()) -> Result<Probe<Tagged>, StepError> {
        let [run_tag, _] = attempt.tags();
        let found = self.cloud.find::<Value>(&format!("/v2/tags/{run_tag}")).await?;
        Ok(found.map_or(Probe::Absent, |_| Probe::Present(Tagged { run_tag })))
    }
}
