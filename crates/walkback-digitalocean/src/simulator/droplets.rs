//! Droplets: accepted at once, there after a while, one event at a time.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, Said, not_found, unprocessable};
use crate::simulator::world::{Due, Effect, World, is_id, moment, public};
use crate::simulator::{
    Settings, catalogue, firewalls, images, keys, snapshots, tags, volumes, vpcs,
};

pub(super) fn answer(
    world: &mut World,
    call: &Call<'_>,
    rest: &[&str],
    settings: &mut Settings,
) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => {
            let fits = |droplet: &Value| {
                let tagged = |tag: &String| tags::carries(droplet, tag);
                call.query.get("tag_name").is_none_or(tagged)
                    && call.query.get("name").is_none_or(|name| droplet["name"] == *name)
            };
            let mut droplets = world.listed("droplets", call);
            droplets.retain(fits);
            Ok((200, call.page("droplets", droplets)))
        }
        (Method::Post, []) => create(world, call, settings),
        (Method::Get, [id]) => Ok((200, json!({"droplet": public(world.must("droplets", id)?)}))),
        (Method::Delete, []) => {
            for id in tagged(world, call)? {
                destroy(world, call, &id);
            }
            Ok((204, Value::Null))
        }
        (Method::Delete, [id]) => {
            world.must("droplets", id)?;
            world.must_be_idle(id)?;
            destroy(world, call, id);
            Ok((204, Value::Null))
        }
        (Method::Get, [id, "actions", action]) => {
            Ok((200, json!({"action": world.action_of(id, action)?})))
        }
        (Method::Get, [id, list]) => inside(world, call, id, list),
        (Method::Post, ["actions"]) => {
            let kind = call.text("type")?;
            if matches!(kind, "rename" | "resize" | "rebuild" | "reboot") {
                return Err(unprocessable(format!("type `{kind}` is not for tagged droplets")));
            }
            let droplets = tagged(world, call)?.into_iter();
            let acted: Result<Vec<_>, _> =
                droplets.map(|id| act(world, call, &id, settings)).collect();
            let actions: Vec<Value> =
                acted?.into_iter().map(|(_, mut body)| body["action"].take()).collect();
            Ok((201, json!({ "actions": actions })))
        }
        (Method::Post, [id, "actions"]) => act(world, call, id, settings),
        _ => Err(not_found()),
    }
}

/// What a droplet has.
fn inside(world: &World, call: &Call<'_>, id: &str, list: &str) -> Said {
    let droplet = world.must("droplets", id)?;
    Ok((
        200,
        match list {
            "actions" => {
                let mut actions = world.listed("actions", call);
                actions.retain(|action| is_id(&action["resource_id"], id));
                call.page("actions", actions)
            }
            // There are none: what boots is in the image.
            "backups" | "kernels" => call.page(list, Vec::new()),
            "destroy_with_associated_resources" => associated(world, id),
            "firewalls" => call.page("firewalls", firewalls::of_droplet(world, droplet)),
            // Nobody lives on the same machine.
            "neighbors" => json!({ "droplets": [] }),
            "snapshots" => snapshots::of(world, call, id),
            _ => return Err(not_found()),
        },
    ))
}

/// The droplets with the tag that the call names; all of them are idle.
fn tagged(world: &World, call: &Call<'_>) -> Result<Vec<String>, Refusal> {
    let tag = call.query.get("tag_name").ok_or_else(|| unprocessable("tag_name is required"))?;
    world.must("tags", tag)?;
    let droplets = world.all("droplets").filter(|(_, droplet)| tags::carries(droplet, tag));
    let droplets: Vec<String> = droplets.map(|(id, _)| id.clone()).collect();
    droplets.iter().try_for_each(|id| world.must_be_idle(id))?;
    Ok(droplets)
}

fn destroy(world: &mut World, call: &Call<'_>, id: &str) {
    world.act(call, ("destroy", "droplet", id), Takes::DropletGone, &mut 0, Effect::Nothing);
    world.change("droplets", id, |droplet| droplet["locked"] = json!(true));
    world.later(call, Takes::DropletGone, Due::Gone("droplets".to_owned(), id.to_owned()));
}

