//! Sites on a simulated account, as somebody new sees them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::desk::{Desk, Ran};
use crate::running::Running;

const SITE: &str = r#"{"name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "volume_gib": 1}"#;

/// How many things of each kind the simulated account has.
fn things(desk: &Desk) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(desk.path().join("walkback.db-cloud.json")).unwrap();
    let account: Value = serde_json::from_str(&text).unwrap();
    let shelves = account["shelves"].as_object().unwrap();
    let counts =
        shelves.iter().map(|(kind, shelf)| (kind.clone(), shelf.as_object().unwrap().len()));
    counts.filter(|(kind, count)| kind != "actions" && *count > 0).collect()
}

/// What is there of the account itself: its default project and network.
fn bare() -> BTreeMap<String, usize> {
    [("projects".to_owned(), 1), ("vpcs".to_owned(), 1)].into()
}

fn whole() -> BTreeMap<String, usize> {
    let made = [
        ("droplets", 1),
        ("firewalls", 1),
        ("projects", 2),
        ("reserved_ips", 1),
        ("tags", 3),
        ("volumes", 1),
        ("vpcs", 2),
    ];
    made.map(|(kind, count)| (kind.to_owned(), count)).into()
}

#[test]
fn a_site_is_provisioned_shown_and_rolled_back() {
    let desk = Desk::new();
    let ran = desk.run(&["run", "provision", "--input", SITE, "--simulate"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for said in ["exists now", "  droplet ", "address        198.51.", "cost_per_hour  0.0089"] {
        assert!(ran.out.contains(said), "expected `{said}` in {ran:?}");
    }
    assert_eq!(things(&desk), whole());
    let rows = desk.run(&["provisioned", "--json"]).json();
    let kinds: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    let id = rows[0]["saga_id"].as_str().unwrap();
    assert_eq!(desk.run(&["rollback", id]).code, 0);
    assert_eq!(desk.run(&["work", "--until-idle", "--simulate"]).code, 0);
    assert_eq!(desk.run(&["show", id, "--json"]).json()["status"], "rolled_back");
    assert_eq!(things(&desk), bare());
    assert_eq!(desk.run(&["provisioned", "--json"]).json(), json!([]));
    assert_eq!(desk.run(&["verify"]).code, 0);
}

#[test]
fn a_site_is_made_once_though_its_process_is_killed_again_and_again() {
    let desk = Desk::new();
    let started = desk.run(&["start", "provision", "--input", SITE, "--json"]);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    let show = || desk.run(&["show", &id, "--json"]).json();
    let (mut kills, mut seen) = (0, 0);
    loop {
        let worker = Running::begin(&desk, &["work", "--simulate"]);
        let saga = loop {
            let saga = show();
            let at = saga["current_step_idx"].as_u64().unwrap();
            if saga["status"] == "completed" || at > seen + 5 {
                seen = at;
                break saga;
            }
        };
        worker.signal("KILL");
        worker.end();
        kills += 1;
        if saga["status"] == "completed" {
            break;
        }
        assert!(["pending", "running"].contains(&saga["status"].as_str().unwrap()), "{saga}");
    }
    assert!(kills >= 3, "killed {kills} times");
    assert_eq!(things(&desk), whole());
    assert_eq!(desk.run(&["verify"]).code, 0);
}

#[test]
fn what_cannot_be_ordered_is_said_before_anything_is_made() {
    let desk = Desk::new();
    let refused = |order: &str, args: &[&str], code: i32, said: &[&str]| {
        let args = [&["run", "provision", "--input", order][..], args].concat();
        let ran: Ran = desk.command(&args).output().unwrap().into();
        assert_eq!(ran.code, code, "{ran:?}");
        let told = format!("{}{}", ran.out, ran.err);
        assert!(said.iter().all(|said| told.contains(said)), "expected {said:?} in {ran:?}");
    };
    let order =
        r#"{"name": "Shop 1", "region": "fra1", "size": "s", "count": 99, "colour": "red"}"#;
    refused(order, &["--simulate"], 2, &["`name`", "`count`", "colour"]);
    let order = r#"{"name": "shop", "region": "mars1", "size": "huge", "ssh_keys": ["7"]}"#;
    let mistakes =
        ["region `mars1` is unknown: expected one of ams3,", "size `huge`", "SSH key `7`"];
    refused(order, &["--simulate"], 1, &mistakes);
    refused(SITE, &[], 1, &["there is no account: set DIGITALOCEAN_TOKEN, or say --simulate"]);
    let nowhere = ["--digitalocean-token", "x", "--digitalocean-api-url", "nowhere"];
    refused(SITE, &nowhere, 2, &["`nowhere` is no URL"]);
    assert_eq!(desk.run(&["provisioned", "--json"]).json(), json!([]));
}
