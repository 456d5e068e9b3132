//! Sites from the order to the last thing removed, by every saga.

use std::sync::Arc;

use serde_json::{Value, json};
use walkback::clock::Clock;
use walkback::engine::{Asked, Operation};
use walkback::{Engine, MemoryStore, Order, Registry, SagaId, Status};
use walkback_digitalocean::secrets::Memory;
use walkback_digitalocean::{Client, inventory, sagas};

/// An account, and an engine that works on it.
pub(crate) struct Stage<C> {
    client: Client,
    clock: C,
    pub(crate) engine: Engine,
}

/// A site, from its order on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    /// With an address, a volume and a domain; rolled back.
    Plain,
    /// With a load balancer, a certificate and a database; suspended, resumed, shelved, and removed.
    Served,
    /// A key of Spaces and a CDN endpoint; suspended, resumed and removed.
    Files,
    /// An app; suspended, resumed and removed.
    App,
}

pub(crate) const LIVES: [Life; 4] = [Life::Plain, Life::Served, Life::Files, Life::App];

impl<C: Clock + Clone + 'static> Stage<C> {
    pub(crate) fn new(client: &Client, clock: C) -> Self {
        let client = client.keeping(Arc::new(Memory::default()));
        let registry = sagas::add(Registry::with_builtins(), &client);
        let engine = Engine::with_clock(registry, MemoryStore::new(), clock.clone()).unwrap();
        Self { client, clock, engine }
    }

    /// Lives it, or says what kept it from that.
    pub(crate) async fn live(&self, life: Life) -> Result<(), String> {
        match life {
            Life::Plain => self.plain().await,
            Life::Served => self.served().await,
            Life::Files => {
                let order = json!({
                    "name": "shop", "cdn_origin": "files.fra1.digitaloceanspaces.com",
                    "spaces_grants": [{"bucket": "files", "permission": "readwrite"}]
                });
                self.of_steps(&["look_for_cdn", "ensure_cdn", "create_spaces_key"], &order).await
            }
            Life::App => {
                let order =
                    json!({"name": "shop", "app_spec": {"region": "fra", "static_sites": []}});
                self.of_steps(&["create_app", "await_app"], &order).await
            }
        }
    }

    async fn plain(&self) -> Result<(), String> {
        let order = json!({
            "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "count": 2, "volume_gib": 10,
            "domain": "shop.example.com", "user_data": "#!/bin/sh\necho hello"
        });
        let id = self.done("provision", &order).await?;
        self.ask(id, Operation::Rollback).await;
        self.settled(id, Status::RolledBack).await
    }

    async fn served(&self) -> Result<(), String> {
        let order = json!({
            "name": "shop", "region": "fra1", "size": "s-1vcpu-1gb", "domain": "shop.example.com",
            "database_engine": "pg", "load_balancer": true, "volume_gib": 10,
            "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
        });
        let site = self.done("provision", &order).await?;
        self.done("suspend", &json!({"site": site, "parking_ip": "192.0.2.7"})).await?;
        let found = inventory::survey(&self.client, &self.clock).await;
        let found = found.map_err(|error| error.to_string())?;
        if found.survey.found.len() < 10 || !found.not_allowed.is_empty() {
            return Err(format!("{found:?}"));
        }
        self.done("resume_service", &json!({ "site": site })).await?;
        self.done("suspend", &json!({"site": site, "shelve": true})).await?;
        self.done("resume_service", &json!({"site": site, "unshelve": true})).await?;
        let rows = self.engine.list_provisioned(Some(site)).await.unwrap();
        let ids = |kind: &str| {
            let of_kind = rows.iter().filter(move |row| row.what.kind == kind);
            of_kind.map(|row| row.what.external_id.clone()).collect::<Vec<_>>()
        };
        let droplets = ids("droplet").into_iter().filter_map(|id| id.parse::<u64>().ok());
        let keep = json!({
            "keep_droplets": droplets.collect::<Vec<_>>(), "keep_volumes": ids("volume"),
            "keep_databases": ids("database")
        });
        self.removed(site, keep).await
    }

    async fn of_steps(&self, steps: &[&'static str], order: &Value) -> Result<(), String> {
        let order = Order::steps(steps.iter().copied()).input(order.to_string());
        let site = self.engine.start_saga(order).await.unwrap().id;
        self.settled(site, Status::Completed).await?;
        self.done("suspend", &json!({ "site": site })).await?;
        self.done("resume_service", &json!({ "site": site })).await?;
        self.removed(site, json!({})).await
    }

    async fn removed(&self, site: SagaId, mut order: Value) -> Result<(), String> {
        order["site"] = json!(site);
        order["grace"] = json!("0s");
        let order = Order::kind("offboard").input(order.to_string());
        let id = self.engine.start_saga(order).await.map_err(|error| error.to_string())?.id;
        self.engine.work_until_idle().await.unwrap();
        self.ask(id, Operation::Approve { step: None }).await;
        self.settled(id, Status::Completed).await
    }

    async fn done(&self, kind: &str, order: &Value) -> Result<SagaId, String> {
        let order = Order::kind(kind).input(order.to_string());
        let id = self.engine.start_saga(order).await.map_err(|error| error.to_string())?.id;
        self.settled(id, Status::Completed).await?;
        Ok(id)
    }

    async fn settled(&self, id: SagaId, status: Status) -> Result<(), String> {
        self.engine.work_until_idle().await.unwrap();
        let saga = self.engine.show_saga(id).await.unwrap();
        if saga.status == status { Ok(()) } else { Err(format!("{saga:#?}")) }
    }

    /// What is asked in vain shows in how it ends.
    async fn ask(&self, id: SagaId, operation: Operation) {
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        self.engine.operate(id, &operation, &asked).await.ok();
    }
}
