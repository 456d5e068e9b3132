//! The life of a site after it was provisioned: what may stand in its way, and what is never touched.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::worker::Until;
use walkback::{Order, Status};

use crate::stage::{Site, Stage};

#[tokio::test(start_paused = true)]
async fn a_cancel_before_the_approval_switches_the_site_on_again() {
    let site = Site::new().await;
    let stage = &site.stage;
    let saga = site.run("offboard", json!({"grace": "1s", "approvers": ["grace"]})).await;
    let leaving = saga.id;
    assert_eq!((saga.status, site.droplet()["status"].as_str()), (Status::Running, Some("off")));
    assert!(!site.is_open());
    // Only who is named may approve.
    let asked = Asked { actor: "ada".to_owned(), reason: None };
    let approve = Operation::Approve { step: None };
    assert!(stage.engine.operate(leaving, &approve, &asked).await.is_err());
    let saga = stage.ask(leaving, Operation::Cancel).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    assert_eq!((site.droplet()["status"].as_str(), site.is_open()), (Some("active"), true));
    // Nothing has changed, so that the site may be rolled back.
    let saga = stage.ask(site.id, Operation::Rollback).await;
    assert_eq!(saga.status, Status::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn what_was_off_before_stays_off_and_a_second_suspension_changes_nothing() {
    let site = Site::new().await;
    let stage = &site.stage;
    let off = format!("/v2/droplets/{}/actions", site.droplet()["id"]);
    stage.post(&off, json!({"type": "power_off"})).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    for kind in ["suspend", "suspend", "resume_service"] {
        assert_eq!(site.run(kind, json!({})).await.status, Status::Completed, "{kind}");
    }
    assert_eq!((site.droplet()["status"].as_str(), site.is_open()), (Some("off"), true));
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_does_not_shut_down_loses_its_power() {
    let site = Site::new().await;
    let stage = &site.stage;
    stage.cloud.set(|settings| settings.errored_actions = 3);
    assert_eq!(site.run("suspend", json!({})).await.status, Status::Completed);
    assert_eq!(site.droplet()["status"], "off");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_sites_is_named_stays_and_holds_its_project() {
    let site = Site::new().await;
    let stage = &site.stage;
    let foreign = json!({"name": "customers-own", "region": "fra1", "size_gigabytes": 5});
    let made = stage.post("/v2/volumes", foreign).await;
    let volume = made["volume"]["id"].as_str().unwrap().to_owned();
    let droplet = site.droplet()["id"].clone();
    let attach = json!({"type": "attach", "droplet_id": droplet});
    let path = format!("/v2/volumes/{volume}/actions");
    stage.post(&path, attach).await;
    let projects = stage.cloud.things()["projects"].clone();
    let project = projects.iter().find(|one| one["is_default"] == false).unwrap();
    let path = format!("/v2/projects/{}/resources", project["id"].as_str().unwrap());
    let urn = format!("do:volume:{volume}");
    stage.post(&path, json!({"resources": [urn]})).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let waiting = site.run("offboard", json!({"grace": "0s"})).await;
    let leaving = waiting.id;
    let unknown = waiting.steps.iter().flatten().find(|step| step.step == "find_unknown").unwrap();
    let said = unknown.output.as_ref().unwrap().as_str();
    assert!(said.contains("volume customers-own") && said.contains(&urn), "{said}");
    let parked = stage.ask(leaving, Operation::Approve { step: None }).await;
    assert_eq!(parked.status, Status::Parked, "{parked:#?}");
    assert_eq!((stage.count("droplets"), stage.count("volumes")), (0, 1));
    let held = parked.steps.iter().flatten().find(|step| step.scope.as_deref() == Some("projects"));
    let error = held.unwrap().error.clone().unwrap();
    assert!(error.contains(&format!("still has {urn}: move it")), "{error}");
    // Moved away, the rest goes.
    let path = "/v2/projects/default/resources";
    stage.post(path, json!({"resources": [urn]})).await;
    let saga = stage.ask(leaving, Operation::Retry { step: None }).await;
    assert_eq!(saga.status, Status::Completed);
    assert_eq!((stage.count("volumes"), stage.count("projects")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn only_a_site_is_suspended() {
    let site = Site::new().await;
    let stage = &site.stage;
    let nobody = json!({"site": "01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e"});
    let suspended = site.run("suspend", json!({})).await.id;
    let not_a_site = json!({ "site": suspended });
    for (order, said) in [
        (nobody, "there is no saga 01939a4e"),
        (json!({"site": "shop"}), "site `shop`"),
        (not_a_site, "has nothing in the account"),
    ] {
        let saga = stage.run("suspend", &order).await;
        assert_eq!(saga.status, Status::RolledBack);
        let error = saga.steps.unwrap()[0].error.clone().unwrap();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_change_a_site_at_once_the_second_waits_for_the_first() {
    let site = Site::new().await;
    let stage = &site.stage;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let order = Order::kind("suspend").input(site.order(&json!({})).to_string());
        ids.push(stage.engine.start_saga(order).await.unwrap().id);
    }
    let Enlistment::Working(worker) = stage.engine.enlist().await.unwrap() else { unreachable!() };
    let stop = CancellationToken::new();
    let rest = async {
        let mut ends = Vec::new();
        for id in ids {
            ends.push(stage.engine.wait_for_rest(id).await.unwrap());
        }
        stop.cancel();
        ends
    };
    let (worked, ends) = tokio::join!(worker.run(Until::Stopped, stop.clone()), rest);
    worked.unwrap();
    // What is suspended already is so; nothing of it is done twice, nor beside the other.
    assert_eq!(ends, [Status::Completed; 2]);
    assert_eq!(site.run("resume_service", json!({})).await.status, Status::Completed);
    assert_eq!((site.droplet()["status"].as_str(), site.is_open()), (Some("active"), true));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_only_read_makes_nothing() {
    let stage = Stage::with(|cloud| cloud.read_only_token("reader"));
    let saga = stage.provision().await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let error = saga.steps.unwrap()[1].error.clone().unwrap();
    assert!(error.contains("POST /v2/projects: 403 forbidden: You do not have access"), "{error}");
}

impl Site {
    /// The input that keeps a snapshot of each disk.
    fn keeping(&self) -> Value {
        let things = self.stage.cloud.things();
        let volume = &things["volumes"][0]["id"];
        json!({"grace": "1s", "keep_droplets": [self.droplet()["id"]], "keep_volumes": [volume]})
    }
}

#[tokio::test(start_paused = true)]
async fn last_snapshots_are_kept_and_on_record() {
    let site = Site::new().await;
    let stage = &site.stage;
    let saga = site.run("offboard", site.keeping()).await;
    assert_eq!(stage.count("snapshots"), 2, "before anybody approves");
    let saga = stage.ask(saga.id, Operation::Approve { step: None }).await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
    let mut things = stage.cloud.things();
    // The account's own are always there.
    let is_own = |thing: &Value| thing["is_default"] == true || thing["default"] == true;
    for all in things.values_mut() {
        all.retain(|thing| !is_own(thing));
    }
    things.retain(|_, all| !all.is_empty());
    assert_eq!(things.keys().collect::<Vec<_>>(), ["snapshots"], "{things:#?}");
    let left = &things["snapshots"];
    let rows = stage.engine.list_provisioned(Some(saga.id)).await.unwrap();
    let live = |row: &&walkback::desired::Provisioned| row.closed_at.is_none();
    let names = rows.iter().filter(live).filter_map(|row| row.what.name.clone());
    let mut expected: Vec<_> =
        left.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
    let mut names: Vec<_> = names.collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
}

#[tokio::test(start_paused = true)]
async fn a_last_fork_of_a_database_is_kept_or_goes_again() {
    for (then, left) in [(Operation::Approve { step: None }, 1), (Operation::Cancel, 0)] {
        let site = Site::with(&json!({"database_engine": "pg"})).await;
        let stage = &site.stage;
        let before = stage.cloud.things()["databases"][0].clone();
        let order = json!({"grace": "1s", "keep_databases": [before["id"]]});
        let saga = site.run("offboard", order).await;
        assert_eq!(stage.count("databases"), 2, "{saga:#?}");
        let saga = stage.ask(saga.id, then).await;
        let mut kept = stage.cloud.things().remove("databases").unwrap_or_default();
        kept.retain(|one| one["id"] != before["id"]);
        assert_eq!(kept.len(), left, "{saga:#?}");
        let Some(kept) = kept.first() else { continue };
        assert_eq!(saga.status, Status::Completed, "{saga:#?}");
        assert_eq!((&kept["engine"], &kept["size"]), (&before["engine"], &before["size"]));
        let rows = stage.engine.list_provisioned(Some(saga.id)).await.unwrap();
        let row = rows.iter().find(|row| row.what.kind == "database").unwrap();
        assert_eq!(Some(row.what.external_id.as_str()), kept["id"].as_str());
        let rules = format!("/v2/databases/{}/firewall", row.what.external_id);
        let rules: Value = stage.client.get(&rules).await.unwrap();
        assert_eq!(rules["rules"][0]["value"], "127.0.0.1", "nobody reaches it");
    }
}

#[tokio::test(start_paused = true)]
async fn last_snapshots_go_again_when_the_customer_stays() {
    let site = Site::new().await;
    let saga = site.run("offboard", site.keeping()).await;
    let saga = site.stage.ask(saga.id, Operation::Cancel).await;
    assert_eq!((saga.status, site.stage.count("snapshots")), (Status::RolledBack, 0));
    assert_eq!(site.droplet()["status"], "active");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_what_is_not_the_sites_is_refused_before_anything_is_done() {
    let site = Site::new().await;
    let saga = site
        .run(
            "offboard",
            json!({
                "keep_droplets": [7, 7], "keep_volumes": ["v"], "keep_databases": ["d"]
            }),
        )
        .await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let said = saga.steps.unwrap()[0].error.clone().unwrap();
    let droplet = site.droplet()["id"].clone();
    assert!(
        said.contains(&format!("droplet `7` is not the site's, which has {droplet}")),
        "{said}"
    );
    assert!(said.contains("database `d` is not the site's, which has none"), "{said}");
    assert!(said.contains("volume `v` is not the site's"), "{said}");
    assert!(said.contains("droplet `7` is there twice"), "{said}");
    assert_eq!(site.droplet()["status"], "active");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_new_to_be_found_is_suspended_all_the_same() {
    let stage = Stage::new();
    stage.cloud.set(|settings| settings.reads_lag = Duration::from_secs(25));
    let id = stage.provision().await.id;
    let site = Site { stage, id };
    let saga = site.run("suspend", json!({"parking_ip": "192.0.2.7"})).await;
    assert_eq!(saga.status, Status::Completed, "{saga:#?}");
    let records = site.stage.cloud.things().remove("records").unwrap();
    let record = records.iter().find(|record| record["type"] == "A").unwrap();
    assert_eq!((&record["data"], &site.droplet()["status"]), (&json!("192.0.2.7"), &json!("off")));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_backups_is_not_forked() {
    let site = Site::with(&json!({"database_engine": "valkey"})).await;
    let id = site.stage.cloud.things()["databases"][0]["id"].clone();
    let saga = site.run("offboard", json!({ "keep_databases": [id] })).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let said = saga.steps.unwrap()[0].error.clone().unwrap();
    assert!(said.contains("is of Valkey, which has no backups to fork"), "{said}");
    assert_eq!(site.droplet()["status"], "active");
}

#[tokio::test(start_paused = true)]
async fn a_fork_that_somebody_has_made_larger_stays() {
    let site = Site::with(&json!({"database_engine": "pg"})).await;
    let stage = &site.stage;
    let first = stage.cloud.things()["databases"][0]["id"].clone();
    let order = json!({"grace": "1s", "keep_databases": [first]});
    let saga = site.run("offboard", order).await;
    let all = stage.cloud.things().remove("databases").unwrap();
    let fork = all.iter().find(|one| one["id"] != first).unwrap()["id"].as_str().unwrap();
    let larger = json!({"size": "db-s-2vcpu-4gb", "num_nodes": 1});
    let path = format!("/v2/databases/{fork}/resize");
    stage.client.put::<Value>(&path, &larger).await.unwrap();
    tokio::time::sleep(Duration::from_mins(10)).await;
    let saga = stage.ask(saga.id, Operation::Cancel).await;
    assert_eq!(saga.status, Status::Failed, "{saga:#?}");
    let left = saga.residue.first().unwrap();
    assert!(left.error.as_deref().unwrap().contains("is no longer as large as"), "{left:?}");
    assert_eq!(stage.count("databases"), 2);
}

/// Cancelled while the droplet was busy until just now: the snapshot is asked for, and no list shows that.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_was_asked_for_late_does_not_stay_when_its_saga_is_cancelled() {
    for seconds in (20..80).step_by(4) {
        let site = Site::new().await;
        let stage = &site.stage;
        stage.cloud.set(|settings| settings.lists_lag = Duration::from_secs(10));
        let droplet = site.droplet()["id"].clone();
        let busy = json!({"type": "snapshot", "name": "somebody-elses"});
        stage.post(&format!("/v2/droplets/{droplet}/actions"), busy).await;
        let order = Order::steps(["snapshot_droplet"]);
        let order = order.input(json!({ "droplet_id": droplet }).to_string());
        let id = stage.engine.start_saga(order).await.unwrap().id;
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        let cancel = async {
            tokio::time::sleep(Duration::from_secs(90 + seconds)).await;
            stage.engine.cancel_saga(id, &asked).await.unwrap();
        };
        let (worked, ()) = tokio::join!(stage.engine.work_until_idle(), cancel);
        worked.unwrap();
        let saga = stage.settle(id).await;
        assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(stage.count("snapshots"), 1, "only somebody else's, after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_errors_is_asked_for_as_often_as_its_step_may_try() {
    for (errors, expected) in [(1, Status::Completed), (100, Status::RolledBack)] {
        let site = Site::new().await;
        let stage = &site.stage;
        stage.cloud.set(|settings| settings.errored_actions = errors);
        let order = json!({ "droplet_id": site.droplet()["id"] });
        let order = Order::steps(["snapshot_droplet"]).input(order.to_string());
        let id = stage.engine.start_saga(order).await.unwrap().id;
        let saga = stage.settle(id).await;
        assert_eq!(saga.status, expected, "{saga:#?}");
        assert_eq!(stage.count("snapshots"), usize::from(expected == Status::Completed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_domain_in_which_somebody_else_has_a_record_stays() {
    let site = Site::new().await;
    let stage = &site.stage;
    let path = "/v2/domains/shop.example.com/records";
    stage.post(path, json!({"type": "A", "name": "blog", "data": "203.0.113.9", "ttl": 300})).await;
    let records = || {
        let records = stage.cloud.things().remove("records").unwrap_or_default();
        records.iter().filter(|record| record["type"] == "A").count()
    };
    assert_eq!(records(), 2);
    let waiting = site.run("offboard", json!({"grace": "0s"})).await;
    let unknown = waiting.steps.iter().flatten().find(|step| step.step == "find_unknown").unwrap();
    let said = unknown.output.as_ref().unwrap().as_str();
    assert!(said.contains("in its domain"), "{said}");
    let parked = stage.ask(waiting.id, Operation::Approve { step: None }).await;
    assert_eq!((parked.status, records()), (Status::Parked, 1), "{parked:#?}");
    let mut steps = parked.steps.iter().flatten();
    let held = steps.find(|step| step.scope.as_deref() == Some("domains")).unwrap();
    let error = held.error.as_ref().unwrap();
    assert!(error.contains("domain `shop.example.com` still has A"), "{error}");
    // The other one goes, and then so does the domain.
    let records = stage.cloud.things().remove("records").unwrap_or_default();
    let other = records.iter().find(|record| record["name"] == "blog").unwrap();
    stage.client.delete(&format!("{path}/{}", other["id"])).await.unwrap();
    let saga = stage.ask(waiting.id, Operation::Retry { step: None }).await;
    assert_eq!((saga.status, stage.count("domains")), (Status::Completed, 0), "{saga:#?}");
}
