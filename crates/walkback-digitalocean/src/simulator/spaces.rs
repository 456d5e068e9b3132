//! Keys of Spaces, whose secret is shown once, and CDN endpoints.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Refusal, Said, conflict, not_found, unprocessable};
use crate::simulator::world::{World, moment, public};

/// Seconds that an endpoint may keep what it has.
const TTLS: [i64; 5] = [60, 600, 3_600, 86_400, 604_800];

pub(super) fn keys(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    let one = |world: &World, id: &str| {
        world.must("spaces_keys", id).map(|key| json!({"key": public(key)}))
    };
    match (call.method, rest) {
        (Method::Get, []) => {
            let mut all = world.listed("spaces_keys", call);
            let name = call.query.get("name");
            all.retain(|key| name.is_none_or(|name| key["name"] == *name));
            Ok((200, call.page("keys", all)))
        }
        (Method::Post, []) => {
            let name = call.text("name")?;
            let id = format!("DO00{:016X}", world.number());
            let key = json!({
                "name": name, "grants": grants(call), "access_key": id,
                "created_at": moment(call.now)
            });
            world.put("spaces_keys", &id, key.clone(), call.now);
            let mut shown = key;
            shown["secret_key"] = json!(format!("s3cr3t-{id}"));
            Ok((201, json!({ "key": shown })))
        }
        (Method::Get, [id]) => Ok((200, one(world, id)?)),
        (Method::Put | Method::Patch, [id]) => {
            let was = world.must("spaces_keys", id)?["grants"].clone();
            if call.body.get("grants").is_some() && is_for_all(&was) != is_for_all(&grants(call)) {
                let message = "a fullaccess key cannot become a scoped one, nor the reverse";
                return Err(Refusal::new(400, message));
            }
            if let Some(name) = call.body["name"].as_str() {
                world.change("spaces_keys", id, |key| key["name"] = json!(name));
            }
            if call.body.get("grants").is_some() || call.method == Method::Put {
                world.change("spaces_keys", id, |key| key["grants"] = grants(call));
            }
            Ok((200, one(world, id)?))
        }
        (Method::Delete, [id]) => {
            world.remove("spaces_keys", id).ok_or_else(not_found)?;
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// Whether a key with these grants may do everything.
fn is_for_all(grants: &Value) -> bool {
    let mut grants = grants.as_array().into_iter().flatten();
    grants.any(|grant| grant["permission"] == "fullaccess")
}

fn grants(call: &Call<'_>) -> Value {
    call.body.get("grants").cloned().unwrap_or_else(|| json!([]))
}

pub(super) fn endpoints(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    let one = |world: &World, id: &str| {
        world.must("cdn_endpoints", id).map(|found| json!({"endpoint": public(found)}))
    };
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("endpoints", world.listed("cdn_endpoints", call)))),
        (Method::Post, []) => {
            let origin = call.text("origin")?;
            if world.all("cdn_endpoints").any(|(_, one)| one["origin"] == origin) {
                return Err(conflict("an endpoint of this origin already exists"));
            }
            let ttl = ttl(call)?.unwrap_or(3_600);
            let id = world.uuid();
            let host = origin.replacen("digitaloceanspaces", "cdn.digitaloceanspaces", 1);
            let endpoint = json!({
                "id": id, "origin": origin, "endpoint": host, "ttl": ttl,
                "created_at": moment(call.now)
            });
            world.put("cdn_endpoints", &id, endpoint, call.now);
            Ok((201, one(world, &id)?))
        }
        (Method::Get, [id]) => Ok((200, one(world, id)?)),
        (Method::Put, [id]) => {
            world.must("cdn_endpoints", id)?;
            let ttl = ttl(call)?;
            if let Some(ttl) = ttl {
                world.change("cdn_endpoints", id, |endpoint| endpoint["ttl"] = json!(ttl));
            }
            Ok((200, one(world, id)?))
        }
        (Method::Delete, [_, "cache"]) => Ok((204, Value::Null)),
        (Method::Delete, [id]) => {
            world.remove("cdn_endpoints", id).ok_or_else(not_found)?;
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

fn ttl(call: &Call<'_>) -> Result<Option<i64>, Refusal> {
    match call.body["ttl"].as_i64() {
        Some(ttl) if !TTLS.contains(&ttl) => Err(unprocessable("ttl is invalid")),
        ttl => Ok(ttl),
    }
}
