//! Apps: a deployment for every change of their specification.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, Said, conflict, not_found, unprocessable};
use crate::simulator::projects;
use crate::simulator::world::{World, moment, public};

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    let one =
        |world: &World, id: &str| world.must("apps", id).map(|app| json!({"app": public(app)}));
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("apps", world.listed("apps", call)))),
        (Method::Post, ["propose"]) => {
            let spec = spec(world, call, None)?;
            let proposal = json!({
                "app_name_available": true, "existing_static_apps": "0",
                "max_free_static_apps": "3", "spec": spec, "app_cost": 5.0
            });
            Ok((200, proposal))
        }
        (Method::Post, []) => {
            let spec = spec(world, call, None)?;
            let id = world.uuid();
            let name = spec["name"].as_str().unwrap_or_default();
            let host = format!("{name}-{}.ondigitalocean.app", world.number());
            let app = json!({
                "id": id, "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7", "spec": spec,
                "default_ingress": format!("https://{host}"), "live_url": format!("https://{host}"),
                "live_domain": host, "created_at": moment(call.now), "updated_at": moment(call.now),
                "project_id": projects::of(call)
            });
            world.put("apps", &id, app, call.now);
            deploy(world, call, &id);
            Ok((200, one(world, &id)?))
        }
        (Method::Get, [id]) => Ok((200, one(world, id)?)),
        (Method::Put, [id]) => {
            world.must("apps", id)?;
            let spec = spec(world, call, Some(id))?;
            world.change("apps", id, |app| {
                app["spec"] = spec;
                app["updated_at"] = json!(moment(call.now));
            });
            deploy(world, call, id);
            Ok((200, one(world, id)?))
        }
        (Method::Delete, [id]) => {
            world.remove("apps", id).ok_or_else(not_found)?;
            Ok((200, json!({ "id": id })))
        }
        (Method::Get, [id, "deployments"]) => {
            let app = world.must("apps", id)?;
            let places = ["in_progress_deployment", "active_deployment"];
            let found = places.iter().map(|place| app[*place].clone());
            let found = found.filter(|deployment| !deployment.is_null()).collect();
            Ok((200, call.page("deployments", found)))
        }
        (Method::Get, [id, "deployments", named]) => {
            let app = world.must("apps", id)?;
            let places = ["in_progress_deployment", "active_deployment"];
            let found = places.iter().map(|place| &app[*place]).find(|found| found["id"] == *named);
            Ok((200, json!({"deployment": found.ok_or_else(not_found)?})))
        }
        _ => Err(not_found()),
    }
}

/// The specification that the call brings.
fn spec(world: &World, call: &Call<'_>, own: Option<&str>) -> Result<Value, Refusal> {
    let spec = &call.body["spec"];
    let name = spec["name"].as_str().unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(2..=32).contains(&name.len()) || !name.chars().all(fits) {
        return Err(unprocessable("spec.name is invalid"));
    }
    let mut others = world.all("apps").filter(|(id, _)| Some(id.as_str()) != own);
    if others.any(|(_, app)| app["spec"]["name"] == name) {
        return Err(conflict("an app of this name already exists"));
    }
    Ok(spec.clone())
}

/// A change is under way until its deployment is active.
fn deploy(world: &mut World, call: &Call<'_>, id: &str) {
    let deployment = world.uuid();
    let phase = |phase: &str| {
        json!({
            "id": deployment, "phase": phase, "cause": "app spec updated",
            "created_at": moment(call.now), "updated_at": moment(call.now)
        })
    };
    world.change("apps", id, |app| app["in_progress_deployment"] = phase("BUILDING"));
    let mut to = json!({"active_deployment": phase("ACTIVE")});
    to["in_progress_deployment"] = Value::Null;
    world.becomes(call, Takes::App, "apps", id, to);
}
