//! A droplet. Names repeat, so that it is known by its tag; it is made by one step and awaited by another,
//! so that its id is on record the moment the API has said it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{
    VANISHED, absent_for_sure, named_thing, not_longer_than, on_account, refused, remove,
    remove_tag,
};

on_account! {
    /// Creates a droplet: accepted, not yet there.
    CreateDroplet;
    /// Waits until a droplet is there and says its addresses.
    AwaitDroplet;
}

/// How long it takes at most until a droplet is there.
const LONGEST: Duration = Duration::from_hours(1);

/// What, where, on what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// The region.
    pub region: String,
    /// The size.
    pub size: String,
    /// The image.
    pub image: String,
    /// Ids or fingerprints of keys.
    pub ssh_keys: Vec<String>,
    /// The private network.
    pub vpc_id: String,
    /// What it does when it boots first.
    #[serde(default)]
    pub user_data: Option<String>,
}

impl Wanted {
    /// As it is on record: what a droplet is told when it boots may be a secret, and is not to be read again, so
    /// that its hash stands for it.
    fn on_record(&self) -> Value {
        let mut spec = json!(self);
        if let (Some(members), Some(told)) = (spec.as_object_mut(), &self.user_data) {
            members.insert(
                "user_data_sha256".to_owned(),
                json!(STANDARD.encode(Sha256::digest(told))),
            );
        }
        spec.as_object_mut().into_iter().for_each(|members| drop(members.remove("user_data")));
        spec
    }
}

/// A droplet that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Droplet {
    /// Its id.
    pub droplet_id: u64,
    /// Its name.
    pub droplet_name: String,
}

#[derive(Deserialize)]
struct One {
    droplet: Found,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
    name: String,
    status: String,
    locked: bool,
    size_slug: String,
    image: Image,
    tags: Vec<String>,
    networks: Networks,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    slug: Option<String>,
}

#[derive(Deserialize)]
struct Networks {
    v4: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    ip_address: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Found {
    fn address(&self, kind: &str) -> Option<String> {
        let found = self.networks.v4.iter().find(|address| address.kind == kind)?;
        Some(found.ip_address.clone())
    }
}

/// What somebody has changed about it since it was made.
fn changed(found: &Found, wanted: &Wanted) -> Option<String> {
    let (id, image) = (found.id, &found.image);
    let is_slug = image.slug.as_ref() == Some(&wanted.image);
    let (is, was) = if found.size_slug != wanted.size {
        (&found.size_slug, &wanted.size)
    } else if !is_slug && image.id.to_string() != wanted.image {
        (&image.slug.clone().unwrap_or_else(|| image.id.to_string()), &wanted.image)
    } else {
        return None;
    };
    Some(format!("droplet {id} is `{is}` and was made as `{was}`: somebody uses it"))
}

async fn find(cloud: &Client, attempt: &Attempt) -> Result<Option<Droplet>, ApiError> {
    let [_, tag] = attempt.tags();
    let found: Vec<Found> = cloud.list(&format!("/v2/droplets?tag_name={tag}"), "droplets").await?;
    Ok(found.into_iter().next().map(droplet))
}

async fn read(cloud: &Client, id: u64) -> Result<Option<Found>, ApiError> {
    Ok(cloud.find::<One>(&format!("/v2/droplets/{id}")).await?.map(|one| one.droplet))
}

fn droplet(found: Found) -> Droplet {
    Droplet { droplet_id: found.id, droplet_name: found.name }
}

impl Step for CreateDroplet {
    const NAME: &'static str = "create_droplet";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Droplet;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Droplet, StepError> {
        if let Some(droplet) = find(&self.cloud, &attempt).await? {
            return Ok(droplet);
        }
        let mut body = json!({
            "name": attempt.resource_name(&wanted.name), "region": wanted.region,
            "size": wanted.size, "image": wanted.image, "ssh_keys": wanted.ssh_keys,
            "vpc_uuid": wanted.vpc_id, "monitoring": true, "tags": attempt.tags(),
        });
        if let Some(told) = wanted.user_data {
            body["user_data"] = json!(told);
        }
        Ok(droplet(self.cloud.post::<One>("/v2/droplets", &body).await?.droplet))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<Droplet>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let [_, tag] = attempt.tags();
        let id = match effect.known() {
            Some(droplet) => Some(droplet.droplet_id),
            None => find(&cloud, &attempt).await?.map(|droplet| droplet.droplet_id),
        };
        let Some(id) = id else {
            absent_for_sure(&cloud, &attempt)?;
            return remove_tag(&cloud, &tag).await;
        };
        if let Some(found) = read(&cloud, id).await? {
            if !found.tags.contains(&tag) {
                let text =
                    format!("droplet {id} no longer carries `{tag}`: it may be another's by now");
                return refused(text);
            }
            if let Some(why) = changed(&found, &wanted) {
                return refused(why);
            }
            if found.locked && found.status == "active" {
                // It is going already, or has something else under way.
                return Err(StepError::not_yet(cloud.look()));
            }
            remove(&cloud, &format!("/v2/droplets/{id}")).await?;
        } else {
            absent_for_sure(&cloud, &attempt)?;
        }
        remove_tag(&cloud, &tag).await
    }

