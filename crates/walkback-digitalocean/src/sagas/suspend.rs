//! `suspend` and `resume_service`: a site that is off, with everything kept to be on again; its droplets too,
//! or only snapshots of them, which cost less.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{Saga, StepRef, Steps};

/// Switches a site off, and keeps it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// The id of the saga that provisioned it.
    pub site: String,
    /// Where its domain points meanwhile; where it did, if nothing is said.
    #[serde(default)]
    pub parking_ip: Option<Ipv4Addr>,
    /// Who may reach its databases meanwhile; nobody, if nothing is said.
    #[serde(default)]
    pub ops_ip: Option<IpAddr>,
    /// Whether droplets, which are billed while they are off, are destroyed once there is a snapshot of each;
    /// they are made again of these, with another id and, but for reserved ones, other addresses.
    #[serde(default)]
    pub shelve: bool,
}

/// Switches a suspended site on again, as it was.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeService {
    /// The id of the saga that provisioned it.
    pub site: String,
    /// Whether its droplets, of which there are snapshots, are made again.
    #[serde(default)]
    pub unshelve: bool,
}

/// One step for all things of a kind.
pub(super) fn all(step: &str, scope: &str, kind: &str) -> StepRef {
    StepRef::new(step).scope(scope).with("kind", kind)
}

/// Reads what the site is, and keeps other sagas from changing it until this one is over.
pub(super) fn read_site() -> StepRef {
    StepRef::new("read_site").lock("site:{site}")
}

/// Switches off what a site has: visitors first, then what serves them.
pub(super) fn off(steps: Steps, parks: bool) -> Steps {
    let steps =
        if parks { steps.then(all("suspend", "domain_records", "domain_record")) } else { steps };
    steps
        .then_all([
            all("suspend", "apps", "app"),
            all("suspend", "databases", "database"),
            all("suspend", "droplets", "droplet"),
            all("suspend", "firewalls", "firewall"),
            all("suspend", "spaces_keys", "spaces_key"),
        ])
        .then(StepRef::new("tag_suspended").with("suspended", true))
}

impl Saga for Suspend {
    const KIND: &'static str = "suspend";

    fn steps(&self) -> Steps {
        let steps = Steps::new().then(read_site());
        let parks = self.parking_ip.is_some();
        if !self.shelve {
            return off(steps, parks);
        }
        off(steps.then("check_shelving"), parks)
            .then("snapshot_droplets")
            .then("confirm_shelving")
            .then("destroy_droplets")
    }
}

impl Saga for ResumeService {
    const KIND: &'static str = "resume_service";

    fn steps(&self) -> Steps {
        let mut steps = Steps::new().then(read_site().with("unshelve", self.unshelve));
        if self.unshelve {
            // Visitors come only to what will stay.
            steps = steps
                .then("rebuild_droplets")
                .then("await_droplets")
                .then("connect_droplets")
                .then("confirm_rebuilt");
        }
        let steps = steps
            .then_all([
                all("resume", "firewalls", "firewall"),
                all("resume", "droplets", "droplet"),
                all("resume", "databases", "database"),
                all("resume", "apps", "app"),
                all("resume", "spaces_keys", "spaces_key"),
            ])
            .then(all("resume", "domain_records", "domain_record"))
            .then(StepRef::new("tag_suspended").with("suspended", false));
        if self.unshelve { steps.then("remove_snapshots") } else { steps }
    }
}
