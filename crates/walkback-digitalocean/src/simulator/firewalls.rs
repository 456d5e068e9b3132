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
        (Method::Post | Method::Delete, [id, part @ ("droplets" | "tags" | "rules")]) => {
            amend(world, call, id, part)?;
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// Adds to a part of the firewall, or takes from it.
fn amend(world: &mut World, call: &Call<'_>, id: &str, part: &str) -> Result<(), Refusal> {
    let mut firewall = world.must("firewalls", id)?.clone();
    let members: &[&str] = match part {
        "droplets" => &["droplet_ids"],
        "tags" => &["tags"],
        _ => &["inbound_rules", "outbound_rules"],
    };
    let is_named = |member: &&&str| !call.body[**member].is_null();
    let named: Vec<&&str> = members.iter().filter(is_named).collect();
    if named.is_empty() {
        return Err(unprocessable(format!("{} is required", members.join(" or "))));
    }
    for member in named {
        firewall[*member] = call.amended(&firewall[*member], member)?;
    }
    if call.method == Method::Post {
        known_tags(world, &call.texts("tags"))?;
    }
    has_rules(&firewall)?;
    set(world, call, id, firewall);
    Ok(())
}

/// Those that guard a droplet, by its id or a tag that it carries.
pub(super) fn of_droplet(world: &World, droplet: &Value) -> Vec<Value> {
    let names = |list: &Value, one: &Value| list.as_array().is_some_and(|all| all.contains(one));
    let guards = |firewall: &&Value| {
        let mut tags = droplet["tags"].as_array().into_iter().flatten();
        names(&firewall["droplet_ids"], &droplet["id"])
            || tags.any(|tag| names(&firewall["tags"], tag))
    };
    world.all("firewalls").map(|(_, firewall)| firewall).filter(guards).map(public).collect()
}

fn has_rules(firewall: &Value) -> Result<(), Refusal> {
    let none = |rules: &str| firewall[rules].as_array().is_none_or(Vec::is_empty);
    if none("inbound_rules") && none("outbound_rules") {
        return Err(unprocessable("firewall must have at least one rule"));
    }
    Ok(())
}

fn known_tags(world: &World, tags: &[String]) -> Result<(), Refusal> {
    match tags.iter().find(|tag| world.get("tags", tag).is_none()) {
        Some(tag) => Err(unprocessable(format!("tag {tag} does not exist"))),
        None => Ok(()),
    }
}

/// The whole document that the call sets; what it leaves out is reset.
fn document(world: &World, call: &Call<'_>, own: Option<&str>) -> Result<Value, Refusal> {
    let name = call.text("name")?;
    let others = world.all("firewalls").filter(|(id, _)| Some(id.as_str()) != own);
    if others.into_iter().any(|(_, other)| other["name"] == name) {
        return Err(conflict("duplicate name"));
    }
    let list = |name: &str| call.list(name).unwrap_or_default();
    let firewall = json!({
        "name": name, "tags": call.texts("tags"), "droplet_ids": list("droplet_ids"),
        "inbound_rules": list("inbound_rules"), "outbound_rules": list("outbound_rules"),
    });
    has_rules(&firewall)?;
    known_tags(world, &call.texts("tags"))?;
    Ok(firewall)
}

fn set(world: &mut World, call: &Call<'_>, id: &str, mut firewall: Value) -> Value {
    firewall["id"] = json!(id);
    firewall["status"] = json!("waiting");
    firewall["pending_changes"] = json!([]);
    if let Some(before) = world.get("firewalls", id) {
        for kept in ["created_at", "_born"] {
            firewall[kept] = before[kept].clone();
        }
        world.change("firewalls", id, |known| known.clone_from(&firewall));
    } else {
        firewall["created_at"] = json!(moment(call.now));
        world.put("firewalls", id, firewall.clone(), call.now);
    }
    world.later(call, Takes::Firewall, Due::Firewall(id.to_owned()));
    json!({ "firewall": public(&firewall) })
}
