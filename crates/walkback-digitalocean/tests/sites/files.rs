//! What serves files: keys of Spaces, whose secret is shown once, and CDN endpoints, which carry no name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use walkback::engine::Operation;
use walkback::{Registry, Status};
use walkback_digitalocean::secrets::{Keeper, Kept, Memory};
use walkback_digitalocean::simulator::{CallFault, Planted, Struck};
use walkback_digitalocean::{Client, Simulator, sagas};

use crate::stage::{Site, Stage};

const ORIGIN: &str = "files.fra1.digitaloceanspaces.com";
const FILES: [&str; 3] = ["look_for_cdn", "ensure_cdn", "create_spaces_key"];

fn order() -> Value {
    json!({
        "name": "shop", "cdn_origin": ORIGIN,
        "spaces_grants": [
            {"bucket": "files", "permission": "readwrite"},
            {"bucket": "shared", "permission": "read"}
        ]
    })
}

async fn site(stage: Stage) -> Site {
    let made = stage.run_steps(&FILES, &order()).await;
    assert_eq!(made.status, Status::Completed, "{made:#?}");
    Site { stage, id: made.id }
}

/// What the only key may do with each bucket.
fn permissions(stage: &Stage) -> Vec<Value> {
    let grants = stage.cloud.things()["spaces_keys"][0]["grants"].clone();
    grants.as_array().unwrap().iter().map(|grant| grant["permission"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_with_its_keeper_and_nowhere_else() {
    let site = site(Stage::new()).await;
    let stage = &site.stage;
    let key = stage.cloud.things()["spaces_keys"][0]["access_key"].clone();
    assert_eq!(stage.secrets.names(), [key.as_str().unwrap()]);
    let saga = stage.engine.show_saga(site.id).await.unwrap();
    let ledger = stage.engine.ledger(site.id, 0).await.unwrap();
    let rows = stage.engine.list_provisioned(None).await.unwrap();
    let told = format!("{saga:?} {ledger:?} {rows:?}");
    assert!(told.contains(key.as_str().unwrap()) && !told.contains("s3cr3t"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_key_may_only_read_while_its_site_is_suspended() {
    let site = site(Stage::new()).await;
    let (both, read) = ([json!("readwrite"), json!("read")], [json!("read"), json!("read")]);
    assert_eq!(site.run("suspend", json!({})).await.status, Status::Completed);
    assert_eq!(permissions(&site.stage), read);
    let resumed = site.run("resume_service", json!({})).await;
    assert_eq!((resumed.status, permissions(&site.stage)), (Status::Completed, both.to_vec()));
    let back = site.stage.ask(resumed.id, Operation::Rollback).await;
    assert_eq!((back.status, permissions(&site.stage)), (Status::RolledBack, read.to_vec()));
}

#[tokio::test(start_paused = true)]
async fn keys_endpoints_and_secrets_go_with_their_site() {
    for offboards in [true, false] {
        let site = site(Stage::new()).await;
        let stage = &site.stage;
        assert_eq!((stage.count("cdn_endpoints"), stage.count("spaces_keys")), (1, 1));
        if offboards {
            let leaving = site.run("offboard", json!({"grace": "0s"})).await.id;
            let saga = stage.ask(leaving, Operation::Approve { step: None }).await;
            assert_eq!(saga.status, Status::Completed, "{saga:#?}");
        } else {
            let saga = stage.ask(site.id, Operation::Rollback).await;
            assert_eq!(saga.status, Status::RolledBack, "{saga:#?}");
        }
        assert_eq!((stage.count("cdn_endpoints"), stage.count("spaces_keys")), (0, 0));
        assert!(stage.secrets.names().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_there_is_used_and_stays() {
    let stage = Stage::new();
    stage.post("/v2/cdn/endpoints", json!({ "origin": ORIGIN })).await;
    let site = site(stage).await;
    let stage = &site.stage;
    let saga = stage.engine.show_saga(site.id).await.unwrap();
    let host = "files.fra1.cdn.digitaloceanspaces.com";
    assert_eq!(saga.context.unwrap().value()["cdn_host"], host);
    let rows = stage.engine.list_provisioned(Some(site.id)).await.unwrap();
    assert!(rows.iter().all(|row| row.what.kind == "spaces_key"), "{rows:?}");
    let saga = stage.ask(site.id, Operation::Rollback).await;
    assert_eq!((saga.status, stage.count("cdn_endpoints")), (Status::RolledBack, 1));
}

/// Somebody else makes it after the look: found, it is not taken for ours.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_others_make_in_between_is_not_removed() {
    let stage = Stage::new();
    stage.post("/v2/cdn/endpoints", json!({ "origin": ORIGIN })).await;
    let mut order = order();
    order["cdn_existed"] = json!(false);
    let steps = &["ensure_cdn", "create_spaces_key"];
    let made = stage.run_steps(steps, &order).await;
    assert_eq!(made.status, Status::Completed, "{made:#?}");
    let saga = stage.ask(made.id, Operation::Rollback).await;
    assert_eq!((saga.status, stage.count("cdn_endpoints")), (Status::RolledBack, 1));
    // Not shown yet, it is refused by the API, and nothing is made.
    let stage = Stage::new();
    stage.cloud.set(|settings| settings.lists_lag = Duration::from_mins(10));
    stage.post("/v2/cdn/endpoints", json!({ "origin": ORIGIN })).await;
    let saga = stage.run_steps(steps, &order).await;
    assert_eq!((saga.status, stage.count("cdn_endpoints")), (Status::RolledBack, 1));
    let said = saga.steps.unwrap()[0].error.clone().unwrap();
    assert!(said.contains("somebody else has just made the endpoint"), "{said}");
}

/// A call that fails before anything is asked for makes nobody's endpoint ours.
#[tokio::test(start_paused = true)]
async fn a_look_that_fails_takes_no_endpoint_of_others() {
    let stage = Stage::new();
    stage.post("/v2/cdn/endpoints", json!({ "origin": ORIGIN })).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let fault = Planted::new(Struck::Nth(stage.cloud.calls() + 1), CallFault::Failed);
    stage.cloud.set(|settings| settings.planted = vec![fault]);
    let mut order = order();
    order["cdn_existed"] = json!(false);
    let made = stage.run_steps(&["ensure_cdn"], &order).await;
    assert_eq!((made.status, stage.cloud.struck()), (Status::Completed, true), "{made:#?}");
    let saga = stage.ask(made.id, Operation::Rollback).await;
    assert_eq!((saga.status, stage.count("cdn_endpoints")), (Status::RolledBack, 1));
}

#[tokio::test(start_paused = true)]
async fn a_name_with_signs_is_found_and_one_that_others_gave_is_kept() {
    let stage = Stage::new();
    // The answer of the create, after the list.
    let fault = Planted::new(Struck::Nth(stage.cloud.calls() + 2), CallFault::Lost);
    stage.cloud.set(|settings| settings.planted = vec![fault]);
    let mut order = order();
    order["name"] = json!("R&D+#1");
    let made = stage.run_steps(&["create_spaces_key"], &order).await;
    assert_eq!((made.status, stage.count("spaces_keys")), (Status::Completed, 1), "{made:#?}");
    assert!(stage.cloud.struck());
    let key = stage.cloud.things()["spaces_keys"][0]["access_key"].clone();
    let path = format!("/v2/spaces/keys/{}", key.as_str().unwrap());
    stage.client.patch::<Value>(&path, &json!({"name": "kept"})).await.unwrap();
    let site = Site { stage, id: made.id };
    assert_eq!(site.run("suspend", json!({})).await.status, Status::Completed);
    assert_eq!(site.stage.cloud.things()["spaces_keys"][0]["name"], "kept");
    let leaving = site.run("offboard", json!({"grace": "0s"})).await.id;
    let saga = site.stage.ask(leaving, Operation::Approve { step: None }).await;
    assert_eq!((saga.status, site.stage.count("spaces_keys")), (Status::Parked, 1), "{saga:#?}");
    assert_eq!(site.stage.secrets.names().len(), 1);
}

/// A keeper that fails so many times, once it has or has not kept the secret.
struct Failing {
    keeps: Memory,
    left: AtomicUsize,
    after: bool,
}

impl Keeper for Failing {
    fn keep<'a>(&'a self, name: &'a str, secret: &'a str) -> Kept<'a, String> {
        let one_less = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
            return self.keeps.keep(name, secret);
        }
        Box::pin(async {
            if self.after {
                self.keeps.keep(name, secret).await?;
            }
            Err("the vault is sealed".to_owned())
        })
    }

    fn find<'a>(&'a self, name: &'a str) -> Kept<'a, Option<String>> {
        self.keeps.find(name)
    }

    fn forget<'a>(&'a self, name: &'a str) -> Kept<'a, ()> {
        self.keeps.forget(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_secret_could_not_be_kept_is_replaced_or_leaves_nothing() {
    let kept_at = |times: usize| if times > 7 { Status::RolledBack } else { Status::Completed };
    for (times, after) in [(1, false), (1, true), (3, false), (100, false), (100, true)] {
        let (keeps, left) = (Memory::default(), AtomicUsize::new(times));
        let keeper = Arc::new(Failing { keeps: keeps.clone(), left, after });
        let stage = Stage::with_registry(|cloud: &Simulator, clock| {
            let client = Client::over(cloud.token("ours"), clock).keeping(keeper);
            sagas::add(Registry::with_builtins(), &client)
        });
        let saga = stage.run_steps(&["create_spaces_key"], &order()).await;
        // One that was kept all the same is found and used.
        let expected = if after { Status::Completed } else { kept_at(times) };
        assert_eq!(saga.status, expected, "{saga:#?}");
        let count = usize::from(expected == Status::Completed);
        assert_eq!((stage.count("spaces_keys"), keeps.names().len()), (count, count));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_keeper_no_key_is_made() {
    let stage = Stage::with_registry(|cloud: &Simulator, clock| {
        let client = Client::over(cloud.token("ours"), clock);
        sagas::add(Registry::with_builtins(), &client)
    });
    let saga = stage.run_steps(&["create_spaces_key"], &order()).await;
    assert_eq!((saga.status, stage.count("spaces_keys")), (Status::RolledBack, 0));
    let said = saga.steps.unwrap()[0].error.clone().unwrap();
    assert!(said.contains("there is no keeper of secrets in this program"), "{said}");
}
