//! Whether the account can take an order at all.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkback::{Attempt, Options, Step, StepError};

use crate::client::ApiError;
use crate::steps::{domain, on_account, refused};

on_account! {
    /// Checks region, size, image, keys, domain and limits before anything is created, every mistake at once.
    CheckOrder;
}

/// What is ordered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ordered {
    /// Where.
    pub region: String,
    /// Of which size.
    pub size: String,
    /// With what on it.
    pub image: String,
    /// Who may log in: ids or fingerprints of keys of the account.
    pub ssh_keys: Vec<String>,
    /// How many droplets.
    pub count: usize,
    /// GiB of its volume; none, if it is zero.
    pub volume_gib: u32,
    /// Whether a load balancer has its address, so that none is reserved.
    pub load_balancer: bool,
    /// The domain that shall point there.
    pub domain: Option<String>,
    /// What its droplets do when they boot first.
    #[serde(default)]
    pub user_data: Option<String>,
    /// The engine of its database, if it has one.
    pub database_engine: Option<String>,
    /// The size of that.
    pub database_size: String,
}

/// Bytes that a droplet can be told when it boots [the specification, of `user_data`].
const USER_DATA: usize = 65_536;

/// What the account says to that.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Dollars an hour that the droplets cost.
    pub droplets_per_hour: f64,
    /// Whether the domain was in the account before, and so is not ours.
    pub domain_existed: bool,
}

#[derive(Deserialize)]
struct Account {
    account: Limits,
}

#[derive(Deserialize)]
struct Limits {
    droplet_limit: usize,
    volume_limit: Option<usize>,
    floating_ip_limit: Option<usize>,
    status: String,
}

#[derive(Deserialize)]
struct Size {
    slug: String,
    price_hourly: f64,
    regions: Vec<String>,
    available: bool,
}

#[derive(Deserialize)]
struct Databases {
    options: BTreeMap<String, OfEngine>,
}

#[derive(Deserialize)]
struct OfEngine {
    regions: Vec<String>,
    layouts: Vec<Layout>,
}

#[derive(Deserialize)]
struct Layout {
    num_nodes: u32,
    sizes: Vec<String>,
}

#[derive(Deserialize)]
struct Region {
    slug: String,
    available: bool,
}

impl CheckOrder {
    /// The droplets' price, if size and region go together.
    async fn price(&self, order: &Ordered, mistakes: &mut Vec<String>) -> Result<f64, ApiError> {
        let regions: Vec<Region> = self.cloud.list("/v2/regions", "regions").await?;
        let open: Vec<_> = regions.iter().filter(|region| region.available).collect();
        let known = open.iter().any(|region| region.slug == order.region);
        if !known {
            let names: Vec<_> = open.iter().map(|region| region.slug.as_str()).collect();
            let names = names.join(", ");
            mistakes.push(format!("region `{}` is unknown: expected one of {names}", order.region));
        }
        let sizes: Vec<Size> = self.cloud.list("/v2/sizes", "sizes").await?;
        let here = |size: &&Size| size.available && size.regions.contains(&order.region);
        let size = sizes.iter().find(|size| size.slug == order.size);
        if size.is_none_or(|size| known && !here(&size)) {
            let names: Vec<_> = sizes.iter().filter(|size| !known || here(size)).collect();
            let names: Vec<_> = names.iter().map(|size| size.slug.as_str()).collect();
            let (size, names) = (&order.size, names.join(", "));
            mistakes.push(format!("size `{size}` is not to be had there: expected one of {names}"));
        }
        let count = u32::try_from(order.count).unwrap_or(u32::MAX);
        Ok(size.map_or(0.0, |size| size.price_hourly * f64::from(count)))
    }
}

