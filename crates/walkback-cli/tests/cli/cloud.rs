//! Sites on a simulated account, as somebody new sees them.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::sync::Arc;

use serde_json::{Value, json};
use walkback::clock::SystemClock;
use walkback_digitalocean::Simulator;

use crate::desk::{Desk, Ran};
use crate::neighbour;
use crate::running::Running;

const SITE: &str = r#"{"name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "volume_gib": 1}"#;

/// Where the simulated account of a desk is kept, and what another tenant had in it before.
const ACCOUNT: &str = "walkback.db-cloud.json";
const BEFORE: &str = "neighbour.json";

/// Everything in the account, by kind and id.
type Shelves = BTreeMap<String, BTreeMap<String, Value>>;

/// What is kept in the account of this file.
fn shelves(desk: &Desk) -> Shelves {
    // It is kept from the first change on.
    let Ok(text) = std::fs::read_to_string(desk.path().join(ACCOUNT)) else {
        return Shelves::new();
    };
    let account: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(account["shelves"].clone()).unwrap()
}

/// A desk in whose account another tenant lives, with names that look like ours.
fn shared() -> Desk {
    let desk = Desk::new();
    let cloud = Simulator::kept_in(Arc::new(SystemClock), &desk.path().join(ACCOUNT)).unwrap();
    neighbour::settle(&cloud);
    // What it has begun is over.
    while cloud.things()["load_balancers"][0]["status"] != "active" {}
    let mut before = shelves(&desk);
    before.remove("actions");
    // The account's own are no tenant's.
    let is_own = |thing: &Value| thing["is_default"] == true || thing["default"] == true;
    for shelf in before.values_mut() {
        shelf.retain(|_, thing| !is_own(thing));
    }
    std::fs::write(desk.path().join(BEFORE), json!(before).to_string()).unwrap();
    desk
}

