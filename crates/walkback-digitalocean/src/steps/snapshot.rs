//! Snapshots of droplets and of volumes. They outlive what they were taken of; their names carry the run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Class, Client};
use crate::steps::droplet::actions;
use crate::steps::named::moment;
use crate::steps::{SETTLE, absent_for_sure, named_thing, on_account, refused, remove, taken};

on_account! {
    /// Takes a snapshot of a droplet, and waits until it is there.
    SnapshotDroplet;
    /// Takes a snapshot of a volume.
    SnapshotVolume;
}

/// A droplet's takes minutes: looked for so many times less often than what takes seconds.
pub(super) const LOOKS: u32 = 5;

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

/// The run's own, of a droplet or a volume; names may be there twice.
async fn find(cloud: &Client, of: &str, name: &str) -> Result<Vec<Snapshot>, ApiError> {
    let path = format!("/v2/snapshots?resource_type={of}");
    let mut all: Vec<Found> = cloud.list(&path, "snapshots").await?;
    all.retain(|found| found.name == name);
    Ok(all.into_iter().map(Found::told).collect())
}

async fn read(cloud: &Client, id: &str) -> Result<Option<Snapshot>, ApiError> {
    let found = cloud.find::<One>(&format!("/v2/snapshots/{id}")).await?;
    Ok(found.map(|one| one.snapshot.told()))
}

/// Removes what was found, and what is known if that is still the run's own.
async fn undo(
    cloud: &Client,
    attempt: &Attempt,
    name: &str,
    (known, mut found): (Option<Snapshot>, Vec<Snapshot>),
) -> Result<(), StepError> {
    if let Some(known) = &known
        && let Some(there) = read(cloud, &known.snapshot_id).await?
    {
        if there.snapshot_name != name {
            return refused(format_args!(
                "snapshot {} is called `{}` and was made as `{name}`: somebody keeps it",
                there.snapshot_id, there.snapshot_name
            ));
        }
        found.retain(|found| found.snapshot_id != there.snapshot_id);
        found.push(there);
    }
    if found.is_empty() {
        return absent_for_sure(cloud, attempt);
    }
    for one in found {
        remove(cloud, &format!("/v2/snapshots/{}", one.snapshot_id)).await?;
    }
    Ok(())
}

/// What a droplet's actions tell of its snapshots; whose one is, they do not say.
struct Taking {
    /// One is being taken: what is shown of it cannot be used yet.
    in_progress: bool,
    /// How long ago the last one was taken.
    taken_for: Option<Duration>,
    /// So many have failed since the step began.
    errored: usize,
}

impl Taking {
    /// Whether there is, or may soon be, one that is not shown yet.
    fn under_way(&self) -> bool {
        self.in_progress || self.taken_for.is_some_and(|passed| passed < SETTLE)
    }
}

impl OfDroplet {
    /// Stable whatever becomes of the droplet.
    fn name(&self, attempt: &Attempt) -> String {
        attempt.resource_name(&format!("droplet-{}", self.droplet_id))
    }

    /// The run's own snapshots. The droplet says at once which it has; lists may not show them yet.
    async fn find(&self, cloud: &Client, name: &str) -> Result<Vec<Snapshot>, ApiError> {
        let listed = find(cloud, "droplet", name).await?;
        if !listed.is_empty() {
            return Ok(listed);
        }
        let path = format!("/v2/droplets/{}", self.droplet_id);
        let droplet: Option<Value> = cloud.find(&path).await?;
        let ids = droplet.as_ref().and_then(|found| found["droplet"]["snapshot_ids"].as_array());
        let mut own = Vec::new();
        for id in ids.into_iter().flatten() {
            let found = read(cloud, &id.to_string()).await?;
            own.extend(found.filter(|found| found.snapshot_name == name));
        }
        Ok(own)
    }

    async fn taking(&self, cloud: &Client, attempt: &Attempt) -> Result<Taking, ApiError> {
        let actions = actions(cloud, self.droplet_id).await?;
        let now = cloud.now();
        let ago = |action: &Value, when: &str| moment(action, when).map(|when| now.since(when));
        let mut taking = Taking { in_progress: false, taken_for: None, errored: 0 };
        for action in actions.iter().filter(|action| action["type"] == "snapshot") {
            let since_began = ago(action, "started_at").is_some_and(|ago| ago <= attempt.waited());
            match action["status"].as_str() {
                Some("in-progress") => taking.in_progress = true,
                Some("completed") => {
                    let passed = ago(action, "completed_at").into_iter();
                    taking.taken_for = passed.chain(taking.taken_for).min();
                }
                _ => taking.errored += usize::from(since_began),
            }
        }
        Ok(taking)
    }

