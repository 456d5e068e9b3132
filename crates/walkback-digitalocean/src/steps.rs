//! Steps: one resource a file, each with what makes it, takes it back, and finds out whether it was made.
//!
//! What is made carries the run in its name or its tags, so that it is found again after an answer that
//! was lost, and nothing that is not ours is ever adopted or removed.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Json, Options, Registry, Retry, StepError};

use crate::client::{ApiError, Class, Client, SETTLE};

mod account;
mod app;
mod cdn;
mod certificate;
mod database;
mod domain;
mod droplet;
mod firewall;
mod fork;
mod health;
mod life;
mod load_balancer;
mod named;
mod project;
mod reserved_ip;
mod site;
mod snapshot;
mod spaces_key;
mod ssh_key;
mod tag;
mod volume;
mod vpc;

pub use account::CheckOrder;
pub(crate) use account::Ordered;
pub use app::{AwaitApp, CreateApp};
pub use cdn::{EnsureCdn, LookForCdn};
pub use certificate::{AwaitCertificate, CreateCertificate};
pub use database::{AwaitDatabase, CreateDatabase, CreateDatabaseUser, CreateSchema, TrustSite};
pub use domain::{CreateRecord, EnsureDomain};
pub use droplet::{AwaitDroplet, CreateDroplet};
pub use firewall::CreateFirewall;
pub use fork::{CloseFork, ForkDatabase};
pub use health::CheckHealth;
pub use life::{
    AwaitDroplets, CheckShelving, ConfirmRebuilt, ConfirmRemoval, ConfirmShelving, ConnectDroplets,
    DestroyDroplets, ExportZones, FindUnknown, ReadSite, RebuildDroplets, Remove, RemoveSnapshots,
    RemoveTags, Resume, SnapshotDroplets, Suspend, Sweep, TagSuspended,
};
pub use load_balancer::{AwaitLoadBalancer, CreateLoadBalancer, ServeHttps};
pub use project::{AssignProject, CreateProject};
pub use reserved_ip::{AssignIp, ReserveIp};
pub use site::DescribeSite;
pub use snapshot::{SnapshotDroplet, SnapshotVolume};
pub use spaces_key::CreateSpacesKey;
pub use ssh_key::EnsureSshKey;
pub use tag::CreateTag;
pub use volume::{AttachVolume, CreateVolume};
pub use vpc::CreateVpc;

/// Whose things these are, in records.
const PROVIDER: &str = "digitalocean";
/// How long what was accepted may not be there: a droplet can vanish for good when there is no place for
/// it.
const VANISHED: Duration = Duration::from_mins(3);

/// How long a body may take: it makes a few calls, and may stand in line for each.
const TIME: Duration = Duration::from_mins(10);

/// How often, and how long after an unknown outcome "not there" counts.
const OPTIONS: Options = Options::new()
    .timeout(TIME)
    .compensate_timeout(TIME)
    .retry(Retry::attempts(8).backoff(Duration::from_secs(2), Duration::from_mins(1)))
    .compensate_retry(Retry::attempts(20).backoff(Duration::from_secs(2), Duration::from_mins(5)))
    .settle(SETTLE);

