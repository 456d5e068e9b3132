//! Calls that no saga makes.

use std::time::Duration;

use serde_json::{Value, json};
use walkback_digitalocean::client::{Method, Request, Transport};

use crate::judge::{Judged, call};

/// All of them.
pub(crate) async fn everything(judged: &Judged) {
    one_by_one(judged).await;
    lives_by_hand(judged).await;
    changes_by_hand(judged).await;
    parts_by_hand(judged).await;
}

/// What needs nothing that was made before.
async fn one_by_one(judged: &Judged) {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKf5xJtN2s0ygb3pQZPJt7Fg9B2l4L1f3i1m2o8Y9w0a a";
    for (method, path, body, status) in [
        (Method::Get, "/v2/account", None, 200),
        (Method::Get, "/v2/regions", None, 200),
        (Method::Get, "/v2/sizes?per_page=2", None, 200),
        (Method::Get, "/v2/images?per_page=1&page=2", None, 200),
        (Method::Get, "/v2/images/debian-13-x64", None, 200),
        (Method::Post, "/v2/account/keys", Some(json!({"name": "a", "public_key": key})), 201),
        (Method::Post, "/v2/account/keys", Some(json!({"name": "a", "public_key": key})), 422),
        (Method::Get, "/v2/account/keys", None, 200),
        (Method::Post, "/v2/tags", Some(json!({"name": "a"})), 201),
        (Method::Get, "/v2/tags", None, 200),
        (Method::Get, "/v2/tags/a", None, 200),
        (Method::Get, "/v2/tags/absent", None, 404),
        (Method::Get, "/v2/actions?per_page=3", None, 200),
        (Method::Get, "/v2/projects/default", None, 200),
        (Method::Get, "/v2/projects/default/resources", None, 200),
        (Method::Get, "/v2/floating_ips", None, 200),
        (Method::Get, "/v2/droplets/1", None, 404),
        (Method::Delete, "/v2/volumes/7724db7c-e098-11e5-b522-000f53304e51", None, 404),
        (Method::Delete, "/v2/tags/a", None, 204),
        (Method::Get, "/v2/databases/options", None, 200),
        (Method::Get, "/v2/databases", None, 200),
        (Method::Get, "/v2/snapshots?resource_type=volume", None, 200),
        (
            Method::Post,
            "/v2/cdn/endpoints",
            Some(json!({"origin": "a.fra1.digitaloceanspaces.com"})),
            201,
        ),
        (Method::Get, "/v2/cdn/endpoints", None, 200),
        (Method::Get, "/v2/spaces/keys", None, 200),
        (Method::Get, "/v2/apps", None, 200),
        (Method::Get, "/v2/certificates?name=absent", None, 200),
    ] {
        assert_eq!(call(judged, method, path, body).await, status, "{method} {path}");
    }
}

async fn answer(judged: &Judged, method: Method, path: &str, body: Value) -> Value {
    let body = Some(body).filter(|body| !body.is_null());
    let request = Request { method, path: path.to_owned(), body };
    let answer = judged.send(request).await.unwrap();
    assert!(answer.status < 300, "{method} {path}: {answer:?}");
    answer.body
}

/// What takes the id of what was made before.
async fn lives_by_hand(judged: &Judged) {
    let volume = json!({"name": "data", "region": "fra1", "size_gigabytes": 10});
    let volume = answer(judged, Method::Post, "/v2/volumes", volume).await;
    let path = format!("/v2/volumes/{}/snapshots", volume["volume"]["id"].as_str().unwrap());
    let taken = json!({"name": "before", "tags": ["a"]});
    let snapshot = answer(judged, Method::Post, &path, taken).await;
    answer(judged, Method::Get, &path, Value::Null).await;
    let path = format!("/v2/snapshots/{}", snapshot["snapshot"]["id"].as_str().unwrap());
    answer(judged, Method::Get, &path, Value::Null).await;
    answer(judged, Method::Delete, &path, Value::Null).await;
    let key = json!({"name": "backup", "grants": [{"bucket": "b", "permission": "readwrite"}]});
    let key = answer(judged, Method::Post, "/v2/spaces/keys", key).await;
    let path = format!("/v2/spaces/keys/{}", key["key"]["access_key"].as_str().unwrap());
    let grants = json!({"name": "backup", "grants": [{"bucket": "b", "permission": "read"}]});
    answer(judged, Method::Put, &path, grants).await;
    answer(judged, Method::Delete, &path, Value::Null).await;
    let spec = json!({"spec": {"name": "shop", "region": "fra", "static_sites": []}});
    let app = answer(judged, Method::Post, "/v2/apps", spec.clone()).await;
    let path = format!("/v2/apps/{}", app["app"]["id"].as_str().unwrap());
    answer(judged, Method::Put, &path, spec).await;
    answer(judged, Method::Get, &format!("{path}/deployments"), Value::Null).await;
    answer(judged, Method::Delete, &path, Value::Null).await;
    let droplet = json!({
        "name": "web", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"
    });
    let droplet = answer(judged, Method::Post, "/v2/droplets", droplet).await;
    let path = format!("/v2/droplets/{}", droplet["droplet"]["id"]);
    for action in [
        json!({"type": "snapshot", "name": "before"}),
        json!({"type": "shutdown"}),
        json!({"type": "resize", "size": "s-1vcpu-2gb", "disk": true}),
        json!({"type": "power_on"}),
        json!({"type": "rebuild", "image": "debian-12-x64"}),
        json!({"type": "enable_backups"}),
    ] {
        idle(judged, &path).await;
        answer(judged, Method::Post, &format!("{path}/actions"), action).await;
    }
    idle(judged, &path).await;
    let droplet = answer(judged, Method::Get, &path, Value::Null).await;
    assert_eq!(droplet["droplet"]["size_slug"], "s-1vcpu-2gb");
    for list in [
        "snapshots",
        "destroy_with_associated_resources",
        "backups",
        "firewalls",
        "kernels",
        "neighbors",
    ] {
        answer(judged, Method::Get, &format!("{path}/{list}"), Value::Null).await;
    }
    images_by_hand(judged).await;
    let custom = json!({
        "name": "own", "type": "custom", "private_key": "k", "leaf_certificate": "c"
    });
    answer(judged, Method::Post, "/v2/certificates", custom).await;
}

