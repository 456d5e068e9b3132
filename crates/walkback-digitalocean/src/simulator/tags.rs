//! Tags. One that is made again is the same; a droplet or volume that is made with new ones makes them.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Refusal, Said, not_found, unprocessable};
use crate::simulator::world::World;

/// Kinds that can be tagged, with the name under which tags count them.
const TAGGED: [(&str, &str, &str); 4] = [
    ("droplets", "droplet", "droplets"),
    ("volumes", "volume", "volumes"),
    ("databases", "database", "databases"),
    ("snapshots", "volume_snapshot", "volume_snapshots"),
];

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => {
            let names: Vec<String> = world.all("tags").map(|(name, _)| name.clone()).collect();
            let tags = names.iter().map(|name| shown(world, name)).collect();
            Ok((200, call.page("tags", tags)))
        }
        (Method::Post, []) => {
            let name = call.text("name")?;
            ensure(world, name, call.now)?;
            Ok((201, json!({"tag": shown(world, name)})))
        }
        (Method::Get, [name]) => {
            world.must("tags", name)?;
            Ok((200, json!({"tag": shown(world, name)})))
        }
        (Method::Delete, [name]) => {
            world.remove("tags", name).ok_or_else(not_found)?;
            for (kind, ..) in TAGGED {
                let ids: Vec<String> = world.all(kind).map(|(id, _)| id.clone()).collect();
                for id in &ids {
                    untag(world, kind, id, name);
                }
            }
            Ok((204, Value::Null))
        }
        (Method::Post | Method::Delete, [name, "resources"]) => {
            world.must("tags", name)?;
            for resource in call.body["resources"].as_array().into_iter().flatten() {
                let of = |(_, kind, _): &&(&str, &str, &str)| resource["resource_type"] == *kind;
                // A database has tags, and gets them only when it is made.
                let allowed = TAGGED.iter().find(of).filter(|(kind, ..)| *kind != "databases");
                let Some((kind, ..)) = allowed else {
                    return Err(unprocessable("invalid resource_type"));
                };
                let id = resource["resource_id"].as_str().unwrap_or_default();
                world.must(kind, id)?;
                untag(world, kind, id, name);
                if call.method == Method::Post {
                    world.change(kind, id, |thing| {
                        thing["tags"].as_array_mut().into_iter().for_each(|t| t.push(json!(name)));
                    });
                }
            }
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

fn untag(world: &mut World, kind: &str, id: &str, name: &str) {
    world.change(kind, id, |thing| {
        thing["tags"].as_array_mut().into_iter().for_each(|tags| tags.retain(|tag| tag != name));
    });
}

/// Whether the thing carries the tag.
pub(super) fn carries(thing: &Value, tag: &str) -> bool {
    thing["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)))
}

/// Makes a tag, unless it is there.
pub(super) fn ensure(world: &mut World, name: &str, now: i64) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    if name.is_empty() || name.len() > 255 || !name.chars().all(fits) {
        return Err(unprocessable(format!("tag name `{name}` is invalid")));
    }
    if world.get("tags", name).is_none() {
        world.put("tags", name, json!({"name": name}), now);
    }
    Ok(())
}

fn shown(world: &World, name: &str) -> Value {
    let count = |kind: &str| world.all(kind).filter(|(_, thing)| carries(thing, name)).count();
    let mut resources = json!({"count": 0, "imgages": {"count": 0}});
    let mut all = 0;
    for (kind, _, counted) in TAGGED {
        resources[counted] = json!({"count": count(kind)});
        all += count(kind);
    }
    resources["count"] = json!(all);
    json!({"name": name, "resources": resources})
}