/// Knows every step of this crate, on this account.
///
/// ```
/// use std::sync::Arc;
/// use walkback::{Registry, clock::SystemClock};
/// use walkback_digitalocean::{Client, Simulator, steps};
/// let cloud = Simulator::new(Arc::new(SystemClock)).token("a-token");
/// let client = Client::over(cloud, Arc::new(SystemClock));
/// let registry = steps::add(Registry::with_builtins(), &client);
/// ```
pub fn add(registry: Registry, cloud: &Client) -> Registry {
    registry
        .step(CheckOrder::new(cloud))
        .step(CreateProject::new(cloud))
        .step(CreateTag::new(cloud))
        .step(EnsureSshKey::new(cloud))
        .step(CreateVpc::new(cloud))
        .step(CreateFirewall::new(cloud))
        .step(CreateVolume::new(cloud))
        .step(CreateDroplet::new(cloud))
        .step(AwaitDroplet::new(cloud))
        .step(AttachVolume::new(cloud))
        .step(CreateDatabase::new(cloud))
        .step(AwaitDatabase::new(cloud))
        .step(CreateSchema::new(cloud))
        .step(CreateDatabaseUser::new(cloud))
        .step(TrustSite::new(cloud))
        .step(CreateLoadBalancer::new(cloud))
        .step(AwaitLoadBalancer::new(cloud))
        .step(CreateCertificate::new(cloud))
        .step(AwaitCertificate::new(cloud))
        .step(ServeHttps::new(cloud))
        .step(ReserveIp::new(cloud))
        .step(AssignIp::new(cloud))
        .step(EnsureDomain::new(cloud))
        .step(CreateRecord::new(cloud))
        .step(AssignProject::new(cloud))
        .step(SnapshotDroplet::new(cloud))
        .step(SnapshotVolume::new(cloud))
        .step(ForkDatabase::new(cloud))
        .step(CloseFork::new(cloud))
        .step(CreateApp::new(cloud))
        .step(AwaitApp::new(cloud))
        .step(LookForCdn::new(cloud))
        .step(EnsureCdn::new(cloud))
        .step(CreateSpacesKey::new(cloud))
        .step(DescribeSite::new(cloud))
        .step(CheckHealth::new(cloud))
        .step(ReadSite::new(cloud))
        .step(Suspend::new(cloud))
        .step(Resume::new(cloud))
        .step(TagSuspended::new(cloud))
        .step(CheckShelving::new(cloud))
        .step(SnapshotDroplets::new(cloud))
        .step(ConfirmShelving::new(cloud))
        .step(DestroyDroplets::new(cloud))
        .step(RebuildDroplets::new(cloud))
        .step(AwaitDroplets::new(cloud))
        .step(ConnectDroplets::new(cloud))
        .step(ConfirmRebuilt::new(cloud))
        .step(RemoveSnapshots::new(cloud))
        .step(FindUnknown::new(cloud))
        .step(ExportZones::new(cloud))
        .step(ConfirmRemoval::new(cloud))
        .step(Remove::new(cloud))
        .step(RemoveTags::new(cloud))
        .step(Sweep::new(cloud))
}

/// Steps hold the account and nothing else.
macro_rules! on_account {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            cloud: crate::Client,
        }

        impl $name {
            /// On this account.
            pub fn new(cloud: &crate::Client) -> Self {
                Self { cloud: cloud.clone() }
            }
        }
    )+};
}
use on_account;
#[cfg(feature = "simulator")]
pub(crate) use ssh_key::fingerprint;

/// The record of something that has this name, and of which this is wanted beside it.
fn named_thing(kind: &str, id: &str, name: &str, wanted: &impl Serialize) -> Option<Provision> {
    let mut spec = serde_json::to_value(wanted).ok()?;
    spec["name"] = json!(name);
    let made = thing(kind, id, &spec)?;
    Some(Provision { name: Some(name.to_owned()), ..made })
}

/// Something of which this is wanted.
fn thing(kind: &str, id: &str, wanted: &Value) -> Option<Provision> {
    let region = wanted["region"].as_str().map(str::to_owned);
    let made = Provision::new(PROVIDER, kind, id, Json::of(wanted).ok()?);
    Some(Provision { region, ..made })
}

/// What went wrong with one of several things, when something was done for another before.
fn after_others(error: StepError) -> StepError {
    let error = if error.is_permanent() { error } else { StepError::transient(error) };
    error.unknown()
}

/// What went wrong with some of several things: what may pass by itself comes first, so that nothing is given up
/// while another one is under way.
fn all_of(failed: Vec<StepError>) -> Result<(), StepError> {
    let (for_good, passing): (Vec<_>, Vec<_>) =
        failed.into_iter().partition(StepError::is_permanent);
    passing.into_iter().chain(for_good).next().map_or(Ok(()), Err)
}

