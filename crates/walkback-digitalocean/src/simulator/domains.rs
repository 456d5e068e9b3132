//! Domains and their records.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Said, not_found, unprocessable};
use crate::simulator::world::{World, public};

/// What every domain is made with.
const SERVERS: [&str; 3] = ["ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com"];

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    if let [name, "records", rest @ ..] = rest {
        return of_records(world, call, name, rest);
    }
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("domains", world.listed("domains", call)))),
        (Method::Post, []) => {
            let name = call.text("name")?;
            if !name.contains('.') || name.contains(' ') {
                return Err(unprocessable("Name Only valid domain names are allowed."));
            }
            if world.get("domains", name).is_some() {
                return Err(unprocessable("Name already exists"));
            }
            let domain = json!({"name": name, "ttl": 1_800, "zone_file": ""});
            world.put("domains", name, domain.clone(), call.now);
            for server in SERVERS {
                let body = json!({"type": "NS", "name": "@", "data": server});
                add(world, name, &body, call.now);
            }
            Ok((201, json!({ "domain": domain })))
        }
        (Method::Get, [name]) => {
            let mut domain = public(world.must("domains", name)?);
            let member =
                |record: &Value, name: &str| record[name].as_str().unwrap_or("@").to_owned();
            let lines = records(world, name).map(|(_, record)| {
                let (kind, data) = (member(record, "type"), member(record, "data"));
                format!("{}\t{}\tIN\t{kind}\t{data}\n", member(record, "name"), record["ttl"])
            });
            domain["zone_file"] = json!(format!("$ORIGIN {name}.\n{}", lines.collect::<String>()));
            Ok((200, json!({ "domain": domain })))
        }
        (Method::Delete, [name]) => {
            world.remove("domains", name).ok_or_else(not_found)?;
            let of_it: Vec<String> = records(world, name).map(|(id, _)| id.clone()).collect();
            for id in &of_it {
                world.remove("records", id);
            }
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// The records of a domain, by id.
fn records<'a>(world: &'a World, domain: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let domain = domain.to_owned();
    world.all("records").filter(move |(_, record)| record["_domain"] == domain)
}

fn add(world: &mut World, domain: &str, body: &Value, now: i64) -> Value {
    let id = world.number();
    let or_null = |name: &str| body.get(name).cloned().unwrap_or_default();
    let data = body["data"].as_str().unwrap_or_default().trim_end_matches('.');
    let record = json!({
        "id": id, "type": body["type"], "name": body["name"], "data": data,
        "ttl": body["ttl"].as_i64().unwrap_or(1_800), "priority": or_null("priority"),
        "port": or_null("port"), "weight": or_null("weight"), "flags": or_null("flags"),
        "tag": or_null("tag"), "_domain": domain
    });
    world.put("records", &id.to_string(), record.clone(), now);
    public(&record)
}

fn of_records(world: &mut World, call: &Call<'_>, domain: &str, rest: &[&str]) -> Said {
    world.must("domains", domain)?;
    let own = |world: &World, id: &str| {
        let record = world.get("records", id).filter(|record| record["_domain"] == domain);
        record.map(public).ok_or_else(not_found)
    };
    match (call.method, rest) {
        (Method::Get, []) => {
            let fits = |record: &Value| {
                let kind = call.query.get("type").is_none_or(|kind| record["type"] == *kind);
                let full = match record["name"].as_str() {
                    Some("@") | None => domain.to_owned(),
                    Some(name) => format!("{name}.{domain}"),
                };
                kind && call.query.get("name").is_none_or(|name| *name == full)
            };
            let of_it = records(world, domain).map(|(_, record)| record);
            let shown = of_it.filter(|record| fits(record)).map(public).collect();
            Ok((200, call.page("domain_records", shown)))
        }
        (Method::Post, []) => {
            call.text("type")?;
            call.text("data")?;
            let record = add(world, domain, call.body, call.now);
            Ok((201, json!({ "domain_record": record })))
        }
        (Method::Get, [id]) => Ok((200, json!({"domain_record": own(world, id)?}))),
        (Method::Put | Method::Patch, [id]) => {
            own(world, id)?;
            for (name, value) in call.body.as_object().into_iter().flatten() {
                world.change("records", id, |record| record[name] = value.clone());
            }
            Ok((200, json!({"domain_record": own(world, id)?})))
        }
        (Method::Delete, [id]) => {
            own(world, id)?;
            world.remove("records", id);
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}
