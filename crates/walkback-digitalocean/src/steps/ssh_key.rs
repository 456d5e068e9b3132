//! An SSH key, unique by its fingerprint: one that is in the account is used, and stays.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{absent_for_sure, on_account, refused, remove, taken, thing};

on_account! {
    /// Lets the holder of a key log in: adds the key to the account, unless it is there.
    EnsureSshKey;
}

/// Whose key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// The key: `ssh-ed25519 AAAA…`.
    pub ssh_public_key: String,
    /// Keys that are in the account already.
    pub ssh_keys: Vec<String>,
}

/// Who may log in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Keys {
    /// Ids or fingerprints of keys.
    pub login_keys: Vec<String>,
    /// The key's id, if this run has added it.
    pub ssh_key_id: Option<u64>,
}

#[derive(Deserialize)]
struct One {
    ssh_key: Found,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
    name: String,
}

/// The MD5 fingerprint by which the API knows a key: `3b:16:bf:…`.
pub(crate) fn fingerprint(public_key: &str) -> Option<String> {
    let blob = BASE64_STANDARD.decode(public_key.split_whitespace().nth(1)?).ok()?;
    let bytes: Vec<String> = Md5::digest(blob).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(bytes.join(":"))
}

fn fingerprint_of(wanted: &Wanted) -> Result<String, StepError> {
    let found = fingerprint(&wanted.ssh_public_key);
    found.map_or_else(|| refused("ssh_public_key is no key: expected `type base64 [comment]`"), Ok)
}

async fn find(cloud: &Client, fingerprint: &str) -> Result<Option<Found>, ApiError> {
    let path = format!("/v2/account/keys/{fingerprint}");
    Ok(cloud.find::<One>(&path).await?.map(|one| one.ssh_key))
}

/// Ours is what has the name that this run gives.
fn keys(wanted: &Wanted, fingerprint: String, found: &Found, name: &str) -> Keys {
    let mut login_keys = wanted.ssh_keys.clone();
    login_keys.push(fingerprint);
    Keys { login_keys, ssh_key_id: (found.name == name).then_some(found.id) }
}

impl Step for EnsureSshKey {
    const NAME: &'static str = "ensure_ssh_key";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Keys;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Keys, StepError> {
        let (fingerprint, name) = (fingerprint_of(&wanted)?, attempt.resource_name(&wanted.name));
        if let Some(found) = find(&self.cloud, &fingerprint).await? {
            return Ok(keys(&wanted, fingerprint, &found, &name));
        }
        let body = json!({"name": name, "public_key": wanted.ssh_public_key});
        let made = self.cloud.post::<One>("/v2/account/keys", &body).await.map_err(taken)?;
        Ok(keys(&wanted, fingerprint, &made.ssh_key, &name))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        _: Effect<Keys>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let found = find(&cloud, &fingerprint_of(&wanted)?).await?;
        match found {
            None => absent_for_sure(&cloud, &attempt),
            Some(found) if found.name == attempt.resource_name(&wanted.name) => {
                remove(&cloud, &format!("/v2/account/keys/{}", found.id)).await
            }
            Some(_) => Ok(()),
        }
    }

    async fn probe(&self, attempt: Attempt, wanted: Wanted) -> Result<Probe<Keys>, StepError> {
        let (fingerprint, name) = (fingerprint_of(&wanted)?, attempt.resource_name(&wanted.name));
        let found = find(&self.cloud, &fingerprint).await?;
        Ok(match found {
            Some(found) => Probe::Present(keys(&wanted, fingerprint, &found, &name)),
            None => Probe::Absent,
        })
    }

    fn provisions(&self, _: &Self::Input, keys: &Keys) -> Option<Provision> {
        let spec = json!({"fingerprint": keys.login_keys.last()});
        thing("ssh_key", &keys.ssh_key_id?.to_string(), &spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_fingerprint_that_ssh_keygen_says() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@example.com";
        let expected = "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba";
        assert_eq!(fingerprint(key).as_deref(), Some(expected));
        for none in ["", "ssh-ed25519", "ssh-ed25519 !"] {
            assert_eq!(fingerprint(none), None, "{none}");
        }
    }
}
