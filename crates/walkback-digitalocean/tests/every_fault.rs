//! T14: every saga of the provider, with everything that can go wrong: nothing left, nothing made twice,
//! nothing foreign deleted.

#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use walkback::engine::{Asked, Operation};
use walkback::testing::{Cloud, End, Faults, Trial, VirtualClock, every_fault};
use walkback::{Engine, MemoryStore, Order, Registry, SagaId, Status};
use walkback_digitalocean::client::{Request, Sent, Transport};
use walkback_digitalocean::secrets::{Keeper, Kept, Memory};
use walkback_digitalocean::simulator::{CallFault, Planted, Struck};
use walkback_digitalocean::{Client, Simulator, sagas};

#[path = "every_fault/neighbour.rs"]
mod neighbour;

/// An account in which another tenant lives with look-alike names, and the process on the way to it.
struct Account {
    cloud: Simulator,
    clock: VirtualClock,
    secrets: Memory,
    /// What was there before, by what tells it from all others.
    before: BTreeMap<String, Vec<Value>>,
    /// The same as it was.
    whole: BTreeMap<String, Vec<Value>>,
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

/// A keeper of secrets, and the process that may die on the way to it and back.
struct MortalKeeper {
    secrets: Memory,
    life: Arc<Faults>,
}

impl Keeper for MortalKeeper {
    fn keep<'a>(&'a self, name: &'a str, secret: &'a str) -> Kept<'a, String> {
        Box::pin(async {
            self.life.point().await;
            let kept = self.secrets.keep(name, secret).await;
            self.life.point().await;
            kept
        })
    }

    fn find<'a>(&'a self, name: &'a str) -> Kept<'a, Option<String>> {
        self.secrets.find(name)
    }

    fn forget<'a>(&'a self, name: &'a str) -> Kept<'a, ()> {
        Box::pin(async {
            self.life.point().await;
            let forgotten = self.secrets.forget(name).await;
            self.life.point().await;
            forgotten
        })
    }
}

impl Cloud for Account {
    type Fault = CallFault;

    fn new(clock: VirtualClock) -> Self {
        let cloud = Simulator::new(Arc::new(clock));
        cloud.set(|settings| {
            settings.lists_lag = Duration::from_secs(25);
            settings.reads_lag = Duration::from_secs(20);
        });
        neighbour::settle(&cloud);
        let (before, whole) = (names(&cloud), cloud.things());
        Self { cloud, clock, secrets: Memory::default(), before, whole }
    }

    fn faults() -> Vec<CallFault> {
        CallFault::ALL.to_vec()
    }

    fn fail(&self, nth: u64, fault: CallFault) {
        let calls = self.cloud.calls();
        let fault = Planted::new(Struck::Nth(calls + nth), fault);
        self.cloud.set(|settings| settings.planted = vec![fault]);
    }

    fn struck(&self) -> bool {
        self.cloud.struck()
    }

    fn registry(&self, life: &Arc<Faults>) -> Registry {
        let way = Mortal { way: self.cloud.token("ours"), life: Arc::clone(life) };
        let client = Client::over(Arc::new(way), Arc::new(self.clock));
        let keeper = MortalKeeper { secrets: self.secrets.clone(), life: Arc::clone(life) };
        sagas::add(Registry::with_builtins(), &client.keeping(Arc::new(keeper)))
    }

