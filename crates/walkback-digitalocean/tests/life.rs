//! The life of a site after it was provisioned: what may stand in its way, and what is never touched.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use walkback::describe::SagaView;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::testing::VirtualClock;
use walkback::worker::Until;
use walkback::{Engine, MemoryStore, Order, Registry, SagaId, Status};
use walkback_digitalocean::{Client, Simulator, sagas};

/// An account with a site on it, and an engine that works on it.
struct Stage {
    cloud: Simulator,
    client: Client,
    engine: Engine,
    site: SagaId,
}

impl Stage {
    async fn new() -> Self {
        let clock = VirtualClock::new();
        let cloud = Simulator::new(Arc::new(clock));
        let client = Client::over(cloud.token("ours"), Arc::new(clock));
        let registry = sagas::add(Registry::with_builtins(), &client);
        let engine = Engine::with_clock(registry, MemoryStore::new(), clock).unwrap();
        let order = json!({
            "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "volume_gib": 10,
            "domain": "shop.example.com"
        });
        let order = Order::kind("provision").input(order.to_string());
        let site = engine.start_saga(order).await.unwrap().id;
        engine.work_until_idle().await.unwrap();
        Self { cloud, client, engine, site }
    }

    async fn start(&self, kind: &str, more: Value) -> SagaId {
        let mut order = json!({ "site": self.site });
        for (name, value) in more.as_object().into_iter().flatten() {
            order[name] = value.clone();
        }
        let order = Order::kind(kind).input(order.to_string());
        self.engine.start_saga(order).await.unwrap().id
    }

    /// Works until the saga waits for somebody or is at rest.
    async fn settle(&self, id: SagaId) -> SagaView {
        self.engine.work_until_idle().await.unwrap();
        self.engine.show_saga(id).await.unwrap()
    }

    async fn ask(&self, id: SagaId, operation: Operation) {
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        self.engine.operate(id, &operation, &asked).await.unwrap();
    }

    fn droplet(&self) -> Value {
        self.cloud.things()["droplets"][0].clone()
    }

    /// How many things there are of this kind.
    fn count(&self, kind: &str) -> usize {
        self.cloud.things().get(kind).map_or(0, Vec::len)
    }

