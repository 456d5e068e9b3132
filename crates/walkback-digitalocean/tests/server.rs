//! The simulated account over HTTP: what a client hears, and what it does not.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use walkback::clock::SystemClock;
use walkback::testing::VirtualClock;
use walkback_digitalocean::client::{Class, Method, Request};
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
        cloud.change(&json!({"fail_next": "lost"})).unwrap();
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
async fn settings_that_are_none_are_refused_all_at_once_and_nothing_is_changed() {
    let cloud = Simulator::new(Arc::new(SystemClock));
    let client = Client::over(cloud.token("t"), Arc::new(SystemClock));
    let limit = async || {
        client.get::<Value>("/v2/account").await.unwrap()["account"]["droplet_limit"].clone()
    };
    let change = json!({"droplet_limit": 3, "speed": "fast", "colour": 1, "fail_next": "lose"});
    let said = cloud.change(&change).unwrap_err();
    for named in ["`speed`: ", "`colour`: unknown variant", "found `lose`"] {
        assert!(said.contains(named), "expected {named} in {said}");
    }
    assert!(cloud.change(&json!("speed")).is_err());
    assert_eq!(limit().await, json!(100));
    assert_eq!(cloud.change(&json!({"droplet_limit": 3, "lists_lag_seconds": 5})), Ok(()));
    assert_eq!(limit().await, json!(3));
}

#[tokio::test]
async fn a_planted_fault_strikes_the_calls_that_it_names_and_so_often() {
    let cloud = Simulator::new(Arc::new(SystemClock));
    cloud.turn("fail_next=503 x2 GET /v2/projects/*".parse().unwrap());
    for planted in ["ok GET /v2/account", "404 GET /v2/account"] {
        cloud.turn(format!("fail_next={planted}").parse().unwrap());
    }
    let client = cloud.token("t");
    let status = async |path: &str| {
        let (method, path) = (Method::Get, path.to_owned());
        client.send(Request { method, path, body: None }).await.unwrap().status
    };
    assert_eq!([status("/v2/projects").await, status("/v2/account").await], [200, 200]);
    let one = "/v2/projects/default?page=1";
    let said = [status(one).await, status("/v2/account").await, status(one).await];
    assert_eq!(said, [503, 404, 503]);
    assert_eq!([status(one).await, status("/v2/account").await], [200, 200]);
    cloud.change(&json!({"fail_next": 500})).unwrap();
    assert_eq!([status(one).await, status(one).await], [500, 200]);
}

#[tokio::test(start_paused = true)]
async fn what_takes_how_long_can_be_said_and_a_droplet_is_in_the_range_of_its_network() {
    let clock = Arc::new(VirtualClock::new());
    let cloud = Simulator::new(clock.clone());
    cloud.turn(r#"delay_seconds={"droplet": 300}"#.parse().unwrap());
    let client = Client::over(cloud.token("t"), clock.clone());
    let network = json!({"name": "n", "region": "fra1", "ip_range": "192.168.4.0/28"});
    let network: Value = client.post("/v2/vpcs", &network).await.unwrap();
    let droplet = json!({
        "name": "here", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
        "vpc_uuid": network["vpc"]["id"]
    });
    let made: Value = client.post("/v2/droplets", &droplet).await.unwrap();
    let one = format!("/v2/droplets/{}", made["droplet"]["id"]);
    let droplet = async || client.get::<Value>(&one).await.unwrap()["droplet"].clone();
    tokio::time::advance(Duration::from_secs(299)).await;
    assert_eq!(droplet().await["status"], "new");
    tokio::time::advance(Duration::from_secs(1)).await;
    let droplet = droplet().await;
    assert_eq!(droplet["status"], "active");
    let private = &droplet["networks"]["v4"][0];
    let address = private["ip_address"].as_str().unwrap().strip_prefix("192.168.4.").unwrap();
    assert!((2..15).contains(&address.parse::<u8>().unwrap()), "{private}");
    assert_eq!(
        (&private["gateway"], &private["netmask"]),
        (&json!("192.168.4.1"), &json!("255.255.255.240"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_has_a_tag_is_listed_page_by_page_acted_on_and_destroyed_together() {
    let clock = Arc::new(VirtualClock::new());
    let client = Client::over(Simulator::new(clock.clone()).token("t"), clock.clone());
    for (name, tag) in [("a", "many"), ("b", "many"), ("c", "other")] {
        let droplet = json!({
            "name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
            "tags": [tag]
        });
        client.post::<Value>("/v2/droplets", &droplet).await.unwrap();
    }
    tokio::time::advance(Duration::from_mins(5)).await;
    let page: Value = client.get("/v2/droplets?per_page=1&tag_name=many").await.unwrap();
    let next = page["links"]["pages"]["next"].as_str().unwrap();
    let next: Value = client.get(&next[next.find("/v2/").unwrap()..]).await.unwrap();
    let names = [&page, &next].map(|page| page["droplets"][0]["name"].clone());
    assert_eq!((names, &next["meta"]["total"]), ([json!("a"), json!("b")], &json!(2)));
    let all = "/v2/droplets/actions?tag_name=many";
    let off: Value = client.post(all, &json!({"type": "power_off"})).await.unwrap();
    assert_eq!(off["actions"].as_array().map(Vec::len), Some(2));
    let busy = client.post::<Value>(all, &json!({"type": "power_on"})).await.unwrap_err();
    assert!(busy.to_string().contains("pending event"), "{busy}");
    tokio::time::advance(Duration::from_mins(5)).await;
    let wrong = client.post::<Value>(all, &json!({"type": "rename", "name": "d"})).await;
    assert!(wrong.unwrap_err().to_string().contains("not for tagged droplets"));
    assert!(client.delete("/v2/droplets?tag_name=many").await.unwrap());
    tokio::time::advance(Duration::from_mins(5)).await;
    let left: Vec<Value> = client.list("/v2/droplets", "droplets").await.unwrap();
    assert_eq!(left.iter().map(|left| &left["name"]).collect::<Vec<_>>(), ["c"]);
}

#[tokio::test]
async fn networks_do_not_overlap_and_a_load_balancer_has_a_tag_or_droplets() {
    let clock = Arc::new(SystemClock);
    let client = Client::over(Simulator::new(clock.clone()).token("t"), clock);
    let refused = async |path: &str, body: Value| {
        client.post::<Value>(path, &body).await.unwrap_err().to_string()
    };
    let network =
        |name: &str, range: &str| json!({"name": name, "region": "fra1", "ip_range": range});
    client.post::<Value>("/v2/vpcs", &network("a", "10.40.0.0/16")).await.unwrap();
    client.post::<Value>("/v2/vpcs", &network("b", "10.41.0.0/24")).await.unwrap();
    for (range, why) in [
        ("10.40.7.0/24", "overlaps"),
        ("10.41.0.0/20", "overlaps"),
        ("203.0.113.0/24", "is invalid"),
        ("10.42.0.0/8", "is invalid"),
        ("10.42.0.1/24", "is invalid"),
        ("here", "is invalid"),
    ] {
        let said = refused("/v2/vpcs", network("c", range)).await;
        assert!(said.contains(why), "{range}: {said}");
    }
    let balancer = json!({
        "name": "front", "region": "fra1", "tag": "web", "droplet_ids": [1],
        "forwarding_rules": [{
            "entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 80
        }]
    });
    let said = refused("/v2/load_balancers", balancer).await;
    assert!(said.contains("only one of tag and droplet_ids"), "{said}");
}
