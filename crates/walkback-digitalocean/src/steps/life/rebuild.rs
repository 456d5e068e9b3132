//! Making shelved droplets again, each of its snapshot, with what it had: its name, tags, network, volumes
//! and reserved addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::{Change, Identity};
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::droplet::reachable;
use crate::steps::life::remove::remove_one;
use crate::steps::life::shelve::{FEATURES, Facts, SHELVED};
use crate::steps::life::{Kind, Thing, Things, state};
use crate::steps::project::Assigned;
use crate::steps::reserved_ip::Assignment;
use crate::steps::volume::Attachment;
use crate::steps::{
    AssignIp, AssignProject, AttachVolume, absent_for_sure, after_others, all_of, on_account,
    refused, remove, remove_tag,
};

on_account! {
    /// Makes a droplet of each snapshot that stands for one: accepted, not yet there.
    RebuildDroplets;
    /// Waits until the droplets are there.
    AwaitDroplets;
    /// Gives the droplets their volumes and addresses, and their place in the site's project.
    ConnectDroplets;
    /// The point of no return: the droplets are there, and their snapshots are not needed any more.
    ConfirmRebuilt;
    /// Removes the snapshots of which droplets were made.
    RemoveSnapshots;
}

impl Things {
    /// The snapshots, and how the droplet of each was.
    fn shelved(&self) -> Result<Vec<(&Thing, Facts)>, StepError> {
        let mut shelved = Vec::new();
        for thing in self.things.iter().filter(|thing| thing.kind == Kind::Snapshot) {
            shelved.extend(Facts::of_shelved(thing)?.map(|facts| (thing, facts)));
        }
        Ok(shelved)
    }
}

/// A droplet that was made again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Again {
    /// Its id now.
    pub droplet_id: u64,
    /// How it was.
    pub facts: Facts,
    /// Whether it was off before its site was suspended.
    pub was_off: bool,
}

/// What was made again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rebuilt {
    /// Every shelved droplet.
    pub rebuilt: Vec<Again>,
    /// Droplets stand for their snapshots.
    pub unshelved: Vec<Change>,
}

impl Rebuilt {
    fn add(&mut self, thing: &Thing, facts: Facts, droplet: &Value) -> Result<(), StepError> {
        let Some(droplet_id) = droplet["id"].as_u64() else {
            return Err(StepError::permanent("the droplet that was made has no id"));
        };
        let mut wanted = thing.wanted();
        if let Value::Object(members) = &mut wanted {
            members.remove(SHELVED);
            members.remove("suspended");
        }
        let is = Identity {
            kind: Kind::Droplet.one().to_owned(),
            external_id: droplet_id.to_string(),
            name: Some(facts.droplet_name.clone()),
            region: Some(facts.region.clone()),
        };
        self.unshelved.push(thing.is_replaced(is, &wanted)?);
        let was_off = thing.before_suspension().is_some_and(|before| before["status"] == "off");
        self.rebuilt.push(Again { droplet_id, facts, was_off });
        Ok(())
    }
}

/// The droplets that this step has made.
async fn made(cloud: &Client, attempt: &Attempt) -> Result<Vec<Value>, ApiError> {
    let [_, tag] = attempt.tags();
    cloud.list(&format!("/v2/droplets?tag_name={tag}"), "droplets").await
}

/// The one among them that was made of this snapshot.
fn of_snapshot<'a>(made: &'a [Value], snapshot: &Thing) -> Option<&'a Value> {
    let image = snapshot.id.parse::<u64>().ok()?;
    made.iter().find(|droplet| droplet["image"]["id"] == image)
}

/// Whether the tag is that of the step which made what carries it.
fn is_of_a_step(tag: &str) -> bool {
    tag.starts_with("saga-op:")
}

