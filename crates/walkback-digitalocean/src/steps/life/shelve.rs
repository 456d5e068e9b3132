//! Shelving: droplets that are off are billed like those that run, so that they are destroyed, once a
//! snapshot of each is there. Until it is made again the row of a droplet is that of its snapshot, with how
//! the droplet was.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::{Change, Identity, Replacement};
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::droplet::actions;
use crate::steps::life::remove::remove_one;
use crate::steps::life::{Kind, Thing, Things, tag, ties, untouched};
use crate::steps::named::{moment, text};
use crate::steps::snapshot::{LOOKS, OfDroplet, Snapshot};
use crate::steps::{after_others, all_of, on_account, refused};

on_account! {
    /// Reads how the site's droplets are, and refuses what would be another one when it is made again.
    CheckShelving;
    /// Takes a snapshot of each droplet, and waits until all are there.
    SnapshotDroplets;
    /// The point of no return: every droplet is off, as it was, and kept in its snapshot.
    ConfirmShelving;
    /// Destroys the droplets of which there are snapshots.
    DestroyDroplets;
}

/// The member of what is wanted of a shelved droplet that says how it was.
pub(super) const SHELVED: &str = "shelved";

/// How long after it was taken a snapshot may be shown as one that cannot be used yet.
const AVAILABLE: Duration = Duration::from_mins(10);

/// What a droplet can be made with.
pub(super) const FEATURES: [&str; 3] = ["backups", "ipv6", "monitoring"];

/// How a droplet is made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// Its id, which another one has afterwards.
    pub droplet_id: u64,
    /// Its name.
    pub droplet_name: String,
    /// Where it is.
    pub region: String,
    /// Its size.
    pub size: String,
    /// Its private network.
    pub vpc_uuid: String,
    /// Its tags: by them firewalls and load balancers know it.
    pub tags: BTreeSet<String>,
    /// What it has of [`FEATURES`].
    pub features: BTreeSet<String>,
    /// The volumes on it.
    pub volume_ids: BTreeSet<String>,
    /// The reserved addresses that lead to it.
    pub reserved_ips: BTreeSet<String>,
}

impl Facts {
    /// How the droplet was that this thing is a snapshot of, if it is shelved.
    pub(super) fn of_shelved(thing: &Thing) -> Result<Option<Self>, StepError> {
        let Some(facts) = thing.wanted().get(SHELVED).cloned() else { return Ok(None) };
        serde_json::from_value(facts).map(Some).or_else(|error| {
            refused(format_args!("how the droplet of snapshot `{}` was: {error}", thing.id))
        })
    }

    /// What is not known of it, without which it could not be made again.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let needed = [
            ("a name", &self.droplet_name),
            ("a region", &self.region),
            ("a size", &self.size),
            ("a private network", &self.vpc_uuid),
        ];
        needed.into_iter().filter(|(_, text)| text.is_empty()).map(|(what, _)| what).collect()
    }

    fn read(droplet: &Value, addresses: &[Value]) -> Self {
        let texts = |member: &Value| {
            let all = member.as_array().into_iter().flatten().filter_map(Value::as_str);
            all.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let (mut tags, mut features) = (texts(&droplet["tags"]), texts(&droplet["features"]));
        tags.remove(tag::SUSPENDED);
        features.retain(|feature| FEATURES.contains(&feature.as_str()));
        let leads_here = |ip: &&Value| ip["droplet"]["id"] == droplet["id"];
        Self {
            droplet_id: droplet["id"].as_u64().unwrap_or_default(),
            droplet_name: text(droplet, "name"),
            region: text(&droplet["region"], "slug"),
            size: text(droplet, "size_slug"),
            vpc_uuid: text(droplet, "vpc_uuid"),
            tags,
            features,
            volume_ids: texts(&droplet["volume_ids"]),
            reserved_ips: addresses.iter().filter(leads_here).map(|ip| text(ip, "ip")).collect(),
        }
    }
}

