//! What `provision` does about clouds that disappoint, and about things that are somebody else's by now.

use serde_json::json;
use walkback::Status;
use walkback::describe::SagaView;
use walkback::engine::Operation;
use walkback_digitalocean::simulator::Settings;

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
    let disappointments: [(Disappoint, &str, &str); 3] = [
        (|settings| settings.errored_actions = 1, "await_droplet", "could not be made: action"),
        (|settings| settings.vanishing_droplets = 1, "await_droplet", "no place for it"),
        (|settings| settings.droplet_limit = 0, "check_order", "account's limit of 0"),
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
