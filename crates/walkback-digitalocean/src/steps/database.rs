//! A database cluster, unique by its name, which carries the run; a database and a user in it, and who may
//! reach it. Passwords are nowhere kept: whoever needs one reads it from the account.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::named::{Kind, text};
use crate::steps::{named_thing, not_longer_than, on_account, refused, remove_tag, taken};

/// How long it takes at most until a cluster is there.
const LONGEST: Duration = Duration::from_mins(30);

on_account! {
    /// Creates a database cluster of one node: accepted, not yet there.
    CreateDatabase;
    /// Waits until the cluster is there.
    AwaitDatabase;
    /// Creates a database in the cluster, named like the site.
    CreateSchema;
    /// Creates a user in the cluster, named like the site.
    CreateDatabaseUser;
    /// Lets only the site's droplets reach the cluster.
    TrustSite;
}

/// What, where, how large.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// The region.
    pub region: String,
    /// `pg`, `mysql`, …
    pub database_engine: String,
    /// The size of its node.
    pub database_size: String,
    /// The private network.
    pub vpc_id: String,
    /// The run's project.
    pub project_id: String,
}

/// A cluster that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// Its id.
    pub database_id: String,
    /// Its name.
    pub database_name: String,
}

pub(super) const CLUSTERS: Kind = Kind { many: "databases", one: "database" };

pub(super) fn read(found: &Value) -> Cluster {
    Cluster { database_id: text(found, "id"), database_name: text(found, "name") }
}

impl Step for CreateDatabase {
    const NAME: &'static str = "create_database";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = Cluster;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<Cluster, StepError> {
        let members = json!({
            "engine": wanted.database_engine, "size": wanted.database_size, "num_nodes": 1,
            "region": wanted.region, "private_network_uuid": wanted.vpc_id,
            "project_id": wanted.project_id, "tags": attempt.tags(),
        });
        let name = attempt.resource_name(&wanted.name);
        Ok(read(&CLUSTERS.ensure(&self.cloud, &name, members).await?))
    }

    /// A cluster that has become larger, or holds what nobody here has made, is somebody's by now: it stays.
    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<Cluster>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let name = attempt.resource_name(&wanted.name);
        let known = effect.known().map(|cluster| cluster.database_id);
        if let Some(id) = &known
            && let Some(found) = cluster(&cloud, id).await?
        {
            let (size, nodes) = (text(&found, "size"), found["num_nodes"].as_u64());
            if size != wanted.database_size || nodes != Some(1) {
                let nodes = nodes.unwrap_or_default();
                let made = &wanted.database_size;
                return refused(format_args!(
                    "database `{id}` is {nodes} x {size} and was made as 1 x {made}: somebody uses it"
                ));
            }
            let strange = strange(&cloud, id, &wanted).await?;
            if !strange.is_empty() {
                let names = strange.join("`, `");
                return refused(format_args!(
                    "database `{id}` holds `{names}`, which nobody here has made: somebody uses it"
                ));
            }
        }
        CLUSTERS.undo(&cloud, &attempt, &name, known).await?;
        remove_tag(&cloud, &attempt.tags()[1]).await
    }

    async fn probe(&self, attempt: Attempt, wanted: Wanted) -> Result<Probe<Cluster>, StepError> {
        CLUSTERS.probe(&self.cloud, &attempt.resource_name(&wanted.name), read).await
    }

    fn provisions(&self, wanted: &Self::Input, cluster: &Cluster) -> Option<Provision> {
        named_thing("database", &cluster.database_id, &cluster.database_name, wanted)
    }
}

/// Which cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Awaited {
    /// Its id.
    pub database_id: String,
}

/// Where a cluster is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reachable {
    /// Its host's name in the private network.
    pub database_host: String,
    /// Its port.
    pub database_port: u16,
}

impl Step for AwaitDatabase {
    const NAME: &'static str = "await_database";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Awaited;
    type Output = Reachable;

