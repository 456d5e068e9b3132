//! The simulated account over HTTP: what a client hears, and what it does not.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use walkback::clock::SystemClock;
use walkback::testing::VirtualClock;
use walkback_digitalocean::client::Class;
use walkback_digitalocean::simulator::Server;
use walkback_digitalocean::{Client, Simulator};

/// A served account, while `with` asks it something.
async fn served(with: impl AsyncFnOnce(&Simulator, &str)) {
    let cloud = Simulator::new(Arc::new(SystemClock));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let server = Server::new(cloud.clone(), vec!["secret".to_owned()]);
    tokio::join!(server.serve(listener, stop.clone()), async {
        with(&cloud, &url).await;
        stop.cancel();
    });
}

#[tokio::test]
async fn an_answer_that_is_lost_is_unknown_and_what_was_asked_is_done() {
    served(async |cloud, url| {
        let client = Client::new(url, "secret").unwrap();
        cloud.change(&json!({"fail_next": {"fault": "lost"}})).unwrap();
        let body = json!({"name": "here", "region": "fra1"});
        let lost = client.post::<Value>("/v2/vpcs", &body).await.unwrap_err();
        assert_eq!(lost.class(), Class::Unknown, "{lost}");
        let names: Vec<Value> = client.list("/v2/vpcs", "vpcs").await.unwrap();
        assert!(names.iter().any(|vpc| vpc["name"] == "here"), "{names:?}");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_never_shown() {
    served(async |_, url| {
        let client = Client::new(url, "dop_v1_wrong").unwrap();
        let refused = client.get::<Value>("/v2/account").await.unwrap_err();
        assert_eq!(refused.class(), Class::Auth);
        let said = format!("{refused} {refused:?} {client:?}");
        assert!(said.contains("GET /v2/account: 401 unauthorized"), "{said}");
        assert!(!said.contains("dop_v1_wrong"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn an_api_that_is_not_there_was_never_asked() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let client = Client::new(&url, "secret").unwrap();
    let refused = client.get::<Value>("/v2/account").await.unwrap_err();
    assert_eq!(refused.class(), Class::NotSent, "{refused}");
}

/// What only a read has seen to happen is so for whoever takes the file up next.
#[tokio::test(start_paused = true)]
async fn an_account_in_a_file_is_the_same_for_the_next_process() {
    let (clock, folder) = (VirtualClock::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("cloud.json");
    let open = || {
        let cloud = Simulator::kept_in(Arc::new(clock), &file).unwrap();
        // Its time runs ahead; the next process begins where this one was kept last.
        cloud.set(|settings| settings.speed = 60);
        Client::over(cloud.token("ours"), Arc::new(clock))
    };
    let first = open();
    let droplet = json!({
        "name": "here", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"
    });
    let made: Value = first.post("/v2/droplets", &droplet).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let actions = format!("/v2/droplets/{}/actions", made["droplet"]["id"]);
    let snapshot = json!({"type": "snapshot", "name": "kept"});
    first.post::<Value>(&actions, &snapshot).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen: Vec<Value> = first.list("/v2/snapshots", "snapshots").await.unwrap();
    assert_eq!(seen.len(), 1);
    let second = open();
    second.post::<Value>("/v2/droplets", &droplet).await.unwrap();
    let now: Vec<Value> = second.list("/v2/snapshots", "snapshots").await.unwrap();
    assert_eq!(now, seen);
}

#[tokio::test]
async fn settings_that_are_none_are_refused() {
    let cloud = Simulator::new(Arc::new(SystemClock));
    for change in [json!({"speed": "fast"}), json!({"colour": 1}), json!({"fail_next": {}})] {
        assert!(cloud.change(&change).is_err(), "{change}");
    }
    assert_eq!(cloud.change(&json!({"droplet_limit": 3, "lists_lag_seconds": 5})), Ok(()));
}