/// How these droplets are, with what the account says of each; those that are gone are left out.
async fn look(cloud: &Client, things: &[Thing]) -> Result<Vec<(Facts, Value)>, ApiError> {
    let of = |kind: Kind| things.iter().filter(move |thing| thing.kind == kind);
    // Others' too; the site's own are asked for besides, as a list may not show them yet.
    let mut addresses: Vec<Value> = cloud.list("/v2/reserved_ips", "reserved_ips").await?;
    for thing in of(Kind::ReservedIp) {
        addresses.extend(Kind::ReservedIp.find(cloud, &thing.id).await?);
    }
    let mut droplets = Vec::new();
    for thing in of(Kind::Droplet) {
        if let Some(droplet) = Kind::Droplet.find(cloud, &thing.id).await? {
            droplets.push((Facts::read(&droplet, &addresses), droplet));
        }
    }
    Ok(droplets)
}

/// What is shelved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shelving {
    /// How each droplet was.
    pub shelving: Vec<Facts>,
}

impl Step for CheckShelving {
    const NAME: &'static str = "check_shelving";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only();
    type Input = Things;
    type Output = Shelving;

    async fn execute(&self, _: Attempt, site: Things) -> Result<Shelving, StepError> {
        let Things { mut things } = site;
        // Suspending changes nothing of these, so that nobody has read how they are.
        for thing in things.iter_mut().filter(|thing| thing.kind == Kind::LoadBalancer) {
            thing.state = thing.kind.find(&self.cloud, &thing.id).await?.unwrap_or_default();
        }
        let droplets = look(&self.cloud, &things).await?;
        let mut mistakes: Vec<_> =
            droplets.iter().flat_map(|one| ties::own(&things, one)).collect();
        mistakes.extend(ties::others(&self.cloud, &things, &droplets).await?);
        if !mistakes.is_empty() {
            return refused(format_args!(
                "{}: a droplet that is made again has another id and another address, and no backups; \
                 expected tags and reserved addresses",
                mistakes.join("; ")
            ));
        }
        Ok(Shelving { shelving: droplets.into_iter().map(|(facts, _)| facts).collect() })
    }
}

/// A droplet and its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OnShelf {
    /// How the droplet was.
    pub facts: Facts,
    /// What is kept of it.
    pub snapshot: Snapshot,
}

/// What is kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shelf {
    /// Of each droplet.
    pub shelved: Vec<OnShelf>,
}

impl Shelving {
    fn droplets(&self) -> impl Iterator<Item = (&Facts, OfDroplet)> {
        self.shelving.iter().map(|facts| (facts, OfDroplet { droplet_id: facts.droplet_id }))
    }
}

/// The droplet's snapshot, once it is there.
async fn take(
    cloud: &Client,
    attempt: &Attempt,
    of: &OfDroplet,
) -> Result<Option<Snapshot>, StepError> {
    let id = of.droplet_id;
    let found = Kind::Droplet.find(cloud, &id.to_string()).await?.unwrap_or_default();
    // What is written while a snapshot is taken, or after, may not be in it.
    if found["status"] != "off" {
        return refused(format_args!("droplet {id} is not off: look at it first"));
    }
    let taken = of.take(cloud, attempt).await?;
    if let Some(snapshot) = &taken
        && !usable(cloud, snapshot).await?
        && is_new(cloud, attempt, of).await?
    {
        return Ok(None);
    }
    Ok(taken)
}

/// Whether the droplet's last snapshot was taken so lately that it may not be shown as available yet.
async fn is_new(cloud: &Client, attempt: &Attempt, of: &OfDroplet) -> Result<bool, ApiError> {
    Ok(of.taken_for(cloud, attempt).await?.is_some_and(|passed| passed < AVAILABLE))
}

/// Whether a droplet can be made of the snapshot.
async fn usable(cloud: &Client, snapshot: &Snapshot) -> Result<bool, ApiError> {
    let image: Option<Value> = cloud.find(&format!("/v2/images/{}", snapshot.snapshot_id)).await?;
    Ok(image.is_some_and(|image| image["image"]["status"] == "available"))
}

impl Step for SnapshotDroplets {
    const NAME: &'static str = "snapshot_droplets";
    const OPTIONS: Options = crate::steps::OPTIONS;
    type Input = Shelving;
    type Output = Shelf;

