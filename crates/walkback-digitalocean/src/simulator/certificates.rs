//! Certificates: those of Let's Encrypt need a domain of the account and a while.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, Said, not_found, unprocessable};
use crate::simulator::load_balancers;
use crate::simulator::world::{World, moment, public};

/// How long one is good for.
const GOOD: i64 = 90 * 24 * 3_600 * 1_000;

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => {
            let mut all = world.listed("certificates", call);
            let name = call.query.get("name");
            all.retain(|one| name.is_none_or(|name| one["name"] == *name));
            Ok((200, call.page("certificates", all)))
        }
        (Method::Post, []) => create(world, call),
        (Method::Get, [id]) => {
            Ok((200, json!({"certificate": public(world.must("certificates", id)?)})))
        }
        (Method::Delete, [id]) => {
            world.must("certificates", id)?;
            if load_balancers::use_certificate(world, id) {
                return Err(Refusal::new(403, "certificate is in use by a load balancer"));
            }
            world.remove("certificates", id);
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

fn create(world: &mut World, call: &Call<'_>) -> Said {
    let name = call.text("name")?;
    if world.all("certificates").any(|(_, one)| one["name"] == name) {
        return Err(unprocessable("a certificate of this name already exists"));
    }
    let custom = call.body["type"].as_str() != Some("lets_encrypt");
    let names = call.texts("dns_names");
    if custom {
        call.text("private_key")?;
        call.text("leaf_certificate")?;
    } else if names.is_empty() {
        return Err(unprocessable("dns_names is required"));
    }
    let ours = |name: &String| {
        let mut parents = world.all("domains").map(|(domain, _)| domain);
        parents.any(|domain| name == domain || name.ends_with(&format!(".{domain}")))
    };
    if let Some(name) = names.iter().find(|name| !ours(name)) {
        return Err(unprocessable(format!("domain of {name} is not in this account")));
    }
    let id = world.uuid();
    let certificate = json!({
        "id": id, "name": name, "not_after": moment(call.now + GOOD),
        "sha1_fingerprint": "dfcc9f57d86bf58e321c2c6c31c7a971be244ac7",
        "created_at": moment(call.now), "dns_names": names,
        "state": if custom { "verified" } else { "pending" },
        "type": if custom { "custom" } else { "lets_encrypt" }
    });
    world.put("certificates", &id, certificate.clone(), call.now);
    if !custom {
        let verified = json!({"state": "verified"});
        world.becomes(call, Takes::Certificate, "certificates", &id, verified);
    }
    Ok((201, json!({ "certificate": public(&certificate) })))
}
