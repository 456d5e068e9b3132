//! `provision`: a customer's site, from the order to the address at which it answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{Saga, StepRef, Steps};

use crate::client::{ApiError, Client};
use crate::steps::{CheckOrder, Ordered};

/// The order of a site.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// What the customer calls it: small letters, digits and dashes, at most 31, beginning with a letter.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,30}$"), example = &"shop")]
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
    #[schemars(
        regex(pattern = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$"),
        example = &"shop.example.com"
    )]
    pub domain: Option<String>,
    /// A key that may log in, added to the account if it is not there: `ssh-ed25519 AAAA…`.
    #[serde(default)]
    #[schemars(
        regex(pattern = r"^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]{32,}={0,2}( .*)?$"),
        example = &"ssh-ed25519 AAAA…"
    )]
    pub ssh_public_key: Option<String>,
    /// What each droplet does when it boots first: a script, or a document of cloud-init, of at most 64 KiB. It is no
    /// place for secrets: an order can be read in the store.
    #[serde(default)]
    pub user_data: Option<String>,
    /// A page that must answer before the order counts as met, within a quarter of an hour: `/`. Without one nothing is
    /// asked.
    #[serde(default)]
    #[schemars(regex(pattern = r"^/[!-~]*$"), example = &"/health")]
    pub health_path: Option<String>,
    /// The engine of a database that only its droplets can reach.
    #[serde(default)]
    #[schemars(extend("enum" = ["pg", "mysql", "valkey", "mongodb", null]))]
    pub database_engine: Option<String>,
    /// The size of that.
    #[serde(default = "database_size")]
    pub database_size: String,
    /// Whether a load balancer is before its droplets, instead of an address on the first one; with a
    /// domain it serves HTTPS.
    #[serde(default)]
    pub load_balancer: bool,
}

/// What an order comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Quote {
    /// What will exist: kinds, and how many of each.
    pub exists: Vec<(&'static str, usize)>,
    /// Dollars an hour, as far as the API says.
    pub per_hour: f64,
    /// Kinds that cost something, of which the API does not say what.
    pub unpriced: Vec<&'static str>,
    /// Why the order cannot be met.
    pub mistakes: Vec<String>,
}

fn image() -> String {
    "ubuntu-24-04-x64".to_owned()
}

fn database_size() -> String {
    "db-s-1vcpu-1gb".to_owned()
}

const fn one() -> usize {
    1
}

impl Provision {
    /// A droplet in a scope of its own.
    fn droplet(&self, nth: usize) -> Steps {
        let of = |step: &str| StepRef::new(step).scope(&format!("web_{nth}"));
        let create = of("create_droplet").with("image", self.image.as_str());
        let create = match &self.ssh_public_key {
            Some(_) => create.map("ssh_keys", "login_keys"),
            None => create.with("ssh_keys", self.ssh_keys.clone()),
        };
        Steps::new().then(create).then(of("await_droplet"))
    }

    fn database(&self, engine: &str) -> Steps {
        let create =
            StepRef::new("create_database").with("database_size", self.database_size.as_str());
        let steps = Steps::new().then(create).then("await_database");
        if engine == "valkey" {
            // It has neither databases nor users that the API would manage.
            return steps.then("trust_site");
        }
        steps.then_all(["create_schema", "create_database_user", "trust_site"])
    }

    /// What this order comes to, by what the account says of it.
    ///
    /// # Errors
    /// What the API, or the way there, says.
    pub async fn quote(&self, cloud: &Client) -> Result<Quote, ApiError> {
        let order = Ordered {
            region: self.region.clone(),
            size: self.size.clone(),
            image: self.image.clone(),
            ssh_keys: self.ssh_keys.clone(),
            count: self.count,
            volume_gib: self.volume_gib,
            load_balancer: self.load_balancer,
            domain: self.domain.clone(),
            user_data: self.user_data.clone(),
            database_engine: self.database_engine.clone(),
            database_size: self.database_size.clone(),
        };
        let (accepted, mistakes) = CheckOrder::new(cloud).examine(&order).await?;
        let mut exists = vec![("droplet", self.count), ("firewall", 1), ("project", 1), ("vpc", 1)];
        let mut more = |kind, is_there: bool| exists.extend(is_there.then_some((kind, 1)));
        more("certificate", self.https());
        more("database", self.database_engine.is_some());
        more("domain", self.domain.is_some() && !accepted.domain_existed);
        more("domain_record", self.domain.is_some());
        more("load_balancer", self.load_balancer);
        more("reserved_ip", !self.load_balancer);
        more("ssh_key", self.ssh_public_key.is_some());
        more("volume", self.volume_gib > 0);
        exists.sort_unstable();
        let unpriced = self.unpriced();
        let per_hour = accepted.droplets_per_hour;
        Ok(Quote { exists, per_hour, unpriced, mistakes })
    }

    /// Kinds it has that cost something, of which the API does not say what.
    fn unpriced(&self) -> Vec<&'static str> {
        let database = self.database_engine.is_some();
        let kinds = [
            ("database", database),
            ("load_balancer", self.load_balancer),
            ("volume", self.volume_gib > 0),
        ];
        kinds.into_iter().filter_map(|(kind, is_there)| is_there.then_some(kind)).collect()
    }

    /// Whether it has a certificate.
    fn https(&self) -> bool {
        self.load_balancer && self.domain.is_some()
    }
}

impl Saga for Provision {
    const KIND: &'static str = "provision";

    fn steps(&self) -> Steps {
        // What the order leaves out has a default, which is not in its inputs.
        let check = StepRef::new("check_order")
            .with("image", self.image.as_str())
            .with("ssh_keys", self.ssh_keys.clone())
            .with("count", self.count)
            .with("volume_gib", self.volume_gib)
            .with("load_balancer", self.load_balancer)
            .with("database_size", self.database_size.as_str());
        let mut ground = vec!["create_vpc", "create_firewall"];
        ground.extend((self.volume_gib > 0).then_some("create_volume"));
        let mut steps =
            Steps::new().then(check).then("create_project").then("create_tag").then_all(ground);
        if self.ssh_public_key.is_some() {
            let keys = StepRef::new("ensure_ssh_key").with("ssh_keys", self.ssh_keys.clone());
            steps = steps.then(keys);
        }
        let droplets = (0..self.count).map(|nth| self.droplet(nth));
        let database = self.database_engine.as_deref().map(|engine| self.database(engine));
        steps = steps.then_lists(droplets.chain(database));
        let first = "web_0.droplet_id";
        let address = if self.load_balancer { "load_balancer_ip" } else { "reserved_ip" };
        if self.volume_gib > 0 {
            steps = steps.then(StepRef::new("attach_volume").map("droplet_id", first));
        }
        steps = if self.load_balancer {
            steps.then("create_load_balancer").then("await_load_balancer")
        } else {
            steps.then("reserve_ip").then(StepRef::new("assign_ip").map("droplet_id", first))
        };
        if self.domain.is_some() {
            steps = steps
                .then("ensure_domain")
                .then(StepRef::new("create_record").map("address", address));
        }
        if self.https() {
            steps = steps.then("create_certificate").then("await_certificate").then("serve_https");
        }
        let all = |step: &str| StepRef::new(step).collect("droplet_ids", &["web_*.droplet_id"]);
        let describe = all("describe_site").map("site_address", address);
        let describe = describe.with("https", self.https()).with("unpriced", self.unpriced());
        steps = steps.then(all("assign_project"));
        if self.health_path.is_some() {
            let check = StepRef::new("check_health").map("address", address);
            steps = steps.then(check.with("https", self.https()));
        }
        steps.then(describe)
    }
}