async fn create(
    cloud: &Client,
    attempt: &Attempt,
    snapshot: &Thing,
    facts: &Facts,
) -> Result<Value, StepError> {
    let Ok(image) = snapshot.id.parse::<u64>() else {
        return refused(format_args!("snapshot `{}` is none of a droplet", snapshot.id));
    };
    let [_, tag] = attempt.tags();
    let lasting = facts.tags.iter().filter(|tag| !is_of_a_step(tag));
    let tags: Vec<&str> = lasting.map(String::as_str).chain([tag.as_str()]).collect();
    let mut volumes = Vec::new();
    for id in &facts.volume_ids {
        // Attached from the beginning: what is mounted when it boots must be there.
        volumes.extend(Kind::Volume.find(cloud, id).await?.map(|_| id));
    }
    let mut body = json!({
        "name": facts.droplet_name, "region": facts.region, "size": facts.size, "image": image,
        "vpc_uuid": facts.vpc_uuid, "tags": tags, "volumes": volumes,
    });
    for feature in FEATURES {
        body[feature] = json!(facts.features.contains(feature));
    }
    let mut made: Value = cloud.post("/v2/droplets", &body).await?;
    Ok(made["droplet"].take())
}

/// Destroys a droplet, which is shut down first so that its volumes are whole.
async fn put_away(cloud: &Client, id: u64, found: &Value) -> Result<(), StepError> {
    if found["status"] == "active" {
        let off = json!({"status": "off"});
        // Locked it is going already, or has something else under way.
        if found["locked"] != true {
            state::power(cloud, &id.to_string(), &off).await?;
        }
        return Err(StepError::not_yet(cloud.look()));
    }
    remove(cloud, &format!("/v2/droplets/{id}")).await
}

impl Step for RebuildDroplets {
    const NAME: &'static str = "rebuild_droplets";
    const OPTIONS: Options = crate::steps::OPTIONS;
    type Input = Things;
    type Output = Rebuilt;

    async fn execute(&self, attempt: Attempt, site: Things) -> Result<Rebuilt, StepError> {
        let mut rebuilt = Rebuilt { rebuilt: Vec::new(), unshelved: Vec::new() };
        let shelved = site.shelved()?;
        if shelved.is_empty() {
            return Ok(rebuilt);
        }
        let found = made(&self.cloud, &attempt).await?;
        for (snapshot, facts) in shelved {
            let droplet = match of_snapshot(&found, snapshot).cloned() {
                Some(droplet) => droplet,
                None => create(&self.cloud, &attempt, snapshot, &facts).await.map_err(|error| {
                    // Others may be there, that no list shows yet.
                    if rebuilt.rebuilt.is_empty() { error } else { after_others(error) }
                })?,
            };
            rebuilt.add(snapshot, facts, &droplet)?;
        }
        Ok(rebuilt)
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        site: Things,
        effect: Effect<Rebuilt>,
    ) -> Result<(), StepError> {
        if site.shelved()?.is_empty() {
            return Ok(());
        }
        let (cloud, [_, tag]) = (self.cloud.undoing(), attempt.tags());
        let known = effect.known();
        let again = known.iter().flat_map(|known| &known.rebuilt);
        let mut ids: Vec<u64> = again.map(|again| again.droplet_id).collect();
        let listed = made(&cloud, &attempt).await?;
        ids.extend(listed.iter().filter_map(|droplet| droplet["id"].as_u64()));
        ids.sort_unstable();
        ids.dedup();
        let mut failed = Vec::new();
        for id in ids {
            let Some(found) = Kind::Droplet.find(&cloud, &id.to_string()).await? else { continue };
            if found["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag))) {
                failed.extend(put_away(&cloud, id, &found).await.err());
            } else {
                failed.push(StepError::permanent(format_args!(
                    "droplet {id} no longer carries `{tag}`: it may be another's by now"
                )));
            }
        }
        all_of(failed)?;
        absent_for_sure(&cloud, &attempt)?;
        remove_tag(&cloud, &tag).await
    }

    /// A part of them is not what `execute` would have come to: it goes on with what is there.
    async fn probe(&self, attempt: Attempt, site: Things) -> Result<Probe<Rebuilt>, StepError> {
        let found = made(&self.cloud, &attempt).await?;
        let mut rebuilt = Rebuilt { rebuilt: Vec::new(), unshelved: Vec::new() };
        for (snapshot, facts) in site.shelved()? {
            let Some(droplet) = of_snapshot(&found, snapshot) else { return Ok(Probe::Absent) };
            rebuilt.add(snapshot, facts, droplet)?;
        }
        Ok(Probe::Present(rebuilt))
    }

    fn changes(&self, output: &Rebuilt) -> Vec<Change> {
        output.unshelved.clone()
    }
}

