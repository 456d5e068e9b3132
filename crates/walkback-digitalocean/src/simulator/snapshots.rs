//! Snapshots of droplets and volumes: they outlive what they were taken of.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Said, conflict, not_found};
use crate::simulator::tags;
use crate::simulator::world::{World, moment, public};

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => {
            let mut all = world.listed("snapshots", call);
            let kind = call.query.get("resource_type");
            all.retain(|one| kind.is_none_or(|kind| one["resource_type"] == *kind));
            Ok((200, call.page("snapshots", all)))
        }
        (Method::Get, [id]) => Ok((200, json!({"snapshot": public(world.must("snapshots", id)?)}))),
        (Method::Delete, [id]) => {
            world.remove("snapshots", id).ok_or_else(not_found)?;
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// Those of a thing, as its own list shows them.
pub(super) fn of(world: &World, call: &Call<'_>, id: &str) -> Value {
    let mut own = world.listed("snapshots", call);
    own.retain(|one| one["resource_id"] == id);
    // A droplet's list has them as images.
    if call.at.first() == Some(&"droplets") {
        for one in &mut own {
            let id = one["id"].as_str().and_then(|id| id.parse::<u64>().ok());
            one["id"] = json!(id);
            one["type"] = json!("snapshot");
        }
    }
    call.page("snapshots", own)
}

pub(super) fn of_volume(world: &mut World, call: &Call<'_>, volume: &str) -> Said {
    let name = call.text("name")?;
    let of_volume = |one: &Value| one["resource_type"] == "volume" && one["name"] == name;
    if world.all("snapshots").any(|(_, one)| of_volume(one)) {
        return Err(conflict("a snapshot of this name already exists"));
    }
    let found = world.must("volumes", volume)?.clone();
    let tagged = call.texts("tags");
    tagged.iter().try_for_each(|tag| tags::ensure(world, tag, call.now))?;
    let id = world.uuid();
    let size = &found["size_gigabytes"];
    let snapshot = json!({
        "id": id, "name": name, "created_at": moment(call.now), "tags": tagged,
        "regions": [found["region"]["slug"]], "min_disk_size": size, "size_gigabytes": size,
        "resource_id": volume, "resource_type": "volume"
    });
    world.put("snapshots", &id, snapshot.clone(), call.now);
    Ok((201, json!({ "snapshot": public(&snapshot) })))
}

/// A droplet's snapshot is there.
pub(super) fn of_droplet(world: &mut World, droplet: &str, name: &str, now: i64) {
    let Some(found) = world.get("droplets", droplet).cloned() else { return };
    let id = world.number().to_string();
    let snapshot = json!({
        "id": id, "name": name, "created_at": moment(now), "tags": [],
        "regions": [found["region"]["slug"]], "min_disk_size": found["disk"],
        "size_gigabytes": 2.0, "resource_id": droplet, "resource_type": "droplet"
    });
    world.put("snapshots", &id, snapshot, now);
    let number = id.parse::<u64>().unwrap_or_default();
    world.change("droplets", droplet, |droplet| {
        droplet["snapshot_ids"].as_array_mut().into_iter().for_each(|ids| ids.push(json!(number)));
    });
}