    fn is_open(&self) -> bool {
        self.cloud.things()["firewalls"][0]["inbound_rules"] != json!([])
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_the_approval_switches_the_site_on_again() {
    let stage = Stage::new().await;
    let leaving = stage.start("offboard", json!({"grace": "1s", "approvers": ["grace"]})).await;
    let saga = stage.settle(leaving).await;
    assert_eq!((saga.status, stage.droplet()["status"].as_str()), (Status::Running, Some("off")));
    assert!(!stage.is_open());
    // Only who is named may approve.
    let asked = Asked { actor: "ada".to_owned(), reason: None };
    let approve = Operation::Approve { step: None };
    assert!(stage.engine.operate(leaving, &approve, &asked).await.is_err());
    stage.ask(leaving, Operation::Cancel).await;
    let saga = stage.settle(leaving).await;
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    assert_eq!((stage.droplet()["status"].as_str(), stage.is_open()), (Some("active"), true));
    // Nothing has changed, so that the site may be rolled back.
    stage.ask(stage.site, Operation::Rollback).await;
    assert_eq!(stage.settle(stage.site).await.status, Status::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn what_was_off_before_stays_off_and_a_second_suspension_changes_nothing() {
    let stage = Stage::new().await;
    let off = format!("/v2/droplets/{}/actions", stage.droplet()["id"]);
    stage.client.post::<Value>(&off, &json!({"type": "power_off"})).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    for kind in ["suspend", "suspend", "resume_service"] {
        let id = stage.start(kind, json!({})).await;
        assert_eq!(stage.settle(id).await.status, Status::Completed, "{kind}");
    }
    assert_eq!((stage.droplet()["status"].as_str(), stage.is_open()), (Some("off"), true));
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_does_not_shut_down_loses_its_power() {
    let stage = Stage::new().await;
    stage.cloud.set(|settings| settings.errored_actions = 3);
    let id = stage.start("suspend", json!({})).await;
    assert_eq!(stage.settle(id).await.status, Status::Completed);
    assert_eq!(stage.droplet()["status"], "off");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_sites_is_named_stays_and_holds_its_project() {
    let stage = Stage::new().await;
    let foreign = json!({"name": "customers-own", "region": "fra1", "size_gigabytes": 5});
    let made: Value = stage.client.post("/v2/volumes", &foreign).await.unwrap();
    let volume = made["volume"]["id"].as_str().unwrap().to_owned();
    let droplet = stage.droplet()["id"].clone();
    let attach = json!({"type": "attach", "droplet_id": droplet});
    let path = format!("/v2/volumes/{volume}/actions");
    stage.client.post::<Value>(&path, &attach).await.unwrap();
    let projects = stage.cloud.things()["projects"].clone();
    let project = projects.iter().find(|one| one["is_default"] == false).unwrap();
    let path = format!("/v2/projects/{}/resources", project["id"].as_str().unwrap());
    let urn = format!("do:volume:{volume}");
    stage.client.post::<Value>(&path, &json!({"resources": [urn]})).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let leaving = stage.start("offboard", json!({"grace": "0s"})).await;
    let waiting = stage.settle(leaving).await;
    let unknown = waiting.steps.iter().flatten().find(|step| step.step == "find_unknown").unwrap();
    let said = unknown.output.as_ref().unwrap().as_str();
    assert!(said.contains("volume customers-own") && said.contains(&urn), "{said}");
    stage.ask(leaving, Operation::Approve { step: None }).await;
    let parked = stage.settle(leaving).await;
    assert_eq!(parked.status, Status::Parked, "{parked:#?}");
    assert_eq!((stage.count("droplets"), stage.count("volumes")), (0, 1));
    let held = parked.steps.iter().flatten().find(|step| step.scope.as_deref() == Some("projects"));
    let error = held.unwrap().error.clone().unwrap();
    assert!(error.contains(&format!("still has {urn}: move it")), "{error}");
    // Moved away, the rest goes.
    let path = "/v2/projects/default/resources";
    stage.client.post::<Value>(path, &json!({"resources": [urn]})).await.unwrap();
    stage.ask(leaving, Operation::Retry { step: None }).await;
    assert_eq!(stage.settle(leaving).await.status, Status::Completed);
    assert_eq!((stage.count("volumes"), stage.count("projects")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn only_a_site_is_suspended() {
    let stage = Stage::new().await;
    let nobody = json!({"site": "01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e"});
    let suspended = stage.start("suspend", json!({})).await;
    stage.settle(suspended).await;
    let not_a_site = json!({ "site": suspended });
    for (site, said) in [
        (nobody, "there is no saga 01939a4e"),
        (json!({"site": "shop"}), "site `shop`"),
        (not_a_site, "has nothing in the account"),
    ] {
        let id = stage.start("suspend", site).await;
        let saga = stage.settle(id).await;
        assert_eq!(saga.status, Status::RolledBack);
        let error = saga.steps.unwrap()[0].error.clone().unwrap();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_change_a_site_at_once_one_is_refused_and_nothing_is_left() {
    let stage = Stage::new().await;
    let ids = [stage.start("suspend", json!({})).await, stage.start("suspend", json!({})).await];
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
    let completed = ends.iter().filter(|end| **end == Status::Completed).count();
    let undone = ends.iter().filter(|end| **end == Status::RolledBack).count();
    assert_eq!((completed, undone), (1, 1), "{ends:?}");
    let resumed = stage.start("resume_service", json!({})).await;
    assert_eq!(stage.settle(resumed).await.status, Status::Completed);
    assert_eq!((stage.droplet()["status"].as_str(), stage.is_open()), (Some("active"), true));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_only_read_makes_nothing() {
    let clock = VirtualClock::new();
    let cloud = Simulator::new(Arc::new(clock));
    let client = Client::over(cloud.read_only_token("reader"), Arc::new(clock));
    let registry = sagas::add(Registry::with_builtins(), &client);
    let engine = Engine::with_clock(registry, MemoryStore::new(), clock).unwrap();
    let order = json!({"name": "shop", "region": "fra1", "size": "s-1vcpu-1gb"});
    let order = Order::kind("provision").input(order.to_string());
    let id = engine.start_saga(order).await.unwrap().id;
    engine.work_until_idle().await.unwrap();
    let saga = engine.show_saga(id).await.unwrap();
    assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
    let error = saga.steps.unwrap()[1].error.clone().unwrap();
    assert!(error.contains("POST /v2/projects: 403 forbidden: You do not have access"), "{error}");
}
