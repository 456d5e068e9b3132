//! Database clusters: there after minutes, their names and places free a while after they are deleted.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, Said, conflict, not_found, unprocessable};
use crate::simulator::world::{World, moment, public};
use crate::simulator::{catalogue, projects, tags};

const ENGINES: [(&str, &str, u16); 4] = [
    ("pg", "17", 25_060),
    ("mysql", "8", 25_060),
    ("valkey", "8", 25_061),
    ("mongodb", "7", 27_017),
];

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    match (call.method, rest) {
        (Method::Get, []) => {
            let mut found = world.listed("databases", call);
            let tag = call.query.get("tag_name");
            found.retain(|cluster| tag.is_none_or(|tag| tags::carries(cluster, tag)));
            // This list has no pages.
            Ok((200, json!({ "databases": found })))
        }
        (Method::Post, []) => create(world, call),
        (Method::Get, ["options"]) => Ok((200, options())),
        (Method::Get, [id]) => Ok((200, json!({"database": public(world.must("databases", id)?)}))),
        (Method::Delete, [id]) => {
            world.must("databases", id)?;
            world.leave(call, "databases", id, Takes::DatabaseGone);
            Ok((204, Value::Null))
        }
        (_, [id, part, rest @ ..]) => {
            let status = &world.must("databases", id)?["status"];
            if call.method != Method::Get && status != "online" {
                return Err(Refusal::new(412, "cluster is not online"));
            }
            of_parts(world, call, id, part, rest)
        }
        _ => Err(not_found()),
    }
}

fn options() -> Value {
    let layouts: Vec<_> = (1..=3)
        .map(|nodes| json!({"num_nodes": nodes, "sizes": catalogue::database_sizes()}))
        .collect();
    let of = |version: &str| json!({"regions": catalogue::slugs(), "versions": [version], "layouts": layouts});
    let engines = ENGINES.map(|(engine, version, _)| (engine.to_owned(), of(version)));
    json!({"options": engines.into_iter().collect::<serde_json::Map<_, _>>()})
}

fn create(world: &mut World, call: &Call<'_>) -> Said {
    let (name, engine) = (call.text("name")?, call.text("engine")?);
    let (size, region) = (call.text("size")?, call.text("region")?);
    let Some((_, version, port)) = ENGINES.iter().find(|known| known.0 == engine) else {
        return Err(unprocessable("invalid engine"));
    };
    if catalogue::region(region).is_null() {
        return Err(unprocessable("invalid region"));
    }
    if !catalogue::database_sizes().contains(&size) {
        return Err(unprocessable("invalid size"));
    }
    let nodes = call.body["num_nodes"].as_i64().filter(|nodes| (1..=3).contains(nodes));
    let nodes = nodes.ok_or_else(|| unprocessable("invalid number of nodes"))?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(3..=63).contains(&name.len()) || !name.chars().all(fits) {
        return Err(unprocessable("invalid cluster name"));
    }
    check_fork(world, call, engine)?;
    let named = |(_, cluster): (&String, &Value)| cluster["name"] == name;
    if world.all("databases").any(named) || world.leaving("databases").any(named) {
        return Err(unprocessable("cluster name is not available"));
    }
    let network = call.said("private_network_uuid");
    if let Some(id) = network {
        let here = world.get("vpcs", id).filter(|vpc| vpc["region"] == region);
        here.ok_or_else(|| unprocessable("private network is not found in this region"))?;
    }
    let tagged = call.texts("tags");
    tagged.iter().try_for_each(|tag| tags::ensure(world, tag, call.now))?;
    let id = world.uuid();
    let host = format!("{name}-do-user-1-0.db.ondigitalocean.com");
    let connection = json!({
        "protocol": engine, "uri": format!("{engine}://doadmin:s3cr3t-{id}@{host}:{port}/defaultdb"),
        "database": "defaultdb", "host": host, "port": port, "user": "doadmin",
        "password": format!("s3cr3t-{id}"), "ssl": true
    });
    let cluster = json!({
        "id": id, "name": name, "engine": engine, "version": version, "num_nodes": nodes,
        "size": size, "region": region, "status": "creating", "created_at": moment(call.now),
        "private_network_uuid": network.unwrap_or_default(), "tags": tagged,
        "db_names": ["defaultdb"], "connection": connection, "private_connection": connection,
        "users": [{"name": "doadmin", "role": "primary", "password": format!("s3cr3t-{id}")}],
        "project_id": projects::of(call), "storage_size_mib": 10_240, "_rules": []
    });
    world.put("databases", &id, cluster.clone(), call.now);
    if call.body["rules"].is_array() {
        trust(world, call, &id)?;
    }
    world.becomes(call, Takes::Database, "databases", &id, json!({"status": "online"}));
    Ok((201, json!({ "database": public(&cluster) })))
}

