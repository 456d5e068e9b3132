//! Shelving: snapshots in the place of droplets, and droplets made again of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use walkback::describe::{SagaView, StepResult};
use walkback::desired::Provisioned;
use walkback::engine::{Asked, Operation};
use walkback::{Order, SagaId, Status};
use walkback_digitalocean::client::{Request, Sent, Transport};

use crate::stage::{Site, Stage};

fn shelve() -> Value {
    json!({"shelve": true})
}

fn unshelve() -> Value {
    json!({"unshelve": true})
}

/// What the records say the site's droplets are: their kind, and their id there.
async fn recorded(site: &Site) -> Vec<(String, String)> {
    let rows = site.stage.engine.list_provisioned(Some(site.id)).await.unwrap();
    let is_one = |row: &Provisioned| {
        row.closed_at.is_none() && matches!(&*row.what.kind, "droplet" | "snapshot")
    };
    let rows = rows.into_iter().filter(is_one);
    rows.map(|row| (row.what.kind, row.what.external_id)).collect()
}

fn droplets(stage: &Stage) -> Vec<Value> {
    stage.cloud.things().remove("droplets").unwrap_or_default()
}

fn id(thing: &Value) -> String {
    thing["id"].as_str().map_or_else(|| thing["id"].to_string(), str::to_owned)
}

async fn address(stage: &Stage) -> Value {
    let ips: Vec<Value> = stage.client.list("/v2/reserved_ips", "reserved_ips").await.unwrap();
    ips[0].clone()
}

/// Nothing of the site is left.
fn nothing_is_left(stage: &Stage) {
    for kind in ["droplets", "snapshots", "volumes", "tags", "reserved_ips", "projects", "vpcs"] {
        let own = usize::from(matches!(kind, "projects" | "vpcs"));
        assert!(stage.count(kind) <= own, "{kind}: {:#?}", stage.cloud.things().get(kind));
    }
}

async fn offboarded(site: &Site) {
    let leaving = site.run("offboard", json!({"grace": "0s"})).await.id;
    let removed = site.stage.ask(leaving, Operation::Approve { step: None }).await;
    assert_eq!(removed.status, Status::Completed, "{removed:#?}");
    nothing_is_left(&site.stage);
}