/// What was made again, and of what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// The droplets.
    pub rebuilt: Vec<Again>,
    /// What the site had when it was read.
    pub things: Vec<Thing>,
}

impl Step for AwaitDroplets {
    const NAME: &'static str = "await_droplets";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only();
    type Input = Made;
    type Output = ();

    async fn execute(&self, attempt: Attempt, of: Made) -> Result<(), StepError> {
        for one in &of.rebuilt {
            reachable(&self.cloud, &attempt, one.droplet_id).await?;
        }
        Ok(())
    }
}

impl Step for ConnectDroplets {
    const NAME: &'static str = "connect_droplets";
    // Volumes and addresses are free again once the droplets are destroyed.
    const OPTIONS: Options = crate::steps::OPTIONS.retained("it ends with the droplets");
    type Input = Made;
    type Output = ();

    async fn execute(&self, attempt: Attempt, of: Made) -> Result<(), StepError> {
        let cloud = &self.cloud;
        for Again { droplet_id, facts, was_off } in &of.rebuilt {
            let droplet_id = *droplet_id;
            for volume_id in facts.volume_ids.iter().cloned() {
                if Kind::Volume.find(cloud, &volume_id).await?.is_none() {
                    continue;
                }
                let to = Attachment { volume_id, droplet_id };
                AttachVolume::new(cloud).execute(attempt.clone(), to).await?;
            }
            for reserved_ip in facts.reserved_ips.iter().cloned() {
                // Whoever let it go meanwhile, or put it on another droplet, meant that.
                let found = Kind::ReservedIp.find(cloud, &reserved_ip).await?.unwrap_or_default();
                let on = found["droplet"]["id"].as_u64();
                if found.is_null() || on.is_some_and(|on| on != droplet_id) {
                    continue;
                }
                let to = Assignment { reserved_ip, droplet_id };
                AssignIp::new(cloud).execute(attempt.clone(), to).await?;
            }
            let off = json!({"status": "off"});
            let id = droplet_id.to_string();
            if *was_off && !state::power(cloud, &id, &off).await? {
                return Err(StepError::not_yet(cloud.look()));
            }
        }
        let droplet_ids: Vec<u64> = of.rebuilt.iter().map(|one| one.droplet_id).collect();
        let project = of.things.iter().find(|thing| thing.kind == Kind::Project);
        if let Some(project) = project.filter(|_| !droplet_ids.is_empty()) {
            let (project_id, domain_existed) = (project.id.clone(), true);
            let to =
                Assigned { project_id, droplet_ids, volume_id: None, domain: None, domain_existed };
            AssignProject::new(cloud).execute(attempt, to).await?;
        }
        Ok(())
    }
}

impl Step for ConfirmRebuilt {
    const NAME: &'static str = "confirm_rebuilt";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only().pivot();
    type Input = Made;
    type Output = ();

    async fn execute(&self, _: Attempt, of: Made) -> Result<(), StepError> {
        for one in &of.rebuilt {
            let id = one.droplet_id;
            if Kind::Droplet.find(&self.cloud, &id.to_string()).await?.is_none() {
                return refused(format_args!("droplet {id}, which was just made again, is gone"));
            }
        }
        Ok(())
    }
}

impl Step for RemoveSnapshots {
    const NAME: &'static str = "remove_snapshots";
    const OPTIONS: Options = super::remove::OPTIONS;
    type Input = Made;
    type Output = ();

    async fn execute(&self, _: Attempt, of: Made) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let mut failed = Vec::new();
        let site = Things { things: of.things };
        for (snapshot, facts) in site.shelved()? {
            let made = of.rebuilt.iter().find(|one| one.facts == facts).map(|one| one.droplet_id);
            let there = match made {
                Some(id) => Kind::Droplet.find(&cloud, &id.to_string()).await?.is_some(),
                None => false,
            };
            if !there {
                failed.push(StepError::permanent(format_args!(
                    "the droplet that was made of snapshot `{}` is gone: it is the last copy, and stays",
                    snapshot.id
                )));
                continue;
            }
            failed.extend(remove_one(&cloud, snapshot, &[]).await.err());
            // Its droplet carries that of the step which made it again.
            for tag in facts.tags.iter().filter(|tag| is_of_a_step(tag)) {
                failed.extend(remove_tag(&cloud, tag).await.err());
            }
        }
        all_of(failed)
    }
}
