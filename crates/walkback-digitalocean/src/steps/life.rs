//! The life of a site after it was provisioned: what it has, by what is recorded of it; and steps that
//! suspend, resume and remove all of a kind, one thing like the other.
//!
//! What they change is compared and swapped in the records of the saga that made it, so that of two
//! sagas that change one thing the second fails and is undone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::{Change, Provisioned};
use walkback::time::Timestamp;
use walkback::{Attempt, Json, Options, SagaId, Status, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{PROVIDER, on_account, refused};

mod confirm;
mod rebuild;
mod remove;
mod shelve;
mod state;
mod suspend;
mod tag;
mod ties;

pub use confirm::{ConfirmRemoval, ExportZones, FindUnknown};
pub use rebuild::{
    AwaitDroplets, ConfirmRebuilt, ConnectDroplets, RebuildDroplets, RemoveSnapshots,
};
pub use remove::{Remove, RemoveTags, Sweep};
pub use shelve::{CheckShelving, ConfirmShelving, DestroyDroplets, SnapshotDroplets};
pub use suspend::{Resume, Suspend};
pub use tag::TagSuspended;

on_account! {
    /// Reads what a site has and how that is now, so that it can be as before again.
    ReadSite;
}

/// Kinds of things that a site can have, as the records call them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An app.
    App,
    /// A CDN endpoint.
    CdnEndpoint,
    /// A certificate.
    Certificate,
    /// A database cluster.
    Database,
    /// A domain.
    Domain,
    /// A record of a domain: `domain/id`.
    DomainRecord,
    /// A droplet.
    Droplet,
    /// A firewall.
    Firewall,
    /// A load balancer.
    LoadBalancer,
    /// A project.
    Project,
    /// A reserved address.
    ReservedIp,
    /// A snapshot.
    Snapshot,
    /// A key of Spaces.
    SpacesKey,
    /// An SSH key.
    SshKey,
    /// A volume.
    Volume,
    /// A private network.
    Vpc,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        serde_json::from_value(json!(name)).ok()
    }

    /// Where a thing of this kind is.
    fn path(self, id: &str) -> String {
        let many = match self {
            Self::App => "apps",
            Self::CdnEndpoint => "cdn/endpoints",
            Self::Certificate => "certificates",
            Self::Database => "databases",
            Self::Domain => "domains",
            Self::DomainRecord => {
                let (domain, record) = id.split_once('/').unwrap_or((id, ""));
                return format!("/v2/domains/{domain}/records/{record}");
            }
            Self::Droplet => "droplets",
            Self::Firewall => "firewalls",
            Self::LoadBalancer => "load_balancers",
            Self::Project => "projects",
            Self::ReservedIp => "reserved_ips",
            Self::Snapshot => "snapshots",
            Self::SpacesKey => "spaces/keys",
            Self::SshKey => "account/keys",
            Self::Volume => "volumes",
            Self::Vpc => "vpcs",
        };
        format!("/v2/{many}/{id}")
    }

    /// As the records call one.
    fn one(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::CdnEndpoint => "cdn_endpoint",
            Self::Certificate => "certificate",
            Self::Database => "database",
            Self::Domain => "domain",
            Self::DomainRecord => "domain_record",
            Self::Droplet => "droplet",
            Self::Firewall => "firewall",
            Self::LoadBalancer => "load_balancer",
            Self::Project => "project",
            Self::ReservedIp => "reserved_ip",
            Self::Snapshot => "snapshot",
            Self::SpacesKey => "spaces_key",
            Self::SshKey => "ssh_key",
            Self::Volume => "volume",
            Self::Vpc => "vpc",
        }
    }

    /// The member of an answer about one.
    fn member(self) -> &'static str {
        match self {
            Self::CdnEndpoint => "endpoint",
            Self::SpacesKey => "key",
            other => other.one(),
        }
    }

    /// A thing as the account has it; nothing, if it is gone.
    async fn find(self, cloud: &Client, id: &str) -> Result<Option<Value>, ApiError> {
        let found = cloud.find::<Value>(&self.path(id)).await?;
        Ok(found.map(|mut found| found[self.member()].take()))
    }
}

/// A thing of a site.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Thing {
    /// What it is.
    pub kind: Kind,
    /// Its id in the account.
    pub id: String,
    /// Its name there.
    pub name: Option<String>,
    /// Its row in the records, and that it is removed.
    pub row: Change,
    /// What suspending changes of it, as it was when the site was read; null, if it is nothing.
    pub state: Value,
}

impl Thing {
    /// What is wanted of it.
    fn wanted(&self) -> Value {
        serde_json::from_str(self.row.before.as_str()).unwrap_or_default()
    }

    /// How it was before it was suspended, if it is.
    fn before_suspension(&self) -> Option<Value> {
        self.wanted().get("suspended").cloned()
    }

    /// The change after which this is wanted of it.
    fn becomes(&self, wanted: &Value) -> Result<Change, StepError> {
        let after = Json::of(wanted).map_err(StepError::permanent)?;
        Ok(Change { after: Some(after), ..self.row.clone() })
    }

    /// Whether nobody but this run has changed it since it was read.
    fn is_untouched(&self, rows: &[Provisioned], attempt: &Attempt) -> bool {
        let of_it = |row: &&Provisioned| row.step_idx == self.row.step_idx;
        let row = rows.iter().rfind(of_it);
        row.is_some_and(|row| {
            row.changed_by == self.row.changed_by || row.changed_by == Some(attempt.saga_id())
        })
    }
}

