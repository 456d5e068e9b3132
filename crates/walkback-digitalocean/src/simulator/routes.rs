//! Which call goes to which resource.

use serde_json::json;

use crate::client::Method;
use crate::simulator::call::{Call, Said, not_found};
use crate::simulator::world::{World, public};
use crate::simulator::{
    Settings, account, apps, certificates, databases, domains, droplets, firewalls, images, keys,
    load_balancers, projects, reserved_ips, snapshots, spaces, tags, volumes, vpcs,
};

/// What is said to a call.
pub(super) fn answer(world: &mut World, call: &Call<'_>, settings: &mut Settings) -> Said {
    let Some((first, rest)) = call.at.split_first() else { return Err(not_found()) };
    if is_hidden(world, call) {
        return Err(not_found());
    }
    match *first {
        "account" if rest.first() == Some(&"keys") => keys::answer(world, call, &rest[1..]),
        "account" | "regions" | "sizes" => account::answer(call, settings),
        "actions" => actions(world, call, rest),
        "apps" => apps::answer(world, call, rest),
        "cdn" if rest.first() == Some(&"endpoints") => spaces::endpoints(world, call, &rest[1..]),
        "certificates" => certificates::answer(world, call, rest),
        "databases" => databases::answer(world, call, rest),
        "domains" => domains::answer(world, call, rest),
        "droplets" => droplets::answer(world, call, rest, settings),
        "firewalls" => firewalls::answer(world, call, rest),
        "images" => images::answer(world, call, rest),
        "load_balancers" => load_balancers::answer(world, call, rest),
        "projects" => projects::answer(world, call, rest),
        "reserved_ips" | "floating_ips" => reserved_ips::answer(world, call, first, rest, settings),
        "snapshots" => snapshots::answer(world, call, rest),
        "spaces" if rest.first() == Some(&"keys") => spaces::keys(world, call, &rest[1..]),
        "tags" => tags::answer(world, call, rest),
        "volumes" => volumes::answer(world, call, rest, settings),
        "vpcs" => vpcs::answer(world, call, rest),
        _ => Err(not_found()),
    }
}

/// Whether what is asked for, or is to be removed, is too new to be found by its id. Tags and keys of
/// Spaces are found at once.
fn is_hidden(world: &World, call: &Call<'_>) -> bool {
    if !matches!(call.method, Method::Get | Method::Delete) {
        return false;
    }
    match call.at.as_slice() {
        ["account", "keys", named] => {
            keys::find(world, named).is_some_and(|id| world.is_hidden("ssh_keys", &id, call))
        }
        ["cdn", "endpoints", id] => world.is_hidden("endpoints", id, call),
        ["domains", _, "records", id] => world.is_hidden("records", id, call),
        [kind, id] if *kind != "tags" => world.is_hidden(kind, id, call),
        _ => false,
    }
}

fn actions(world: &World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("actions", world.listed("actions", call)))),
        (Method::Get, [id]) => Ok((200, json!({"action": public(world.must("actions", id)?)}))),
        _ => Err(not_found()),
    }
}
