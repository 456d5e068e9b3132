//! T14: every saga of the provider, with everything that can go wrong: nothing left, nothing made twice,
//! nothing foreign deleted.

#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use walkback::testing::{Cloud, End, Faults, Trial, VirtualClock, every_fault};
use walkback::{Order, Registry, Status};
use walkback_digitalocean::client::{Request, Sent, Transport};
use walkback_digitalocean::simulator::CallFault;
use walkback_digitalocean::{Client, Simulator, sagas};

/// How much faster than real the account is.
const SPEED: u32 = 10;

/// An account in which another tenant lives with look-alike names, and the process on the way to it.
struct Account {
    cloud: Simulator,
    clock: VirtualClock,
    /// What was there before.
    before: BTreeMap<String, Vec<Value>>,
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
        // Lists lag by ten of our seconds; what takes minutes takes less, so that trials are short.
        cloud.set(|settings| settings.speed = SPEED);
        cloud.set(|settings| settings.lists_lag = Duration::from_secs(10) * SPEED);
        settle_neighbour(&cloud);
        let before = names(&cloud);
        Self { cloud, clock, before }
    }

    fn faults() -> Vec<CallFault> {
        CallFault::ALL.to_vec()
    }

    fn fail(&self, nth: u64, fault: CallFault) {
        let calls = self.cloud.calls();
        self.cloud.set(|settings| settings.fault = Some((calls + nth, fault)));
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

/// An order with an address, a volume and a domain; and one with a load balancer, a certificate, a
/// database and a key.
fn sites() -> [Order; 2] {
    let plain = json!({
        "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "count": 2, "volume_gib": 10,
        "domain": "shop.example.com"
    });
    let served = json!({
        "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "domain": "shop.example.com",
        "database_engine": "pg", "load_balancer": true,
        "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    });
    [plain, served].map(|order| Order::kind("provision").input(order.to_string()))
}

type Counts = BTreeMap<String, usize>;

fn counts(things: &[(&str, usize)]) -> Counts {
    things.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

/// What these orders come to.
fn wholes() -> [Counts; 2] {
    let plain = counts(&[
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
    ]);
    let served = counts(&[
        ("certificates", 1),
        ("databases", 1),
        ("domains", 1),
        ("droplets", 1),
        ("firewalls", 1),
        ("load_balancers", 1),
        ("projects", 1),
        ("records", 4),
        ("ssh_keys", 1),
        ("tags", 3),
        ("vpcs", 1),
    ]);
    [plain, served]
}

/// Tries a saga, which must end completed with `whole`, or rolled back with `nothing`; says how often.
async fn tried(name: &str, trial: Trial<'_>, whole: &Counts, nothing: &Counts) {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    let trials = every_fault(&trial, |account: &Account, end: &End| {
        *ends.entry(end.status.name()).or_default() += 1;
        let expected = match end.status {
            Status::Completed => whole,
            Status::RolledBack => nothing,
            status => panic!("{}: ended {status:?}: {:#?}", end.fault, end.saga),
        };
        assert_eq!(account.ours(), *expected, "{}: {:#?}", end.fault, end.saga.error);
    })
    .await;
    eprintln!("{name}: {trials} trials, {ends:?}");
}

#[tokio::test(start_paused = true)]
async fn provision_leaves_a_whole_site_or_nothing_whatever_goes_wrong() {
    let trial = Trial { before: &[], order: &|_| sites()[0].clone() };
    tried("provision", trial, &wholes()[0], &Counts::new()).await;
}

#[tokio::test(start_paused = true)]
async fn provision_with_everything_leaves_a_whole_site_or_nothing() {
    let trial = Trial { before: &[], order: &|_| sites()[1].clone() };
    tried("provision with everything", trial, &wholes()[1], &Counts::new()).await;
}