/// Which site, and of what of it a snapshot or a fork is to be kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The id of the saga that provisioned it.
    pub site: String,
    /// Droplets.
    #[serde(default)]
    pub keep_droplets: Vec<u64>,
    /// Volumes.
    #[serde(default)]
    pub keep_volumes: Vec<String>,
    /// Database clusters.
    #[serde(default)]
    pub keep_databases: Vec<String>,
    /// Whether shelved droplets are made again, where that has to be said.
    #[serde(default)]
    pub unshelve: Option<bool>,
}

impl Wanted {
    /// Without its droplets a site is not resumed.
    fn must_say_so(&self, things: &[Thing]) -> Result<(), StepError> {
        for thing in things {
            if self.unshelve == Some(false) && shelve::Facts::of_shelved(thing)?.is_some() {
                return refused(format_args!(
                    "the site is shelved: droplet `{}` is a snapshot; expected `\"unshelve\": true`",
                    thing.name.as_deref().unwrap_or(&thing.id)
                ));
            }
        }
        Ok(())
    }

    /// All that is to be kept must be the site's; whatever is not is named at once.
    fn must_be_in(&self, things: &[Thing]) -> Result<(), StepError> {
        let droplets = self.keep_droplets.iter().map(|id| (Kind::Droplet, id.to_string()));
        let volumes = self.keep_volumes.iter().map(|id| (Kind::Volume, id.clone()));
        let databases = self.keep_databases.iter().map(|id| (Kind::Database, id.clone()));
        let of = |kind: Kind| things.iter().filter(move |thing| thing.kind == kind);
        let (mut wrong, mut seen) = (Vec::new(), Vec::new());
        for (kind, id) in droplets.chain(volumes).chain(databases) {
            if seen.contains(&(kind, id.clone())) {
                wrong.push(format!("{} `{id}` is there twice", kind.one()));
                continue;
            }
            seen.push((kind, id.clone()));
            let found = of(kind).find(|thing| thing.id == id);
            if found.is_some_and(|thing| thing.wanted()["database_engine"] == "valkey") {
                wrong.push(format!("database `{id}` is of Valkey, which has no backups to fork"));
            }
            if found.is_none() {
                let has: Vec<&str> = of(kind).map(|thing| &*thing.id).collect();
                let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
                wrong.push(format!("{} `{id}` is not the site's, which has {has}", kind.one()));
            }
        }
        if wrong.is_empty() { Ok(()) } else { refused(wrong.join("; ")) }
    }
}

/// What a site has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Things {
    /// In the order in which it was made.
    pub things: Vec<Thing>,
}

/// What is recorded of the site, without its state in the account, and when the newest of it was made.
async fn things_of(site: &str, attempt: &Attempt) -> Result<(Vec<Thing>, Timestamp), StepError> {
    let id: SagaId =
        site.parse().or_else(|error| refused(format_args!("site `{site}`: {error}")))?;
    let (mut things, mut newest) = (Vec::new(), Timestamp::default());
    match attempt.status_of(id).await? {
        // What a failed one has left is removed like everything else.
        Some(Status::Completed | Status::Failed) => {}
        Some(status) => {
            let status = status.name();
            return refused(format_args!("saga {id} is {status}: expected a completed one"));
        }
        None => return refused(format_args!("there is no saga {id}: expected that of a site")),
    }
    for row in attempt.provisioned(id).await? {
        if row.what.provider != PROVIDER {
            continue;
        }
        let Some(kind) = Kind::of(&row.what.kind) else {
            let (kind, made) = (&row.what.kind, &row.what.external_id);
            return refused(format_args!(
                "the site has {kind} `{made}`: this program does not know the kind"
            ));
        };
        newest = newest.max(row.created_at);
        let (row_of, what) = (row.becomes(None), row.what);
        let (id, name) = (what.external_id, what.name);
        things.push(Thing { kind, id, name, row: row_of, state: Value::Null });
    }
    if things.is_empty() {
        return refused(format_args!("saga {id} has nothing in the account that is still wanted"));
    }
    Ok((things, newest))
}

/// What is recorded of the site now. Nobody but this run may have changed it since it was read.
async fn untouched(site: &str, read: &[Thing], attempt: &Attempt) -> Result<Vec<Thing>, StepError> {
    let (now, _) = things_of(site, attempt).await?;
    for thing in &now {
        let was = read.iter().find(|was| was.row.step_idx == thing.row.step_idx);
        let by_us = thing.row.changed_by == Some(attempt.saga_id());
        if !by_us && was.is_none_or(|was| was.row != thing.row) {
            let (kind, id) = (thing.kind, &thing.id);
            return refused(format_args!(
                "{kind:?} `{id}` has been changed since the site was read: look at it first"
            ));
        }
    }
    Ok(now)
}

impl Step for ReadSite {
    const NAME: &'static str = "read_site";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Wanted;
    type Output = Things;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Things, StepError> {
        let (mut things, newest) = things_of(&wanted.site, &attempt).await?;
        wanted.must_be_in(&things)?;
        wanted.must_say_so(&things)?;
        let age = self.cloud.now().since(newest);
        // What is too new to be found would be taken for gone.
        if let Some(wait) =
            self.cloud.settled_after().checked_sub(age).filter(|wait| !wait.is_zero())
        {
            return Err(StepError::not_yet(wait));
        }
        for thing in &mut things {
            thing.state = state::read(&self.cloud, thing).await?;
        }
        Ok(Things { things })
    }
}
