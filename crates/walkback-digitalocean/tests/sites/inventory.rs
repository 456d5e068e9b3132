//! A survey of an account: by list, without secrets; what is missing twice is gone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use walkback::clock::Clock;
use walkback::desired::Observed;
use walkback_digitalocean::{Client, client, inventory};

use crate::stage::Stage;

async fn sync(stage: &Stage) -> Observed {
    tokio::time::sleep(Duration::from_mins(5)).await;
    let found = inventory::survey(&stage.client, &stage.clock).await.unwrap();
    assert!(found.not_allowed.is_empty(), "{:?}", found.not_allowed);
    stage.engine.record_survey(found.survey).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_saga_made_is_seen_and_what_vanishes_is_missed_and_then_gone() {
    let stage = Stage::new();
    let order = json!({
        "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "domain": "shop.example.com",
        "database_engine": "pg", "load_balancer": true
    });
    let id = stage.run("provision", &order).await.id;
    stage.post("/v2/vpcs", json!({"name": "foreign", "region": "ams3"})).await;
    // Nothing carries it.
    stage.post("/v2/tags", json!({"name": "saga:left"})).await;
    let seen = sync(&stage).await;
    let things = stage.engine.list_resources().await.unwrap();
    let ours = things.iter().filter(|thing| thing.wanted_by == Some(id)).count();
    let rows = stage.engine.list_provisioned(Some(id)).await.unwrap();
    assert_eq!(ours, rows.len(), "{things:#?}");
    assert!(things.iter().all(|thing| thing.state.is_some()), "everything made is listed");
    assert!(!format!("{things:?}").contains("s3cr3t"), "no secret is kept");
    let tags: Vec<_> = things.iter().filter(|thing| thing.kind == "tag").collect();
    assert!(tags.len() == 1 && tags[0].tags == ["saga:left"], "others are on things: {tags:?}");
    let droplet = things.iter().find(|thing| thing.kind == "droplet").unwrap();
    assert_eq!(droplet.region.as_deref(), Some("fra1"));
    assert!(droplet.tags.contains(&format!("saga:{id}")));
    // Somebody removes it.
    stage.client.delete(&format!("/v2/droplets/{}", droplet.external_id)).await.unwrap();
    let missing = sync(&stage).await;
    // In its place is its tag, which nothing carries now.
    assert_eq!((missing.seen, missing.missing, missing.gone), (seen.seen, 1, 0));
    assert_eq!((sync(&stage).await.gone, sync(&stage).await.gone), (1, 0));
    let things = stage.engine.list_resources().await.unwrap();
    let droplet = things.iter().find(|thing| thing.kind == "droplet").unwrap();
    assert!(droplet.gone_at.is_some() && droplet.wanted_by == Some(id), "{droplet:?}");
}

#[tokio::test(start_paused = true)]
async fn one_call_too_many_is_made_again_and_a_token_that_may_list_nothing_is_none() {
    let stage = Stage::new();
    stage.cloud.change(&json!({"fail_next": "rate_limited"})).unwrap();
    assert_eq!(sync(&stage).await.seen, 1);
    let nobody = Client::over(Arc::new(client::NoAccount("none")), Arc::new(stage.clock));
    let refused = inventory::survey(&nobody, &stage.clock).await.unwrap_err();
    assert_eq!(refused.class(), client::Class::Auth);
}

#[tokio::test(start_paused = true)]
async fn five_thousand_things_take_a_call_for_each_two_hundred() {
    const DROPLETS: usize = 4_000;
    let stage = Stage::new();
    stage.cloud.set(|settings| {
        (settings.droplet_limit, settings.volume_limit) = (DROPLETS, usize::MAX);
    });
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
    assert_eq!(calls, 20 + 5 + 15);
}
