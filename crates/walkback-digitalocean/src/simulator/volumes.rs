//! Volumes: unique by name and region, on one droplet at a time.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, Said, conflict, not_found, unprocessable};
use crate::simulator::world::{Effect, World, is_id, moment, public};
use crate::simulator::{Settings, catalogue, snapshots, tags};

pub(super) fn answer(
    world: &mut World,
    call: &Call<'_>,
    rest: &[&str],
    settings: &mut Settings,
) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => {
            let fits = |volume: &Value| {
                let is = |name: &str, value: &Value| {
                    call.query.get(name).is_none_or(|wanted| value == wanted)
                };
                is("name", &volume["name"]) && is("region", &volume["region"]["slug"])
            };
            let mut volumes = world.listed("volumes", call);
            volumes.retain(fits);
            Ok((200, call.page("volumes", volumes)))
        }
        (Method::Post, []) => create(world, call, settings.volume_limit),
        (Method::Delete, []) => {
            let id = named(world, call.query.get("name"), call.query.get("region"))?;
            answer(world, call, &[&id], settings)
        }
        (Method::Post, ["actions"]) => {
            let text = |name: &str| call.body[name].as_str().map(str::to_owned);
            let id = named(world, text("volume_name").as_ref(), text("region").as_ref())?;
            act(world, call, &id, &mut settings.errored_actions)
        }
        (Method::Get, [id]) => Ok((200, json!({"volume": public(world.must("volumes", id)?)}))),
        (Method::Delete, [id]) => {
            let attached = world.must("volumes", id)?["droplet_ids"] != json!([]);
            if attached || world.busy(id) {
                return Err(conflict("Volume is attached to a Droplet and can not be deleted"));
            }
            world.remove("volumes", id);
            Ok((204, Value::Null))
        }
        (Method::Get, [id, "actions"]) => {
            world.must("volumes", id)?;
            Ok((200, call.page("actions", world.actions_of(id))))
        }
        (Method::Get, [id, "actions", action]) => {
            Ok((200, json!({"action": world.action_of(id, action)?})))
        }
        (Method::Get, [id, "snapshots"]) => {
            world.must("volumes", id)?;
            Ok((200, snapshots::of(world, call, id)))
        }
        (Method::Post, [id, "snapshots"]) => snapshots::of_volume(world, call, id),
        (Method::Post, [id, "actions"]) => act(world, call, id, &mut settings.errored_actions),
        _ => Err(not_found()),
    }
}

/// The volume of this name in this region.
fn named(world: &World, name: Option<&String>, region: Option<&String>) -> Result<String, Refusal> {
    let is_it = |volume: &Value| {
        let here = region.is_none_or(|region| volume["region"]["slug"] == *region);
        here && name.is_some_and(|name| volume["name"] == *name)
    };
    let mut found = world.all("volumes").filter(|(_, volume)| is_it(volume));
    found.next().map(|(id, _)| id.clone()).ok_or_else(not_found)
}

fn create(world: &mut World, call: &Call<'_>, limit: usize) -> Said {
    if world.all("volumes").count() >= limit {
        return Err(unprocessable("creating this would exceed your volume limit"));
    }
    let (name, region) = (call.text("name")?, call.text("region")?);
    let size = call.body["size_gigabytes"].as_i64().filter(|size| (1..=16_384).contains(size));
    let size = size.ok_or_else(|| unprocessable("size_gigabytes must be between 1 and 16384"))?;
    if catalogue::region(region).is_null() {
        return Err(unprocessable("region is invalid"));
    }
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !first || name.len() > 64 || !name.chars().all(lower) {
        return Err(unprocessable("name must begin with a letter and have a-z, 0-9 and - only"));
    }
    let same = |volume: &Value| volume["name"] == name && volume["region"]["slug"] == region;
    if world.all("volumes").any(|(_, volume)| same(volume)) {
        return Err(conflict("a volume with this name already exists in this region"));
    }
    let tagged = call.texts("tags");
    tagged.iter().try_for_each(|tag| tags::ensure(world, tag, call.now))?;
    let id = world.uuid();
    let volume = json!({
        "id": id, "name": name, "region": catalogue::region(region), "size_gigabytes": size,
        "description": call.body["description"].as_str().unwrap_or_default(), "droplet_ids": [],
        "created_at": moment(call.now), "tags": tagged,
        "filesystem_type": call.body["filesystem_type"].as_str().unwrap_or_default(),
        "filesystem_label": ""
    });
    world.put("volumes", &id, volume.clone(), call.now);
    Ok((201, json!({ "volume": volume })))
}

fn act(world: &mut World, call: &Call<'_>, id: &str, errs: &mut u32) -> Said {
    let volume = world.must("volumes", id)?.clone();
    let droplet = call.body["droplet_id"].to_string();
    let attached = volume["droplet_ids"].as_array().is_some_and(|ids| !ids.is_empty());
    let on_it = is_id(&volume["droplet_ids"][0], &droplet);
    if world.busy(id) {
        return Err(unprocessable("The volume has a pending event."));
    }
    let kind = call.text("type")?;
    let effect = match kind {
        "attach" => {
            let found = world.must("droplets", &droplet)?;
            if attached {
                return Err(unprocessable("This volume is already attached"));
            }
            if found["region"]["slug"] != volume["region"]["slug"] {
                return Err(unprocessable("volume and droplet must be in the same region"));
            }
            world.must_be_idle(&droplet)?;
            Effect::Attach { volume: id.to_owned(), droplet }
        }
        "detach" if !on_it => return Err(unprocessable("Attachment not found")),
        "detach" => Effect::Detach { volume: id.to_owned() },
        "resize" => {
            let size = call.body["size_gigabytes"].as_i64().unwrap_or_default();
            if size <= volume["size_gigabytes"].as_i64().unwrap_or_default() {
                return Err(unprocessable("volumes can only grow"));
            }
            Effect::Grow { volume: id.to_owned(), size }
        }
        _ => return Err(unprocessable("type is invalid")),
    };
    let named = format!("{kind}_volume");
    let action = world.act(call, (&named, "backend", id), Takes::Attach, errs, effect);
    Ok((202, json!({ "action": action })))
}

pub(super) fn attach(world: &mut World, volume: &str, droplet: &str) {
    if world.get("droplets", droplet).is_none() {
        return;
    }
    let id: Value = droplet.parse::<u64>().map_or(Value::Null, |id| json!(id));
    world.change("volumes", volume, |volume| volume["droplet_ids"] = json!([id]));
    world.change("droplets", droplet, |droplet| {
        let ids = droplet["volume_ids"].as_array_mut();
        if let Some(ids) = ids.filter(|ids| !ids.contains(&json!(volume))) {
            ids.push(json!(volume));
        }
    });
}

pub(super) fn detach(world: &mut World, volume: &str) {
    world.change("volumes", volume, |volume| volume["droplet_ids"] = json!([]));
    let droplets: Vec<String> = world.all("droplets").map(|(id, _)| id.clone()).collect();
    for droplet in droplets {
        world.change("droplets", &droplet, |droplet| {
            if let Some(ids) = droplet["volume_ids"].as_array_mut() {
                ids.retain(|id| id != volume);
            }
        });
    }
}
