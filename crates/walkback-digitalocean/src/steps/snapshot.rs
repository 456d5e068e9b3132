//! Snapshots of droplets and of volumes. They outlive what they were taken of; their names carry the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Class, Client};
use crate::steps::{absent_for_sure, named_thing, on_account, refused, remove, taken};

on_account! {
    /// Takes a snapshot of a droplet, and waits until it is there.
    SnapshotDroplet;
    /// Takes a snapshot of a volume.
    SnapshotVolume;
}

/// A droplet's takes minutes: looked for so many times less often than what takes seconds.
const LOOKS: u32 = 5;

/// Of which droplet.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OfDroplet {
    /// Its id.
    pub droplet_id: u64,
}

/// Of which volume.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OfVolume {
    /// Its id.
    pub volume_id: String,
}

/// A snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Its id.
    pub snapshot_id: String,
    /// Its name.
    pub snapshot_name: String,
}

#[derive(Deserialize)]
struct One {
    snapshot: Found,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    name: String,
}

impl Found {
    fn told(self) -> Snapshot {
        Snapshot { snapshot_id: self.id, snapshot_name: self.name }
    }
}

/// The run's own, of a droplet or a volume.
async fn find(cloud: &Client, of: &str, name: &str) -> Result<Option<Snapshot>, ApiError> {
    let path = format!("/v2/snapshots?resource_type={of}");
    let all: Vec<Found> = cloud.list(&path, "snapshots").await?;
    Ok(all.into_iter().find(|found| found.name == name).map(Found::told))
}

async fn read(cloud: &Client, id: &str) -> Result<Option<Snapshot>, ApiError> {
    let found = cloud.find::<One>(&format!("/v2/snapshots/{id}")).await?;
    Ok(found.map(|one| one.snapshot.told()))
}

/// Removes it, if it is there and still the run's own.
async fn undo(
    cloud: &Client,
    attempt: &Attempt,
    name: &str,
    (known, found): (Option<Snapshot>, Option<Snapshot>),
) -> Result<(), StepError> {
    let Some(found) = found else {
        return if known.is_some() { Ok(()) } else { absent_for_sure(cloud, attempt) };
    };
    let id = &found.snapshot_id;
    if found.snapshot_name != name {
        return refused(format_args!(
            "snapshot {id} is called `{}` and was made as `{name}`: somebody keeps it",
            found.snapshot_name
        ));
    }
    remove(cloud, &format!("/v2/snapshots/{id}")).await
}

impl OfDroplet {
    /// Stable whatever becomes of the droplet.
    fn name(&self, attempt: &Attempt) -> String {
        attempt.resource_name(&format!("droplet-{}", self.droplet_id))
    }

