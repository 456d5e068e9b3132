//! The tag by which people see that a site is suspended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::{Attempt, Effect, Options, Step, StepError};

use crate::client::{ApiError, Class, Client};
use crate::steps::life::{Kind, Thing};
use crate::steps::{on_account, remove_tag};

on_account! {
    /// Tags what can be tagged as suspended, or no longer.
    TagSuspended;
}

/// The tag; all suspended sites share it.
pub(super) const SUSPENDED: &str = "state:suspended";

/// What is tagged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// What the site has.
    pub things: Vec<Thing>,
    /// Whether it carries the tag after this.
    pub suspended: bool,
}

/// The things that can be tagged, as the API names them.
fn resources(things: &[Thing]) -> Vec<Value> {
    let kind = |thing: &Thing| match thing.kind {
        Kind::Droplet => Some("droplet"),
        Kind::Volume => Some("volume"),
        _ => None,
    };
    let resource =
        |thing: &Thing| Some(json!({"resource_id": thing.id, "resource_type": kind(thing)?}));
    things.iter().filter_map(resource).collect()
}

/// Puts the tag on all of them, or takes it off; what is gone has none.
async fn set(cloud: &Client, things: &[Thing], suspended: bool) -> Result<(), StepError> {
    let path = format!("/v2/tags/{SUSPENDED}/resources");
    let resources = resources(things);
    if suspended && !resources.is_empty() {
        cloud.post::<Value>("/v2/tags", &json!({ "name": SUSPENDED })).await?;
    }
    for resource in resources {
        let body = json!({ "resources": [resource] });
        let done: Result<Value, ApiError> = if suspended {
            cloud.post(&path, &body).await
        } else {
            cloud.delete_from(&path, &body).await
        };
        match done {
            // The tag, and those before, are there.
            Err(error) if error.class() != Class::NotFound => {
                return Err(StepError::from(error).unknown());
            }
            _ => {}
        }
    }
    if suspended {
        return Ok(());
    }
    remove_tag(cloud, SUSPENDED).await.map_err(StepError::unknown)
}

/// Whether it was suspended when the site was read.
fn was_suspended(things: &[Thing]) -> bool {
    things.iter().any(|thing| thing.before_suspension().is_some())
}

impl Step for TagSuspended {
    const NAME: &'static str = "tag_suspended";
    const OPTIONS: Options = crate::steps::OPTIONS;
    type Input = Wanted;
    type Output = ();

    async fn execute(&self, _: Attempt, wanted: Wanted) -> Result<(), StepError> {
        set(&self.cloud, &wanted.things, wanted.suspended).await
    }

    async fn compensate(&self, _: Attempt, of: Wanted, _: Effect<()>) -> Result<(), StepError> {
        set(&self.cloud.undoing(), &of.things, was_suspended(&of.things)).await
    }
}
