//! Load balancers: one change at a time, and an address once they are active.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, Said, not_found, unprocessable};
use crate::simulator::world::{World, moment, public};
use crate::simulator::{catalogue, projects, vpcs};

/// What can be set, with what it is when nothing is said.
fn defaults() -> Value {
    json!({
        "forwarding_rules": [], "droplet_ids": [], "tag": "", "algorithm": "round_robin",
        "size_unit": 1, "redirect_http_to_https": false, "enable_proxy_protocol": false,
        "enable_backend_keepalive": false, "vpc_uuid": "", "disable_lets_encrypt_dns_records": false,
        "sticky_sessions": {"type": "none"}, "http_idle_timeout_seconds": 60,
        "health_check": {
            "protocol": "http", "port": 80, "path": "/", "check_interval_seconds": 10,
            "response_timeout_seconds": 5, "unhealthy_threshold": 5, "healthy_threshold": 3
        }
    })
}

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    let one = |world: &World, id: &str| {
        Ok::<_, Refusal>(json!({"load_balancer": public(world.must("load_balancers", id)?)}))
    };
    match (call.method, rest) {
        (Method::Get, []) => {
            let all = world.listed("load_balancers", call);
            Ok((200, call.page("load_balancers", all)))
        }
        (Method::Post, []) => {
            let mut document = document(world, call, None)?;
            let id = world.uuid();
            document["project_id"] = json!(projects::of(call));
            document["created_at"] = json!(moment(call.now));
            document["status"] = json!("new");
            document["id"] = json!(id);
            let number = world.number();
            let ip = format!("192.0.{}.{}", number / 250 % 250, number % 250 + 1);
            world.put("load_balancers", &id, document, call.now);
            let to = json!({"status": "active", "ip": ip, "_busy": false});
            world.becomes(call, Takes::LoadBalancer, "load_balancers", &id, to);
            Ok((202, one(world, &id)?))
        }
        (Method::Get, [id]) => Ok((200, one(world, id)?)),
        (Method::Put, [id]) => {
            must_be_idle(world, id)?;
            let document = document(world, call, Some(id))?;
            set(world, call, id, &document);
            Ok((200, one(world, id)?))
        }
        (Method::Post | Method::Delete, [id, part @ ("droplets" | "forwarding_rules")]) => {
            let before = must_be_idle(world, id)?;
            let member = if *part == "droplets" { "droplet_ids" } else { part };
            let changed = json!({ member: call.amended(&before[member], member)? });
            if *part != "droplets" {
                check_rules(world, &changed[member])?;
            } else if has_tag(before) {
                let message = "droplets cannot be added to a load balancer with a tag";
                return Err(unprocessable(message));
            }
            set(world, call, id, &changed);
            Ok((204, Value::Null))
        }
        (Method::Delete, [id]) => {
            world.must("load_balancers", id)?;
            world.leave(call, "load_balancers", id, Takes::LoadBalancerGone);
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

fn must_be_idle<'a>(world: &'a World, id: &str) -> Result<&'a Value, Refusal> {
    let balancer = world.must("load_balancers", id)?;
    if balancer["status"] == "new" || balancer["_busy"] == true {
        let message = "Load Balancer can't be updated while it processes previous actions";
        return Err(Refusal::new(403, message));
    }
    Ok(balancer)
}

fn has_tag(balancer: &Value) -> bool {
    balancer["tag"].as_str().is_some_and(|tag| !tag.is_empty())
}

/// Sets these members, and is busy with it for a while.
fn set(world: &mut World, call: &Call<'_>, id: &str, members: &Value) {
    world.change("load_balancers", id, |balancer| {
        for (name, value) in members.as_object().into_iter().flatten() {
            balancer[name] = value.clone();
        }
        balancer["_busy"] = json!(true);
    });
    let idle = json!({"_busy": false});
    world.becomes(call, Takes::LoadBalancerChange, "load_balancers", id, idle);
}

/// There is one at least, and certificates that they name are verified.
fn check_rules(world: &World, rules: &Value) -> Result<(), Refusal> {
    let rules = rules.as_array().filter(|rules| !rules.is_empty());
    let none = || unprocessable("forwarding_rules must have at least one rule");
    for rule in rules.ok_or_else(none)? {
        if let Some(id) = rule["certificate_id"].as_str().filter(|id| !id.is_empty()) {
            let found = world.get("certificates", id);
            let found = found.filter(|found| found["state"] == "verified");
            found.ok_or_else(|| unprocessable("certificate is not found or not verified"))?;
        }
    }
    Ok(())
}

/// The whole document that the call sets; what it leaves out is reset.
fn document(world: &mut World, call: &Call<'_>, own: Option<&str>) -> Result<Value, Refusal> {
    let (name, region) = (call.text("name")?, call.text("region")?);
    let others = world.all("load_balancers").filter(|(id, _)| Some(id.as_str()) != own);
    if others.into_iter().any(|(_, other)| other["name"] == name) {
        return Err(unprocessable("name is not unique"));
    }
    if catalogue::region(region).is_null() {
        return Err(unprocessable("region is invalid"));
    }
    let mut document = defaults();
    for (member, value) in call.body.as_object().into_iter().flatten() {
        if document.get(member).is_some() {
            document[member] = value.clone();
        }
    }
    check_rules(world, &document["forwarding_rules"])?;
    let has_droplets = document["droplet_ids"].as_array().is_some_and(|ids| !ids.is_empty());
    if has_tag(&document) && has_droplets {
        return Err(unprocessable("only one of tag and droplet_ids may be given"));
    }
    document["name"] = json!(name);
    document["region"] = catalogue::region(region);
    if document["vpc_uuid"] == "" {
        document["vpc_uuid"] = json!(vpcs::default_of(world, region, call.now));
    }
    Ok(document)
}

/// Load balancers that use this certificate, one that was just deleted included.
pub(super) fn use_certificate(world: &World, id: &str) -> bool {
    let uses = |rule: &Value| rule["certificate_id"] == id;
    let mut all = world.all("load_balancers").chain(world.leaving("load_balancers"));
    all.any(|(_, one)| one["forwarding_rules"].as_array().is_some_and(|r| r.iter().any(uses)))
}

/// What keeps a private network in use.
pub(super) fn inside<'a>(world: &'a World, vpc: &'a str) -> impl Iterator<Item = Value> + 'a {
    let all = world.all("load_balancers").chain(world.leaving("load_balancers"));
    all.filter(move |(_, one)| one["vpc_uuid"] == vpc).map(|(id, one)| {
        json!({"urn": format!("do:loadbalancer:{id}"), "name": one["name"], "created_at": one["created_at"]})
    })
}