    /// How long ago the droplet's last snapshot was taken.
    pub(super) async fn taken_for(
        &self,
        cloud: &Client,
        attempt: &Attempt,
    ) -> Result<Option<Duration>, ApiError> {
        Ok(self.taking(cloud, attempt).await?.taken_for)
    }

    /// The run's snapshot; asks for one if it is not there and not under way.
    pub(super) async fn take(
        &self,
        cloud: &Client,
        attempt: &Attempt,
    ) -> Result<Option<Snapshot>, StepError> {
        let name = self.name(attempt);
        // In this order: one that ends in between is found.
        let taking = self.taking(cloud, attempt).await?;
        if taking.in_progress {
            return Ok(None);
        }
        if let Some(found) = self.find(cloud, &name).await?.pop() {
            return Ok(Some(found));
        }
        if taking.under_way() {
            return Ok(None);
        }
        // Each attempt asks once for itself.
        if taking.errored >= attempt.number() as usize {
            let why = format!("the snapshot of droplet {} errored", self.droplet_id);
            return Err(StepError::transient(why).clean());
        }
        let path = format!("/v2/droplets/{}/actions", self.droplet_id);
        let body = json!({"type": "snapshot", "name": name});
        match cloud.post::<Value>(&path, &body).await {
            Err(error) if error.class() == Class::NotFound => {
                refused(format_args!("droplet {} is gone", self.droplet_id))
            }
            Err(error) if error.class() != Class::Busy => Err(error.into()),
            _ => Ok(None),
        }
    }

    /// Removes the run's snapshot.
    pub(super) async fn undo(
        &self,
        cloud: &Client,
        attempt: &Attempt,
        known: Option<Snapshot>,
    ) -> Result<(), StepError> {
        let name = self.name(attempt);
        let taking = match &known {
            None => Some(self.taking(cloud, attempt).await?),
            Some(_) => None,
        };
        let found = self.find(cloud, &name).await?;
        // One that is still being taken is not removed half.
        let comes = |taking: Taking| taking.in_progress || found.is_empty() && taking.under_way();
        if taking.is_some_and(comes) {
            return Err(StepError::not_yet(cloud.look() * LOOKS));
        }
        undo(cloud, attempt, &name, (known, found)).await
    }

    /// Whether the run's snapshot is there.
    pub(super) async fn probe(
        &self,
        cloud: &Client,
        attempt: &Attempt,
    ) -> Result<Probe<Snapshot>, StepError> {
        let taking = self.taking(cloud, attempt).await?;
        Ok(match self.find(cloud, &self.name(attempt)).await?.pop() {
            Some(_) if taking.in_progress => Probe::CannotTell,
            Some(found) => Probe::Present(found),
            None if taking.under_way() => Probe::CannotTell,
            None => Probe::Absent,
        })
    }
}

impl Step for SnapshotDroplet {
    const NAME: &'static str = "snapshot_droplet";
    const OPTIONS: Options = super::OPTIONS;
    type Input = OfDroplet;
    type Output = Snapshot;

    async fn execute(&self, attempt: Attempt, of: OfDroplet) -> Result<Snapshot, StepError> {
        let taken = of.take(&self.cloud, &attempt).await?;
        taken.ok_or_else(|| StepError::not_yet(self.cloud.look() * LOOKS))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: OfDroplet,
        effect: Effect<Snapshot>,
    ) -> Result<(), StepError> {
        of.undo(&self.cloud.undoing(), &attempt, effect.known()).await
    }

    async fn probe(&self, attempt: Attempt, of: OfDroplet) -> Result<Probe<Snapshot>, StepError> {
        of.probe(&self.cloud, &attempt).await
    }

    fn provisions(&self, wanted: &Self::Input, snapshot: &Snapshot) -> Option<Provision> {
        named_thing("snapshot", &snapshot.snapshot_id, &snapshot.snapshot_name, wanted)
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
        if let Some(found) = find(&self.cloud, "volume", &name).await?.pop() {
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
        let found = find(&cloud, "volume", &name).await?;
        undo(&cloud, &attempt, &name, (effect.known(), found)).await
    }

    async fn probe(&self, attempt: Attempt, of: OfVolume) -> Result<Probe<Snapshot>, StepError> {
        let found = find(&self.cloud, "volume", &of.name(&attempt)).await?.pop();
        Ok(found.map_or(Probe::Absent, Probe::Present))
    }

    fn provisions(&self, wanted: &Self::Input, snapshot: &Snapshot) -> Option<Provision> {
        named_thing("snapshot", &snapshot.snapshot_id, &snapshot.snapshot_name, wanted)
    }
}
