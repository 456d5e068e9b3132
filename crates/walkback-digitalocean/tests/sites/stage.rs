//! An account, and an engine that works on it.

use std::sync::Arc;

use serde_json::{Value, json};
use walkback::clock::Clock;
use walkback::describe::SagaView;
use walkback::engine::{Asked, Operation};
use walkback::testing::VirtualClock;
use walkback::{Engine, MemoryStore, Order, Registry, SagaId};
use walkback_digitalocean::client::Transport;
use walkback_digitalocean::secrets::Memory;
use walkback_digitalocean::{Client, Simulator, sagas};

pub(crate) struct Stage {
    pub(crate) clock: VirtualClock,
    pub(crate) cloud: Simulator,
    pub(crate) client: Client,
    pub(crate) secrets: Memory,
    pub(crate) engine: Engine,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|cloud| cloud.token("ours"))
    }

    /// With a token of one's own.
    pub(crate) fn with(token: impl FnOnce(&Simulator) -> Arc<dyn Transport>) -> Self {
        let clock = VirtualClock::new();
        let cloud = Simulator::new(Arc::new(clock));
        let secrets = Memory::default();
        let client = Client::over(token(&cloud), Arc::new(clock));
        let client = client.keeping(Arc::new(secrets.clone()));
        let registry = sagas::add(Registry::with_builtins(), &client);
        let engine = Engine::with_clock(registry, MemoryStore::new(), clock).unwrap();
        Self { clock, cloud, client, secrets, engine }
    }

    /// With steps of one's own.
    pub(crate) fn with_registry(
        registry: impl FnOnce(&Simulator, Arc<dyn Clock>) -> Registry,
    ) -> Self {
        let stage = Self::new();
        let registry = registry(&stage.cloud, Arc::new(stage.clock));
        let engine = Engine::with_clock(registry, MemoryStore::new(), stage.clock).unwrap();
        Self { engine, ..stage }
    }

    /// Runs these steps as a saga until it waits for somebody or is at rest.
    pub(crate) async fn run_steps(&self, steps: &[&'static str], order: &Value) -> SagaView {
        let order = Order::steps(steps.iter().copied()).input(order.to_string());
        let id = self.engine.start_saga(order).await.unwrap().id;
        self.settle(id).await
    }

    /// Starts a saga and works until it waits for somebody or is at rest.
    pub(crate) async fn run(&self, kind: &str, order: &Value) -> SagaView {
        let order = Order::kind(kind).input(order.to_string());
        let id = self.engine.start_saga(order).await.unwrap().id;
        self.settle(id).await
    }

    /// Provisions a site.
    pub(crate) async fn provision(&self) -> SagaView {
        self.provision_with(&json!({})).await
    }

    /// The same with an order that says more.
    pub(crate) async fn provision_with(&self, more: &Value) -> SagaView {
        let mut order = json!({
            "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "volume_gib": 10,
            "domain": "shop.example.com"
        });
        add(&mut order, more);
        self.run("provision", &order).await
    }

    pub(crate) async fn ask(&self, id: SagaId, operation: Operation) -> SagaView {
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        self.engine.operate(id, &operation, &asked).await.unwrap();
        self.settle(id).await
    }

    pub(crate) async fn settle(&self, id: SagaId) -> SagaView {
        self.engine.work_until_idle().await.unwrap();
        self.engine.show_saga(id).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.client.post(path, &body).await.unwrap()
    }

    /// How many things there are of this kind.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.cloud.things().get(kind).map_or(0, Vec::len)
    }
}

/// A site, and the account on which it is.
pub(crate) struct Site {
    pub(crate) stage: Stage,
    pub(crate) id: SagaId,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(&json!({})).await
    }

    /// One whose order says more.
    pub(crate) async fn with(more: &Value) -> Self {
        let stage = Stage::new();
        let id = stage.provision_with(more).await.id;
        Self { stage, id }
    }

    pub(crate) fn order(&self, more: &Value) -> Value {
        let mut order = json!({ "site": self.id });
        add(&mut order, more);
        order
    }

    /// Runs a saga for it until that waits for somebody or is at rest.
    pub(crate) async fn run(&self, kind: &str, more: Value) -> SagaView {
        self.stage.run(kind, &self.order(&more)).await
    }

    pub(crate) fn droplet(&self) -> Value {
        self.stage.cloud.things()["droplets"][0].clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stage.cloud.things()["firewalls"][0]["inbound_rules"] != json!([])
    }
}

fn add(order: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        order[name] = value.clone();
    }
}
