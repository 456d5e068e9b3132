//! A key of Spaces, whose name carries the run. Its secret is shown once and goes to the keeper: a key of which
//! it was lost is the one thing that is replaced and never adopted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{absent_for_sure, after_others, named_thing, on_account, refused, remove};

on_account! {
    /// Creates a key for buckets, and keeps its secret.
    CreateSpacesKey;
}

/// What a key may do with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Read.
    Read,
    /// Read, write and delete. While its site is suspended it may only read.
    Readwrite,
}

/// What may be done with which bucket.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// Its name.
    pub bucket: String,
    /// What.
    pub permission: Permission,
}

/// Which key. One for all buckets is not made here: the API turns none into one that may only read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// What it may do.
    pub spaces_grants: Vec<Grant>,
}

/// A key, and where its secret is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Credentials {
    /// Its id.
    pub access_key: String,
    /// Its name.
    pub spaces_key_name: String,
    /// Where its secret is kept.
    pub secret_at: String,
}

#[derive(Deserialize)]
struct One<K> {
    key: K,
}

#[derive(Deserialize)]
struct Found {
    access_key: String,
    name: String,
}

/// What is shown once.
#[derive(Deserialize)]
struct Made {
    access_key: String,
    secret_key: String,
}

fn path(access_key: &str) -> String {
    format!("/v2/spaces/keys/{access_key}")
}

/// The run's own; names may be there twice.
async fn find(cloud: &Client, name: &str) -> Result<Vec<Found>, ApiError> {
    let all: Vec<Found> = cloud.list("/v2/spaces/keys", "keys").await?;
    let mut own = Vec::new();
    for found in all.into_iter().filter(|found| found.name == name) {
        // A list may still show what is gone.
        own.extend(cloud.find::<One<Found>>(&path(&found.access_key)).await?.map(|one| one.key));
    }
    Ok(own)
}

/// What went wrong with the keeper may pass by itself; nothing in the account is changed by that.
fn not_kept(why: impl std::fmt::Display) -> StepError {
    StepError::transient(format_args!("the keeper of secrets: {why}"))
}

/// The one among them whose secret is kept, and the others.
async fn sorted(
    cloud: &Client,
    found: Vec<Found>,
) -> Result<(Option<Credentials>, Vec<Found>), StepError> {
    let keeper = cloud.keeper()?;
    let (mut kept, mut useless) = (None, Vec::new());
    for key in found {
        let at = keeper.find(&key.access_key).await.map_err(not_kept)?;
        match at.filter(|_| kept.is_none()) {
            Some(secret_at) => {
                let Found { access_key, name: spaces_key_name } = key;
                kept = Some(Credentials { access_key, spaces_key_name, secret_at });
            }
            None => useless.push(key),
        }
    }
    Ok((kept, useless))
}

/// Removes a key, and then its secret, which is its only one as long as it lives.
async fn remove_key(cloud: &Client, access_key: &str) -> Result<(), StepError> {
    remove(cloud, &path(access_key)).await?;
    forget(cloud, access_key).await
}

/// Removes a key, if it still has the name it was made with, and its secret.
pub(super) async fn remove_named(
    cloud: &Client,
    access_key: &str,
    name: &str,
) -> Result<(), StepError> {
    // Its secret is forgotten afterwards.
    cloud.keeper()?;
    match cloud.find::<One<Found>>(&path(access_key)).await?.map(|one| one.key) {
        Some(found) if found.name != name => refused(format_args!(
            "key {access_key} is called `{}` and was made as `{name}`: somebody keeps it",
            found.name
        )),
        Some(_) => remove_key(cloud, access_key).await,
        None => forget(cloud, access_key).await,
    }
}

/// Forgets the secret of a key that is gone.
async fn forget(cloud: &Client, access_key: &str) -> Result<(), StepError> {
    cloud.keeper()?.forget(access_key).await.map_err(not_kept)
}

impl Step for CreateSpacesKey {
    const NAME: &'static str = "create_spaces_key";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Credentials;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Credentials, StepError> {
        let (cloud, name) = (&self.cloud, attempt.resource_name(&wanted.name));
        let keeper = cloud.keeper()?;
        if wanted.spaces_grants.is_empty() {
            return refused("spaces_grants is empty: expected a bucket, and what to do with it");
        }
        let (kept, useless) = sorted(cloud, find(cloud, &name).await?).await?;
        for key in useless {
            remove_key(cloud, &key.access_key).await.map_err(after_others)?;
        }
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let body = json!({"name": name, "grants": wanted.spaces_grants});
        let made: One<Made> = cloud.post("/v2/spaces/keys", &body).await?;
        let Made { access_key, secret_key } = made.key;
        let at = keeper.keep(&access_key, &secret_key).await;
        // Others may have gone on without this worker, and replaced the key meanwhile. A look that fails
        // says nothing: what was made is made. (That a new key is not found by its id is not known of Spaces; if it
        // were, the secret would be lost, and the key replaced.)
        if let Ok(None) = cloud.find::<One<Found>>(&path(&access_key)).await {
            forget(cloud, &access_key).await?;
            return Err(StepError::transient("the key that was made is gone").unknown());
        }
        Ok(Credentials {
            access_key,
            spaces_key_name: name,
            secret_at: at.map_err(|why| not_kept(why).unknown())?,
        })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<Credentials>,
    ) -> Result<(), StepError> {
        let (cloud, name) = (self.cloud.undoing(), attempt.resource_name(&wanted.name));
        let known = effect.known().map(|key| key.access_key);
        if let Some(known) = &known {
            if cloud.find::<One<Found>>(&path(known)).await?.is_none() {
                // Its secret is forgotten only with it.
                absent_for_sure(&cloud, &attempt)?;
            }
            remove_named(&cloud, known, &name).await?;
        }
        for key in find(&cloud, &name).await? {
            remove_key(&cloud, &key.access_key).await?;
        }
        // There may be another one that no list shows yet.
        absent_for_sure(&cloud, &attempt)
    }

    /// One whose secret is lost is not what `execute` would have come to: it is executed again.
    async fn probe(
        &self,
        attempt: Attempt,
        wanted: Wanted,
    ) -> Result<Probe<Credentials>, StepError> {
        let found = find(&self.cloud, &attempt.resource_name(&wanted.name)).await?;
        if found.is_empty() {
            return Ok(Probe::Absent);
        }
        let (kept, useless) = sorted(&self.cloud, found).await?;
        Ok(kept.filter(|_| useless.is_empty()).map_or(Probe::CannotTell, Probe::Present))
    }

    fn provisions(&self, wanted: &Self::Input, key: &Credentials) -> Option<Provision> {
        named_thing("spaces_key", &key.access_key, &key.spaces_key_name, wanted)
    }
}