impl CheckOrder {
    /// Whether the account may have so much.
    async fn limits(&self, order: &Ordered, mistakes: &mut Vec<String>) -> Result<(), ApiError> {
        let account = self.cloud.get::<Account>("/v2/account").await?.account;
        if account.status != "active" {
            mistakes.push(format!("the account is {}: expected an active one", account.status));
        }
        let volumes = usize::from(order.volume_gib > 0);
        let addresses = usize::from(!order.load_balancer);
        for (list, what, wanted, limit) in [
            ("droplets", "droplets", order.count, Some(account.droplet_limit)),
            ("volumes", "volumes", volumes, account.volume_limit),
            ("reserved_ips", "reserved addresses", addresses, account.floating_ip_limit),
        ] {
            let Some(limit) = limit.filter(|_| wanted > 0) else { continue };
            let there: Vec<Value> = self.cloud.list(&format!("/v2/{list}"), list).await?;
            let there = there.len();
            if there + wanted > limit {
                mistakes.push(format!(
                    "{wanted} {what} more than the {there} there are would exceed the account's limit of {limit}"
                ));
            }
        }
        Ok(())
    }

    /// Whether the database can be had.
    async fn database(
        &self,
        order: &Ordered,
        engine: &str,
        mistakes: &mut Vec<String>,
    ) -> Result<(), ApiError> {
        let options: Databases = self.cloud.get("/v2/databases/options").await?;
        let Some(of_engine) = options.options.get(engine) else {
            let names: Vec<_> = options.options.keys().map(String::as_str).collect();
            let names = names.join(", ");
            mistakes
                .push(format!("database engine `{engine}` is unknown: expected one of {names}"));
            return Ok(());
        };
        if !of_engine.regions.contains(&order.region) {
            let (region, names) = (&order.region, of_engine.regions.join(", "));
            mistakes.push(format!(
                "database engine `{engine}` is not to be had in `{region}`: expected one of {names}"
            ));
        }
        let single = of_engine.layouts.iter().find(|layout| layout.num_nodes == 1);
        let sizes = single.map(|layout| layout.sizes.as_slice()).unwrap_or_default();
        if !sizes.contains(&order.database_size) {
            let (size, names) = (&order.database_size, sizes.join(", "));
            mistakes
                .push(format!("database size `{size}` is not to be had: expected one of {names}"));
        }
        Ok(())
    }
}

impl Step for CheckOrder {
    const NAME: &'static str = "check_order";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Ordered;
    type Output = Accepted;

    async fn execute(&self, _: Attempt, order: Ordered) -> Result<Accepted, StepError> {
        let (accepted, mistakes) = self.examine(&order).await?;
        if mistakes.is_empty() { Ok(accepted) } else { refused(mistakes.join("; ")) }
    }
}

impl CheckOrder {
    /// What the account says to an order, and every mistake in it.
    pub(crate) async fn examine(
        &self,
        order: &Ordered,
    ) -> Result<(Accepted, Vec<String>), ApiError> {
        let mut mistakes = Vec::new();
        let droplets_per_hour = self.price(order, &mut mistakes).await?;
        let image: Option<Value> = self.cloud.find(&format!("/v2/images/{}", order.image)).await?;
        if image.is_none() {
            mistakes.push(format!("image `{}` is unknown: expected a slug or an id", order.image));
        }
        for key in &order.ssh_keys {
            let found: Option<Value> = self.cloud.find(&format!("/v2/account/keys/{key}")).await?;
            if found.is_none() {
                mistakes.push(format!(
                    "SSH key `{key}` is not in the account: expected its id or fingerprint"
                ));
            }
        }
        if let Some(length) =
            order.user_data.as_ref().map(String::len).filter(|&length| length > USER_DATA)
        {
            mistakes.push(format!("user_data has {length} bytes: expected at most {USER_DATA}"));
        }
        self.limits(order, &mut mistakes).await?;
        if let Some(engine) = &order.database_engine {
            self.database(order, engine, &mut mistakes).await?;
        }
        let mut domain_existed = false;
        if let Some(name) = &order.domain {
            let (existed, wrong) = domain::examine(&self.cloud, name).await?;
            domain_existed = existed;
            mistakes.extend(wrong);
        }
        Ok((Accepted { droplets_per_hour, domain_existed }, mistakes))
    }
}
