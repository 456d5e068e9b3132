//! A domain, which belongs to whoever made it first, and the records in it that point to a site.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{absent_for_sure, named_thing, on_account, refused, remove, taken, thing};

on_account! {
    /// Creates a domain, unless it was there before the run began.
    EnsureDomain;
    /// Points a domain to an address.
    CreateRecord;
}

/// Records of every domain that nobody here made: what is more is somebody's.
const OWN_RECORDS: [&str; 2] = ["NS", "SOA"];

/// Which domain.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// Its name.
    pub domain: String,
    /// Whether it was there before the run began.
    pub domain_existed: bool,
}

/// A domain that is there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ensured {
    /// Its name, if it is ours.
    pub domain_made: Option<String>,
}

impl Named {
    fn ensured(&self) -> Ensured {
        Ensured { domain_made: (!self.domain_existed).then(|| self.domain.clone()) }
    }
}

/// The records that somebody has made in a domain: their ids, and what they are for people.
pub(super) async fn records_of(
    cloud: &Client,
    domain: &str,
) -> Result<Vec<(String, String)>, ApiError> {
    let path = format!("/v2/domains/{domain}/records");
    let found: Option<Vec<Found>> = cloud.find_list(&path, "domain_records").await?;
    let made = found.into_iter().flatten();
    let made = made.filter(|record| !OWN_RECORDS.contains(&record.kind.as_str()));
    let told = |record: Found| {
        (format!("{domain}/{}", record.id), format!("{} `{}`", record.kind, record.name))
    };
    Ok(made.map(told).collect())
}

impl Step for EnsureDomain {
    const NAME: &'static str = "ensure_domain";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Named;
    type Output = Ensured;

    async fn execute(&self, _: Attempt, of: Named) -> Result<Ensured, StepError> {
        if self.there(&self.cloud, &of).await? {
            return Ok(of.ensured());
        }
        if of.domain_existed {
            let text = format!("domain `{}` was there and is gone", of.domain);
            return refused(text);
        }
        let body = json!({"name": of.domain});
        self.cloud.post::<Value>("/v2/domains", &body).await.map_err(taken)?;
        Ok(of.ensured())
    }

    /// A domain in which somebody has made records by now stays.
    async fn compensate(
        &self,
        attempt: Attempt,
        of: Named,
        _: Effect<Ensured>,
    ) -> Result<(), StepError> {
        if of.domain_existed {
            return Ok(());
        }
        let cloud = self.cloud.undoing();
        if !self.there(&cloud, &of).await? {
            return absent_for_sure(&cloud, &attempt);
        }
        let (domain, path) = (&of.domain, format!("/v2/domains/{}", of.domain));
        if let Some((_, record)) = records_of(&cloud, domain).await?.first() {
            return refused(format_args!(
                "domain `{domain}` has a record that is not ours: {record}"
            ));
        }
        remove(&cloud, &path).await
    }

    async fn probe(&self, _: Attempt, of: Named) -> Result<Probe<Ensured>, StepError> {
        let there = self.there(&self.cloud, &of).await?;
        Ok(if there { Probe::Present(of.ensured()) } else { Probe::Absent })
    }

    fn provisions(&self, _: &Self::Input, ensured: &Ensured) -> Option<Provision> {
        let name = ensured.domain_made.as_ref()?;
        named_thing("domain", name, name, &json!({}))
    }
}

impl EnsureDomain {
    async fn there(&self, cloud: &Client, of: &Named) -> Result<bool, ApiError> {
        Ok(cloud.find::<Value>(&format!("/v2/domains/{}", of.domain)).await?.is_some())
    }
}

/// What points where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Pointing {
    /// The domain.
    pub domain: String,
    /// The address.
    pub address: String,
}

/// A record.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Its id.
    pub record_id: u64,
    /// The domain that it is in.
    pub record_of: String,
}

#[derive(Deserialize)]
struct Found {
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    data: String,
}

#[derive(Deserialize)]
struct One {
    domain_record: Found,
}

/// Where a domain itself points, if it is there.
async fn apex(cloud: &Client, domain: &str) -> Result<Option<Vec<Found>>, ApiError> {
    let path = format!("/v2/domains/{domain}/records?type=A&name={domain}");
    cloud.find_list::<Found>(&path, "domain_records").await
}

/// Whether the domain is there, and what is wrong with it for a site: a second address would share the
/// visitors of the first.
pub(super) async fn examine(
    cloud: &Client,
    domain: &str,
) -> Result<(bool, Option<String>), ApiError> {
    let Some(records) = apex(cloud, domain).await? else { return Ok((false, None)) };
    Ok((true, records.first().map(|record| points_elsewhere(domain, record))))
}

fn points_elsewhere(domain: &str, record: &Found) -> String {
    let address = &record.data;
    format!("domain `{domain}` points to {address} already: expected one that has no A record yet")
}

/// The record that says just this, if there is one: the address is ours alone, and so is what points to
/// it.
async fn find(cloud: &Client, to: &Pointing) -> Result<Option<Record>, ApiError> {
    let records = apex(cloud, &to.domain).await?;
    Ok(records
        .iter()
        .flatten()
        .find(|record| record.data == to.address)
        .map(|found| to.made(found)))
}

impl Pointing {
    fn made(&self, record: &Found) -> Record {
        Record { record_id: record.id, record_of: self.domain.clone() }
    }
}

impl Step for CreateRecord {
    const NAME: &'static str = "create_record";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Pointing;
    type Output = Record;

    async fn execute(&self, _: Attempt, to: Pointing) -> Result<Record, StepError> {
        let there = apex(&self.cloud, &to.domain).await?.unwrap_or_default();
        if let Some(ours) = there.iter().find(|record| record.data == to.address) {
            return Ok(to.made(ours));
        }
        if let Some(other) = there.first() {
            return refused(points_elsewhere(&to.domain, other));
        }
        let path = format!("/v2/domains/{}/records", to.domain);
        let body = json!({"type": "A", "name": "@", "data": to.address, "ttl": 300});
        let made: One = self.cloud.post(&path, &body).await?;
        Ok(to.made(&made.domain_record))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        to: Pointing,
        effect: Effect<Record>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let record = match effect.known() {
            Some(record) => Some(record),
            None => find(&cloud, &to).await?,
        };
        let Some(record) = record else { return absent_for_sure(&cloud, &attempt) };
        let path = format!("/v2/domains/{}/records/{}", to.domain, record.record_id);
        let found = cloud.find::<One>(&path).await?.map(|one| one.domain_record);
        match found {
            None => absent_for_sure(&cloud, &attempt),
            Some(found) if found.data != to.address => {
                let text = format!(
                    "record {} of `{}` points to {} by now",
                    found.id, to.domain, found.data
                );
                refused(text)
            }
            Some(_) => remove(&cloud, &path).await,
        }
    }

    async fn probe(&self, _: Attempt, to: Pointing) -> Result<Probe<Record>, StepError> {
        Ok(find(&self.cloud, &to).await?.map_or(Probe::Absent, Probe::Present))
    }

    fn provisions(&self, wanted: &Self::Input, record: &Record) -> Option<Provision> {
        let spec = json!({"type": "A", "domain": record.record_of, "data": wanted.address});
        thing("domain_record", &format!("{}/{}", record.record_of, record.record_id), &spec)
    }
}
