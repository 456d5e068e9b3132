//! What `provision` does about clouds that disappoint, and about things that are somebody else's by now.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use walkback::describe::SagaView;
use walkback::engine::Operation;
use walkback::{Order, Status};
use walkback_digitalocean::client::{Method, Request, Sent, Transport};
use walkback_digitalocean::simulator::{Settings, Takes};

use crate::stage::Stage;

/// Whether nothing is there but what every account has.
fn is_bare(stage: &Stage) -> bool {
    let own = |kind: &str| matches!(kind, "projects" | "vpcs");
    stage.cloud.things().iter().all(|(kind, things)| own(kind) && things.len() == 1)
}

/// Sets how a cloud disappoints.
type Disappoint = fn(&mut Settings);

/// The steps whose things are left, with the words of their errors.
fn left(saga: &SagaView) -> Vec<(&str, &str)> {
    saga.residue
        .iter()
        .map(|left| (&*left.step, left.error.as_deref().unwrap_or_default()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_disappoints_leaves_nothing_behind() {
    let disappointments: [(Disappoint, &str, &str); 6] = [
        (|settings| settings.errored_actions = 1, "await_droplet", "could not be made: action"),
        (|settings| settings.vanishing_droplets = 1, "await_droplet", "no place for it"),
        (|settings| settings.droplet_limit = 0, "check_order", "1 droplets more than the 0"),
        (|settings| settings.volume_limit = 0, "check_order", "1 volumes more than the 0"),
        (|settings| settings.reserved_ip_limit = 0, "check_order", "1 reserved addresses more"),
        (
            |settings| settings.delays.extend([(Takes::Droplet, 7_200)]),
            "await_droplet",
            "is not ready after",
        ),
    ];
    for (disappoint, step, why) in disappointments {
        let stage = Stage::new();
        stage.cloud.set(disappoint);
        let saga = stage.provision().await;
        assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
        assert_eq!(saga.error.as_ref().unwrap().reason, format!("step_failed:{step}"));
        let failed = saga.steps.iter().flatten().find(|one| one.step == step).unwrap();
        assert!(failed.error.as_ref().unwrap().contains(why), "{failed:?}");
        assert!(is_bare(&stage), "{:#?}", stage.cloud.things());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_new_to_be_found_is_neither_missed_nor_left() {
    for refused in [None, Some("POST /v2/volumes/*/actions"), Some("POST /v2/domains")] {
        let stage = Stage::new();
        stage.cloud.set(|settings| settings.reads_lag = Duration::from_secs(25));
        if let Some(call) = refused {
            // Most of what is there then is seconds old.
            stage.cloud.set(|settings| settings.delays.extend([(Takes::Droplet, 1)]));
            stage.cloud.turn(format!("fail_next=refused {call}").parse().unwrap());
        }
        let saga = stage.provision_with(&json!({"database_engine": "pg"})).await;
        let end = if refused.is_some() { Status::RolledBack } else { Status::Completed };
        assert_eq!(saga.status, end, "{saga:#?}");
        if refused.is_none() {
            let saga = stage.ask(saga.id, Operation::Rollback).await;
            assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(is_bare(&stage), "{refused:?}: {:#?}", stage.cloud.things());
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_that_does_not_answer_is_taken_back() {
    let page = json!({"health_path": "/health"});
    for order in [page.clone(), json!({"health_path": "/", "load_balancer": true})] {
        let stage = Stage::new();
        let saga = stage.provision_with(&order).await;
        assert_eq!(saga.status, Status::Completed, "{saga:#?}");
        let last = &saga.steps.as_ref().unwrap().last().unwrap().step;
        assert_eq!(
            (&**last, &saga.context.unwrap().value()["health_status"]),
            ("describe_site", &json!(200))
        );
    }
    let stage = Stage::new();
    stage.cloud.set(|settings| settings.site_status = 503);
    let saga = stage.provision_with(&page).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let error = saga.steps.iter().flatten().find_map(|step| step.error.clone()).unwrap();
    let expected = "http://shop.example.com/health is not to be had: it answers 503";
    assert_eq!(error, expected);
    assert!(is_bare(&stage), "{:#?}", stage.cloud.things());
}

#[tokio::test(start_paused = true)]
async fn what_a_droplet_is_told_when_it_boots_is_on_record_as_a_hash() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let stage = Stage::with(|cloud| {
        Arc::new(Heard { way: cloud.token("ours"), heard: Arc::clone(&heard) })
    });
    let told = "#!/bin/sh\necho s3cr3t";
    let saga = stage.provision_with(&json!({ "user_data": told })).await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
    let rows = stage.engine.list_provisioned(Some(saga.id)).await.unwrap();
    let droplet = rows.iter().find(|row| row.what.kind == "droplet").unwrap().what.spec.value();
    // openssl dgst -sha256 -binary | base64
    assert_eq!(droplet["user_data_sha256"], "OWXCmLXjt5dE3lXwjTgTdK/EpZJ47H+yFEwkQtb9Frk=");
    assert!(!format!("{rows:?}").contains("s3cr3t"));
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    let made = heard.iter().find(|request| request.path == "/v2/droplets").unwrap();
    assert_eq!(made.body.as_ref().unwrap()["user_data"], told);
    let longest = "ä".repeat(32_769);
    let saga = stage.provision_with(&json!({ "user_data": longest })).await;
    let error = saga.steps.iter().flatten().find_map(|step| step.error.clone()).unwrap();
    assert!(error.contains("user_data has 65538 bytes: expected at most 65536"), "{error}");
}

/// The way to an account, and every POST on it.
struct Heard {
    way: Arc<dyn Transport>,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Transport for Heard {
    fn send(&self, request: Request) -> Sent<'_> {
        if request.method == Method::Post {
            self.heard.lock().unwrap().push(request.clone());
        }
        self.way.send(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_has_grown_is_not_removed() {
    let stage = Stage::new();
    let saga = stage.provision().await;
    let id = stage.cloud.things()["volumes"][0]["id"].as_str().unwrap().to_owned();
    let grow = json!({"type": "resize", "size_gigabytes": 50});
    let path = format!("/v2/volumes/{id}/actions");
    stage.post(&path, grow).await;
    let saga = stage.ask(saga.id, Operation::Rollback).await;
    assert_eq!(saga.status, Status::Failed);
    // The project is held by the volume that stays in it.
    let left = left(&saga);
    assert!(
        left.iter().any(|(step, why)| *step == "create_volume" && why.contains("somebody uses it"))
    );
    assert!(
        left.iter().all(|(step, _)| ["create_volume", "create_project"].contains(step)),
        "{left:?}"
    );
    assert_eq!((stage.count("volumes"), stage.count("droplets")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_lost_our_tag_and_a_domain_with_others_records_stay() {
    let stage = Stage::new();
    let saga = stage.provision().await;
    let droplet = stage.cloud.things()["droplets"][0].clone();
    let tag = droplet["tags"][1].as_str().unwrap();
    assert!(tag.starts_with("saga-op:"), "{droplet}");
    stage.client.delete(&format!("/v2/tags/{tag}")).await.unwrap();
    let record = json!({"type": "MX", "name": "@", "data": "mail.example.net.", "priority": 10});
    let path = "/v2/domains/shop.example.com/records";
    stage.post(path, record).await;
    let saga = stage.ask(saga.id, Operation::Rollback).await;
    assert_eq!(saga.status, Status::Failed);
    let left = left(&saga);
    let says =
        |step: &str, why: &str| left.iter().any(|(of, error)| *of == step && error.contains(why));
    assert!(says("create_droplet", "no longer carries"), "{left:?}");
    assert!(says("ensure_domain", "a record that is not ours: MX"), "{left:?}");
    assert_eq!((stage.count("droplets"), stage.count("domains")), (1, 1));
    assert_eq!(stage.count("reserved_ips"), 0, "what is ours is gone");
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_another_site_has_is_refused_before_anything_is_made() {
    let stage = Stage::new();
    assert_eq!(stage.provision().await.status, Status::Completed);
    let before = stage.cloud.things();
    let saga = stage.provision_with(&json!({"name": "blog"})).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let error = saga.steps.iter().flatten().find_map(|step| step.error.clone()).unwrap();
    let record = before["records"].iter().find(|record| record["type"] == "A").unwrap();
    let address = record["data"].as_str().unwrap();
    assert_eq!(
        error,
        format!(
            "domain `shop.example.com` points to {address} already: expected one that has no A record yet"
        )
    );
    assert_eq!(stage.cloud.things(), before);
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_was_there_before_stays_there() {
    let stage = Stage::new();
    let domain = json!({"name": "shop.example.com"});
    stage.post("/v2/domains", domain).await;
    let saga = stage.provision().await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
    assert_eq!(stage.count("records"), 4);
    let saga = stage.ask(saga.id, Operation::Rollback).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    assert_eq!((stage.count("domains"), stage.count("records")), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn an_action_that_errors_is_asked_for_again_and_not_for_ever() {
    for (errors, ends, asked) in [(3, Status::Completed, 4), (1_000, Status::RolledBack, 8)] {
        let stage = Stage::new();
        let saga = stage.provision_with(&json!({"volume_gib": 0})).await;
        let droplet = &saga.context.unwrap().value()["web_0"]["droplet_id"].clone();
        let volume = json!({"name": "data", "region": "fra1", "size_gigabytes": 5});
        let volume = stage.post("/v2/volumes", volume).await["volume"]["id"].clone();
        let address =
            stage.post("/v2/reserved_ips", json!({"region": "fra1"})).await["reserved_ip"]["ip"]
                .clone();
        for (step, input, list) in [
            ("attach_volume", json!({"volume_id": volume}), format!("volumes/{}", text(&volume))),
            (
                "assign_ip",
                json!({"reserved_ip": address}),
                format!("reserved_ips/{}", text(&address)),
            ),
        ] {
            stage.cloud.set(|settings| settings.errored_actions = errors);
            let mut order = json!({ "droplet_id": droplet });
            order.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
            let saga = stage.run_steps(&[step], &order).await;
            assert_eq!(saga.status, ends, "{saga:#?}");
            let path = format!("/v2/{list}/actions");
            let actions: Vec<Value> = stage.client.list(&path, "actions").await.unwrap();
            assert_eq!(actions.len(), asked, "{step}: {actions:?}");
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_made_another_thing_of_is_not_removed() {
    let stage = Stage::new();
    let saga = stage.provision_with(&json!({"database_engine": "pg"})).await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
    let things = stage.cloud.things();
    let (droplet, database) = (&things["droplets"][0]["id"], text(&things["databases"][0]["id"]));
    let actions = format!("/v2/droplets/{droplet}/actions");
    stage.post(&actions, json!({"type": "power_off"})).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    stage.post(&actions, json!({"type": "resize", "size": "s-2vcpu-4gb", "disk": true})).await;
    stage.post(&format!("/v2/databases/{database}/dbs"), json!({"name": "orders"})).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    let saga = stage.ask(saga.id, Operation::Rollback).await;
    assert_eq!(saga.status, Status::Failed, "{saga:#?}");
    let left = left(&saga);
    let says =
        |step: &str, why: &str| left.iter().any(|(of, error)| *of == step && error.contains(why));
    assert!(says("create_droplet", "is `s-2vcpu-4gb` and was made as `s-1vcpu-1gb`"), "{left:?}");
    assert!(says("create_database", "holds `orders`, which nobody here has made"), "{left:?}");
    assert_eq!((stage.count("droplets"), stage.count("databases")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_not_quite_there_is_waited_for_and_valkey_gets_no_users() {
    let stage = Stage::new();
    for _ in 0..3 {
        stage.cloud.turn("fail_next=412 POST /v2/databases/*/dbs".parse().unwrap());
    }
    let saga = stage.provision_with(&json!({"database_engine": "mysql"})).await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
    let more = json!({"database_engine": "valkey", "domain": null, "name": "cache"});
    let saga = stage.provision_with(&more).await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
    assert!(saga.steps.unwrap().iter().all(|step| step.step != "create_database_user"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_of_a_thing_is_what_was_ordered() {
    let stage = Stage::new();
    let more = json!({"load_balancer": true, "database_engine": "pg"});
    let saga = stage.provision_with(&more).await;
    let rows = stage.engine.list_provisioned(Some(saga.id)).await.unwrap();
    let of = |kind: &str| rows.iter().find(|row| row.what.kind == kind).unwrap();
    let spec = |kind: &str| of(kind).what.spec.value();
    let droplet = spec("droplet");
    assert_eq!(
        (&droplet["size"], &droplet["image"], &droplet["region"], &droplet["ssh_keys"]),
        (&json!("s-1vcpu-1gb"), &json!("ubuntu-24-04-x64"), &json!("fra1"), &json!([]))
    );
    assert_eq!(Some(text(&droplet["name"])), of("droplet").what.name.as_deref());
    assert_eq!(of("droplet").what.region.as_deref(), Some("fra1"));
    assert_eq!(spec("volume")["volume_gib"], 10);
    assert_eq!(spec("database")["database_engine"], "pg");
    let balancer = &stage.cloud.things()["load_balancers"][0]["ip"];
    assert_eq!(&spec("domain_record")["data"], balancer);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_order_is_answered_with_what_it_should_be_like() {
    let stage = Stage::new();
    let order = json!({
        "name": "My Shop", "region": "fra1", "size": "s-1vcpu-1gb", "domain": "http://shop",
        "database_engine": "oracle"
    });
    let order = Order::kind("provision").input(order.to_string());
    let said = stage.engine.start_saga(order).await.unwrap_err().to_string();
    for told in [
        "`name` is not of the form of `shop` (What the customer calls it: small letters,",
        "`domain` is not of the form of `shop.example.com`",
        "`database_engine` is none of `pg`, `mysql`, `valkey`, `mongodb`",
    ] {
        assert!(said.contains(told), "expected {told} in {said}");
    }
    assert!(!said.contains("a-z") && !said.contains("null"), "{said}");
    assert!(is_bare(&stage));
}
