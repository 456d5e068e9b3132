//! What exists in an account: every list read whole, never thing by thing.

use std::time::Duration;

use serde_json::Value;
use walkback::Json;
use walkback::clock::Clock;
use walkback::desired::{Seen, Survey};

use crate::client::{ApiError, Class, Client};

/// A list of the API: below `/v2/`, its member, what its things are called here, and what tells them.
struct List {
    path: &'static str,
    member: &'static str,
    kind: &'static str,
    id: &'static str,
}

const fn list(
    path: &'static str,
    member: &'static str,
    kind: &'static str,
    id: &'static str,
) -> List {
    List { path, member, kind, id }
}

const LISTS: [List; 17] = [
    list("apps", "apps", "app", "id"),
    list("cdn/endpoints", "endpoints", "cdn_endpoint", "id"),
    list("certificates", "certificates", "certificate", "id"),
    list("databases", "databases", "database", "id"),
    list("domains", "domains", "domain", "name"),
    list("droplets", "droplets", "droplet", "id"),
    list("firewalls", "firewalls", "firewall", "id"),
    list("images?private=true", "images", "image", "id"),
    list("load_balancers", "load_balancers", "load_balancer", "id"),
    list("projects", "projects", "project", "id"),
    list("reserved_ips", "reserved_ips", "reserved_ip", "ip"),
    list("snapshots", "snapshots", "snapshot", "id"),
    list("spaces/keys", "keys", "spaces_key", "access_key"),
    list("account/keys", "ssh_keys", "ssh_key", "id"),
    list("tags", "tags", "tag", "name"),
    list("volumes", "volumes", "volume", "id"),
    list("vpcs", "vpcs", "vpc", "id"),
];

/// How long to wait if the API does not say how long.
const PAUSE: Duration = Duration::from_secs(10);

/// Members that are secrets, or hold some.
const SECRETS: [&str; 14] = [
    "access_cert",
    "access_key_secret",
    "ca",
    "connection",
    "envs",
    "password",
    "private_connection",
    "private_key",
    "schema_registry_connection",
    "secret_key",
    "standby_connection",
    "standby_private_connection",
    "ui_connection",
    "users",
];

/// What a look at an account found.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// What there is, of every kind that could be listed.
    pub survey: Survey,
    /// Kinds that this token may not list, with what the API said.
    pub not_allowed: Vec<(String, String)>,
}

/// Lists everything in the account: a call for each 200 things of a kind, and one for each domain.
///
/// # Errors
/// What the API, or the way there, says; nothing is known then.
pub async fn survey(cloud: &Client, clock: &dyn Clock) -> Result<Inventory, ApiError> {
    let begun_at = clock.now();
    let (mut kinds, mut found, mut not_allowed) = (Vec::new(), Vec::new(), Vec::new());
    let mut refused = None;
    for List { path, member, kind, id } in LISTS {
        let mut things: Vec<Value> = match read(cloud, clock, &format!("/v2/{path}"), member).await
        {
            Ok(things) => things,
            Err(error) if error.class() == Class::Auth => {
                not_allowed.push((kind.to_owned(), error.to_string()));
                refused = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        kinds.push(kind.to_owned());
        things.retain(|thing| !is_shown_elsewhere(kind, thing));
        if kind == "domain" {
            kinds.push("domain_record".to_owned());
            for domain in things.iter().filter_map(|domain| domain["name"].as_str()) {
                let path = format!("/v2/domains/{domain}/records");
                let records = match read(cloud, clock, &path, "domain_records").await {
                    // Gone since.
                    Err(error) if error.class() == Class::NotFound => Vec::new(),
                    records => records?,
                };
                let seen = |record: Value| {
                    seen("domain_record", format!("{domain}/{}", record["id"]), record)
                };
                found.extend(records.into_iter().map(seen));
            }
        }
        found.extend(things.into_iter().map(|thing| seen(kind, told(&thing[id]), thing)));
    }
    // A token that may list nothing is none.
    if let Some(error) = refused.filter(|_| kinds.is_empty()) {
        return Err(error);
    }
    // Pages shift while things come and go: one may be there twice.
    found.sort_by(|a, b| (&a.kind, &a.external_id).cmp(&(&b.kind, &b.external_id)));
    found.dedup_by(|a, b| a.kind == b.kind && a.external_id == b.external_id);
    let provider = "digitalocean".to_owned();
    let survey = Survey { provider, kinds, found, begun_at, at: clock.now() };
    Ok(Inventory { survey, not_allowed })
}

/// What is listed as something else too: a droplet's snapshot is an image, and the tags of sagas are on the
/// things that carry them.
fn is_shown_elsewhere(kind: &str, thing: &Value) -> bool {
    match kind {
        "image" => thing["type"] == "snapshot",
        "tag" => is_of_saga(thing) && thing["resources"]["count"].as_u64() > Some(0),
        _ => false,
    }
}

fn is_of_saga(tag: &Value) -> bool {
    let name = tag["name"].as_str().unwrap_or_default();
    ["saga:", "saga-op:"].iter().any(|of_sagas| name.starts_with(of_sagas))
}

/// A list, however often the API says that it was one call too many.
async fn read(
    cloud: &Client,
    clock: &dyn Clock,
    path: &str,
    member: &str,
) -> Result<Vec<Value>, ApiError> {
    loop {
        match cloud.list(path, member).await {
            Err(error) if error.class() == Class::RateLimited => {
                clock.sleep(error.retry_after().unwrap_or(PAUSE)).await;
            }
            read => return read,
        }
    }
}

/// An id, be it a text or a number.
fn told(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

fn seen(kind: &str, external_id: String, mut thing: Value) -> Seen {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let region = text(&thing["region"]).or_else(|| text(&thing["region"]["slug"]));
    let tags = thing["tags"].as_array().into_iter().flatten();
    let tags = tags.filter_map(text);
    // One that nothing carries tells by itself which saga has left it.
    let tags = tags.chain(text(&thing["name"]).filter(|_| is_of_saga(&thing))).collect();
    let name = text(&thing["name"]).or_else(|| text(&thing["spec"]["name"]));
    cut_secrets(&mut thing);
    let state = Json::of(&thing).unwrap_or_else(|_| Json::empty_object());
    Seen { kind: kind.to_owned(), external_id, name, region, tags, state }
}

fn cut_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !SECRETS.contains(&name.as_str()));
            members.values_mut().for_each(cut_secrets);
        }
        Value::Array(items) => items.iter_mut().for_each(cut_secrets),
        _ => {}
    }
}
