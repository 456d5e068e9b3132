//! A fork of a database cluster: another cluster with what the last backup has, which outlives the first and is
//! billed like it. A cluster's own backups go with it. Nobody can reach a fork, or one address, from the beginning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::steps::database::{CLUSTERS, Cluster, WITH_CLUSTER, cluster, only, read, trust};
use crate::steps::named::text;
use crate::steps::{named_thing, on_account, refused, remove_tag};

on_account! {
    /// Forks a cluster: accepted, not yet there. It is not in the first one's private network, which may go.
    ForkDatabase;
    /// Lets nobody reach a fork, or one address, whatever it was made with.
    CloseFork;
}

/// What the fork has of the first.
const ALIKE: [&str; 5] = ["engine", "version", "size", "num_nodes", "region"];

/// Which cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OfDatabase {
    /// Its id.
    pub forked_id: String,
    /// Who may reach the fork; nobody, if nothing is said.
    #[serde(default)]
    pub ops_ip: Option<String>,
}

fn name(attempt: &Attempt) -> String {
    attempt.resource_name("kept")
}

impl Step for ForkDatabase {
    const NAME: &'static str = "fork_database";
    const OPTIONS: Options = super::OPTIONS;
    type Input = OfDatabase;
    type Output = Cluster;

    async fn execute(&self, attempt: Attempt, of: OfDatabase) -> Result<Cluster, StepError> {
        let id = &of.forked_id;
        let Some(found) = cluster(&self.cloud, id).await? else {
            return refused(format_args!("database `{id}` is gone"));
        };
        let mut members = json!({
            "backup_restore": {"database_name": text(&found, "name")}, "tags": attempt.tags(),
            "rules": [only(of.ops_ip.as_deref())],
        });
        for member in ALIKE {
            members[member] = found[member].clone();
        }
        Ok(read(&CLUSTERS.ensure(&self.cloud, &name(&attempt), members).await?))
    }

    /// A fork that has become larger than what it is of is somebody's by now: it stays.
    async fn compensate(
        &self,
        attempt: Attempt,
        of: OfDatabase,
        effect: Effect<Cluster>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let known = effect.known().map(|cluster| cluster.database_id);
        if let Some(id) = &known
            && let Some(fork) = cluster(&cloud, id).await?
            && let Some(first) = cluster(&cloud, &of.forked_id).await?
            && ["size", "num_nodes"].iter().any(|member| fork[member] != first[member])
        {
            return refused(format_args!(
                "database `{id}` is no longer as large as `{}`, of which it was forked: somebody uses it",
                of.forked_id
            ));
        }
        CLUSTERS.undo(&cloud, &attempt, &name(&attempt), known).await?;
        for tag in attempt.tags() {
            remove_tag(&cloud, &tag).await?;
        }
        Ok(())
    }

    async fn probe(&self, attempt: Attempt, _: OfDatabase) -> Result<Probe<Cluster>, StepError> {
        CLUSTERS.probe(&self.cloud, &name(&attempt), read).await
    }

    fn provisions(&self, wanted: &Self::Input, fork: &Cluster) -> Option<Provision> {
        named_thing("database", &fork.database_id, &fork.database_name, wanted)
    }
}

/// Which fork, and who may reach it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Closed {
    /// Its id.
    pub database_id: String,
    /// Who may; nobody, if nothing is said.
    #[serde(default)]
    pub ops_ip: Option<String>,
}

impl Step for CloseFork {
    const NAME: &'static str = "close_fork";
    const OPTIONS: Options = super::OPTIONS.retained(WITH_CLUSTER);
    type Input = Closed;
    type Output = ();

    async fn execute(&self, _: Attempt, of: Closed) -> Result<(), StepError> {
        trust(&self.cloud, &of.database_id, only(of.ops_ip.as_deref())).await
    }
}