/// Does this to a droplet, and waits until it is done.
async fn act(stage: &Stage, droplet: &Value, kind: &str) {
    stage.post(&format!("/v2/droplets/{}/actions", id(droplet)), json!({ "type": kind })).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_shelved_site_costs_no_droplet_and_is_as_before_when_it_is_resumed() {
    let site = Site::with(&json!({"count": 2})).await;
    let stage = &site.stage;
    let before = droplets(stage);
    let was_at = address(stage).await["droplet"]["name"].clone();
    let shelved = site.run("suspend", shelve()).await;
    assert_eq!(shelved.status, Status::Completed, "{shelved:#?}");
    assert_eq!((stage.count("droplets"), stage.count("snapshots")), (0, 2));
    let rows = recorded(&site).await;
    assert!(rows.len() == 2 && rows.iter().all(|(kind, _)| kind == "snapshot"), "{rows:?}");
    // Shelved it stays, whoever suspends it again.
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
    assert_eq!((stage.count("droplets"), stage.count("snapshots")), (0, 2));
    let resumed = site.run("resume_service", unshelve()).await;
    assert_eq!(resumed.status, Status::Completed, "{resumed:#?}");
    assert_eq!((stage.count("droplets"), stage.count("snapshots")), (2, 0));
    let after = droplets(stage);
    for was in &before {
        let is = after.iter().find(|is| is["name"] == was["name"]).unwrap();
        for same in ["name", "size_slug", "vpc_uuid", "features", "volume_ids", "status"] {
            assert_eq!(is[same], was[same], "{same}");
        }
        // Of its own snapshot, and not of the other one.
        let image = is["image"]["name"].as_str().unwrap();
        assert!(image.starts_with(&format!("droplet-{}-", id(was))), "{image}");
        let lasts = |tag: &&Value| !tag.as_str().unwrap().starts_with("saga-op:");
        let mut lasting = was["tags"].as_array().unwrap().iter().filter(lasts);
        assert!(lasting.all(|tag| is["tags"].as_array().unwrap().contains(tag)), "{is:#?}");
    }
    assert_eq!(address(stage).await["droplet"]["name"], was_at);
    let mut made: Vec<_> = after.iter().map(|one| ("droplet".to_owned(), id(one))).collect();
    let mut rows = recorded(&site).await;
    made.sort();
    rows.sort();
    assert_eq!(rows, made);
    assert!(site.is_open());
    offboarded(&site).await;
}

#[tokio::test(start_paused = true)]
async fn a_shelved_site_is_removed_with_its_snapshots_and_tags() {
    let site = Site::new().await;
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
    offboarded(&site).await;
}

#[tokio::test(start_paused = true)]
async fn a_shelved_site_is_not_resumed_without_its_droplets() {
    let site = Site::new().await;
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
    let refused = site.run("resume_service", json!({})).await;
    assert_eq!(refused.status, Status::RolledBack);
    let error = refused.steps.unwrap()[0].error.clone().unwrap();
    assert!(error.contains("expected `\"unshelve\": true`"), "{error}");
    assert_eq!(site.run("resume_service", unshelve()).await.status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_not_shelved_may_be_unshelved_and_a_resumption_be_taken_back() {
    let site = Site::new().await;
    for (more, back) in [(unshelve(), false), (json!({}), true)] {
        assert_eq!(site.run("suspend", json!({})).await.status, Status::Completed);
        let resumed = site.run("resume_service", more).await;
        assert_eq!((resumed.status, site.is_open()), (Status::Completed, true));
        if back {
            let saga = site.stage.ask(resumed.id, Operation::Rollback).await;
            assert_eq!((saga.status, site.is_open()), (Status::RolledBack, false));
        }
    }
}

/// What is said when the site cannot be shelved, of which nothing is changed.
async fn refusal(site: &Site) -> String {
    let saga = site.run("suspend", shelve()).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    assert_eq!(site.stage.count("snapshots"), 0);
    saga.steps.unwrap()[1].error.clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_knows_a_droplet_by_its_id_keeps_it_from_being_shelved() {
    let site = Site::new().await;
    let stage = &site.stage;
    let droplet = site.droplet();
    let firewall = stage.cloud.things()["firewalls"][0].clone();
    let mut document = json!({ "droplet_ids": [droplet["id"]] });
    for member in ["name", "inbound_rules", "outbound_rules", "tags"] {
        document[member] = firewall[member].clone();
    }
    let path = format!("/v2/firewalls/{}", id(&firewall));
    stage.client.put::<Value>(&path, &document).await.unwrap();
    let error = refusal(&site).await;
    assert!(error.contains(&format!("knows droplet {} by its id", droplet["id"])), "{error}");
    assert!(error.contains("expected tags and reserved addresses"), "{error}");
    assert_eq!(site.droplet()["status"], "active");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_parked_is_tied_to_where_it_pointed() {
    let site = Site::new().await;
    let stage = &site.stage;
    let v4 = site.droplet()["networks"]["v4"].clone();
    let public = v4.as_array().unwrap().iter().find(|one| one["type"] == "public").unwrap();
    let records = stage.cloud.things()["records"].clone();
    let record = records.iter().find(|record| record["type"] == "A").unwrap();
    let path = format!("/v2/domains/shop.example.com/records/{}", record["id"]);
    let own = json!({"type": "A", "data": public["ip_address"]});
    stage.client.patch::<Value>(&path, &own).await.unwrap();
    let parked = site.run("suspend", json!({"parking_ip": "192.0.2.7"})).await;
    assert_eq!(parked.status, Status::Completed);
    let error = refusal(&site).await;
    assert!(error.contains("its own address"), "{error}");
}

/// Why nothing was destroyed.
fn confirms(saga: &SagaView) -> &str {
    let mut steps = saga.steps.iter().flatten();
    let confirm = steps.find(|step| step.step == "confirm_shelving").unwrap();
    confirm.error.as_deref().unwrap()
}

/// An account that answers otherwise than the simulated one.
struct Told {
    way: Arc<dyn Transport>,
    otherwise: Box<dyn Fn(&mut Value) + Send + Sync>,
}

impl Transport for Told {
    fn send(&self, request: Request) -> Sent<'_> {
        Box::pin(async {
            let mut answer = self.way.send(request).await?;
            (self.otherwise)(&mut answer.body);
            Ok(answer)
        })
    }
}

async fn site_told(otherwise: impl Fn(&mut Value) + Send + Sync + 'static) -> Site {
    let otherwise = Box::new(otherwise);
    let stage = Stage::with(|cloud| Arc::new(Told { way: cloud.token("ours"), otherwise }));
    let id = stage.provision().await.id;
    Site { stage, id }
}

#[tokio::test(start_paused = true)]
async fn backups_would_go_with_a_droplet() {
    let site = site_told(|body| {
        if body["droplet"].is_object() {
            body["droplet"]["backup_ids"] = json!([7, 8]);
        }
    });
    let error = refusal(&site.await).await;
    assert!(error.contains("has 2 backups, which would go with it"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_droplet_whose_snapshot_cannot_be_used_is_not_destroyed() {
    let site = site_told(|body| {
        if body["image"]["type"] == "snapshot" {
            body["image"]["status"] = json!("pending");
        }
    });
    let site = site.await;
    let saga = site.run("suspend", shelve()).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let said = confirms(&saga);
    assert!(said.contains("is not there, available and in fra1"), "{said}");
    assert_eq!((site.droplet()["status"].as_str(), site.is_open()), (Some("active"), true));
    assert_eq!(site.stage.count("snapshots"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_of_the_customers_own_comes_back_too() {
    let site = Site::new().await;
    let stage = &site.stage;
    let reserved = stage.post("/v2/reserved_ips", json!({"region": "fra1"})).await;
    let ip = reserved["reserved_ip"]["ip"].as_str().unwrap().to_owned();
    let to = json!({"type": "assign", "droplet_id": site.droplet()["id"]});
    stage.post(&format!("/v2/reserved_ips/{ip}/actions"), to).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
    assert_eq!(site.run("resume_service", unshelve()).await.status, Status::Completed);
    let ips: Vec<Value> = stage.client.list("/v2/reserved_ips", "reserved_ips").await.unwrap();
    assert!(ips.len() == 2 && ips.iter().all(|ip| !ip["droplet"].is_null()), "{ips:#?}");
}

/// A saga of the site that somebody has paused as soon as `when`.
async fn paused(site: &Site, kind: &str, more: &Value, when: impl Fn() -> bool) -> SagaId {
    let engine = &site.stage.engine;
    let order = Order::kind(kind).input(site.order(more).to_string());
    let id = engine.start_saga(order).await.unwrap().id;
    let asked = Asked { actor: "ada".to_owned(), reason: None };
    let pause = async {
        while !when() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        engine.operate(id, &Operation::Pause, &asked).await.unwrap();
    };
    let (worked, ()) = tokio::join!(engine.work_until_idle(), pause);
    worked.unwrap();
    assert_eq!(engine.show_saga(id).await.unwrap().status, Status::Parked);
    id
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_was_on_since_its_snapshot_is_not_destroyed() {
    let site = Site::new().await;
    let stage = &site.stage;
    let id = paused(&site, "suspend", &shelve(), || stage.count("snapshots") > 0).await;
    // It is off again, as it was; and who knows what was written in between.
    for kind in ["power_on", "power_off"] {
        act(stage, &site.droplet(), kind).await;
    }
    let saga = stage.ask(id, Operation::Resume { set: None }).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let said = confirms(&saga);
    assert!(said.contains("has had a power_on since its snapshot"), "{said}");
    assert_eq!((site.droplet()["status"].as_str(), site.is_open()), (Some("active"), true));
    assert_eq!(stage.count("snapshots"), 0);
}

#[tokio::test(start_paused = true)]
async fn no_snapshot_for_the_shelf_is_taken_of_a_droplet_that_is_on() {
    let offs = AtomicUsize::new(0);
    // Off when its suspension has ended, and never after that.
    let site = site_told(move |body| {
        if body["droplet"]["status"] == "off" && offs.fetch_add(1, Ordering::SeqCst) > 0 {
            body["droplet"]["status"] = json!("active");
        }
    });
    let site = site.await;
    let stage = &site.stage;
    let saga = site.run("suspend", shelve()).await;
    assert_eq!((saga.status, stage.count("snapshots")), (Status::RolledBack, 0), "{saga:#?}");
    let mut steps = saga.steps.iter().flatten();
    let takes = steps.find(|step| step.step == "snapshot_droplets").unwrap();
    assert!(takes.error.as_ref().unwrap().contains("is not off"), "{takes:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_pending_for_a_while_is_waited_for() {
    let looks = AtomicUsize::new(0);
    let site = site_told(move |body| {
        if body["image"]["type"] == "snapshot" && looks.fetch_add(1, Ordering::SeqCst) < 3 {
            body["image"]["status"] = json!("pending");
        }
    });
    let saga = site.await.run("suspend", shelve()).await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_others_have_for_a_droplet_by_its_id_keeps_it_from_being_shelved() {
    let site = Site::new().await;
    let (stage, droplet) = (&site.stage, site.droplet()["id"].clone());
    let from = json!([{"protocol": "tcp", "ports": "22", "sources": {"droplet_ids": [droplet]}}]);
    let mut firewall = json!({"name": "customers-own", "inbound_rules": from});
    let error = {
        stage.post("/v2/firewalls", firewall.clone()).await;
        refusal(&site).await
    };
    let said =
        format!("firewall `customers-own`, not the site's, knows droplet {droplet} by its id");
    assert!(error.contains(&said), "{error}");
    let made = stage.cloud.things()["firewalls"].clone();
    let made = made.iter().find(|made| made["name"] == "customers-own").unwrap();
    firewall["inbound_rules"][0]["sources"] = json!({"tags": [format!("saga:{}", site.id)]});
    let path = format!("/v2/firewalls/{}", id(made));
    stage.client.put::<Value>(&path, &firewall).await.unwrap();
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_droplet_made_again_is_shut_down_before_it_goes_however_late_that_is() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&seen);
    let site = site_told(move |body| {
        told.lock().unwrap().extend(body["action"]["type"].as_str().map(str::to_owned));
    });
    let site = site.await;
    let stage = &site.stage;
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
    let is_on = || droplets(stage).first().is_some_and(|one| one["status"] == "active");
    let id = paused(&site, "resume_service", &unshelve(), is_on).await;
    seen.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let saga = stage.ask(id, Operation::Cancel).await;
    assert_eq!((saga.status, stage.count("droplets")), (Status::RolledBack, 0), "{saga:#?}");
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|kind| kind == "shutdown"), "{seen:?}");
    assert!(!seen.iter().any(|kind| kind == "power_off"), "{seen:?}");
    assert_eq!(stage.count("snapshots"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_let_go_meanwhile_keeps_no_site_on_the_shelf() {
    let site = Site::new().await;
    let stage = &site.stage;
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
    let ip = address(stage).await["ip"].as_str().unwrap().to_owned();
    stage.client.delete(&format!("/v2/reserved_ips/{ip}")).await.unwrap();
    let resumed = site.run("resume_service", unshelve()).await;
    assert_eq!((resumed.status, stage.count("droplets")), (Status::Completed, 1), "{resumed:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_errored_long_ago_is_none() {
    let site = site_told(|body| {
        if let Some(actions) = body["actions"].as_array_mut() {
            let begun = json!("2019-01-01T00:00:00Z");
            actions.push(
                json!({"id": 1, "type": "destroy", "status": "errored", "started_at": begun}),
            );
        }
    });
    let site = site.await;
    let saga = site.run("suspend", shelve()).await;
    assert_eq!((saga.status, site.stage.count("droplets")), (Status::Completed, 0), "{saga:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_copy_of_a_droplet_stays() {
    let site = Site::new().await;
    let stage = &site.stage;
    assert_eq!(site.run("suspend", shelve()).await.status, Status::Completed);
    // Gone just when its snapshot is to be removed.
    stage.cloud.set(|settings| settings.latency = Duration::from_secs(20));
    let resuming = Order::kind("resume_service").input(site.order(&unshelve()).to_string());
    let id = stage.engine.start_saga(resuming).await.unwrap().id;
    let destroyed = async {
        let confirms =
            |step: &StepResult| step.step == "confirm_rebuilt" && step.finished_at.is_some();
        let confirmed = async || {
            let saga = stage.engine.show_saga(id).await.unwrap();
            saga.steps.iter().flatten().any(confirms)
        };
        while !confirmed().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for droplet in droplets(stage) {
            let path = format!("/v2/droplets/{}", droplet["id"]);
            stage.client.delete(&path).await.unwrap();
        }
    };
    let (worked, ()) = tokio::join!(stage.engine.work_until_idle(), destroyed);
    worked.unwrap();
    let saga = stage.settle(id).await;
    assert_eq!((saga.status, stage.count("snapshots")), (Status::Parked, 1), "{saga:#?}");
    let mut steps = saga.steps.iter().flatten();
    let keeps = steps.find(|step| step.step == "remove_snapshots").unwrap();
    assert!(keeps.error.as_ref().unwrap().contains("it is the last copy"), "{keeps:#?}");
}