    async fn execute(&self, attempt: Attempt, of: Shelving) -> Result<Shelf, StepError> {
        let mut shelved = Vec::new();
        for (facts, droplet) in of.droplets() {
            let taken = take(&self.cloud, &attempt, &droplet).await;
            // Whatever goes wrong with one, those of the others may be under way.
            let taken = taken.map_err(after_others)?;
            shelved.extend(taken.map(|snapshot| OnShelf { facts: facts.clone(), snapshot }));
        }
        if shelved.len() < of.shelving.len() {
            return Err(StepError::not_yet(self.cloud.look() * LOOKS));
        }
        Ok(Shelf { shelved })
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: Shelving,
        effect: Effect<Shelf>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let known = effect.known().map(|shelf| shelf.shelved);
        let mut failed = Vec::new();
        for (facts, droplet) in of.droplets() {
            let mine = |one: &&OnShelf| one.facts == *facts;
            let snapshot = known.iter().flatten().find(mine).map(|one| one.snapshot.clone());
            failed.extend(droplet.undo(&cloud, &attempt, snapshot).await.err());
        }
        all_of(failed)
    }

    async fn probe(&self, attempt: Attempt, of: Shelving) -> Result<Probe<Shelf>, StepError> {
        let (mut shelved, mut all) = (Vec::new(), Probe::Absent);
        for (facts, droplet) in of.droplets() {
            match droplet.probe(&self.cloud, &attempt).await? {
                // It is waited for by `execute`.
                Probe::Present(snapshot)
                    if !usable(&self.cloud, &snapshot).await?
                        && is_new(&self.cloud, &attempt, &droplet).await? =>
                {
                    all = Probe::CannotTell;
                }
                Probe::Present(snapshot) => {
                    shelved.push(OnShelf { facts: facts.clone(), snapshot });
                }
                Probe::CannotTell => all = Probe::CannotTell,
                Probe::Absent => {}
            }
        }
        Ok(if shelved.len() == of.shelving.len() { Probe::Present(Shelf { shelved }) } else { all })
    }
}

/// Whether a droplet may be destroyed.
enum Kept {
    /// It is off, and its snapshot has everything.
    Whole,
    /// It is being destroyed, or is gone.
    Going,
}

/// Whether the droplet is as it was when its snapshot was taken: off since then, with the same volumes and
/// addresses; and whether that snapshot can be used. What is not so is refused.
async fn kept(
    cloud: &Client,
    OnShelf { facts, snapshot }: &OnShelf,
    droplets: &[(Facts, Value)],
) -> Result<Kept, StepError> {
    let id = facts.droplet_id;
    let Some((now, droplet)) = droplets.iter().find(|(now, _)| now.droplet_id == id) else {
        return Ok(Kept::Going);
    };
    let actions = actions(cloud, id).await?;
    // One that errored is none.
    let destroys = |action: &Value| action["type"] == "destroy" && action["status"] != "errored";
    if actions.iter().any(destroys) {
        return Ok(Kept::Going);
    }
    if now != facts || droplet["status"] != "off" {
        return refused(format_args!(
            "droplet {id} is not off and as it was when the site was read: look at it first"
        ));
    }
    let name = &snapshot.snapshot_name;
    let found = Kind::Snapshot.find(cloud, &snapshot.snapshot_id).await?.unwrap_or_default();
    let usable = usable(cloud, snapshot).await?;
    let is_here = found["regions"].as_array().is_some_and(|all| all.contains(&json!(facts.region)));
    let of_it = text(&found, "resource_id") == id.to_string();
    let taken_at = moment(&found, "created_at");
    let (true, true, true, Some(taken_at)) = (usable, is_here, of_it, taken_at) else {
        return refused(format_args!(
            "snapshot `{name}` of droplet {id} is not there, available and in {}",
            facts.region
        ));
    };
    // While a snapshot is taken nothing else happens to a droplet: what began no earlier came after.
    let later = |action: &&Value| {
        let begun_at = moment(action, "started_at");
        action["type"] != "snapshot"
            && action["type"] != "destroy"
            && begun_at.is_none_or(|begun_at| begun_at >= taken_at)
    };
    if let Some(action) = actions.iter().find(later) {
        return refused(format_args!(
            "droplet {id} has had a {} since its snapshot `{name}` was taken, which may lack what is on it \
             now: look at it first",
            text(action, "type")
        ));
    }
    Ok(Kept::Whole)
}