    /// The run's own snapshot. The droplet says at once which it has; lists may not show it yet.
    async fn find(&self, cloud: &Client, name: &str) -> Result<Option<Snapshot>, ApiError> {
        let listed = find(cloud, "droplet", name).await?;
        if listed.is_some() {
            return Ok(listed);
        }
        let path = format!("/v2/droplets/{}", self.droplet_id);
        let droplet: Option<Value> = cloud.find(&path).await?;
        let ids = droplet.as_ref().and_then(|found| found["droplet"]["snapshot_ids"].as_array());
        for id in ids.into_iter().flatten() {
            let found = read(cloud, &id.to_string()).await?;
            if let Some(found) = found.filter(|found| found.snapshot_name == name) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether one of the droplet is just being taken: whose, no action says.
    async fn is_under_way(&self, cloud: &Client) -> Result<bool, ApiError> {
        let path = format!("/v2/droplets/{}/actions", self.droplet_id);
        let actions: Vec<Value> = cloud.find_list(&path, "actions").await?.unwrap_or_default();
        let taking =
            |action: &Value| action["type"] == "snapshot" && action["status"] == "in-progress";
        Ok(actions.iter().any(taking))
    }
}

impl Step for SnapshotDroplet {
    const NAME: &'static str = "snapshot_droplet";
    const OPTIONS: Options = super::OPTIONS;
    type Input = OfDroplet;
    type Output = Snapshot;

    async fn execute(&self, attempt: Attempt, of: OfDroplet) -> Result<Snapshot, StepError> {
        let name = of.name(&attempt);
        // In this order: one that ends in between is found.
        let under_way = of.is_under_way(&self.cloud).await?;
        if let Some(found) = of.find(&self.cloud, &name).await? {
            return Ok(found);
        }
        if under_way {
            return Err(StepError::not_yet(self.cloud.look() * LOOKS));
        }
        let path = format!("/v2/droplets/{}/actions", of.droplet_id);
        let body = json!({"type": "snapshot", "name": name});
        match self.cloud.post::<Value>(&path, &body).await {
            Err(error) if error.class() == Class::NotFound => {
                refused(format_args!("droplet {} is gone", of.droplet_id))
            }
            Err(error) if error.class() != Class::Busy => Err(error.into()),
            _ => Err(StepError::not_yet(self.cloud.look() * LOOKS)),
        }
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: OfDroplet,
        effect: Effect<Snapshot>,
    ) -> Result<(), StepError> {
        let (cloud, name) = (self.cloud.undoing(), of.name(&attempt));
        let known = effect.known();
        let under_way = known.is_none() && of.is_under_way(&cloud).await?;
        let found = match &known {
            Some(known) => read(&cloud, &known.snapshot_id).await?,
            None => of.find(&cloud, &name).await?,
        };
        if found.is_none() && under_way {
            return Err(StepError::not_yet(cloud.look() * LOOKS));
        }
        undo(&cloud, &attempt, &name, (known, found)).await
    }

    async fn probe(&self, attempt: Attempt, of: OfDroplet) -> Result<Probe<Snapshot>, StepError> {
        let under_way = of.is_under_way(&self.cloud).await?;
        Ok(match of.find(&self.cloud, &of.name(&attempt)).await? {
            Some(found) => Probe::Present(found),
            None if under_way => Probe::CannotTell,
            None => Probe::Absent,
        })
    }

    fn provisions(&self, snapshot: &Snapshot) -> Option<Provision> {
        named_thing("snapshot", &snapshot.snapshot_id, &snapshot.snapshot_name)
    }
}

impl OfVolume {
    fn name(&self, attempt: &Attempt) -> String {
        let id = self.volume_id.split('-').next().unwrap_or_default();
        attempt.resource_name(&format!("volume-{id}"))
    }
}

impl Step for SnapshotVolume {
    const NAME: &'static str = "snapshot_volume";
    const OPTIONS: Options = super::OPTIONS;
    type Input = OfVolume;
    type Output = Snapshot;

    async fn execute(&self, attempt: Attempt, of: OfVolume) -> Result<Snapshot, StepError> {
        let name = of.name(&attempt);
        if let Some(found) = find(&self.cloud, "volume", &name).await? {
            return Ok(found);
        }
        let path = format!("/v2/volumes/{}/snapshots", of.volume_id);
        let taken_now = self.cloud.post::<One>(&path, &json!({ "name": name })).await;
        match taken_now {
            Ok(one) => Ok(one.snapshot.told()),
            Err(error) if error.class() == Class::NotFound => {
                refused(format_args!("volume `{}` is gone", of.volume_id))
            }
            Err(error) => Err(taken(error)),
        }
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: OfVolume,
        effect: Effect<Snapshot>,
    ) -> Result<(), StepError> {
        let (cloud, name) = (self.cloud.undoing(), of.name(&attempt));
        let known = effect.known();
        let found = match &known {
            Some(known) => read(&cloud, &known.snapshot_id).await?,
            None => find(&cloud, "volume", &name).await?,
        };
        undo(&cloud, &attempt, &name, (known, found)).await
    }

    async fn probe(&self, attempt: Attempt, of: OfVolume) -> Result<Probe<Snapshot>, StepError> {
        let found = find(&self.cloud, "volume", &of.name(&attempt)).await?;
        Ok(found.map_or(Probe::Absent, Probe::Present))
    }

    fn provisions(&self, snapshot: &Snapshot) -> Option<Provision> {
        named_thing("snapshot", &snapshot.snapshot_id, &snapshot.snapshot_name)
    }
}
