//! Images: those that everybody has, snapshots of droplets, and what the account has brought itself.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Refusal, Said, not_found, unprocessable};
use crate::simulator::world::{World, moment, public};
use crate::simulator::{Takes, catalogue, tags};

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("images", listed(world, call)))),
        (Method::Post, []) => bring(world, call),
        (Method::Get, [named]) => {
            let image = named_image(world, &json!(named)).ok_or_else(not_found)?;
            Ok((200, json!({ "image": image })))
        }
        (Method::Put, [id]) => {
            let (kind, name) = (own(world, id)?, call.text("name")?);
            world.change(kind, id, |image| image["name"] = json!(name));
            Ok((200, json!({"image": named_image(world, &json!(id))})))
        }
        (Method::Delete, [id]) => {
            world.remove(own(world, id)?, id);
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// The image of this slug or id.
pub(super) fn named_image(world: &World, named: &Value) -> Option<Value> {
    let known = catalogue::image(named);
    if !known.is_null() {
        return Some(known);
    }
    let id = named.as_str().map_or_else(|| named.to_string(), str::to_owned);
    let brought = world.get("images", &id).map(public);
    let snapshot = || world.get("snapshots", &id).filter(|one| is_of_droplet(one)).map(of_snapshot);
    brought.or_else(snapshot)
}

/// The shelf of an image that is the account's own: what everybody has is not changed.
fn own(world: &World, id: &str) -> Result<&'static str, Refusal> {
    if world.get("images", id).is_some() {
        return Ok("images");
    }
    let taken = world.get("snapshots", id).is_some_and(is_of_droplet);
    if taken { Ok("snapshots") } else { Err(not_found()) }
}

fn listed(world: &World, call: &Call<'_>) -> Vec<Value> {
    let taken = world.listed("snapshots", call).into_iter().filter(is_of_droplet);
    let taken = taken.map(|one| of_snapshot(&one));
    let mut own: Vec<Value> = world.listed("images", call).into_iter().chain(taken).collect();
    if call.query.get("private").is_none_or(|only| only != "true") {
        own.extend(catalogue::images());
    }
    let base = |image: &Value| image["type"] == "base";
    match call.query.get("type").map(String::as_str) {
        Some("distribution") => own.retain(base),
        // There are none with a program.
        Some("application") => own.clear(),
        _ => {}
    }
    own.retain(|image| call.query.get("tag_name").is_none_or(|tag| tags::carries(image, tag)));
    own
}

/// An image that is fetched from somewhere: accepted, there after a while.
fn bring(world: &mut World, call: &Call<'_>) -> Said {
    let (name, url, region) = (call.text("name")?, call.text("url")?, call.text("region")?);
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(unprocessable("url is invalid"));
    }
    if catalogue::region(region).is_null() {
        return Err(unprocessable("region is invalid"));
    }
    let tagged = call.texts("tags");
    tagged.iter().try_for_each(|tag| tags::ensure(world, tag, call.now))?;
    let number = world.number();
    let id = number.to_string();
    let of = |member: &str, or: &str| call.body[member].as_str().unwrap_or(or).to_owned();
    let image = json!({
        "id": number, "name": name, "type": "custom", "distribution": of("distribution", "Unknown"),
        "slug": null, "public": false, "regions": [], "created_at": moment(call.now),
        "min_disk_size": 0, "size_gigabytes": 0, "description": of("description", ""),
        "tags": tagged, "status": "NEW", "error_message": ""
    });
    world.put("images", &id, image.clone(), call.now);
    let there = json!({
        "status": "available", "regions": [region], "min_disk_size": 10, "size_gigabytes": 1.5
    });
    world.becomes(call, Takes::Snapshot, "images", &id, there);
    Ok((202, json!({ "image": image })))
}

fn is_of_droplet(snapshot: &Value) -> bool {
    snapshot["resource_type"] == "droplet"
}

fn of_snapshot(snapshot: &Value) -> Value {
    let id = snapshot["id"].as_str().and_then(|id| id.parse::<u64>().ok());
    json!({
        "id": id, "name": snapshot["name"], "type": "snapshot",
        "distribution": "Ubuntu", "slug": null, "public": false, "regions": snapshot["regions"],
        "created_at": snapshot["created_at"], "min_disk_size": snapshot["min_disk_size"],
        "size_gigabytes": snapshot["size_gigabytes"], "description": "", "tags": [],
        "status": "available", "error_message": ""
    })
}
