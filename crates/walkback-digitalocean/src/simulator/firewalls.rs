//! Firewalls.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, Said, conflict, not_found, unprocessable};
use crate::simulator::world::{Due, World, moment, public};

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("firewalls", world.listed("firewalls", call)))),
        (Method::Post, []) => {
            let firewall = document(world, call, None)?;
            let id = world.uuid();
            Ok((202, set(world, call, &id, firewall)))
        }
        (Method::Get, [id]) => Ok((200, json!({"firewall": public(world.must("firewalls", id)?)}))),
        (Method::Put, [id]) => {
            world.must("firewalls", id)?;
            let firewall = document(world, call, Some(id))?;
            Ok((200, set(world, call, id, firewall)))
        }
        (Method::Delete, [id]) => {
            world.remove("firewalls", id).ok_or_else(not_found)?;
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// The whole document that the call sets; what it leaves out is reset.
fn document(world: &World, call: &Call<'_>, own: Option<&str>) -> Result<Value, Refusal> {
    let name = call.text("name")?;
    let others = world.all("firewalls").filter(|(id, _)| Some(id.as_str()) != own);
    if others.into_iter().any(|(_, other)| other["name"] == name) {
        return Err(conflict("duplicate name"));
    }
    let list = |name: &str| call.body.get(name).filter(|list| list.is_array()).cloned();
    let (inbound, outbound) = (list("inbound_rules"), list("outbound_rules"));
    let empty =
        |list: &Option<Value>| list.as_ref().and_then(Value::as_array).is_none_or(Vec::is_empty);
    if empty(&inbound) && empty(&outbound) {
        return Err(unprocessable("firewall must have at least one rule"));
    }
    let tags = call.texts("tags");
    if let Some(tag) = tags.iter().find(|tag| world.get("tags", tag).is_none()) {
        return Err(unprocessable(format!("tag {tag} does not exist")));
    }
    Ok(json!({
        "name": name, "tags": tags,
        "droplet_ids": list("droplet_ids").unwrap_or_else(|| json!([])),
        "inbound_rules": inbound.unwrap_or_else(|| json!([])),
        "outbound_rules": outbound.unwrap_or_else(|| json!([])),
    }))
}

fn set(world: &mut World, call: &Call<'_>, id: &str, mut firewall: Value) -> Value {
    firewall["id"] = json!(id);
    firewall["status"] = json!("waiting");
    firewall["created_at"] = json!(moment(call.now));
    firewall["pending_changes"] = json!([]);
    world.put("firewalls", id, firewall.clone(), call.now);
    world.later(call, Takes::Firewall, Due::Firewall(id.to_owned()));
    json!({ "firewall": public(&firewall) })
}
