//! Projects: unique by name; what is in one keeps it.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Refusal, Said, not_found, unprocessable};
use crate::simulator::world::{World, moment, public};

/// The account's own project, which is always there.
const DEFAULT: &str = "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679";

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    if world.get("projects", DEFAULT).is_none() {
        let project = document(DEFAULT, "default", "", "", "Production", true, call.now);
        world.put("projects", DEFAULT, project, call.now);
    }
    let id = if rest.first() == Some(&"default") { DEFAULT } else { rest.first().unwrap_or(&"") };
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("projects", world.listed("projects", call)))),
        (Method::Post, []) => create(world, call),
        (Method::Get, [_]) => Ok((200, json!({"project": public(world.must("projects", id)?)}))),
        (Method::Put | Method::Patch, [_]) => {
            world.must("projects", id)?;
            for name in ["name", "description", "purpose", "environment"] {
                if let Some(text) = call.body.get(name).and_then(Value::as_str) {
                    world.change("projects", id, |project| project[name] = json!(text));
                }
            }
            Ok((200, json!({"project": public(world.must("projects", id)?)})))
        }
        (Method::Delete, [_]) => {
            world.must("projects", id)?;
            if !resources(world, id).is_empty() {
                return Err(Refusal::new(412, "cannot delete a project with resources"));
            }
            world.remove("projects", id);
            Ok((204, Value::Null))
        }
        (Method::Get, [_, "resources"]) => {
            world.must("projects", id)?;
            let urns = resources(world, id);
            let shown = urns.iter().map(|urn| resource(urn, "ok", call.now)).collect();
            Ok((200, call.page("resources", shown)))
        }
        (Method::Post, [_, "resources"]) => {
            world.must("projects", id)?;
            let urns = call.texts("resources");
            let assigned: Vec<_> =
                urns.iter().map(|urn| assign(world, urn, id, call.now)).collect();
            Ok((200, json!({ "resources": assigned })))
        }
        _ => Err(not_found()),
    }
}

fn create(world: &mut World, call: &Call<'_>) -> Said {
    let (name, purpose) = (call.text("name")?, call.text("purpose")?);
    if world.all("projects").any(|(_, project)| project["name"] == name) {
        return Err(unprocessable("name is already in use"));
    }
    let description = call.body["description"].as_str().unwrap_or_default();
    let environment = call.body["environment"].as_str().unwrap_or("Development");
    let id = world.uuid();
    let project = document(&id, name, description, purpose, environment, false, call.now);
    world.put("projects", &id, project.clone(), call.now);
    Ok((201, json!({ "project": project })))
}

fn document(
    id: &str,
    name: &str,
    description: &str,
    purpose: &str,
    environment: &str,
    is_default: bool,
    now: i64,
) -> Value {
    json!({
        "id": id, "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7", "owner_id": 258_992,
        "name": name, "description": description, "purpose": purpose, "environment": environment,
        "is_default": is_default, "created_at": moment(now), "updated_at": moment(now)
    })
}

/// The kind, and the shelf, of what a URN names.
fn shelf(urn: &str) -> Option<(&'static str, &str)> {
    let (kind, id) = urn.strip_prefix("do:")?.split_once(':')?;
    let shelf = match kind {
        "droplet" => "droplets",
        "volume" => "volumes",
        "domain" => "domains",
        "dbaas" => "databases",
        "loadbalancer" => "load_balancers",
        "app" => "apps",
        "floatingip" | "reservedip" => "reserved_ips",
        _ => return None,
    };
    Some((shelf, id))
}

/// Where a thing of this shelf has its project: shown, or known to us alone.
fn member(shelf: &str) -> &'static str {
    match shelf {
        "reserved_ips" | "databases" | "load_balancers" | "apps" => "project_id",
        _ => "_project",
    }
}

/// The project that the call wants the thing to be in.
pub(super) fn of(call: &Call<'_>) -> String {
    call.said("project_id").unwrap_or(DEFAULT).to_owned()
}

fn assign(world: &mut World, urn: &str, project: &str, now: i64) -> Value {
    let Some((kind, id)) = shelf(urn).filter(|(kind, id)| world.get(kind, id).is_some()) else {
        return resource(urn, "not_found", now);
    };
    let member = member(kind);
    let already = world.get(kind, id).is_some_and(|thing| thing[member] == project);
    world.change(kind, id, |thing| thing[member] = json!(project));
    resource(urn, if already { "already_assigned" } else { "assigned" }, now)
}

fn resources(world: &World, project: &str) -> Vec<String> {
    let kinds = [
        ("droplets", "droplet"),
        ("volumes", "volume"),
        ("domains", "domain"),
        ("reserved_ips", "floatingip"),
        ("databases", "dbaas"),
        ("load_balancers", "loadbalancer"),
        ("apps", "app"),
    ];
    let of_kind = |(shelf, kind): (&'static str, &'static str)| {
        let member = member(shelf);
        let inside = world.all(shelf).filter(move |(_, thing)| thing[member] == project);
        inside.map(move |(id, _)| format!("do:{kind}:{id}"))
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

fn resource(urn: &str, status: &str, now: i64) -> Value {
    let link = json!({"self": "https://api.digitalocean.com/v2/"});
    json!({"urn": urn, "assigned_at": moment(now), "links": link, "status": status})
}