/// Whether an action of this kind is under way on the thing, whose list of them is at `path`.
///
/// # Errors
/// If the one that this attempt has asked for has errored: each attempt may ask once, so that the end of a
/// step's attempts is the end of it.
async fn is_under_way(
    cloud: &Client,
    attempt: &Attempt,
    path: &str,
    kind: &str,
) -> Result<bool, StepError> {
    let actions: Vec<Value> = cloud.find_list(path, "actions").await?.unwrap_or_default();
    let of_kind = |action: &&Value| action["type"].as_str().is_some_and(|of| of.starts_with(kind));
    let errored = actions.iter().filter(of_kind).filter(|action| action["status"] == "errored");
    let errored = errored.count();
    if u32::try_from(errored).is_ok_and(|errored| errored >= attempt.number()) {
        let text = format!("{path}: {errored} actions to {kind} it errored");
        return Err(StepError::transient(text).clean());
    }
    Ok(actions.iter().any(|action| action["status"] == "in-progress"))
}

/// What is not there after so long will not be.
fn not_longer_than(
    longest: Duration,
    attempt: &Attempt,
    what: impl std::fmt::Display,
) -> Result<(), StepError> {
    if attempt.waited() < longest {
        return Ok(());
    }
    refused(format_args!("{what} was accepted and is not ready after {longest:?}"))
}

/// Nothing was done, and trying again would not help.
fn refused<T>(why: impl std::fmt::Display) -> Result<T, StepError> {
    Err(StepError::permanent(why).clean())
}

/// Removes what is at `path` and looks whether it is gone: an accepted delete is none yet.
async fn remove(cloud: &Client, path: &str) -> Result<(), StepError> {
    removed(cloud, path).await.map(drop)
}

/// The same for what this step has made, which may be so new that it is not shown yet.
async fn take_back(cloud: &Client, attempt: &Attempt, path: &str) -> Result<(), StepError> {
    if removed(cloud, path).await? { Ok(()) } else { absent_for_sure(cloud, attempt) }
}

/// Removes what is at `path`; says whether there was anything.
async fn removed(cloud: &Client, path: &str) -> Result<bool, StepError> {
    match cloud.delete(path).await {
        Ok(false) => return Ok(false),
        Ok(true) => {}
        // Whatever holds it may be going itself; in the end it is residue, with these words.
        Err(error) if matches!(error.class(), Class::Conflict | Class::Precondition) => {
            return Err(StepError::transient(&error).clean());
        }
        Err(error) => return Err(error.into()),
    }
    match cloud.find::<Value>(path).await? {
        None => Ok(true),
        Some(_) => Err(StepError::not_yet(cloud.look())),
    }
}

/// Removes a tag that nothing carries any more.
async fn remove_tag(cloud: &Client, tag: &str) -> Result<(), StepError> {
    let path = format!("/v2/tags/{tag}");
    let found: Option<Value> = cloud.find(&path).await?;
    match found.map(|found| found["tag"]["resources"]["count"].as_u64()) {
        Some(Some(0)) => remove(cloud, &path).await,
        _ => Ok(()),
    }
}

/// Something that an earlier step has made is not there: it may be so new that it is not shown yet.
fn missing<T>(
    cloud: &Client,
    attempt: &Attempt,
    what: impl std::fmt::Display,
) -> Result<T, StepError> {
    if attempt.waited() < VANISHED {
        return Err(StepError::not_yet(cloud.look()));
    }
    refused(format_args!("{what} is gone"))
}

/// Nothing was found of what the step has made, or may have made. That counts only once what is new is surely
/// shown.
fn absent_for_sure(cloud: &Client, attempt: &Attempt) -> Result<(), StepError> {
    if attempt.unknown_for() < cloud.settled_after() {
        Err(StepError::not_yet(cloud.look()))
    } else {
        Ok(())
    }
}

/// What a refused change means that may be taken a moment later: the name is ours, which the lists do not show
/// yet, or somebody else's; or what it is for has just come online, and makes its first backup.
fn taken(error: ApiError) -> StepError {
    if matches!(error.class(), Class::Conflict | Class::Precondition) {
        StepError::transient(&error).clean()
    } else {
        error.into()
    }
}