/// What is to be destroyed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ToDestroy {
    /// The id of the saga that provisioned the site.
    pub site: String,
    /// What it had when it was read.
    pub things: Vec<Thing>,
    /// Its droplets, and their snapshots.
    pub shelved: Vec<OnShelf>,
}

/// What is destroyed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Leaving {
    /// The droplets, as their records are now.
    pub leaving: Vec<Thing>,
}

impl Step for ConfirmShelving {
    const NAME: &'static str = "confirm_shelving";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only().pivot();
    type Input = ToDestroy;
    type Output = Leaving;

    async fn execute(&self, attempt: Attempt, of: ToDestroy) -> Result<Leaving, StepError> {
        let now = untouched(&of.site, &of.things, &attempt).await?;
        let droplets = look(&self.cloud, &now).await?;
        for one in &of.shelved {
            if let Kept::Going = kept(&self.cloud, one, &droplets).await? {
                let id = one.facts.droplet_id;
                return refused(format_args!("droplet {id} is gone, or going: look at it first"));
            }
        }
        let is_shelved = |thing: &Thing| {
            let mut ids = of.shelved.iter().map(|one| one.facts.droplet_id.to_string());
            thing.kind == Kind::Droplet && ids.any(|id| id == thing.id)
        };
        Ok(Leaving { leaving: now.into_iter().filter(is_shelved).collect() })
    }
}

/// What is destroyed, and what stays.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Doomed {
    /// What the site had when it was read.
    pub things: Vec<Thing>,
    /// The droplets.
    pub leaving: Vec<Thing>,
    /// Their snapshots.
    pub shelved: Vec<OnShelf>,
}

/// What has become of the records.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Replaced {
    /// The snapshots stand for the droplets.
    pub replaced: Vec<Change>,
}

impl Step for DestroyDroplets {
    const NAME: &'static str = "destroy_droplets";
    const OPTIONS: Options = super::remove::OPTIONS;
    type Input = Doomed;
    type Output = Replaced;

    async fn execute(&self, _: Attempt, of: Doomed) -> Result<Replaced, StepError> {
        let cloud = self.cloud.undoing();
        let droplets = look(&cloud, &of.things).await?;
        let (mut replaced, mut failed) = (Vec::new(), Vec::new());
        for one in of.shelved {
            let id = one.facts.droplet_id.to_string();
            let Some(thing) = of.leaving.iter().find(|thing| thing.id == id) else {
                return refused(format_args!("droplet {id} is not among what is destroyed"));
            };
            let gone = match kept(&cloud, &one, &droplets).await {
                Ok(_) => remove_one(&cloud, thing, &[]).await,
                Err(error) => Err(error),
            };
            // The others go meanwhile.
            failed.extend(gone.err());
            let OnShelf { facts, snapshot } = one;
            let mut wanted = thing.wanted();
            wanted[SHELVED] = serde_json::to_value(&facts).map_err(StepError::permanent)?;
            let stands = Identity {
                kind: Kind::Snapshot.one().to_owned(),
                external_id: snapshot.snapshot_id,
                name: Some(snapshot.snapshot_name),
                region: Some(facts.region),
            };
            replaced.push(thing.is_replaced(stands, &wanted)?);
        }
        all_of(failed)?;
        Ok(Replaced { replaced })
    }

    fn changes(&self, output: &Replaced) -> Vec<Change> {
        output.replaced.clone()
    }
}

impl Thing {
    /// The change after which another thing is there in its place, of which this is wanted.
    pub(super) fn is_replaced(&self, by: Identity, wanted: &Value) -> Result<Change, StepError> {
        let from = Identity {
            kind: self.kind.one().to_owned(),
            external_id: self.id.clone(),
            name: self.name.clone(),
            region: by.region.clone(),
        };
        let replaced = Some(Replacement { from, to: by });
        Ok(Change { replaced, ..self.becomes(wanted)? })
    }
}
