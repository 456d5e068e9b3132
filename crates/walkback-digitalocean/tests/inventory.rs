//! A survey of an account: by list, without secrets; what is missing twice is gone.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use walkback::clock::Clock;
use walkback::testing::VirtualClock;
use walkback::{Engine, MemoryStore, Order, Registry};
use walkback_digitalocean::{Client, Simulator, client, inventory, sagas};

struct Stage {
    clock: VirtualClock,
    cloud: Simulator,
    client: Client,
    engine: Engine,
}

impl Stage {
    fn new() -> Self {
        let clock = VirtualClock::new();
        let cloud = Simulator::new(Arc::new(clock));
        let client = Client::over(cloud.token("ours"), Arc::new(clock));
        let registry = sagas::add(Registry::with_builtins(), &client);
        let engine = Engine::with_clock(registry, MemoryStore::new(), clock).unwrap();
        Self { clock, cloud, client, engine }
    }

    async fn sync(&self) -> walkback::desired::Observed {
        tokio::time::sleep(Duration::from_mins(5)).await;
        let found = inventory::survey(&self.client, &self.clock).await.unwrap();
        assert!(found.not_allowed.is_empty(), "{:?}", found.not_allowed);
        self.engine.record_survey(found.survey).await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.client.post(path, &body).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_saga_made_is_seen_and_what_vanishes_is_missed_and_then_gone() {
    let stage = Stage::new();
    let order = json!({
        "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "domain": "shop.example.com",
        "database_engine": "pg", "load_balancer": true
    });
    let order = Order::kind("provision").input(order.to_string());
    let id = stage.engine.start_saga(order).await.unwrap().id;
    stage.engine.work_until_idle().await.unwrap();
    stage.post("/v2/vpcs", json!({"name": "foreign", "region": "ams3"})).await;
    let seen = stage.sync().await;
    let things = stage.engine.list_resources().await.unwrap();
    let ours = things.iter().filter(|thing| thing.wanted_by == Some(id)).count();
    let rows = stage.engine.list_provisioned(Some(id)).await.unwrap();
    assert_eq!(ours, rows.len(), "{things:#?}");
    assert!(things.iter().all(|thing| thing.state.is_some()), "everything made is listed");
    assert!(!format!("{things:?}").contains("s3cr3t"), "no secret is kept");
    let droplet = things.iter().find(|thing| thing.kind == "droplet").unwrap();
    assert_eq!(droplet.region.as_deref(), Some("fra1"));
    assert!(droplet.tags.contains(&format!("saga:{id}")));
    // Somebody removes it.
    stage.client.delete(&format!("/v2/droplets/{}", droplet.external_id)).await.unwrap();
    let missing = stage.sync().await;
    assert_eq!((missing.seen, missing.missing, missing.gone), (seen.seen - 1, 1, 0));
    assert_eq!((stage.sync().await.gone, stage.sync().await.gone), (1, 0));
    let things = stage.engine.list_resources().await.unwrap();
    let droplet = things.iter().find(|thing| thing.kind == "droplet").unwrap();
    assert!(droplet.gone_at.is_some() && droplet.wanted_by == Some(id), "{droplet:?}");
}

#[tokio::test(start_paused = true)]
async fn one_call_too_many_is_made_again_and_a_token_that_may_list_nothing_is_none() {
    let stage = Stage::new();
    stage.cloud.change(&json!({"fail_next": {"fault": "rate_limited"}})).unwrap();
    assert_eq!(stage.sync().await.seen, 1);
    let nobody = Client::over(Arc::new(client::NoAccount("none")), Arc::new(stage.clock));
    let refused = inventory::survey(&nobody, &stage.clock).await.unwrap_err();
    assert_eq!(refused.class(), client::Class::Auth);
}

#[tokio::test(start_paused = true)]
async fn five_thousand_things_take_a_call_for_each_two_hundred() {
    const DROPLETS: usize = 4_000;
    let stage = Stage::new();
    stage.cloud.set(|settings| settings.droplet_limit = DROPLETS);
    for nth in 0..DROPLETS / 100 {
        let names: Vec<_> = (0..100).map(|one| format!("web-{nth}-{one}")).collect();
        let body = json!({
            "names": names, "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"
        });
        stage.post("/v2/droplets", body).await;
    }
    for nth in 0..1_000 {
        let volume = json!({"name": format!("data-{nth}"), "region": "fra1", "size_gigabytes": 10});
        stage.post("/v2/volumes", volume).await;
    }
    let (calls, begun) = (stage.cloud.calls(), stage.clock.now());
    let found = inventory::survey(&stage.client, &stage.clock).await.unwrap();
    let (calls, took) = (stage.cloud.calls() - calls, stage.clock.now().since(begun));
    let observed = stage.engine.record_survey(found.survey).await.unwrap();
    eprintln!("{} things: {calls} calls in {} s", observed.seen, took.as_secs());
    assert_eq!(
        (observed.seen, observed.new),
        (5_002, 5_002),
        "and the account's own project and VPC"
    );
    // Twenty for the droplets, five for the volumes, and one for each other list.
    assert_eq!(calls, 20 + 5 + 13);
}
