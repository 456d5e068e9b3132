//! `offboard`: a customer leaves. The site is switched off, waits, and is removed once somebody approves.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{Saga, StepRef, Steps};

use crate::sagas::suspend::{all, off, read_site};

/// Removes a site for good, after a time of grace and with somebody's approval. Until then a cancel
/// switches it on again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offboard {
    /// The id of the saga that provisioned it.
    pub site: String,
    /// How long it is off before it is removed: `7d`. The signal `remove_now` ends that.
    #[serde(default = "grace")]
    pub grace: String,
    /// Ids of droplets of the site of which a last snapshot is kept.
    #[serde(default)]
    pub keep_droplets: Vec<u64>,
    /// Ids of volumes of the site of which a last snapshot is kept.
    #[serde(default)]
    pub keep_volumes: Vec<String>,
    /// Ids of database clusters of the site of which a fork is kept, which costs what they do.
    #[serde(default)]
    pub keep_databases: Vec<String>,
    /// Who may approve; everybody, if nobody is named.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// Where its domain points meanwhile; where it did, if nothing is said.
    #[serde(default)]
    pub parking_ip: Option<Ipv4Addr>,
    /// Who may reach its databases meanwhile; nobody, if nothing is said.
    #[serde(default)]
    pub ops_ip: Option<IpAddr>,
}

fn grace() -> String {
    "7d".to_owned()
}

impl Offboard {
    /// The last of what is kept for good is taken of what is switched off, and goes again if nothing is removed. Forks
    /// are made when the grace is over: they have what the last backup has, and cost as much as what they are of.
    fn snapshots(&self) -> Vec<Steps> {
        let droplets = self.keep_droplets.iter().enumerate().map(|(nth, id)| {
            StepRef::new("snapshot_droplet")
                .scope(&format!("kept_droplet_{nth}"))
                .with("droplet_id", *id)
        });
        let volumes = self.keep_volumes.iter().enumerate().map(|(nth, id)| {
            let step = StepRef::new("snapshot_volume").scope(&format!("kept_volume_{nth}"));
            step.with("volume_id", id.as_str())
        });
        droplets.chain(volumes).map(|snapshot| Steps::new().then(snapshot)).collect()
    }

    fn forks(&self) -> Vec<Steps> {
        let databases = self.keep_databases.iter().enumerate().map(|(nth, id)| {
            let of = |step: &str| StepRef::new(step).scope(&format!("kept_database_{nth}"));
            let fork = of("fork_database").with("forked_id", id.as_str());
            Steps::new().then(fork).then(of("await_database")).then(of("close_fork"))
        });
        databases.collect()
    }
}

impl Saga for Offboard {
    const KIND: &'static str = "offboard";

    fn steps(&self) -> Steps {
        let wait = StepRef::new("wait_for")
            .with("signal", "remove_now")
            .with("within", self.grace.as_str())
            .with("otherwise", "go_on");
        let mut approve = StepRef::new("approve");
        if !self.approvers.is_empty() {
            approve = approve.with("by", self.approvers.clone());
        }
        let steps = off(Steps::new().then(read_site()), self.parking_ip.is_some());
        let mut steps = steps.then_all(["find_unknown", "export_zones"]);
        let (snapshots, forks) = (self.snapshots(), self.forks());
        if !snapshots.is_empty() {
            steps = steps.then_lists(snapshots);
        }
        steps = steps.then(wait);
        if !forks.is_empty() {
            steps = steps.then_lists(forks);
        }
        steps
            .then(approve)
            .then("confirm_removal")
            .then_all([
                all("remove", "apps", "app"),
                all("remove", "cdn_endpoints", "cdn_endpoint"),
                all("remove", "domain_records", "domain_record"),
                all("remove", "load_balancers", "load_balancer"),
                all("remove", "reserved_ips", "reserved_ip"),
                all("remove", "spaces_keys", "spaces_key"),
            ])
            .then_all([
                all("remove", "certificates", "certificate"),
                all("remove", "databases", "database"),
                all("remove", "domains", "domain"),
                all("remove", "droplets", "droplet"),
            ])
            .then_all([
                all("remove", "firewalls", "firewall"),
                all("remove", "snapshots", "snapshot"),
                all("remove", "ssh_keys", "ssh_key"),
                all("remove", "volumes", "volume"),
                all("remove", "vpcs", "vpc"),
            ])
            .then(all("remove", "projects", "project"))
            .then("remove_tags")
            .then("sweep")
    }
}
