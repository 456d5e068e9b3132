//! Removing all things of a kind, for good: again and again until they are gone.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Change;
use walkback::{Attempt, Options, Retry, Step, StepError};

use crate::client::{Class, Client};
use crate::steps::domain::records_of;
use crate::steps::life::{Kind, Thing, tag};
use crate::steps::named::text;
use crate::steps::spaces_key::remove_named;
use crate::steps::{on_account, refused, remove, remove_tag};

on_account! {
    /// Removes all things of a kind that a site has.
    Remove;
    /// Removes the tags that nothing carries any more.
    RemoveTags;
    /// Makes sure that nothing carries the site's tag.
    Sweep;
}

/// What holds a thing may take a quarter of an hour to go.
pub(super) const OPTIONS: Options = crate::steps::OPTIONS
    .retry(Retry::attempts(40).backoff(Duration::from_secs(2), Duration::from_mins(1)))
    .irreversible("what is removed is gone");

/// Which things.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// What is removed.
    pub doomed: Vec<Thing>,
    /// Only these.
    pub kind: Kind,
}

/// What is gone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// In the records of whoever made it.
    pub removed: Vec<Change>,
}

impl Step for Remove {
    const NAME: &'static str = "remove";
    const OPTIONS: Options = OPTIONS;
    type Input = Wanted;
    type Output = Removed;

    async fn execute(&self, _: Attempt, wanted: Wanted) -> Result<Removed, StepError> {
        let cloud = self.cloud.undoing();
        let (mut removed, mut failed) = (Vec::new(), None);
        for thing in wanted.doomed.iter().filter(|thing| thing.kind == wanted.kind) {
            match remove_one(&cloud, thing, &wanted.doomed).await {
                Ok(()) => removed.push(thing.row.clone()),
                // The others go meanwhile.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(Removed { removed }), Err)
    }

    fn changes(&self, output: &Removed) -> Vec<Change> {
        output.removed.clone()
    }
}

/// Removes a thing, or says that it is not gone yet; `all` are those that are removed with it.
pub(super) async fn remove_one(
    cloud: &Client,
    thing: &Thing,
    all: &[Thing],
) -> Result<(), StepError> {
    let (kind, id) = (thing.kind, &thing.id);
    let path = kind.path(id);
    let later = || Err(StepError::not_yet(cloud.look()));
    let holds_on = |kind: Kind| {
        matches!(kind, Kind::Droplet | Kind::Volume | Kind::ReservedIp | Kind::Snapshot)
    };
    let found = if holds_on(kind) { kind.find(cloud, id).await? } else { None };
    match (kind, found) {
        (Kind::SpacesKey, _) => {
            return remove_named(cloud, id, thing.name.as_deref().unwrap_or_default()).await;
        }
        (kind, None) if holds_on(kind) => return Ok(()),
        // It is going already, or has something else under way.
        (Kind::Droplet, Some(found)) if found["locked"] == true => return later(),
        (Kind::Volume, Some(found)) => {
            if let Some(on) = found["droplet_ids"].get(0) {
                let detach = json!({"type": "detach", "droplet_id": on});
                release(cloud, &format!("{path}/actions"), &detach).await?;
                return later();
            }
        }
        (Kind::Snapshot, Some(found)) if found["name"].as_str() != thing.name.as_deref() => {
            return refused(format_args!("snapshot {id} has another name: somebody keeps it"));
        }
        (Kind::ReservedIp, Some(found)) => {
            let projects = all.iter().filter(|thing| thing.kind == Kind::Project);
            // An address that was released may be somebody else's by now.
            if !projects.into_iter().any(|project| found["project_id"] == project.id) {
                return refused(format_args!("address {id} is no longer in the site's project"));
            }
            if !found["droplet"].is_null() {
                let unassign = json!({"type": "unassign"});
                release(cloud, &format!("{path}/actions"), &unassign).await?;
                return later();
            }
        }
        (Kind::Domain, _) => {
            // The site's own went before.
            let records = records_of(cloud, id).await?;
            let records: Vec<_> = records.into_iter().map(|(_, record)| record).collect();
            if !records.is_empty() {
                let records = records.join(", ");
                let error =
                    format!("domain `{id}` still has {records}: not the site's; remove them first");
                return Err(StepError::transient(error).clean());
            }
        }
        (Kind::Project, _) => {
            let inside: Option<Vec<Value>> =
                cloud.find_list(&format!("{path}/resources"), "resources").await?;
            let urns: Vec<_> = inside.iter().flatten().map(|one| text(one, "urn")).collect();
            if !urns.is_empty() {
                let urns = urns.join(", ");
                let error =
                    format!("project {id} still has {urns}: move it to another, or remove it");
                return Err(StepError::transient(error).clean());
            }
        }
        _ => {}
    }
    remove(cloud, &path).await
}

/// Begins to take a thing off another; whether that is so is looked at later.
async fn release(cloud: &Client, path: &str, action: &Value) -> Result<(), StepError> {
    match cloud.post::<Value>(path, action).await {
        // The action before is under way, or has just ended.
        Err(error) if !matches!(error.class(), Class::Busy | Class::Conflict | Class::Invalid) => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// Which tags.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tags {
    /// Those of sagas.
    pub doomed_tags: Vec<String>,
}

impl Step for RemoveTags {
    const NAME: &'static str = "remove_tags";
    const OPTIONS: Options = OPTIONS;
    type Input = Tags;
    type Output = ();

    async fn execute(&self, _: Attempt, of: Tags) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let tags = of.doomed_tags.iter().map(String::as_str);
        for name in tags.chain([tag::SUSPENDED]) {
            remove_tag(&cloud, name).await?;
        }
        Ok(())
    }
}

/// Which site.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Swept {
    /// The id of the saga that provisioned it.
    pub site: String,
}

impl Step for Sweep {
    const NAME: &'static str = "sweep";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only();
    type Input = Swept;
    type Output = ();

    async fn execute(&self, _: Attempt, of: Swept) -> Result<(), StepError> {
        let tag = format!("saga:{}", of.site);
        if self.cloud.find::<Value>(&format!("/v2/tags/{tag}")).await?.is_none() {
            return Ok(());
        }
        let mut left = Vec::new();
        for (many, one) in
            [("droplets", "droplet"), ("volumes", "volume"), ("databases", "database")]
        {
            let path = format!("/v2/{many}?tag_name={tag}");
            let found: Vec<Value> = self.cloud.list(&path, many).await?;
            let tagged = |thing: &&Value| {
                thing["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)))
            };
            let names = found.iter().filter(tagged).map(|thing| format!("{one} {}", thing["id"]));
            left.extend(names);
        }
        let left = left.join(", ");
        refused(format_args!(
            "tag `{tag}` is still there, on: {left}: not in the records of the site"
        ))
    }
}