/// How many things of each kind the simulated account has; another tenant's do not count, and are as they were.
fn things(desk: &Desk) -> BTreeMap<String, usize> {
    let mut shelves = shelves(desk);
    let before = std::fs::read_to_string(desk.path().join(BEFORE));
    let before: Shelves =
        before.map_or(Shelves::new(), |text| serde_json::from_str(&text).unwrap());
    for (kind, id, was) in
        before.iter().flat_map(|(kind, shelf)| shelf.iter().map(move |(id, was)| (kind, id, was)))
    {
        let is = shelves.get_mut(kind).and_then(|shelf| shelf.remove(id));
        assert_eq!(is.as_ref(), Some(was), "{kind} {id} is another tenant's");
    }
    let counts = shelves.into_iter().map(|(kind, shelf)| (kind, shelf.len()));
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
    let cost = ["cost_per_hour    0.0089", "cost_leaves_out  volume"];
    for said in ["exists now", "  droplet ", "address          198.51.", cost[0], cost[1]] {
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

/// A site that was made after the backup of its store: what becomes of it when the store is set back, and
/// somebody says `then` of its saga.
fn set_back(then: &str) -> (Desk, Value) {
    let desk = Desk::new();
    let started = desk.run(&["start", "provision", "--input", SITE, "--json"]);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(desk.run(&["backup", "copy.db"]).code, 0);
    assert_eq!(desk.run(&["work", "--until-idle", "--simulate"]).code, 0);
    assert_eq!(things(&desk), whole());
    for file in ["walkback.db-wal", "walkback.db-shm"] {
        std::fs::remove_file(desk.path().join(file)).ok();
    }
    std::fs::rename(desk.path().join("copy.db"), desk.path().join("walkback.db")).unwrap();
    let asked = desk.run(&["restored"]);
    assert_eq!(
        (asked.code, &*asked.err),
        (2, "error: 1 saga would be parked: say --yes to do it\n")
    );
    let parked = desk.run(&["restored", "--yes", "--reason", "a burnt disk", "--json"]);
    assert_eq!((parked.code, parked.json()), (0, json!({"parked": 1})));
    let needs = desk.run(&["attention"]);
    assert!(needs.out.contains("set back to a backup"), "{needs:?}");
    assert_eq!(desk.run(&[then, &id]).code, 0);
    let work = desk.run(&["work", "--until-idle", "--simulate"]);
    assert_eq!(work.code, 0, "{work:?}");
    assert_eq!(desk.run(&["verify"]).code, 0);
    let saga = desk.run(&["show", &id, "--json"]).json();
    (desk, saga)
}

#[test]
fn what_a_saga_made_since_its_backup_is_adopted() {
    let (desk, saga) = set_back("resume");
    assert_eq!(saga["status"], "completed", "{saga}");
    assert_eq!(things(&desk), whole());
    assert_eq!(desk.run(&["provisioned", "--json"]).json().as_array().unwrap().len(), 6);
}

#[test]
fn what_a_saga_made_since_its_backup_is_taken_back() {
    let (desk, saga) = set_back("cancel");
    assert_eq!(saga["status"], "rolled_back", "{saga}");
    assert_eq!(things(&desk), bare());
}

/// A process that is killed once the saga of this order has come to this of so many steps, and one that goes on
/// until there is what was ordered.
fn killed_at(order: &str, step: usize, steps: usize, whole: &BTreeMap<String, usize>) {
    let desk = shared();
    let started = desk.run(&["start", "provision", "--input", order, "--json"]);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    let worker = Running::begin(&desk, &["work", "--simulate"]);
    loop {
        let saga = desk.run(&["show", &id, "--json"]).json();
        assert!(["pending", "running", "completed"].contains(&saga["status"].as_str().unwrap()));
        assert_eq!(saga["steps"].as_array().unwrap().len(), steps);
        let begun = saga["steps"][step]["started_at"].is_string();
        if begun {
            break;
        }
    }
    worker.signal("KILL");
    worker.end();
    assert_eq!(desk.run(&["work", "--until-idle", "--simulate"]).code, 0);
    let saga = desk.run(&["show", &id, "--json"]).json();
    assert_eq!(saga["status"], "completed", "killed at step {step}: {saga}");
    assert_eq!(things(&desk), *whole, "killed at step {step}");
    assert_eq!(desk.run(&["verify"]).code, 0, "killed at step {step}");
}

#[test]
fn a_site_is_made_once_at_whichever_step_its_process_is_killed() {
    // They mostly wait: an outcome that is not known is looked for when lists surely show it.
    std::thread::scope(|scope| {
        for (order, steps, whole) in [(SITE, 13, whole()), (EVERYTHING, 24, everything())] {
            for step in 0..steps {
                let whole = whole.clone();
                scope.spawn(move || killed_at(order, step, steps, &whole));
            }
        }
    });
}

/// An order with everything, and the calls that create what it comes to.
const EVERYTHING: &str = r#"{
    "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "volume_gib": 1,
    "domain": "shop.example.com", "database_engine": "pg", "load_balancer": true,
    "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
}"#;
const CREATES: [&str; 12] = [
    "account/keys",
    "certificates",
    "databases",
    "domains",
    "domains/shop.example.com/records",
    "droplets",
    "firewalls",
    "load_balancers",
    "projects",
    "tags",
    "volumes",
    "vpcs",
];

/// What there is when that has been made.
fn everything() -> BTreeMap<String, usize> {
    let kinds = CREATES.map(|create| create.split('/').next().unwrap());
    let mut whole: BTreeMap<String, usize> = kinds.map(|kind| (kind.to_owned(), 1)).into();
    whole.remove("account");
    let more = [("ssh_keys", 1), ("records", 4), ("tags", 4), ("projects", 2), ("vpcs", 2)];
    whole.extend(more.map(|(kind, count)| (kind.to_owned(), count)));
    whole
}

/// A served account on which the next such call goes wrong, an order on it, and what it came to: how many
/// things of each kind.
fn ordered(fault: &str, create: &str) -> (Ran, BTreeMap<String, usize>) {
    let desk = shared();
    let serve = ["simulate", "--listen", "127.0.0.1:0", "--token", "t", "--speed", "60", "--json"];
    let mut command = desk.command(&[&serve[..], &["--state", ACCOUNT]].concat());
    let mut server = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufReader::new(server.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let url: Value = serde_json::from_str(&said).unwrap();
    let url = url["url"].as_str().unwrap();
    let wrong = json!({"fail_next": format!("{fault} POST /v2/{create}")});
    assert_eq!(asked(url, "POST", "/_sim/set", &wrong.to_string()), json!({"changed": true}));
    let order = ["run", "provision", "--input", EVERYTHING, "--digitalocean-token", "t"];
    let ran = desk.run(&[&order[..], &["--digitalocean-api-url", url]].concat());
    assert_eq!(desk.run(&["verify"]).code, 0, "{fault} {create}");
    server.kill().unwrap();
    server.wait().unwrap();
    (ran, things(&desk))
}

/// What the served account says to that, over plain HTTP.
fn asked(url: &str, method: &str, path: &str, body: &str) -> Value {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn a_create_whose_answer_is_lost_makes_one_and_one_that_is_refused_leaves_nothing() {
    let whole = everything();
    std::thread::scope(|scope| {
        for create in CREATES {
            let whole = &whole;
            scope.spawn(move || {
                let (ran, things) = ordered("lost", create);
                assert_eq!((ran.code, &things), (0, whole), "lost {create}: {ran:?}");
            });
            scope.spawn(move || {
                let (ran, things) = ordered("refused", create);
                let left = things.iter().any(|(kind, count)| bare().get(kind) != Some(count));
                assert!(ran.code == 1 && !left, "refused {create}: {things:?}: {ran:?}");
            });
        }
    });
}

/// Steps of orders, and a call that each makes and no other before it.
const OF_EVERYTHING: [(&str, &str); 22] = [
    ("check_order", "GET /v2/sizes"),
    ("create_project", "POST /v2/projects"),
    ("create_tag", "POST /v2/tags"),
    ("create_vpc", "POST /v2/vpcs"),
    ("create_firewall", "POST /v2/firewalls"),
    ("create_volume", "POST /v2/volumes"),
    ("ensure_ssh_key", "POST /v2/account/keys"),
    ("create_droplet", "POST /v2/droplets"),
    ("await_droplet", "GET /v2/droplets/*"),
    ("create_database", "POST /v2/databases"),
    ("await_database", "GET /v2/databases/*"),
    ("create_schema", "POST /v2/databases/*/dbs"),
    ("create_database_user", "POST /v2/databases/*/users"),
    ("trust_site", "PUT /v2/databases/*/firewall"),
    ("attach_volume", "POST /v2/volumes/*/actions"),
    ("create_load_balancer", "POST /v2/load_balancers"),
    ("await_load_balancer", "GET /v2/load_balancers/*"),
    ("ensure_domain", "POST /v2/domains"),
    ("create_record", "POST /v2/domains/*/records"),
    ("create_certificate", "POST /v2/certificates"),
    ("await_certificate", "GET /v2/certificates/*"),
    ("serve_https", "PUT /v2/load_balancers/*"),
];
const OF_SITE: [(&str, &str); 3] = [
    ("reserve_ip", "POST /v2/reserved_ips"),
    ("assign_ip", "POST /v2/reserved_ips/*/actions"),
    ("assign_project", "POST /v2/projects/*/resources"),
];

#[test]
fn a_failure_planted_at_any_step_walks_back_to_an_empty_account() {
    let fails_at = |order: &str, step: &str, call: &str| {
        let desk = shared();
        let planted = format!("fail_next=refused {call}");
        // The check of an order asks for what databases there are.
        let passes = "fail_next=ok GET /v2/databases/options";
        let knobs = ["--knob", passes, "--knob", &planted];
        let ran =
            desk.run(&[&["run", "provision", "--input", order, "--simulate"][..], &knobs].concat());
        let said = format!("(step_failed:{step}): nothing it made is left\n");
        assert!(ran.code == 1 && ran.out.contains(&said), "{step}: {ran:?}");
        let left = things(&desk);
        assert!(
            left.iter().all(|(kind, count)| bare().get(kind) == Some(count)),
            "{step}: {left:?}"
        );
        assert_eq!(desk.run(&["verify"]).code, 0, "{step}");
    };
    std::thread::scope(|scope| {
        for (order, steps) in [(EVERYTHING, &OF_EVERYTHING[..]), (SITE, &OF_SITE)] {
            for (step, call) in steps {
                scope.spawn(move || fails_at(order, step, call));
            }
        }
    });
}

#[test]
fn a_knob_that_is_none_is_named() {
    let desk = Desk::new();
    for (knob, said) in [
        ("droplet_limit", "expected NAME=VALUE"),
        ("droplets=3", "unknown variant `droplets`, expected one of `speed`"),
        ("droplet_limit=many", "`droplet_limit`: invalid type: string \"many\""),
        ("fail_next=lost POST", "expected such as `lost POST /v2/droplets`"),
        ("fail_next=200", "a status from 400 to 599"),
        ("fail_next=503 x0", "how often, if not once"),
        (r#"delay_seconds={"dropelt": 1}"#, "unknown variant `dropelt`, expected one of `app`"),
    ] {
        let ran = desk.run(&["run", "provision", "--input", SITE, "--simulate", "--knob", knob]);
        assert!(ran.code == 2 && ran.err.contains(said), "expected {said} in {ran:?}");
    }
    let real = ["--digitalocean-token", "t", "--knob", "droplet_limit=3"];
    let ran = desk.run(&[&["run", "provision", "--input", SITE][..], &real].concat());
    assert!(ran.code == 2 && ran.err.contains("--knob is for a simulated account"), "{ran:?}");
}

#[test]
fn a_site_is_suspended_resumed_and_removed_once_somebody_approves() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["run", "provision", "--input", SITE, "--simulate"]).code, 0);
    let id = desk.run(&["list", "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    let site = json!({ "site": id }).to_string();
    let run = |kind: &str| desk.run(&["run", kind, "--input", &site, "--simulate"]);
    let status = || {
        let text = std::fs::read_to_string(desk.path().join("walkback.db-cloud.json")).unwrap();
        let account: Value = serde_json::from_str(&text).unwrap();
        let droplets = account["shelves"]["droplets"].as_object().unwrap();
        droplets.values().next().unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!((run("suspend").code, status()), (0, "off".to_owned()));
    // What was suspended since is not rolled back, nor is that offered, and who did it is said.
    let refuses = |why: &str| {
        for asked in [&["rollback", &id][..], &["plan", "--cancel", &id]] {
            let refused = desk.run(asked);
            assert!(refused.code == 5 && refused.err.contains(why), "{asked:?}: {refused:?}");
        }
        let explained = desk.run(&["explain", &id]).out;
        assert!(explained.contains(why), "{explained}");
        assert!(!explained.contains("walkback rollback"), "{explained}");
    };
    refuses("by now owned by saga");
    assert_eq!((run("resume_service").code, status()), (0, "active".to_owned()));
    let offboard = json!({"site": id, "grace": "0s"}).to_string();
    let started = desk.run(&["start", "offboard", "--input", &offboard, "--json"]);
    let leaving = started.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(desk.run(&["work", "--until-idle", "--simulate"]).code, 0);
    assert!(desk.run(&["explain", &leaving]).out.contains("`approve` waits for an approval"));
    assert_eq!(status(), "off");
    assert_eq!(desk.run(&["approve", &leaving]).code, 0);
    assert_eq!(desk.run(&["work", "--until-idle", "--simulate"]).code, 0);
    assert_eq!(desk.run(&["show", &leaving, "--json"]).json()["status"], "completed");
    assert_eq!(things(&desk), bare());
    assert_eq!(desk.run(&["provisioned", "--json"]).json(), json!([]));
    // A site that is gone is none any more, and nothing of it can be undone.
    refuses("was removed by saga");
    let gone = run("suspend");
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.out.contains("has nothing in the account that is still wanted"), "{gone:?}");
}

#[test]
fn what_exists_is_looked_at_and_what_was_left_is_named() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["run", "provision", "--input", SITE, "--simulate"]).code, 0);
    let sync = || desk.run(&["sync", "--simulate", "--json"]).json()["observed"].clone();
    let seen = sync();
    assert_eq!((&seen["seen"], &seen["missing"]), (&json!(8), &json!(0)), "{seen}");
    let resources = |flag: &str| desk.run(&["resources", flag, "--json"]).json();
    assert_eq!(resources("--live").as_array().unwrap().len(), 6);
    assert_eq!(resources("--residue"), json!([]));
    let table = desk.run(&["resources"]).out;
    for said in ["KIND", "default-fra1", "droplet", "fra1"] {
        assert!(table.contains(said), "{table}");
    }
    // The account says that a volume is deleted, and it lives on.
    let file = desk.path().join("walkback.db-cloud.json");
    let account =
        || -> Value { serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap() };
    let volumes = account()["shelves"]["volumes"].clone();
    let id = desk.run(&["list", "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(desk.run(&["rollback", &id]).code, 0);
    assert_eq!(desk.run(&["work", "--until-idle", "--simulate"]).code, 0);
    let mut after = account();
    after["shelves"]["volumes"] = volumes;
    std::fs::write(&file, after.to_string()).unwrap();
    assert_eq!(resources("--residue"), json!([]), "nothing is known of it before the next look");
    sync();
    let left = resources("--residue");
    assert_eq!((left.as_array().unwrap().len(), &left[0]["kind"]), (1, &json!("volume")), "{left}");
    assert_eq!(left[0]["made_by"], json!(id));
    let nowhere = desk.run(&["sync"]);
    assert_eq!(nowhere.code, 4, "{nowhere:?}");
    assert!(nowhere.err.contains("nothing is synced: GET /v2/vpcs: 401 unauthorized: there is no"));
}

#[test]
fn a_plan_says_what_will_exist_and_what_it_costs() {
    let desk = Desk::new();
    let planned = desk.run(&["plan", "provision", "--input", SITE, "--simulate"]);
    assert_eq!(planned.code, 0, "{planned:?}");
    let said = "costs 0.0089 dollars an hour for droplets; the API has no price for volume";
    assert!(planned.out.contains(said), "{planned:?}");
    assert!(planned.out.contains("1 droplet, 1 firewall, 1 project, 1 reserved ip"), "{planned:?}");
    let order = r#"{"name": "shop", "region": "mars1", "size": "huge"}"#;
    let refused = desk.run(&["plan", "provision", "--input", order, "--simulate"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("region `mars1` is unknown"), "{refused:?}");
    let blind = desk.run(&["plan", "provision", "--input", order]);
    assert_eq!(blind.code, 0, "without an account nobody is asked: {blind:?}");
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
    let order = r#"{"name": "Shop 1", "region": "fra1", "size": "s", "count": 99, "colour": "red",
            "domain": "no domain", "ssh_public_key": "garbage", "database_engine": "kafka"}"#;
    let mistakes =
        ["`name`", "`count`", "colour", "`domain`", "`ssh_public_key`", "`database_engine`"];
    refused(order, &["--simulate"], 2, &mistakes);
    let order = r#"{"name": "shop", "region": "mars1", "size": "huge", "ssh_keys": ["7"]}"#;
    let mistakes =
        ["region `mars1` is unknown: expected one of ams3,", "size `huge`", "SSH key `7`"];
    refused(order, &["--simulate"], 1, &mistakes);
    refused(SITE, &[], 4, &["there is no account: set DIGITALOCEAN_TOKEN, or say --simulate"]);
    let nowhere = ["--digitalocean-token", "x", "--digitalocean-api-url", "nowhere"];
    refused(SITE, &nowhere, 2, &["`nowhere` is no URL"]);
    assert_eq!(desk.run(&["provisioned", "--json"]).json(), json!([]));
}

#[test]
fn a_worker_without_an_account_leaves_sites_to_others() {
    let desk = Desk::new();
    let work = Running::begin(&desk, &["work"]);
    assert!(work.first.contains("without an account"), "{}", work.first);
    let site = desk.run(&["start", "provision", "--input", SITE]).out.trim().to_owned();
    // What comes later it has done, so that it has seen the site.
    let other = desk.run(&["start", "--steps", "echo"]).out.trim().to_owned();
    assert_eq!(desk.run(&["watch", &other]).code, 0);
    assert_eq!(desk.run(&["show", &site, "--json"]).json()["status"], "pending");
    work.signal("TERM");
    work.end();
    assert_eq!(desk.run(&["work", "--until-idle", "--simulate"]).code, 0);
    assert_eq!(desk.run(&["show", &site, "--json"]).json()["status"], "completed");
}
