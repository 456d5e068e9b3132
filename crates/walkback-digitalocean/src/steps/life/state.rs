//! What suspending changes of a thing: how it is, how it shall be, and bringing it there.

use std::time::Duration;

use serde_json::{Value, json};
use walkback::StepError;

use crate::client::{ApiError, Class, Client};
use crate::steps::database::only;
use crate::steps::droplet::actions;
use crate::steps::life::{Kind, Thing};
use crate::steps::named::moment;

/// How long a droplet may take to shut down before its power is cut.
const SHUTDOWN: Duration = Duration::from_mins(2);
/// After how long a shutdown that was of no use says nothing any more: it is told to once more.
const FORGOTTEN: Duration = Duration::from_mins(30);

/// What a suspended site still does.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// Where its domain points.
    pub(super) parking_ip: Option<String>,
    /// Who may reach its databases.
    pub(super) ops_ip: Option<String>,
}

/// How a thing is now; null for what is gone, or never suspended.
pub(super) async fn read(cloud: &Client, thing: &Thing) -> Result<Value, ApiError> {
    let only = |found: Option<Value>, members: &[&str]| {
        found.map_or(Value::Null, |found| {
            let there = members.iter().filter(|name| !found[**name].is_null());
            there.map(|name| ((*name).to_owned(), found[*name].clone())).collect()
        })
    };
    let id = &thing.id;
    let members: &[&str] = match thing.kind {
        Kind::Droplet => &["status"],
        Kind::Firewall => &["name", "inbound_rules", "outbound_rules", "droplet_ids", "tags"],
        Kind::DomainRecord => &["type", "data", "ttl"],
        Kind::App => &["spec"],
        Kind::SpacesKey => &["grants"],
        Kind::Database => {
            let found = cloud.find::<Value>(&format!("/v2/databases/{id}/firewall")).await?;
            return Ok(found.map_or(Value::Null, |found| json!({"rules": rules(&found)})));
        }
        _ => return Ok(Value::Null),
    };
    Ok(only(thing.kind.find(cloud, id).await?, members))
}

/// The rules of a database without what the API adds to them.
fn rules(found: &Value) -> Vec<Value> {
    let rules = found["rules"].as_array().into_iter().flatten();
    rules.map(|rule| json!({"type": rule["type"], "value": rule["value"]})).collect()
}

/// How a thing that is like this is when it is suspended.
pub(super) fn suspended(kind: Kind, state: &Value, kept: &Kept) -> Value {
    let mut to = state.clone();
    match kind {
        Kind::Droplet => to["status"] = json!("off"),
        // A firewall without any rule is refused: what goes out may.
        Kind::Firewall => to["inbound_rules"] = json!([]),
        Kind::DomainRecord => {
            if let Some(parking) = &kept.parking_ip {
                to["data"] = json!(parking);
                to["ttl"] = json!(60);
            }
        }
        Kind::Database => {
            to["rules"] = json!([only(kept.ops_ip.as_deref())]);
        }
        Kind::SpacesKey => {
            for grant in to["grants"].as_array_mut().into_iter().flatten() {
                if grant["permission"] == "readwrite" {
                    grant["permission"] = json!("read");
                }
            }
        }
        Kind::App => to["spec"]["maintenance"] = json!({"enabled": true, "archive": true}),
        _ => {}
    }
    to
}

/// Brings a thing to be like this; says whether it is. What is gone needs nothing.
pub(super) async fn set(cloud: &Client, thing: &Thing, to: &Value) -> Result<bool, StepError> {
    let (kind, id) = (thing.kind, &thing.id);
    let done = match kind {
        Kind::Droplet => return Ok(power(cloud, id, to).await?),
        Kind::DomainRecord | Kind::SpacesKey => cloud.patch::<Value>(&kind.path(id), to).await,
        Kind::Database => cloud.put(&format!("/v2/databases/{id}/firewall"), to).await,
        _ => cloud.put(&kind.path(id), to).await,
    };
    match done {
        // The API is said to change only the name of some keys.
        Ok(told) if kind == Kind::SpacesKey && told["key"]["grants"] != to["grants"] => Err(
            StepError::permanent(format_args!("key `{id}` has not been given {}", to["grants"])),
        ),
        Ok(_) => Ok(true),
        Err(error) if error.class() == Class::NotFound => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Switches a droplet on or off; says whether it is so. A shutdown may end without one, so that it is looked
/// at, and its power is cut where the last one was of no use for so long.
pub(super) async fn power(cloud: &Client, id: &str, to: &Value) -> Result<bool, ApiError> {
    let Some(found) = Kind::Droplet.find(cloud, id).await? else { return Ok(true) };
    let actions = actions(cloud, id).await?;
    // What was asked before may be just about to be done.
    if actions.iter().any(|action| action["status"] == "in-progress") {
        return Ok(false);
    }
    if found["status"] == to["status"] {
        return Ok(true);
    }
    let action = if to["status"] == "off" {
        match shut_down_for(cloud, &actions) {
            Some(passed) if passed < SHUTDOWN => return Ok(false),
            Some(passed) if passed < FORGOTTEN => "power_off",
            _ => "shutdown",
        }
    } else {
        "power_on"
    };
    let path = format!("/v2/droplets/{id}/actions");
    match cloud.post::<Value>(&path, &json!({ "type": action })).await {
        Err(error) if error.class() != Class::Busy => Err(error),
        _ => Ok(false),
    }
}

/// How long ago the droplet was told to shut down, if nothing has been done with it since.
fn shut_down_for(cloud: &Client, actions: &[Value]) -> Option<Duration> {
    let begun = actions.iter().filter_map(|one| Some((moment(one, "started_at")?, &one["type"])));
    let last = begun.max_by_key(|(begun_at, _)| *begun_at);
    let shutdown = last.filter(|(_, kind)| *kind == "shutdown");
    shutdown.map(|(begun_at, _)| cloud.now().since(begun_at))
}