    /// What waits for somebody is approved; what stands still, as a call was refused, is tried again.
    async fn attend(&self, engine: &Engine, id: SagaId) -> bool {
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        let help = [Operation::Approve { step: None }, Operation::Retry { step: None }];
        for operation in help {
            let fits = match operation {
                Operation::Approve { .. } => true,
                _ => engine.show_saga(id).await.is_ok_and(|saga| saga.status == Status::Parked),
            };
            if fits && engine.operate(id, &operation, &asked).await.unwrap_or_default() {
                return true;
            }
        }
        false
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
        let (now, whole) = (names(&self.cloud), self.cloud.things());
        for (kind, before) in &self.whole {
            for thing in before {
                let there = whole.get(kind).is_some_and(|things| things.contains(thing));
                assert!(there, "foreign {kind} {thing} is gone, or another");
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

impl Account {
    /// What there is is all switched on, or all off.
    fn is_on_or_off(&self, fault: &str) {
        let things = self.cloud.things();
        let ours = |kind: &str| {
            let before = self.before.get(kind).cloned().unwrap_or_default();
            let things = things.get(kind).cloned().unwrap_or_default();
            let ours = move |thing: &Value| !before.iter().any(|known| thing["id"] == *known);
            things.into_iter().filter(ours).collect::<Vec<_>>()
        };
        let tagged = |thing: &Value| {
            thing["tags"].as_array().is_some_and(|tags| tags.contains(&json!("state:suspended")))
        };
        let mut off = Vec::new();
        for droplet in ours("droplets") {
            off.push(("droplet is off", droplet["status"] == "off"));
            off.push(("droplet is tagged", tagged(&droplet)));
        }
        let archived = |app: &Value| app["spec"]["maintenance"]["archive"] == true;
        off.extend(ours("apps").iter().map(|one| ("app is archived", archived(one))));
        let closed = |firewall: &Value| firewall["inbound_rules"] == json!([]);
        off.extend(ours("firewalls").iter().map(|one| ("firewall is closed", closed(one))));
        let parked = |record: &&Value| record["type"] == "A";
        for record in ours("records").iter().filter(parked) {
            off.push(("record is parked", record["data"] == "192.0.2.7"));
        }
        let keys = ours("spaces_keys");
        for key in &keys {
            let mut grants = key["grants"].as_array().unwrap().iter();
            off.push(("key may not write", !grants.any(|one| one["permission"] == "readwrite")));
        }
        // Whatever has a secret is there, and has it.
        let ids: Vec<_> = keys.iter().map(|key| key["access_key"].as_str().unwrap()).collect();
        assert_eq!(self.secrets.names(), ids, "{fault}: secrets, and keys");
        let all = off.first().is_none_or(|(_, first)| off.iter().all(|(_, one)| one == first));
        assert!(all, "{fault}: neither on nor off: {off:?}");
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

/// Of the calls of the store one in four, in its turn for each fault; all, if that is asked for.
fn one_in() -> usize {
    if std::env::var_os("WALKBACK_FAULTS").is_some_and(|which| which == "all") { 1 } else { 4 }
}

/// The order to do something with the site of the first saga.
fn order_for(kind: &str, sagas: &[SagaId]) -> Order {
    let order = match kind {
        "offboard" => json!({"site": sagas[0], "grace": "1m", "parking_ip": "192.0.2.7"}),
        "suspend" => json!({"site": sagas[0], "parking_ip": "192.0.2.7"}),
        _ => json!({ "site": sagas[0] }),
    };
    Order::kind(kind).input(order.to_string())
}

fn with(counts: &Counts, kind: &str, more: usize) -> Counts {
    let mut counts = counts.clone();
    *counts.entry(kind.to_owned()).or_default() += more;
    counts
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
        account.is_on_or_off(&end.fault);
    })
    .await;
    eprintln!("{name}: {trials} trials, {ends:?}");
}

#[tokio::test(start_paused = true)]
async fn provision_leaves_a_whole_site_or_nothing_whatever_goes_wrong() {
    let trial = Trial { one_in: one_in(), before: &[], order: &|_| sites()[0].clone() };
    tried("provision", trial, &wholes()[0], &Counts::new()).await;
}

#[tokio::test(start_paused = true)]
async fn provision_with_everything_leaves_a_whole_site_or_nothing() {
    let trial = Trial { one_in: one_in(), before: &[], order: &|_| sites()[1].clone() };
    tried("provision with everything", trial, &wholes()[1], &Counts::new()).await;
}

#[tokio::test(start_paused = true)]
async fn suspend_leaves_a_site_on_or_off_whatever_goes_wrong() {
    let site = |_: &[SagaId]| sites()[0].clone();
    let trial =
        Trial { one_in: one_in(), before: &[&site], order: &|sagas| order_for("suspend", sagas) };
    let whole = &wholes()[0];
    tried("suspend", trial, &with(whole, "tags", 1), whole).await;
}

#[tokio::test(start_paused = true)]
async fn resume_service_leaves_a_site_on_or_off_whatever_goes_wrong() {
    let suspend = |sagas: &[SagaId]| order_for("suspend", sagas);
    let site = |_: &[SagaId]| sites()[1].clone();
    let trial = Trial {
        one_in: one_in(),
        before: &[&site, &suspend],
        order: &|sagas| order_for("resume_service", sagas),
    };
    let whole = &wholes()[1];
    tried("resume_service", trial, whole, &with(whole, "tags", 1)).await;
}

#[tokio::test(start_paused = true)]
async fn offboard_leaves_a_whole_site_or_nothing_whatever_goes_wrong() {
    for (nth, name) in ["offboard", "offboard with everything"].into_iter().enumerate() {
        let site = |_: &[SagaId]| sites()[nth].clone();
        let trial = Trial {
            one_in: one_in(),
            before: &[&site],
            order: &|sagas| order_for("offboard", sagas),
        };
        tried(name, trial, &Counts::new(), &wholes()[nth]).await;
    }
}

/// The ids of things of a site: the simulated account counts, so that they are the same each time.
async fn ids(site: &Order, kind: &str) -> Value {
    let account = Account::new(VirtualClock::new());
    let client = Client::over(account.cloud.token("ours"), Arc::new(account.clock));
    let registry = sagas::add(Registry::with_builtins(), &client);
    let engine = Engine::with_clock(registry, MemoryStore::new(), account.clock).unwrap();
    engine.start_saga(site.clone()).await.unwrap();
    engine.work_until_idle().await.unwrap();
    let mut ids = names(&account.cloud)[kind].clone();
    ids.retain(|id| !account.before[kind].contains(id));
    Value::Array(ids)
}

#[tokio::test(start_paused = true)]
async fn offboard_keeps_the_last_of_what_it_is_told_or_the_whole_site_whatever_goes_wrong() {
    let [plain, served] = sites();
    let disks = json!({
        "keep_droplets": ids(&plain, "droplets").await, "keep_volumes": ids(&plain, "volumes").await
    });
    let cluster = json!({"keep_databases": ids(&served, "databases").await});
    // The fork's own tag stays with it, and so does that of the run that made it.
    let fork = counts(&[("databases", 1), ("tags", 2)]);
    let kept = [(disks, counts(&[("snapshots", 3)])), (cluster, fork)];
    for (nth, (keep, kept)) in kept.into_iter().enumerate() {
        let site = |_: &[SagaId]| sites()[nth].clone();
        let order = |sagas: &[SagaId]| {
            let mut order = keep.clone();
            (order["site"], order["grace"]) = (json!(sagas[0]), json!("1m"));
            Order::kind("offboard").input(order.to_string())
        };
        let trial = Trial { one_in: one_in(), before: &[&site], order: &order };
        tried("offboard with what is kept", trial, &kept, &wholes()[nth]).await;
    }
}

/// The order to suspend the site of the first saga by destroying its droplets.
fn shelve(sagas: &[SagaId]) -> Order {
    let order = json!({"site": sagas[0], "parking_ip": "192.0.2.7", "shelve": true});
    Order::kind("suspend").input(order.to_string())
}

/// A site without its droplets, of which there are snapshots.
fn shelved(whole: &Counts) -> Counts {
    let mut counts = with(&with(whole, "snapshots", 2), "tags", 1);
    counts.remove("droplets");
    counts
}

#[tokio::test(start_paused = true)]
async fn shelving_leaves_every_droplet_or_a_snapshot_of_each_whatever_goes_wrong() {
    let site = |_: &[SagaId]| sites()[0].clone();
    let trial = Trial { one_in: one_in(), before: &[&site], order: &shelve };
    let whole = &wholes()[0];
    tried("suspend by shelving", trial, &shelved(whole), whole).await;
}

#[tokio::test(start_paused = true)]
async fn resuming_a_shelved_site_leaves_every_droplet_or_a_snapshot_of_each() {
    let site = |_: &[SagaId]| sites()[0].clone();
    let unshelve = |sagas: &[SagaId]| {
        let order = json!({"site": sagas[0], "unshelve": true});
        Order::kind("resume_service").input(order.to_string())
    };
    let trial = Trial { one_in: one_in(), before: &[&site, &shelve], order: &unshelve };
    let whole = &wholes()[0];
    // The run's own, the volume's, and one for the step that made both droplets again.
    let mut resumed = whole.clone();
    resumed.insert("tags".to_owned(), 3);
    tried("resume_service of a shelved site", trial, &resumed, &shelved(whole)).await;
}

/// A site that is an app and nothing else.
fn app() -> Order {
    let order = json!({"name": "shop", "app_spec": {"region": "fra", "static_sites": []}});
    Order::steps(["create_app", "await_app"]).input(order.to_string())
}

#[tokio::test(start_paused = true)]
async fn an_app_is_made_suspended_and_removed_whatever_goes_wrong() {
    let (one, none) = (counts(&[("apps", 1)]), Counts::new());
    tried("an app", Trial { one_in: one_in(), before: &[], order: &|_| app() }, &one, &none).await;
    let site = |_: &[SagaId]| app();
    let trial =
        Trial { one_in: one_in(), before: &[&site], order: &|sagas| order_for("suspend", sagas) };
    tried("suspend an app", trial, &one, &one).await;
    let trial =
        Trial { one_in: one_in(), before: &[&site], order: &|sagas| order_for("offboard", sagas) };
    tried("offboard an app", trial, &none, &one).await;
}

/// A site that is a key of Spaces and a CDN endpoint.
fn files() -> Order {
    let order = json!({
        "name": "shop", "cdn_origin": "files.fra1.digitaloceanspaces.com",
        "spaces_grants": [{"bucket": "files", "permission": "readwrite"}]
    });
    Order::steps(["look_for_cdn", "ensure_cdn", "create_spaces_key"]).input(order.to_string())
}

#[tokio::test(start_paused = true)]
async fn files_are_served_suspended_and_removed_whatever_goes_wrong() {
    let (both, none) = (counts(&[("cdn_endpoints", 1), ("spaces_keys", 1)]), Counts::new());
    let site = |_: &[SagaId]| files();
    let trial = Trial { one_in: one_in(), before: &[], order: &site };
    tried("a key and an endpoint", trial, &both, &none).await;
    let suspend = |sagas: &[SagaId]| order_for("suspend", sagas);
    let trial = Trial { one_in: one_in(), before: &[&site], order: &suspend };
    tried("suspend a key", trial, &both, &both).await;
    let resume = |sagas: &[SagaId]| order_for("resume_service", sagas);
    let trial = Trial { one_in: one_in(), before: &[&site, &suspend], order: &resume };
    tried("resume a key", trial, &both, &both).await;
    let offboard = |sagas: &[SagaId]| order_for("offboard", sagas);
    let trial = Trial { one_in: one_in(), before: &[&site], order: &offboard };
    tried("offboard a key and an endpoint", trial, &none, &both).await;
}