fn create(world: &mut World, call: &Call<'_>, settings: &mut Settings) -> Said {
    let mut names = call.texts("names");
    let several = !names.is_empty();
    if !several {
        names.push(call.text("name")?.to_owned());
    }
    let size = catalogue::size(call.text("size")?);
    if size.is_null() {
        return Err(unprocessable("You specified an invalid size for Droplet creation."));
    }
    let region = call.body["region"].as_str().unwrap_or("nyc3");
    if catalogue::region(region).is_null() {
        return Err(unprocessable("You specified an invalid region for Droplet creation."));
    }
    let image = image(world, call, region)?;
    if image["min_disk_size"].as_i64() > size["disk"].as_i64() {
        return Err(unprocessable("This image requires a larger disk than the size has."));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if names.iter().any(|name| name.is_empty() || !name.chars().all(fits)) {
        return Err(unprocessable(
            "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)",
        ));
    }
    if world.all("droplets").count() + names.len() > settings.droplet_limit {
        let message = "creating this/these droplet(s) will exceed your droplet limit";
        return Err(unprocessable(message));
    }
    check_parts(world, call, region)?;
    let network = call.said("vpc_uuid").map(str::to_owned);
    let network = network.unwrap_or_else(|| vpcs::default_of(world, region, call.now));
    let tagged = call.texts("tags");
    tagged.iter().try_for_each(|tag| tags::ensure(world, tag, call.now))?;
    let (mut droplets, mut actions) = (Vec::new(), Vec::new());
    let asked = ["backups", "ipv6", "monitoring"].into_iter().filter(|of| call.body[of] == true);
    let features: Vec<&str> =
        ["droplet_agent", "private_networking"].into_iter().chain(asked).collect();
    for name in names {
        let id = world.number();
        let droplet = json!({
            "id": id, "name": name, "memory": size["memory"], "vcpus": size["vcpus"],
            "disk": size["disk"], "locked": true, "status": "new", "created_at": moment(call.now),
            "features": features, "backup_ids": [],
            "next_backup_window": null, "snapshot_ids": [], "image": image, "volume_ids": [],
            "size": size, "size_slug": size["slug"], "networks": {"v4": [], "v6": []},
            "region": catalogue::region(region), "tags": tagged, "vpc_uuid": network,
            "_volumes": call.texts("volumes")
        });
        let id = id.to_string();
        world.put("droplets", &id, droplet, call.now);
        if settings.vanishing_droplets > 0 {
            settings.vanishing_droplets -= 1;
            world.later(call, Takes::Vanishing, Due::Gone("droplets".to_owned(), id.clone()));
        }
        let errs = &mut settings.errored_actions;
        let effect = Effect::Boot(id.clone());
        let action = world.act(call, ("create", "droplet", &id), Takes::Droplet, errs, effect);
        let href = format!("https://api.digitalocean.com/v2/actions/{}", action["id"]);
        actions.push(json!({"id": action["id"], "rel": "create", "href": href}));
        droplets.push(public(world.must("droplets", &id)?));
    }
    let links = json!({ "actions": actions });
    let body = if several {
        json!({"droplets": droplets, "links": links})
    } else {
        json!({"droplet": droplets.swap_remove(0), "links": links})
    };
    Ok((202, body))
}

/// The image that the call names, if it can be had in this region.
fn image(world: &World, call: &Call<'_>, region: &str) -> Result<Value, Refusal> {
    let found = images::named_image(world, &call.body["image"]);
    let here =
        |image: &Value| image["regions"].as_array().is_some_and(|all| all.contains(&json!(region)));
    let invalid = "You specified an invalid image for Droplet creation.";
    found.filter(here).ok_or_else(|| unprocessable(invalid))
}

/// What a droplet is made with must be there.
fn check_parts(world: &World, call: &Call<'_>, region: &str) -> Result<(), Refusal> {
    if let Some(vpc) = call.said("vpc_uuid") {
        let found = world.get("vpcs", vpc).filter(|vpc| vpc["region"] == region);
        found.ok_or_else(|| unprocessable("VPC is not found in this region"))?;
    }
    for key in call.body["ssh_keys"].as_array().into_iter().flatten() {
        let named = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        let message = format!("{named} are invalid key identifiers for Droplet creation.");
        keys::find(world, &named).ok_or_else(|| unprocessable(message))?;
    }
    for id in call.texts("volumes") {
        let volume = world.get("volumes", &id).filter(|volume| volume["region"]["slug"] == region);
        let volume = volume.ok_or_else(|| unprocessable("volume is not found in this region"))?;
        let promised = |droplet: &Value| {
            droplet["_volumes"].as_array().is_some_and(|volumes| volumes.contains(&json!(id)))
        };
        let taken = world.all("droplets").any(|(_, droplet)| promised(droplet));
        if taken || volume["droplet_ids"] != json!([]) {
            return Err(unprocessable("This volume is already attached"));
        }
    }
    Ok(())
}

fn act(world: &mut World, call: &Call<'_>, id: &str, settings: &mut Settings) -> Said {
    world.must("droplets", id)?;
    world.must_be_idle(id)?;
    let kind = call.text("type")?;
    let to = |status: &str| Effect::Status(id.to_owned(), status.to_owned());
    let effect = match kind {
        "power_on" | "reboot" | "power_cycle" => to("active"),
        "power_off" | "shutdown" => to("off"),
        "rename" => Effect::Rename(id.to_owned(), call.text("name")?.to_owned()),
        "snapshot" => {
            let named = call.body["name"].as_str().map(str::to_owned);
            let name = named.unwrap_or_else(|| format!("{id}-{}", call.now));
            Effect::Snapshot { droplet: id.to_owned(), name }
        }
        "resize" => resize(world, call, id)?,
        "rebuild" => {
            let on = world.must("droplets", id)?["region"]["slug"].clone();
            let image = image(world, call, on.as_str().unwrap_or_default())?;
            Effect::Rebuild { droplet: id.to_owned(), image }
        }
        "enable_backups" => Effect::Backups { droplet: id.to_owned(), on: true },
        "disable_backups" => Effect::Backups { droplet: id.to_owned(), on: false },
        _ => return Err(unprocessable(format!("type `{kind}` is not simulated"))),
    };
    let errs = &mut settings.errored_actions;
    let takes = if kind == "snapshot" { Takes::Snapshot } else { Takes::Power };
    let action = world.act(call, (kind, "droplet", id), takes, errs, effect);
    Ok((201, json!({ "action": action })))
}

/// A resize needs a droplet that is off; a disk never becomes smaller.
fn resize(world: &World, call: &Call<'_>, id: &str) -> Result<Effect, Refusal> {
    let droplet = world.must("droplets", id)?;
    let size = catalogue::size(call.text("size")?);
    let disk = call.body["disk"].as_bool().unwrap_or_default();
    if size.is_null() {
        return Err(unprocessable("You specified an invalid size for Droplet creation."));
    }
    if droplet["status"] != "off" {
        return Err(unprocessable("Droplet must be powered off to be resized"));
    }
    if size["disk"].as_i64() < droplet["disk"].as_i64() {
        return Err(unprocessable("This size is not available because it has a smaller disk."));
    }
    let size = size["slug"].as_str().unwrap_or_default().to_owned();
    Ok(Effect::Resize { droplet: id.to_owned(), size, disk })
}

pub(super) fn resized(world: &mut World, id: &str, slug: &str, disk: bool) {
    let size = catalogue::size(slug);
    world.change("droplets", id, |droplet| {
        for member in ["memory", "vcpus"] {
            droplet[member] = size[member].clone();
        }
        if disk {
            droplet["disk"] = size["disk"].clone();
        }
        droplet["size_slug"] = json!(slug);
        droplet["size"] = size;
    });
}

pub(super) fn backups(world: &mut World, id: &str, on: bool) {
    world.change("droplets", id, |droplet| {
        if let Some(features) = droplet["features"].as_array_mut() {
            features.retain(|feature| feature != "backups");
            if on {
                features.push(json!("backups"));
            }
        }
    });
}

/// What hangs on a droplet, with what it costs a month.
fn associated(world: &World, id: &str) -> Value {
    let one = |id: &Value, name: &Value| json!({"id": id, "name": name, "cost": "4.00"});
    let ips = world.all("reserved_ips").filter(|(_, ip)| ip["_droplet"] == id);
    let ips: Vec<_> = ips.map(|(_, ip)| one(&ip["ip"], &ip["ip"])).collect();
    let of = |kind: &'static str, fits: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        let found = world.all(kind).filter(|(_, thing)| fits(thing));
        found.map(|(id, thing)| one(&json!(id), &thing["name"])).collect()
    };
    let volumes = of("volumes", &|volume| is_id(&volume["droplet_ids"][0], id));
    let mine = |one: &Value| volumes.iter().any(|volume| volume["id"] == one["resource_id"]);
    json!({
        "reserved_ips": ips, "floating_ips": ips,
        "snapshots": of("snapshots", &|one| one["resource_id"] == id), "volumes": volumes,
        "volume_snapshots": of("snapshots", &mine)
    })
}

