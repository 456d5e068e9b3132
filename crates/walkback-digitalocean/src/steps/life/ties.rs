//! What knows a droplet by what it loses when it is made again: its id and its own addresses; and what would
//! go with it.

use serde_json::Value;

use crate::client::{ApiError, Client};
use crate::steps::life::shelve::Facts;
use crate::steps::life::{Kind, Thing};
use crate::steps::named::text;

/// Whether something in there is this id, or one of these addresses.
fn mentions(value: &Value, id: u64, own: &[&str]) -> bool {
    match value {
        Value::Number(number) => number.as_u64() == Some(id),
        Value::String(text) => *text == id.to_string() || own.contains(&text.as_str()),
        Value::Array(values) => values.iter().any(|value| mentions(value, id, own)),
        Value::Object(members) => members.values().any(|value| mentions(value, id, own)),
        _ => false,
    }
}

/// What knows this droplet by its id or its own address, both of which it loses: now, or when it is no
/// longer suspended; and what would go with it.
pub(super) fn own(things: &[Thing], (facts, droplet): &(Facts, Value)) -> Vec<String> {
    let id = facts.droplet_id;
    let networks = [&droplet["networks"]["v4"], &droplet["networks"]["v6"]];
    let own = networks.into_iter().filter_map(Value::as_array).flatten();
    let own: Vec<&str> = own.filter_map(|address| address["ip_address"].as_str()).collect();
    let mut ties = Vec::new();
    for thing in things {
        let name = thing.name.as_deref().unwrap_or(&thing.id);
        let kind = match thing.kind {
            Kind::Firewall => "firewall",
            Kind::Database => "database",
            Kind::DomainRecord => "record",
            Kind::LoadBalancer => {
                let by_id = mentions(&thing.state["droplet_ids"], id, &[]);
                if by_id && text(&thing.state, "tag").is_empty() {
                    ties.push(format!("load balancer `{name}` knows droplet {id} by its id"));
                }
                continue;
            }
            _ => continue,
        };
        let before = thing.before_suspension().unwrap_or_default();
        if mentions(&thing.state, id, &own) || mentions(&before, id, &own) {
            ties.push(format!("{kind} `{name}` knows droplet {id} by its id or its own address"));
        }
    }
    if let Some(backups) = droplet["backup_ids"].as_array().filter(|ids| !ids.is_empty()) {
        let count = backups.len();
        ties.push(format!("droplet {id} has {count} backups, which would go with it"));
    }
    let missing = facts.missing();
    if !missing.is_empty() {
        ties.push(format!("droplet {id} is said to have no {}", missing.join(", no ")));
    }
    ties
}

/// What in the account, but is not the site's, knows one of these droplets by its id.
pub(super) async fn others(
    cloud: &Client,
    things: &[Thing],
    droplets: &[(Facts, Value)],
) -> Result<Vec<String>, ApiError> {
    let mut ties = Vec::new();
    for (kind, many, called) in [
        (Kind::Firewall, "firewalls", "firewall"),
        (Kind::LoadBalancer, "load_balancers", "load balancer"),
    ] {
        let all: Vec<Value> = cloud.list(&format!("/v2/{many}"), many).await?;
        for other in all {
            let own = |thing: &Thing| thing.kind == kind && thing.id == text(&other, "id");
            // A balancer that knows droplets by a tag says which ones it has found.
            if things.iter().any(own) || !text(&other, "tag").is_empty() {
                continue;
            }
            for (facts, _) in droplets {
                let id = facts.droplet_id;
                let members = ["droplet_ids", "inbound_rules", "outbound_rules"];
                if members.iter().any(|member| mentions(&other[member], id, &[])) {
                    let name = text(&other, "name");
                    ties.push(format!(
                        "{called} `{name}`, not the site's, knows droplet {id} by its id"
                    ));
                }
            }
        }
    }
    Ok(ties)
}
