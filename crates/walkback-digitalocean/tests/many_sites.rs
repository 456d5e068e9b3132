//! A hundred sites ordered at once under the API's real rate limits: all complete, and hardly a call is
//! one too many.

#![expect(clippy::cast_precision_loss, reason = "a mean for people")]
#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use walkback::clock::Clock;
use walkback::engine::Enlistment;
use walkback::store::Store;
use walkback::testing::VirtualClock;
use walkback::worker::Until;
use walkback::{Engine, MemoryStore, Order, Registry, Status};
use walkback_digitalocean::{Client, Simulator, sagas};

#[path = "every_fault/neighbour.rs"]
mod neighbour;

const SITES: usize = 100;

#[tokio::test(start_paused = true)]
async fn a_hundred_sites_at_once_keep_to_the_rate_limits() {
    let clock = VirtualClock::new();
    let begun = clock.now();
    let cloud = Simulator::new(Arc::new(clock));
    neighbour::settle(&cloud);
    let (before, of_neighbour) = (cloud.things(), cloud.calls());
    cloud.set(|settings| {
        settings.latency = Duration::from_millis(200);
        // The neighbour has one of each.
        (settings.reserved_ip_limit, settings.droplet_limit) = (SITES + 1, SITES + 1);
    });
    let client = Client::over(cloud.token("ours"), Arc::new(clock));
    let registry = sagas::add(Registry::with_builtins(), &client);
    let engine = Engine::with_clock(registry, MemoryStore::new(), clock).unwrap();
    let mut ids = Vec::new();
    for nth in 0..SITES {
        let order = json!({
            "name": format!("site-{nth}"), "region": "fra1", "size": "s-1vcpu-1gb",
            "domain": format!("site-{nth}.example.com")
        });
        let order = Order::kind("provision").input(order.to_string());
        ids.push(engine.start_saga(order).await.unwrap().id);
    }
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { unreachable!() };
    let stop = CancellationToken::new();
    let rest = async {
        for id in &ids {
            let status = engine.wait_for_rest(*id).await.unwrap();
            let saga = engine.show_saga(*id).await.unwrap();
            assert_eq!(status, Status::Completed, "{saga:#?}");
        }
        stop.cancel();
    };
    let (worked, ()) = tokio::join!(worker.run(Until::Stopped, stop.clone()), rest);
    worked.unwrap();
    let took = clock.now().since(begun).as_secs();
    let (calls, refused) = (cloud.calls() - of_neighbour, cloud.refused());
    eprintln!(
        "{SITES} sites in {took} s of simulated time: {calls} calls, {:.1} a site, {refused} answered 429",
        calls as f64 / SITES as f64
    );
    let things = cloud.things();
    assert_eq!(things["droplets"].len(), SITES + 1);
    for (kind, of_neighbour) in before {
        assert!(of_neighbour.iter().all(|one| things[&kind].contains(one)), "{kind} of another");
    }
    assert!(refused * 100 <= calls, "{refused} of {calls} calls were one too many");
    let report = walkback::verify::verify(engine.store(), None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

/// Three processes with an account and a store of their own each, or one store; how many of their calls were
/// one too many.
async fn three_processes(shared: bool) -> u64 {
    let clock = VirtualClock::new();
    let cloud = Simulator::new(Arc::new(clock));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let process = || {
        let client = Client::over(cloud.token("ours"), Arc::new(clock));
        if shared {
            client.share_budget(Arc::clone(&store));
        }
        async move {
            let until = clock.now().plus(Duration::from_mins(10));
            while clock.now() < until {
                if client.get::<serde_json::Value>("/v2/account").await.is_err() {
                    // Who is refused, or would have to wait too long, comes again.
                    clock.sleep(Duration::from_secs(1)).await;
                }
            }
        }
    };
    tokio::join!(process(), process(), process());
    let calls = cloud.calls();
    assert!(calls > 1_700, "only {calls} calls in ten minutes");
    cloud.refused()
}

#[tokio::test(start_paused = true)]
async fn processes_that_share_a_store_share_the_rate() {
    assert!(three_processes(false).await > 0);
    assert_eq!(three_processes(true).await, 0);
}