/// Images of the account's own: a snapshot that was taken before, and one that is fetched.
async fn images_by_hand(judged: &Judged) {
    let fetched = json!({
        "name": "own", "url": "http://images.example.com/own.qcow2", "distribution": "Debian",
        "region": "fra1", "tags": ["a"]
    });
    let fetched = answer(judged, Method::Post, "/v2/images", fetched).await;
    assert_eq!(fetched["image"]["status"], "NEW");
    let own = answer(judged, Method::Get, "/v2/images?private=true", Value::Null).await;
    let own = own["images"].as_array().unwrap();
    assert!(own.len() >= 2, "{own:?}");
    for image in own {
        let path = format!("/v2/images/{}", image["id"]);
        answer(judged, Method::Put, &path, json!({"name": "other"})).await;
        let now = answer(judged, Method::Get, &path, Value::Null).await;
        assert_eq!(now["image"]["name"], "other");
        answer(judged, Method::Delete, &path, Value::Null).await;
        assert_eq!(call(judged, Method::Get, &path, None).await, 404);
    }
    let base = answer(judged, Method::Get, "/v2/images?type=distribution", Value::Null).await;
    assert_eq!(base["meta"]["total"], 3);
}

/// What can be changed about what was made with as little said of it as may be.
async fn changes_by_hand(judged: &Judged) {
    let made = async |path: &str, one: &str, body: Value| {
        let made = answer(judged, Method::Post, path, body).await;
        let id = ["id", "ip", "fingerprint"].iter().find_map(|name| made[one][name].as_str());
        format!("{path}/{}", id.unwrap())
    };
    let ip = made("/v2/reserved_ips", "reserved_ip", json!({"region": "fra1"})).await;
    let floating = made("/v2/floating_ips", "floating_ip", json!({"region": "fra1"})).await;
    let vpc = made("/v2/vpcs", "vpc", json!({"name": "net", "region": "fra1"})).await;
    let project = json!({"name": "side", "purpose": "Web Application"});
    let project = made("/v2/projects", "project", project).await;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBf5xJtN2s0ygb3pQZPJt7Fg9B2l4L1f3i1m2o8Y9w0 b";
    let key = json!({"name": "b", "public_key": key});
    let key = made("/v2/account/keys", "ssh_key", key).await;
    let rules = json!([{
        "entry_protocol": "http", "entry_port": 80, "target_protocol": "http", "target_port": 80
    }]);
    let balancer =
        json!({"name": "front", "region": "fra1", "tag": "a", "forwarding_rules": rules});
    let balancer = made("/v2/load_balancers", "load_balancer", balancer).await;
    let cdn = json!({"origin": "b.fra1.digitaloceanspaces.com"});
    let cdn = made("/v2/cdn/endpoints", "endpoint", cdn).await;
    let cluster = json!({
        "name": "db-by-hand", "engine": "valkey", "size": "db-s-1vcpu-1gb", "region": "fra1", "num_nodes": 1,
        "private_network_uuid": ""
    });
    let cluster = made("/v2/databases", "database", cluster).await;
    for list in ["/v2/reserved_ips", "/v2/floating_ips", "/v2/load_balancers", "/v2/databases"] {
        answer(judged, Method::Get, list, Value::Null).await;
    }
    let cluster_status = async || {
        let found = answer(judged, Method::Get, &cluster, Value::Null).await;
        found["database"]["status"].clone()
    };
    while cluster_status().await != "online" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let side = json!({
        "name": "side", "description": "", "purpose": "Web Application", "environment": "Production",
        "is_default": false
    });
    for (method, path, body) in [
        (Method::Get, ip, Value::Null),
        (Method::Get, floating, Value::Null),
        (Method::Put, vpc.clone(), json!({"name": "net-2", "description": "ours"})),
        (Method::Patch, vpc.clone(), json!({"name": "net-3"})),
        (Method::Get, format!("{vpc}/members"), Value::Null),
        (Method::Put, project.clone(), side),
        (Method::Patch, project, json!({"name": "side-2"})),
        (Method::Put, key, json!({"name": "c"})),
        (Method::Get, balancer, Value::Null),
        (Method::Put, cdn.clone(), json!({"ttl": 600})),
        (Method::Delete, format!("{cdn}/cache"), json!({"files": ["*"]})),
        (
            Method::Put,
            format!("{cluster}/resize"),
            json!({"size": "db-s-1vcpu-2gb", "num_nodes": 1}),
        ),
    ] {
        answer(judged, method, &path, body).await;
    }
    let refused = async |method, path: &str, body| call(judged, method, path, body).await;
    let again = json!({"name": "net-3", "region": "fra1"});
    assert_eq!(refused(Method::Post, "/v2/vpcs", Some(again)).await, 422);
    let volume = json!({"name": "twice", "region": "fra1", "size_gigabytes": 1});
    made("/v2/volumes", "volume", volume.clone()).await;
    assert_eq!(refused(Method::Post, "/v2/volumes", Some(volume)).await, 409);
}

