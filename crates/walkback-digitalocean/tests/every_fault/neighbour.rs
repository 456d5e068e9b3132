//! Another tenant of the account, with names that look like ours, and one of every kind of thing.

use serde_json::{Value, json};
use walkback_digitalocean::Simulator;
use walkback_digitalocean::client::{Method, Request};
use walkback_digitalocean::simulator::Takes;

/// Makes what another tenant has; the simulator answers at once.
pub(crate) fn settle(cloud: &Simulator) {
    // It changes no more by itself then.
    take(cloud, Some(0));
    let neighbour = cloud.token("neighbour");
    let post = |path: &str, body: Value| {
        let request = Request { method: Method::Post, path: path.to_owned(), body: Some(body) };
        let waker = std::task::Waker::noop();
        let mut answer = neighbour.send(request);
        let mut context = std::task::Context::from_waker(waker);
        let std::task::Poll::Ready(answer) = answer.as_mut().poll(&mut context) else {
            panic!("the simulator makes one wait");
        };
        let answer = answer.unwrap();
        assert!(answer.status < 300, "{answer:?}");
        answer.body
    };
    post("/v2/projects", json!({"name": "shop", "purpose": "Web Application"}));
    post("/v2/tags", json!({"name": "saga:shop"}));
    let vpc = post("/v2/vpcs", json!({"name": "shop", "region": "fra1"}));
    let volume =
        json!({"name": "shop", "region": "fra1", "size_gigabytes": 10, "tags": ["saga:shop"]});
    let volume = post("/v2/volumes", volume)["volume"]["id"].as_str().unwrap().to_owned();
    post(&format!("/v2/volumes/{volume}/snapshots"), json!({"name": "shop"}));
    let droplet = json!({
        "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
        "tags": ["saga:shop"], "vpc_uuid": vpc["vpc"]["id"]
    });
    post("/v2/droplets", droplet);
    post("/v2/reserved_ips", json!({"region": "fra1"}));
    post("/v2/domains", json!({"name": "shop.example.org"}));
    let record = json!({"type": "A", "name": "@", "data": "192.0.2.9"});
    post("/v2/domains/shop.example.org/records", record);
    let open = json!([{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}]);
    post("/v2/firewalls", json!({"name": "shop", "inbound_rules": open, "tags": ["saga:shop"]}));
    let rules = json!([{
        "entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 80
    }]);
    let balancer =
        json!({"name": "shop", "region": "fra1", "tag": "saga:shop", "forwarding_rules": rules});
    post("/v2/load_balancers", balancer);
    let cluster = json!({
        "name": "shop", "engine": "pg", "size": "db-s-1vcpu-1gb", "region": "fra1", "num_nodes": 1
    });
    post("/v2/databases", cluster);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKf5xJtN2s0ygb3pQZPJt7Fg9B2l4L1f3i1m2o8Y9w0a a";
    post("/v2/account/keys", json!({"name": "shop", "public_key": key}));
    post("/v2/cdn/endpoints", json!({"origin": "shop.fra1.digitaloceanspaces.com"}));
    let app = json!({"name": "shop", "region": "fra", "static_sites": []});
    post("/v2/apps", json!({ "spec": app }));
    take(cloud, None);
}

/// Everything takes so long from now on, or as long as it takes.
fn take(cloud: &Simulator, seconds: Option<u32>) {
    let all = [Takes::App, Takes::Database, Takes::Droplet, Takes::Firewall, Takes::LoadBalancer];
    cloud.set(|settings| {
        settings.delays =
            seconds.map(|seconds| all.map(|one| (one, seconds))).into_iter().flatten().collect();
    });
}
