//! What visitors of a site see: whether anything at its address answers.

use serde_json::{Value, json};

use crate::client::Page;
use crate::simulator::tags;
use crate::simulator::world::World;

/// The status of the page, if something at the address is on and let be reached.
pub(super) fn answer(world: &World, page: &Page, status: u16) -> Result<u16, String> {
    let address = json!(page.address.to_string());
    let port: u16 = if page.scheme == "https" { 443 } else { 80 };
    let balancer = world.all("load_balancers").map(|(_, balancer)| balancer);
    let balancer = balancer.into_iter().find(|balancer| balancer["ip"] == address);
    if let Some(balancer) = balancer {
        let rules = balancer["forwarding_rules"].as_array().into_iter().flatten();
        if !rules.into_iter().any(|rule| rule["entry_port"] == port) {
            return Err(format!("{address}: connection refused at port {port}"));
        }
        // It answers for droplets that do not.
        let behind = droplets(world).any(|droplet| serves(balancer, droplet) && is_on(droplet));
        return Ok(if behind { status } else { 503 });
    }
    let assigned = world.all("reserved_ips").find(|(_, ip)| ip["ip"] == address);
    let found = match assigned {
        Some((_, ip)) => ip["_droplet"].as_str().and_then(|id| world.get("droplets", id)),
        None => droplets(world).find(|droplet| has_address(droplet, &address)),
    };
    match found.filter(|droplet| is_on(droplet) && is_open(world, droplet, port)) {
        Some(_) => Ok(status),
        None => Err(format!("{address}: timed out at port {port}")),
    }
}

fn droplets(world: &World) -> impl Iterator<Item = &Value> {
    world.all("droplets").map(|(_, droplet)| droplet)
}

fn is_on(droplet: &Value) -> bool {
    droplet["status"] == "active"
}

fn serves(balancer: &Value, droplet: &Value) -> bool {
    let named = balancer["droplet_ids"].as_array();
    named.is_some_and(|ids| ids.contains(&droplet["id"]))
        || balancer["tag"].as_str().is_some_and(|tag| tags::carries(droplet, tag))
}

fn has_address(droplet: &Value, address: &Value) -> bool {
    let addresses = droplet["networks"]["v4"].as_array().into_iter().flatten();
    addresses.into_iter().any(|one| one["type"] == "public" && one["ip_address"] == *address)
}

/// Whether a firewall lets visitors in, or there is none.
fn is_open(world: &World, droplet: &Value, port: u16) -> bool {
    let port = port.to_string();
    let firewalls = super::firewalls::of_droplet(world, droplet);
    let lets_in = |firewall: &Value| {
        let rules = firewall["inbound_rules"].as_array().into_iter().flatten();
        rules.into_iter().any(|rule| rule["ports"] == port || rule["ports"] == "all")
    };
    firewalls.is_empty() || firewalls.iter().any(lets_in)
}