/// What is changed part by part, and what is done to all that has a tag.
async fn parts_by_hand(judged: &Judged) {
    let droplet = json!({
        "name": "many", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "tags": ["many"]
    });
    let droplet = answer(judged, Method::Post, "/v2/droplets", droplet).await;
    let droplet = droplet["droplet"]["id"].clone();
    let rule = |port: &str| json!([{"protocol": "tcp", "ports": port, "sources": {"addresses": ["0.0.0.0/0"]}}]);
    let firewall = json!({"name": "parts", "inbound_rules": rule("22")});
    let firewall = answer(judged, Method::Post, "/v2/firewalls", firewall).await;
    let firewall = format!("/v2/firewalls/{}", firewall["firewall"]["id"].as_str().unwrap());
    let forward = |port: u16| json!([{"entry_protocol": "http", "entry_port": port, "target_protocol": "http", "target_port": port}]);
    let balancer = json!({
        "name": "parts", "region": "fra1", "droplet_ids": [], "forwarding_rules": forward(80)
    });
    let balancer = answer(judged, Method::Post, "/v2/load_balancers", balancer).await;
    let balancer =
        format!("/v2/load_balancers/{}", balancer["load_balancer"]["id"].as_str().unwrap());
    for (path, one, is_there) in [
        (
            format!("{firewall}/droplets"),
            json!({"droplet_ids": [droplet]}),
            "/firewall/droplet_ids/0",
        ),
        (format!("{firewall}/tags"), json!({"tags": ["many"]}), "/firewall/tags/0"),
        (
            format!("{firewall}/rules"),
            json!({"inbound_rules": rule("443")}),
            "/firewall/inbound_rules/1",
        ),
        (
            format!("{balancer}/droplets"),
            json!({"droplet_ids": [droplet]}),
            "/load_balancer/droplet_ids/0",
        ),
        (
            format!("{balancer}/forwarding_rules"),
            json!({"forwarding_rules": forward(8080)}),
            "/load_balancer/forwarding_rules/1",
        ),
    ] {
        let whole = path.rsplit_once('/').unwrap().0;
        for (method, there) in [(Method::Post, true), (Method::Delete, false)] {
            while call(judged, method, &path, Some(one.clone())).await == 403 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let now = answer(judged, Method::Get, whole, Value::Null).await;
            assert_eq!(now.pointer(is_there).is_some(), there, "{method} {path}: {now}");
        }
    }
    let first =
        answer(judged, Method::Get, "/v2/droplets?tag_name=many&per_page=1", Value::Null).await;
    assert_eq!(first["meta"]["total"], 1);
    idle(judged, &format!("/v2/droplets/{droplet}")).await;
    answer(judged, Method::Delete, "/v2/droplets?tag_name=many", Value::Null).await;
    while call(judged, Method::Get, &format!("/v2/droplets/{droplet}"), None).await != 404 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until nothing is under way on the droplet.
async fn idle(judged: &Judged, path: &str) {
    loop {
        let actions = answer(judged, Method::Get, &format!("{path}/actions"), Value::Null).await;
        let under_way = |action: &Value| action["status"] == "in-progress";
        if !actions["actions"].as_array().unwrap().iter().any(under_way) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