    async fn probe(&self, attempt: Attempt, _: Wanted) -> Result<Probe<Droplet>, StepError> {
        Ok(find(&self.cloud, &attempt).await?.map_or(Probe::Absent, Probe::Present))
    }

    fn provisions(&self, wanted: &Self::Input, droplet: &Droplet) -> Option<Provision> {
        named_thing(
            "droplet",
            &droplet.droplet_id.to_string(),
            &droplet.droplet_name,
            &wanted.on_record(),
        )
    }
}

/// Which droplet.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Awaited {
    /// Its id.
    pub droplet_id: u64,
}

/// Where a droplet is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reachable {
    /// Its public address.
    pub public_ip: String,
    /// Its address in the private network.
    pub private_ip: Option<String>,
}

/// What has been done with a droplet, and is under way; nothing, if it is gone.
pub(super) async fn actions(
    cloud: &Client,
    id: impl std::fmt::Display,
) -> Result<Vec<Value>, ApiError> {
    let path = format!("/v2/droplets/{id}/actions");
    Ok(cloud.find_list(&path, "actions").await?.unwrap_or_default())
}

impl Step for AwaitDroplet {
    const NAME: &'static str = "await_droplet";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Awaited;
    type Output = Reachable;

    async fn execute(&self, attempt: Attempt, of: Awaited) -> Result<Reachable, StepError> {
        reachable(&self.cloud, &attempt, of.droplet_id).await
    }
}

/// Where the droplet is, once it is there.
pub(super) async fn reachable(
    cloud: &Client,
    attempt: &Attempt,
    droplet_id: u64,
) -> Result<Reachable, StepError> {
    let Some(found) = read(cloud, droplet_id).await? else {
        // Just after it was accepted it may not be shown yet.
        if attempt.waited() < VANISHED {
            return Err(StepError::not_yet(cloud.look()));
        }
        let text = format!("droplet {droplet_id} was accepted and is not there: no place for it");
        return refused(text);
    };
    if let (Some(public_ip), "active", false) =
        (found.address("public"), found.status.as_str(), found.locked)
    {
        return Ok(Reachable { public_ip, private_ip: found.address("private") });
    }
    failed(cloud, droplet_id).await?;
    not_longer_than(LONGEST, attempt, format_args!("droplet {droplet_id}"))?;
    let passed = attempt.waited().as_secs();
    attempt.progress(passed.min(59), 60);
    // Ever less often: a minute of waiting costs ten calls, and ten minutes fifty.
    Err(StepError::not_yet(cloud.look() * if passed < 60 { 2 } else { 5 }))
}

/// Whether making it has failed.
async fn failed(cloud: &Client, droplet_id: u64) -> Result<(), StepError> {
    let path = format!("/v2/droplets/{droplet_id}/actions");
    let actions: Vec<Value> = cloud.list(&path, "actions").await?;
    let errored = |action: &&Value| action["type"] == "create" && action["status"] == "errored";
    match actions.iter().find(errored) {
        None => Ok(()),
        Some(action) => {
            let id = &action["id"];
            let text = format!("droplet {droplet_id} could not be made: action {id} errored");
            refused(text)
        }
    }
}