/// Whether the cluster that the call restores can be: it is there and has a backup.
fn check_fork(world: &World, call: &Call<'_>, engine: &str) -> Result<(), Refusal> {
    let Some(forked) = call.body["backup_restore"]["database_name"].as_str() else { return Ok(()) };
    let forked = world.all("databases").find(|(_, cluster)| cluster["name"] == forked);
    let (_, forked) = forked.ok_or_else(|| unprocessable("cluster to restore is not found"))?;
    if engine == "valkey" || forked["engine"] != engine {
        return Err(unprocessable("cluster to restore has no backups of this engine"));
    }
    if forked["status"] != "online" {
        return Err(Refusal::new(412, "cluster has no backup yet"));
    }
    Ok(())
}

/// Whoever the call names may reach the cluster, and nobody else.
fn trust(world: &mut World, call: &Call<'_>, id: &str) -> Result<(), Refusal> {
    let mut rules = call.body["rules"].as_array().cloned().unwrap_or_default();
    for rule in &mut rules {
        if rule["type"].as_str().is_none() || rule["value"].as_str().is_none() {
            return Err(unprocessable("invalid firewall rule"));
        }
        rule["uuid"] = json!(world.uuid());
        rule["cluster_uuid"] = json!(id);
        rule["created_at"] = json!(moment(call.now));
    }
    world.change("databases", id, |cluster| cluster["_rules"] = json!(rules));
    Ok(())
}

/// Databases and users in a cluster, who may reach it, how large it is.
fn of_parts(world: &mut World, call: &Call<'_>, id: &str, part: &str, rest: &[&str]) -> Said {
    match (call.method, part, rest) {
        (Method::Put, "resize", []) => {
            let size = call.text("size")?;
            let nodes = call.body["num_nodes"].clone();
            let to = json!({"status": "online", "size": size, "num_nodes": nodes});
            world.change("databases", id, |cluster| cluster["status"] = json!("resizing"));
            world.becomes(call, Takes::Database, "databases", id, to);
            Ok((202, Value::Null))
        }
        (Method::Get, "firewall", []) => {
            let rules = world.must("databases", id)?["_rules"].clone();
            Ok((200, json!({ "rules": rules })))
        }
        (Method::Put, "firewall", []) => {
            trust(world, call, id)?;
            Ok((204, Value::Null))
        }
        (_, "dbs" | "users", _) if world.must("databases", id)?["engine"] == "valkey" => {
            Err(unprocessable("Valkey has no databases and users that could be managed"))
        }
        (_, "dbs", rest) => of_names(world, call, id, ("db_names", "db", "dbs"), rest),
        (_, "users", rest) => of_names(world, call, id, ("users", "user", "users"), rest),
        _ => Err(not_found()),
    }
}

/// A list of things by name inside a cluster.
fn of_names(
    world: &mut World,
    call: &Call<'_>,
    id: &str,
    (member, one, many): (&str, &str, &str),
    rest: &[&str],
) -> Said {
    let list = world.must("databases", id)?[member].as_array().cloned().unwrap_or_default();
    let shown = |thing: &Value| match thing {
        Value::String(name) => json!({ "name": name }),
        thing => thing.clone(),
    };
    let named = |name: &str| list.iter().position(|thing| shown(thing)["name"] == name);
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, json!({many: list.iter().map(shown).collect::<Vec<_>>()}))),
        (Method::Post, []) => {
            let name = call.text("name")?;
            if named(name).is_some() {
                return Err(conflict(format!("{one} name is not available: already exists")));
            }
            let fresh = if member == "users" {
                json!({"name": name, "role": "normal", "password": format!("s3cr3t-{name}")})
            } else {
                json!(name)
            };
            let answer = json!({one: shown(&fresh)});
            world.change("databases", id, |cluster| {
                cluster[member]
                    .as_array_mut()
                    .into_iter()
                    .for_each(|list| list.push(fresh.clone()));
            });
            Ok((201, answer))
        }
        (Method::Get, [name]) => {
            let at = named(name).ok_or_else(not_found)?;
            Ok((200, json!({one: shown(&list[at])})))
        }
        (Method::Delete, [name]) => {
            let at = named(name).ok_or_else(not_found)?;
            world.change("databases", id, |cluster| {
                cluster[member].as_array_mut().into_iter().for_each(|list| drop(list.remove(at)));
            });
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// What keeps a private network in use: clusters in it, those that have just been deleted included.
pub(super) fn inside<'a>(world: &'a World, vpc: &'a str) -> impl Iterator<Item = Value> + 'a {
    let all = world.all("databases").chain(world.leaving("databases"));
    all.filter(move |(_, cluster)| cluster["private_network_uuid"] == vpc).map(|(id, cluster)| {
        json!({"urn": format!("do:dbaas:{id}"), "name": cluster["name"], "created_at": cluster["created_at"]})
    })
}
