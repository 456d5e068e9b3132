//! A volume, unique by name and region, which carries the run in its name; and its place on a droplet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Class, Client};
use crate::steps::{
    absent_for_sure, is_under_way, missing, named_thing, on_account, refused, remove, remove_tag,
    taken,
};

on_account! {
    /// Creates a volume.
    CreateVolume;
    /// Attaches a volume to a droplet, and waits until it is.
    AttachVolume;
}

/// Where, how large, what for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// The region.
    pub region: String,
    /// GiB.
    pub volume_gib: u32,
}

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Its id.
    pub volume_id: String,
    /// Its name.
    pub volume_name: String,
}

#[derive(Deserialize)]
struct One {
    volume: Found,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    name: String,
    size_gigabytes: u32,
    droplet_ids: Vec<u64>,
    tags: Option<Vec<String>>,
}

impl Found {
    fn is_ours(&self, attempt: &Attempt) -> bool {
        self.tags.iter().flatten().any(|tag| *tag == attempt.tags()[1])
    }
}

async fn find(cloud: &Client, wanted: &Wanted, name: &str) -> Result<Option<Found>, ApiError> {
    let path = format!("/v2/volumes?name={name}&region={}", wanted.region);
    Ok(cloud.list(&path, "volumes").await?.pop())
}

async fn read(cloud: &Client, id: &str) -> Result<Option<Found>, ApiError> {
    Ok(cloud.find::<One>(&format!("/v2/volumes/{id}")).await?.map(|one| one.volume))
}

fn volume(found: Found) -> Volume {
    Volume { volume_id: found.id, volume_name: found.name }
}

impl Step for CreateVolume {
    const NAME: &'static str = "create_volume";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Volume;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Volume, StepError> {
        let name = attempt.resource_name(&wanted.name);
        if let Some(found) = find(&self.cloud, &wanted, &name).await? {
            return if found.is_ours(&attempt) {
                Ok(volume(found))
            } else {
                let text = format!("volume `{name}` is somebody else's");
                refused(text)
            };
        }
        let body = json!({
            "name": name, "region": wanted.region, "size_gigabytes": wanted.volume_gib,
            "filesystem_type": "ext4", "tags": attempt.tags(),
        });
        Ok(volume(self.cloud.post::<One>("/v2/volumes", &body).await.map_err(taken)?.volume))
    }

    /// A volume that has grown since holds what nobody here knows of: it stays.
    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<Volume>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let found = match effect.known() {
            Some(volume) => read(&cloud, &volume.volume_id).await?,
            None => find(&cloud, &wanted, &attempt.resource_name(&wanted.name)).await?,
        };
        let Some(found) = found else {
            absent_for_sure(&cloud, &attempt)?;
            return remove_tag(&cloud, &attempt.tags()[1]).await;
        };
        let id = &found.id;
        if !found.is_ours(&attempt) {
            let text = format!("volume `{id}` no longer carries `{}`", attempt.tags()[1]);
            return refused(text);
        }
        if found.size_gigabytes != wanted.volume_gib {
            let (now, made) = (found.size_gigabytes, wanted.volume_gib);
            let text =
                format!("volume `{id}` has {now} GiB and was made with {made}: somebody uses it");
            return refused(text);
        }
        remove(&cloud, &format!("/v2/volumes/{id}")).await?;
        remove_tag(&cloud, &attempt.tags()[1]).await
    }

    async fn probe(&self, attempt: Attempt, wanted: Wanted) -> Result<Probe<Volume>, StepError> {
        let found = find(&self.cloud, &wanted, &attempt.resource_name(&wanted.name)).await?;
        let ours = found.filter(|found| found.is_ours(&attempt));
        Ok(ours.map_or(Probe::Absent, |found| Probe::Present(volume(found))))
    }

    fn provisions(&self, wanted: &Self::Input, volume: &Volume) -> Option<Provision> {
        named_thing("volume", &volume.volume_id, &volume.volume_name, wanted)
    }
}

/// What belongs where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// The volume.
    pub volume_id: String,
    /// The droplet.
    pub droplet_id: u64,
}

impl Attachment {
    /// Where the volume's actions are.
    fn actions(&self) -> String {
        format!("/v2/volumes/{}/actions", self.volume_id)
    }

    async fn act(&self, cloud: &Client, kind: &str) -> Result<(), StepError> {
        let body = json!({"type": kind, "droplet_id": self.droplet_id});
        match cloud.post::<Value>(&self.actions(), &body).await {
            Ok(_) => Err(StepError::not_yet(cloud.look())),
            // The action before is under way, or has just ended.
            Err(error) if error.class() == Class::Conflict => Err(StepError::not_yet(cloud.look())),
            Err(error) => Err(error.into()),
        }
    }
}

impl Step for AttachVolume {
    const NAME: &'static str = "attach_volume";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Attachment;
    type Output = ();

    async fn execute(&self, attempt: Attempt, to: Attachment) -> Result<(), StepError> {
        let Some(found) = read(&self.cloud, &to.volume_id).await? else {
            let volume = format_args!("volume `{}`", to.volume_id);
            return missing(&self.cloud, &attempt, volume);
        };
        match found.droplet_ids.first() {
            Some(on) if *on == to.droplet_id => Ok(()),
            Some(on) => {
                let text = format!("volume `{}` is attached to droplet {on}", to.volume_id);
                refused(text)
            }
            None if is_under_way(&self.cloud, &attempt, &to.actions(), "attach").await? => {
                Err(StepError::not_yet(self.cloud.look()))
            }
            None => to.act(&self.cloud, "attach").await,
        }
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        to: Attachment,
        _: Effect<()>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        // It may just be being attached.
        if is_under_way(&cloud, &attempt, &to.actions(), "detach").await? {
            return Err(StepError::not_yet(cloud.look()));
        }
        let found = read(&cloud, &to.volume_id).await?;
        if found.is_none_or(|found| found.droplet_ids.first() != Some(&to.droplet_id)) {
            return Ok(());
        }
        to.act(&cloud, "detach").await
    }
}
