//! T14: every saga of the provider, with everything that can go wrong: nothing left, nothing made twice,
//! nothing foreign deleted.

#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use walkback::testing::{Cloud, End, Faults, VirtualClock, every_fault};
use walkback::{Order, Registry, Status};
use walkback_digitalocean::client::{Request, Sent, Transport};
use walkback_digitalocean::simulator::CallFault;
use walkback_digitalocean::{Client, Simulator, sagas};

/// An account in which another tenant lives with look-alike names, and the process on the way to it.
struct Account {
    cloud: Simulator,
    clock: VirtualClock,
    /// What was there before.
    before: BTreeMap<String, Vec<Value>>,
    calls_before: u64,
}

/// The way to the cloud of a process that may die on it.
struct Mortal {
    way: Arc<dyn Transport>,
    life: Arc<Faults>,
}

impl Transport for Mortal {
    fn send(&self, request: Request) -> Sent<'_> {
        Box::pin(async {
            self.life.point().await;
            let answer = self.way.send(request).await;
            self.life.point().await;
            answer
        })
    }
}

/// Makes what another tenant has; the simulator answers at once.
fn settle_neighbour(cloud: &Simulator) {
    let neighbour = cloud.token("neighbour");
    let post = |path: &str, body: Value| {
        let request = Request {
            method: walkback_digitalocean::client::Method::Post,
            path: path.to_owned(),
            body: Some(body),
        };
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
    post("/v2/volumes", volume);
    let droplet = json!({
        "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
        "tags": ["saga:shop"], "vpc_uuid": vpc["vpc"]["id"]
    });
    post("/v2/droplets", droplet);
    post("/v2/reserved_ips", json!({"region": "fra1"}));
    post("/v2/domains", json!({"name": "shop.example.org"}));
}

impl Cloud for Account {
    type Fault = CallFault;

    fn new(clock: VirtualClock) -> Self {
        let cloud = Simulator::new(Arc::new(clock));
        cloud.set(|settings| settings.lists_lag = Duration::from_secs(10));
        settle_neighbour(&cloud);
        let (before, calls_before) = (names(&cloud), cloud.calls());
        Self { cloud, clock, before, calls_before }
    }

    fn faults() -> Vec<CallFault> {
        CallFault::ALL.to_vec()
    }

    fn fail(&self, nth: u64, fault: CallFault) {
        self.cloud.set(|settings| settings.fault = Some((self.calls_before + nth, fault)));
    }

    fn struck(&self) -> bool {
        self.cloud.struck()
    }

    fn registry(&self, life: &Arc<Faults>) -> Registry {
        let way = Mortal { way: self.cloud.token("ours"), life: Arc::clone(life) };
        let client = Client::over(Arc::new(way), Arc::new(self.clock));
        sagas::add(Registry::with_builtins(), &client)
    }
}

/// What there is, by what tells it from all others.
fn names(cloud: &Simulator) -> BTreeMap<String, Vec<Value>> {
    let name = |thing: &Value| {
        let tells = ["id", "name", "ip"].into_iter().find(|name| !thing[name].is_null());
        thing[tells.unwrap_or("id")].clone()
    };
    let named = |(kind, things): (String, Vec<Value>)| (kind, things.iter().map(name).collect());
    cloud.things().into_iter().map(named).collect()
}

impl Account {
    /// What there is beyond what was there before: how many of each kind.
    fn ours(&self) -> BTreeMap<String, usize> {
        let now = names(&self.cloud);
        for (kind, before) in &self.before {
            for thing in before {
                let there = now.get(kind).is_some_and(|things| things.contains(thing));
                assert!(there, "foreign {kind} {thing} is gone");
            }
        }
        let known = |kind: &String, thing: &Value| {
            self.before.get(kind).is_some_and(|things| things.contains(thing))
        };
        let more = now.iter().map(|(kind, things)| {
            (kind.clone(), things.iter().filter(|thing| !known(kind, thing)).count())
        });
        more.filter(|(_, count)| *count > 0).collect()
    }
}

fn site() -> Order {
    let order = json!({
        "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "count": 2, "volume_gib": 10,
        "domain": "shop.example.com"
    });
    Order::kind("provision").input(order.to_string())
}

/// What a whole site is.
fn whole() -> BTreeMap<String, usize> {
    let things = [
        ("domains", 1),
        ("droplets", 2),
        ("firewalls", 1),
        ("projects", 1),
        ("records", 4),
        ("reserved_ips", 1),
        // The run's own, and one for each droplet and the volume.
        ("tags", 4),
        ("volumes", 1),
        ("vpcs", 1),
    ];
    things.map(|(kind, count)| (kind.to_owned(), count)).into()
}

#[tokio::test(start_paused = true)]
async fn provision_leaves_a_whole_site_or_nothing_whatever_goes_wrong() {
    let mut ends = BTreeMap::new();
    let trials = every_fault(&site(), |account: &Account, end: &End| {
        *ends.entry(end.status.name()).or_insert(0) += 1;
        match end.status {
            Status::Completed => assert_eq!(account.ours(), whole(), "{}", end.fault),
            Status::RolledBack => {
                assert_eq!(account.ours(), BTreeMap::new(), "{}: {:#?}", end.fault, end.saga.error);
            }
            status => panic!("{}: ended {status:?}: {:#?}", end.fault, end.saga),
        }
    })
    .await;
    eprintln!("provision: {trials} trials, {ends:?}");
}
