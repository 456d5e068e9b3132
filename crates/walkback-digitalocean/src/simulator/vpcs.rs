//! Private networks.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Refusal, Said, not_found, unprocessable};
use crate::simulator::world::{World, moment, public};
use crate::simulator::{catalogue, databases, load_balancers};

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("vpcs", world.listed("vpcs", call)))),
        (Method::Post, []) => create(world, call),
        (Method::Get, [id]) => Ok((200, json!({"vpc": public(world.must("vpcs", id)?)}))),
        (Method::Put | Method::Patch, [id]) => {
            world.must("vpcs", id)?;
            for name in ["name", "description"] {
                if let Some(text) = call.body.get(name).and_then(Value::as_str) {
                    world.change("vpcs", id, |vpc| vpc[name] = json!(text));
                }
            }
            Ok((200, json!({"vpc": public(world.must("vpcs", id)?)})))
        }
        (Method::Get, [id, "members"]) => {
            world.must("vpcs", id)?;
            Ok((200, call.page("members", members(world, id))))
        }
        (Method::Delete, [id]) => {
            let vpc = world.must("vpcs", id)?;
            if vpc["default"] == json!(true) {
                return Err(Refusal::new(403, "Can not delete the default VPC"));
            }
            if !members(world, id).is_empty() {
                return Err(Refusal::new(403, "Can not delete VPC with members"));
            }
            world.remove("vpcs", id);
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

fn create(world: &mut World, call: &Call<'_>) -> Said {
    let (name, region) = (call.text("name")?, call.text("region")?);
    if catalogue::region(region).is_null() {
        return Err(unprocessable("region is invalid"));
    }
    if world.all("vpcs").any(|(_, vpc)| vpc["name"] == name) {
        return Err(unprocessable("a VPC with this name already exists"));
    }
    // As the API does: the first of a region is its default, and that stays.
    default_of(world, region, call.now);
    let number = world.number();
    let range = call.body["ip_range"].as_str().map_or_else(|| range(number), str::to_owned);
    if world.all("vpcs").any(|(_, vpc)| vpc["ip_range"] == json!(range)) {
        let message = "ip_range overlaps with another VPC network in your account";
        return Err(unprocessable(message));
    }
    let description = call.body["description"].as_str().unwrap_or_default();
    let made = put(world, (name, region, description), &range, false, call.now);
    Ok((201, json!({ "vpc": public(&made) })))
}

fn range(number: u64) -> String {
    format!("10.{}.{}.0/20", number / 16 % 250, number % 16 * 16)
}

/// The default network of a region, made with the first thing that needs one.
pub(super) fn default_of(world: &mut World, region: &str, now: i64) -> String {
    let is_it = |vpc: &Value| vpc["region"] == region && vpc["default"] == true;
    if let Some((id, _)) = world.all("vpcs").find(|(_, vpc)| is_it(vpc)) {
        return id.clone();
    }
    let (name, number) = (format!("default-{region}"), world.number());
    let made = put(world, (&name, region, ""), &range(number), true, now);
    made["id"].as_str().unwrap_or_default().to_owned()
}

fn put(
    world: &mut World,
    (name, region, description): (&str, &str, &str),
    range: &str,
    default: bool,
    now: i64,
) -> Value {
    let id = world.uuid();
    let made = json!({
        "id": id, "urn": format!("do:vpc:{id}"), "name": name, "description": description,
        "region": region, "ip_range": range, "default": default, "created_at": moment(now)
    });
    world.put("vpcs", &id, made.clone(), now);
    made
}

fn members(world: &World, id: &str) -> Vec<Value> {
    let inside = world.all("droplets").filter(|(_, droplet)| droplet["vpc_uuid"] == id);
    let droplets = inside.map(|(id, droplet)| {
        json!({"urn": format!("do:droplet:{id}"), "name": droplet["name"], "created_at": droplet["created_at"]})
    });
    let others = databases::inside(world, id).chain(load_balancers::inside(world, id));
    droplets.chain(others).collect()
}
