//! A CDN endpoint, unique by the Space that it serves: it carries no name of ours, so that one that is there
//! before the run makes any is somebody's, is used, and stays.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Class, Client};
use crate::steps::named::{moment, text};
use crate::steps::{absent_for_sure, named_thing, on_account, refused, take_back, taken};

on_account! {
    /// Looks whether there is an endpoint already.
    LookForCdn;
    /// Creates an endpoint, unless it was there before the run made any.
    EnsureCdn;
}

/// How far the clocks of the account and of this machine may differ.
const SKEW: Duration = Duration::from_secs(5);

/// A look that failed has done nothing.
fn nothing_done(error: ApiError) -> StepError {
    let waits = error.class() == Class::RateLimited;
    let error = StepError::from(error);
    if waits { error } else { error.clean() }
}

/// Which Space.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Its name in the net: `files.fra1.digitaloceanspaces.com`.
    pub cdn_origin: String,
}

/// Whether it has an endpoint.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Before {
    /// It had one before the run made any.
    pub cdn_existed: bool,
}

/// Which endpoint.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The Space that it serves.
    pub cdn_origin: String,
    /// Whether it was there before the run made any.
    pub cdn_existed: bool,
    /// Seconds that it keeps what it has: 60, 600, 3600, 86400 or 604800; an hour, if nothing is said.
    #[serde(default)]
    pub ttl: Option<u32>,
}

/// An endpoint that is there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// Where it answers.
    pub cdn_host: String,
    /// Its id, if it is ours.
    pub cdn_endpoint_id: Option<String>,
}

async fn find(cloud: &Client, origin: &str) -> Result<Option<Value>, ApiError> {
    let all: Vec<Value> = cloud.list("/v2/cdn/endpoints", "endpoints").await?;
    Ok(all.into_iter().find(|found| found["origin"] == origin))
}

impl Wanted {
    /// Whether what was found was made since the step began, and none was there before; clocks differ by a
    /// little.
    fn is_ours(&self, cloud: &Client, attempt: &Attempt, found: &Value) -> bool {
        let is_new = |made_at| cloud.now().since(made_at) <= attempt.waited() + SKEW;
        !self.cdn_existed && moment(found, "created_at").is_some_and(is_new)
    }
}

/// The endpoint as it is there.
fn ensured(found: &Value, is_ours: bool) -> Endpoint {
    let id = is_ours.then(|| text(found, "id"));
    Endpoint { cdn_host: text(found, "endpoint"), cdn_endpoint_id: id }
}

impl Step for LookForCdn {
    const NAME: &'static str = "look_for_cdn";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Origin;
    type Output = Before;

    async fn execute(&self, _: Attempt, of: Origin) -> Result<Before, StepError> {
        Ok(Before { cdn_existed: find(&self.cloud, &of.cdn_origin).await?.is_some() })
    }
}

impl Step for EnsureCdn {
    const NAME: &'static str = "ensure_cdn";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Endpoint;

    async fn execute(&self, attempt: Attempt, of: Wanted) -> Result<Endpoint, StepError> {
        let origin = &of.cdn_origin;
        // Nothing of ours can be there before anything was asked for.
        let is_first = attempt.number() == 1 && attempt.waited() < SKEW;
        let found = find(&self.cloud, origin).await.map_err(nothing_done)?;
        if let Some(found) = found {
            let is_ours = !is_first && of.is_ours(&self.cloud, &attempt, &found);
            return Ok(ensured(&found, is_ours));
        }
        if of.cdn_existed {
            return refused(format_args!("the endpoint of `{origin}` was there and is gone"));
        }
        let mut body = json!({ "origin": origin });
        if let Some(ttl) = of.ttl {
            body["ttl"] = json!(ttl);
        }
        match self.cloud.post::<Value>("/v2/cdn/endpoints", &body).await {
            Ok(made) => Ok(ensured(&made["endpoint"], true)),
            Err(error) if error.class() == Class::Conflict && is_first => refused(format_args!(
                "somebody else has just made the endpoint of `{origin}`: {error}"
            )),
            Err(error) => Err(taken(error)),
        }
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: Wanted,
        effect: Effect<Endpoint>,
    ) -> Result<(), StepError> {
        if of.cdn_existed {
            return Ok(());
        }
        let cloud = self.cloud.undoing();
        let id = match effect {
            Effect::Known(endpoint) => endpoint.cdn_endpoint_id,
            Effect::Unknown => match find(&cloud, &of.cdn_origin).await? {
                Some(found) if of.is_ours(&cloud, &attempt, &found) => Some(text(&found, "id")),
                Some(_) => None,
                None => return absent_for_sure(&cloud, &attempt),
            },
        };
        match id {
            Some(id) => take_back(&cloud, &attempt, &format!("/v2/cdn/endpoints/{id}")).await,
            None => Ok(()),
        }
    }

    async fn probe(&self, attempt: Attempt, of: Wanted) -> Result<Probe<Endpoint>, StepError> {
        let found = find(&self.cloud, &of.cdn_origin).await?;
        Ok(found.map_or(Probe::Absent, |found| {
            Probe::Present(ensured(&found, of.is_ours(&self.cloud, &attempt, &found)))
        }))
    }

    fn provisions(&self, wanted: &Self::Input, endpoint: &Endpoint) -> Option<Provision> {
        named_thing("cdn_endpoint", endpoint.cdn_endpoint_id.as_ref()?, &endpoint.cdn_host, wanted)
    }
}