    async fn execute(&self, attempt: Attempt, of: Awaited) -> Result<Reachable, StepError> {
        let found: Option<Value> =
            self.cloud.find(&format!("/v2/databases/{}", of.database_id)).await?;
        let found = found.unwrap_or_default();
        let (cluster, at) = (&found["database"], &found["database"]["private_connection"]);
        if cluster["status"] == "online"
            && let Some(port) = at["port"].as_u64().and_then(|port| u16::try_from(port).ok())
        {
            return Ok(Reachable { database_host: text(at, "host"), database_port: port });
        }
        let passed = attempt.waited().as_secs();
        // Just after it was accepted it may not be shown yet.
        if cluster.is_null() && passed > super::VANISHED.as_secs() {
            let id = &of.database_id;
            return refused(format_args!("database `{id}` was accepted and is not there"));
        }
        not_longer_than(LONGEST, &attempt, format_args!("database `{}`", of.database_id))?;
        attempt.progress(passed.min(299), 300);
        Err(StepError::not_yet(self.cloud.look() * 5))
    }
}

/// Where, and for which site.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Inside {
    /// The site.
    pub name: String,
    /// The cluster.
    pub database_id: String,
}

/// Makes what has this name in a list of the cluster, unless it is there.
async fn ensure(cloud: &Client, of: &Inside, list: &str) -> Result<(), StepError> {
    let path = format!("/v2/databases/{}/{list}", of.database_id);
    if cloud.find::<Value>(&format!("{path}/{}", of.name)).await?.is_some() {
        return Ok(());
    }
    let made = cloud.post::<Value>(&path, &json!({"name": of.name})).await;
    made.map(drop).map_err(taken)
}

/// Databases of the cluster that nobody here has made.
async fn strange(cloud: &Client, id: &str, wanted: &Wanted) -> Result<Vec<String>, StepError> {
    if wanted.database_engine == "valkey" {
        // Valkey has none.
        return Ok(Vec::new());
    }
    let path = format!("/v2/databases/{id}/dbs");
    let there: Vec<Value> = cloud.find_list(&path, "dbs").await.map_err(taken)?.unwrap_or_default();
    let own = ["defaultdb", "admin", "config", "local", wanted.name.as_str()];
    let names = there.iter().map(|database| text(database, "name"));
    Ok(names.filter(|name| !own.contains(&name.as_str())).collect())
}

pub(super) const WITH_CLUSTER: &str = "it ends with its cluster, which nobody else uses";

/// The database's name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Schema {
    /// As the site's.
    pub database: String,
}

impl Step for CreateSchema {
    const NAME: &'static str = "create_schema";
    const OPTIONS: Options = super::OPTIONS.retained(WITH_CLUSTER);
    type Input = Inside;
    type Output = Schema;

    async fn execute(&self, _: Attempt, of: Inside) -> Result<Schema, StepError> {
        ensure(&self.cloud, &of, "dbs").await?;
        Ok(Schema { database: of.name })
    }
}

/// The user's name.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// As the site's.
    pub database_user: String,
}

impl Step for CreateDatabaseUser {
    const NAME: &'static str = "create_database_user";
    const OPTIONS: Options = super::OPTIONS.retained(WITH_CLUSTER);
    type Input = Inside;
    type Output = User;

    async fn execute(&self, _: Attempt, of: Inside) -> Result<User, StepError> {
        ensure(&self.cloud, &of, "users").await?;
        Ok(User { database_user: of.name })
    }
}

/// Who may reach what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Trust {
    /// The cluster.
    pub database_id: String,
    /// Whatever carries this tag.
    pub run_tag: String,
}

impl Step for TrustSite {
    const NAME: &'static str = "trust_site";
    const OPTIONS: Options = super::OPTIONS.retained(WITH_CLUSTER);
    type Input = Trust;
    type Output = ();

    async fn execute(&self, _: Attempt, to: Trust) -> Result<(), StepError> {
        trust(&self.cloud, &to.database_id, json!({"type": "tag", "value": to.run_tag})).await
    }
}

/// The cluster; nothing, if it is gone.
pub(super) async fn cluster(cloud: &Client, id: &str) -> Result<Option<Value>, ApiError> {
    let found = cloud.find::<Value>(&format!("/v2/databases/{id}")).await?;
    Ok(found.map(|mut found| found["database"].take()))
}

/// The rule that lets one address reach a cluster, or nobody: without any rule everybody could.
pub(super) fn only(address: Option<&str>) -> Value {
    json!({"type": "ip_addr", "value": address.unwrap_or("127.0.0.1")})
}

/// Lets one kind of caller reach the cluster, and nobody else.
pub(super) async fn trust(cloud: &Client, id: &str, whom: Value) -> Result<(), StepError> {
    let path = format!("/v2/databases/{id}/firewall");
    cloud.put::<Value>(&path, &json!({ "rules": [whom] })).await.map(drop).map_err(taken)
}
