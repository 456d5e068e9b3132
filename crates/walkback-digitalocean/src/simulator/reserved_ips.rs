//! Reserved addresses, and their older name of floating ones.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Said, not_found, unprocessable};
use crate::simulator::world::{Effect, World, public};
use crate::simulator::{Settings, catalogue, projects};

pub(super) fn answer(
    world: &mut World,
    call: &Call<'_>,
    named: &str,
    rest: &[&str],
    settings: &mut Settings,
) -> Said {
    let one = named.trim_end_matches('s');
    match (call.method, rest) {
        (Method::Get, []) => {
            let ips = world.listed("reserved_ips", call);
            let ips = ips.iter().filter_map(|ip| ip["ip"].as_str());
            let shown = ips.map(|ip| shown(world, ip)).collect();
            Ok((200, call.page(named, shown)))
        }
        (Method::Post, []) => create(world, call, one, settings),
        (Method::Get, [ip]) => {
            world.must("reserved_ips", ip)?;
            Ok((200, json!({one: shown(world, ip)})))
        }
        (Method::Delete, [ip]) => {
            let assigned = !world.must("reserved_ips", ip)?["_droplet"].is_null();
            if assigned || world.busy(ip) {
                return Err(unprocessable("The reserved IP is assigned and cannot be released"));
            }
            world.remove("reserved_ips", ip);
            Ok((204, Value::Null))
        }
        (Method::Get, [ip, "actions", action]) => {
            Ok((200, json!({"action": world.action_of(ip, action)?})))
        }
        (Method::Get, [ip, "actions"]) => {
            world.must("reserved_ips", ip)?;
            Ok((200, call.page("actions", world.actions_of(ip))))
        }
        (Method::Post, [ip, "actions"]) => act(world, call, ip, &mut settings.errored_actions),
        _ => Err(not_found()),
    }
}

fn create(world: &mut World, call: &Call<'_>, one: &str, settings: &mut Settings) -> Said {
    if world.all("reserved_ips").count() >= settings.reserved_ip_limit {
        return Err(unprocessable("creating this would exceed your reserved IP limit"));
    }
    let errs = &mut settings.errored_actions;
    let droplet = call.body.get("droplet_id").map(Value::to_string);
    let region = match &droplet {
        Some(id) => world.must("droplets", id)?["region"]["slug"].as_str().unwrap_or_default(),
        None => call.text("region")?,
    };
    if catalogue::region(region).is_null() {
        return Err(unprocessable("region is invalid"));
    }
    if let Some(project) = call.said("project_id") {
        world.must("projects", project)?;
    }
    let region = region.to_owned();
    let number = world.number();
    let ip = format!("198.51.{}.{}", number / 250 % 250, number % 250 + 1);
    let reserved = json!({
        "ip": ip, "region": catalogue::region(&region), "locked": false,
        "project_id": projects::of(call), "_droplet": null
    });
    world.put("reserved_ips", &ip, reserved, call.now);
    let mut links = json!({});
    if let Some(droplet) = droplet {
        let effect = Effect::Assign { ip: ip.clone(), droplet };
        let action = world.act(call, ("assign", "reserved_ip", &ip), Takes::Assign, errs, effect);
        let href = format!("https://api.digitalocean.com/v2/actions/{}", action["id"]);
        links = json!({"actions": [{"id": action["id"], "rel": "assign_ip", "href": href}]});
    }
    Ok((202, json!({one: shown(world, &ip), "links": links})))
}

fn act(world: &mut World, call: &Call<'_>, ip: &str, errs: &mut u32) -> Said {
    let reserved = world.must("reserved_ips", ip)?.clone();
    if world.busy(ip) {
        return Err(unprocessable("The reserved IP has a pending event."));
    }
    let kind = call.text("type")?;
    let effect = match kind {
        "assign" => {
            let droplet = call.body["droplet_id"].to_string();
            let found = world.must("droplets", &droplet)?;
            if found["region"]["slug"] != reserved["region"]["slug"] {
                return Err(unprocessable("reserved IP and droplet must be in the same region"));
            }
            world.must_be_idle(&droplet)?;
            Effect::Assign { ip: ip.to_owned(), droplet }
        }
        "unassign" if reserved["_droplet"].is_null() => {
            return Err(unprocessable("The reserved IP is not assigned"));
        }
        "unassign" => Effect::Unassign { ip: ip.to_owned() },
        _ => return Err(unprocessable("type is invalid")),
    };
    let mut action = world.act(call, (kind, "reserved_ip", ip), Takes::Assign, errs, effect);
    action["project_id"] = reserved["project_id"].clone();
    Ok((201, json!({ "action": action })))
}

fn shown(world: &World, ip: &str) -> Value {
    let Some(reserved) = world.get("reserved_ips", ip) else { return Value::Null };
    let droplet = reserved["_droplet"].as_str().and_then(|id| world.get("droplets", id));
    let mut shown = public(reserved);
    shown["droplet"] = droplet.map_or(Value::Null, public);
    shown["locked"] = json!(world.busy(ip));
    shown
}
