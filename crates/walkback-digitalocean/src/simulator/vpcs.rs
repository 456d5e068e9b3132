//! Private networks.

use std::net::Ipv4Addr;

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
    let range = match call.body["ip_range"].as_str() {
        None => free_range(world),
        Some(asked) => {
            let range = Range::parse(asked).ok_or_else(|| unprocessable("ip_range is invalid"))?;
            if !range.is_free(world) {
                let message = "ip_range overlaps with another VPC network in your account";
                return Err(unprocessable(message));
            }
            asked.to_owned()
        }
    };
    let description = call.body["description"].as_str().unwrap_or_default();
    let made = put(world, (name, region, description), &range, false, call.now);
    Ok((201, json!({ "vpc": public(&made) })))
}

/// The addresses of a network.
#[derive(Clone, Copy)]
struct Range {
    first: u32,
    bits: u32,
}

impl Range {
    /// Private addresses, a `/28` at least and a `/16` at most.
    fn parse(text: &str) -> Option<Self> {
        let (first, bits) = text.split_once('/')?;
        let (first, bits): (Ipv4Addr, u32) = (first.parse().ok()?, bits.parse().ok()?);
        let range = Self { first: first.to_bits(), bits };
        let fits = first.is_private() && (16..=28).contains(&bits);
        (fits && range.first & !range.mask() == 0).then_some(range)
    }

    fn mask(self) -> u32 {
        u32::MAX << (32 - self.bits)
    }

    /// Whether no network has any of these addresses.
    fn is_free(self, world: &World) -> bool {
        let overlaps = |other: Self| (self.first ^ other.first) & self.mask() & other.mask() == 0;
        let all = world.all("vpcs").filter_map(|(_, vpc)| vpc["ip_range"].as_str());
        !all.filter_map(Self::parse).any(overlaps)
    }
}

/// How many ranges of the usual size there are: more networks share them.
const RANGES: usize = 4_000;

/// The next range of the usual size that no network has yet.
fn free_range(world: &mut World) -> String {
    let mut range = String::new();
    for _ in 0..RANGES {
        let number = world.number();
        range = format!("10.{}.{}.0/20", number / 16 % 250, number % 16 * 16);
        if Range::parse(&range).is_some_and(|range| range.is_free(world)) {
            break;
        }
    }
    range
}

/// The default network of a region, made with the first thing that needs one.
pub(super) fn default_of(world: &mut World, region: &str, now: i64) -> String {
    let is_it = |vpc: &Value| vpc["region"] == region && vpc["default"] == true;
    if let Some((id, _)) = world.all("vpcs").find(|(_, vpc)| is_it(vpc)) {
        return id.clone();
    }
    let (name, range) = (format!("default-{region}"), free_range(world));
    let made = put(world, (&name, region, ""), &range, true, now);
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
