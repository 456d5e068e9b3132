//! `provision`: a customer's site, from the order to the address at which it answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{Saga, StepRef, Steps};

/// The order of a site.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// What the customer calls it: letters, digits and dashes, beginning with a letter.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,30}$"))]
    pub name: String,
    /// Where, such as `fra1`.
    pub region: String,
    /// Of which size its droplets are, such as `s-1vcpu-1gb`.
    pub size: String,
    /// What is on them.
    #[serde(default = "image")]
    pub image: String,
    /// Who may log in: ids or fingerprints of keys of the account.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// How many droplets it has.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 20))]
    pub count: usize,
    /// GiB of a volume on the first droplet; none, if it is zero.
    #[serde(default)]
    #[schemars(range(max = 16_384))]
    pub volume_gib: u32,
    /// The domain that shall point to it.
    #[serde(default)]
    pub domain: Option<String>,
}

fn image() -> String {
    "ubuntu-24-04-x64".to_owned()
}

const fn one() -> usize {
    1
}

impl Saga for Provision {
    const KIND: &'static str = "provision";

    fn steps(&self) -> Steps {
        // What the order leaves out has a default, which is not in its inputs.
        let check = StepRef::new("check_order")
            .with("image", self.image.as_str())
            .with("ssh_keys", self.ssh_keys.clone())
            .with("count", self.count);
        let scope = |nth: usize| format!("web_{nth}");
        let droplets = (0..self.count).map(|nth| {
            let of = |step: &str| StepRef::new(step).scope(&scope(nth));
            let create = of("create_droplet")
                .with("image", self.image.as_str())
                .with("ssh_keys", self.ssh_keys.clone());
            Steps::new().then(create).then(of("await_droplet"))
        });
        let mut ground = vec!["create_vpc", "create_firewall"];
        if self.volume_gib > 0 {
            ground.push("create_volume");
        }
        let first = "web_0.droplet_id";
        let all = |step: &str| StepRef::new(step).collect("droplet_ids", &["web_*.droplet_id"]);
        let mut steps = Steps::new()
            .then(check)
            .then("create_project")
            .then("create_tag")
            .then_all(ground)
            .then_lists(droplets);
        if self.volume_gib > 0 {
            steps = steps.then(StepRef::new("attach_volume").map("droplet_id", first));
        }
        steps = steps.then("reserve_ip").then(StepRef::new("assign_ip").map("droplet_id", first));
        if self.domain.is_some() {
            steps = steps.then("ensure_domain").then("create_record");
        }
        steps.then(all("assign_project")).then(all("describe_site"))
    }
}