/// Where a droplet of this number is in a network of this range.
fn private(range: &str, number: u64) -> Value {
    let parts = range.split_once('/').unwrap_or((range, "20"));
    let network = parts.0.parse().map_or(0, |address: Ipv4Addr| address.to_bits());
    // The API has networks of 16 to 28 bits.
    let hosts = 1_u32 << (32 - parts.1.parse().unwrap_or(20).clamp(16, 28));
    let nth = u32::try_from(number % u64::from(hosts - 3)).unwrap_or_default();
    let [address, gateway, mask] =
        [network + 2 + nth, network + 1, !(hosts - 1)].map(|bits| Ipv4Addr::from(bits).to_string());
    json!({"ip_address": address, "netmask": mask, "gateway": gateway, "type": "private"})
}

/// A droplet has booted: it has addresses and its volumes.
pub(super) fn boot(world: &mut World, id: &str) {
    let number = id.parse::<u64>().unwrap_or_default();
    let (high, low) = (number / 250 % 250, number % 250 + 1);
    let network = world.get("droplets", id).and_then(|droplet| droplet["vpc_uuid"].as_str());
    let network = network.and_then(|network| world.get("vpcs", network));
    let range = network.and_then(|network| network["ip_range"].as_str()).unwrap_or_default();
    let v4 = json!([
        private(range, number),
        {"ip_address": format!("203.0.{high}.{low}"), "netmask": "255.255.240.0",
         "gateway": "203.0.0.1", "type": "public"}
    ]);
    let mut attached = Vec::new();
    world.change("droplets", id, |droplet| {
        droplet["status"] = json!("active");
        droplet["locked"] = json!(false);
        droplet["networks"]["v4"] = v4;
        if droplet["features"].as_array().is_some_and(|all| all.contains(&json!("ipv6"))) {
            droplet["networks"]["v6"] = json!([{
                "ip_address": format!("2a03:b0c0:3:d0::{number:x}"), "netmask": 64,
                "gateway": "2a03:b0c0:3:d0::1", "type": "public"
            }]);
        }
        if let Value::Array(volumes) = droplet["_volumes"].take() {
            attached = volumes;
        }
    });
    for volume in attached.iter().filter_map(Value::as_str) {
        volumes::attach(world, volume, id);
    }
}

/// A droplet is gone: what hung on it is free.
pub(super) fn gone(world: &mut World, id: &str) {
    let on_it = |volume: &Value| is_id(&volume["droplet_ids"][0], id);
    let volumes: Vec<String> = world
        .all("volumes")
        .filter(|(_, volume)| on_it(volume))
        .map(|(id, _)| id.clone())
        .collect();
    for volume in volumes {
        world.change("volumes", &volume, |volume| volume["droplet_ids"] = json!([]));
    }
    let assigned = |ip: &Value| ip["_droplet"] == id;
    let ips: Vec<String> = world
        .all("reserved_ips")
        .filter(|(_, ip)| assigned(ip))
        .map(|(ip, _)| ip.clone())
        .collect();
    for ip in ips {
        world.change("reserved_ips", &ip, |ip| ip["_droplet"] = Value::Null);
    }
}
