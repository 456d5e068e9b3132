//! The last look before anything is removed for good: what else hangs on a site, and that nobody else
//! has changed it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkback::{Attempt, Options, Step, StepError};

use crate::steps::domain::records_of;
use crate::steps::life::shelve::Facts;
use crate::steps::life::{Kind, Thing, Things, untouched};
use crate::steps::named::text;
use crate::steps::on_account;

on_account! {
    /// Names what hangs on the site's droplets, or is in its domains or its project, and is not the site's.
    FindUnknown;
    /// Keeps the zone files of the site's domains, with every record that is in them.
    ExportZones;
    /// The point of no return: looks once more, and names what is removed.
    ConfirmRemoval;
}

/// What is not ours, and stays.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unknown {
    /// For people: `volume data (5a49…), on droplet 3`.
    pub not_of_the_site: Vec<String>,
}

impl Step for FindUnknown {
    const NAME: &'static str = "find_unknown";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only();
    type Input = Things;
    type Output = Unknown;

    async fn execute(&self, _: Attempt, of: Things) -> Result<Unknown, StepError> {
        let ours = |id: &str| of.things.iter().any(|thing| thing.id == id);
        let mut not_of_the_site = Vec::new();
        for droplet in of.things.iter().filter(|thing| thing.kind == Kind::Droplet) {
            let id = &droplet.id;
            let path = format!("/v2/droplets/{id}/destroy_with_associated_resources");
            let found: Option<Value> = self.cloud.find(&path).await?;
            for (kinds, kind) in [
                ("reserved_ips", "reserved address"),
                ("volumes", "volume"),
                ("snapshots", "snapshot"),
                ("volume_snapshots", "snapshot of a volume"),
            ] {
                let things = found.as_ref().and_then(|found| found[kinds].as_array());
                for thing in things.into_iter().flatten() {
                    let (of_it, name) = (text(thing, "id"), text(thing, "name"));
                    if !ours(&of_it) {
                        not_of_the_site.push(format!("{kind} {name} ({of_it}), on droplet {id}"));
                    }
                }
            }
        }
        for domain in of.things.iter().filter(|thing| thing.kind == Kind::Domain) {
            let records = records_of(&self.cloud, &domain.id).await?.into_iter();
            let foreign = records.filter(|(id, _)| !ours(id));
            not_of_the_site.extend(
                foreign.map(|(id, record)| format!("record {record} ({id}), in its domain")),
            );
        }
        for project in of.things.iter().filter(|thing| thing.kind == Kind::Project) {
            let path = format!("/v2/projects/{}/resources", project.id);
            let found: Option<Vec<Value>> = self.cloud.find_list(&path, "resources").await?;
            let urns = found.into_iter().flatten().map(|one| text(&one, "urn"));
            let foreign = urns.filter(|urn| !ours(urn.splitn(3, ':').nth(2).unwrap_or_default()));
            not_of_the_site.extend(foreign.map(|urn| format!("{urn}, in project {}", project.id)));
        }
        Ok(Unknown { not_of_the_site })
    }
}

/// Zone files.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Zones {
    /// One for each domain.
    pub zone_files: Vec<String>,
}

impl Step for ExportZones {
    const NAME: &'static str = "export_zones";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only();
    type Input = Things;
    type Output = Zones;

    async fn execute(&self, _: Attempt, of: Things) -> Result<Zones, StepError> {
        let mut zone_files = Vec::new();
        for domain in of.things.iter().filter(|thing| thing.kind == Kind::Domain) {
            let found = Kind::Domain.find(&self.cloud, &domain.id).await?;
            zone_files.extend(found.map(|found| text(&found, "zone_file")));
        }
        Ok(Zones { zone_files })
    }
}

/// Which site, as it was read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Read {
    /// The id of the saga that provisioned it.
    pub site: String,
    /// What it had when it was read.
    pub things: Vec<Thing>,
}

/// What is removed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Doomed {
    /// In the order in which it was made.
    pub doomed: Vec<Thing>,
    /// The tags of sagas that it carries.
    pub doomed_tags: Vec<String>,
}

impl Step for ConfirmRemoval {
    const NAME: &'static str = "confirm_removal";
    const OPTIONS: Options = crate::steps::OPTIONS.read_only().pivot();
    type Input = Read;
    type Output = Doomed;

    async fn execute(&self, attempt: Attempt, read: Read) -> Result<Doomed, StepError> {
        let doomed = untouched(&read.site, &read.things, &attempt).await?;
        let mut doomed_tags = vec![format!("saga:{}", read.site)];
        for thing in &doomed {
            let shelved = Facts::of_shelved(thing)?.into_iter().flat_map(|facts| facts.tags);
            doomed_tags.extend(shelved.filter(|tag| tag.starts_with("saga")));
            if matches!(thing.kind, Kind::Droplet | Kind::Volume | Kind::Database) {
                let found = thing.kind.find(&self.cloud, &thing.id).await?.unwrap_or_default();
                let tags = found["tags"].as_array().into_iter().flatten();
                let of_sagas = tags.filter_map(Value::as_str).filter(|tag| tag.starts_with("saga"));
                doomed_tags.extend(of_sagas.map(str::to_owned));
            }
        }
        doomed_tags.sort_unstable();
        doomed_tags.dedup();
        Ok(Doomed { doomed, doomed_tags })
    }
}
