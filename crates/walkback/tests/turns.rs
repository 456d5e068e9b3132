//! One tenant's many sagas do not keep out another's one.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]
#![expect(clippy::panic, reason = "a test reports by panic")]

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::engine::Enlistment;
use walkback::testing::VirtualClock;
use walkback::worker::{Until, Worker};
use walkback::{
    Attempt, Context, DynamicStep, Effect, Engine, Json, MemoryStore, Options, Order, Registry,
    SagaId, StepError,
};

/// Takes a second, and room in its worker.
struct Busy;

impl DynamicStep for Busy {
    fn name(&self) -> &'static str {
        "busy"
    }

    fn options(&self) -> Options {
        Options::new().read_only()
    }

    async fn execute(&self, _: &Attempt, _: &mut Context) -> Result<(), StepError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    async fn compensate(&self, _: &Attempt, _: &Context, _: Effect<Json>) -> Result<(), StepError> {
        Ok(())
    }
}

fn order(tenant: &str) -> Order {
    Order::steps(["busy"]).label("tenant", tenant)
}

async fn enlisted(engine: &Engine, concurrency: usize) -> Worker {
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    worker.concurrency(concurrency)
}

fn engine() -> Engine {
    let registry = Registry::new().dynamic(Busy);
    Engine::with_clock(registry, MemoryStore::new(), VirtualClock::new()).unwrap()
}

/// Works until this saga rests; how long that took.
async fn time_until(engine: &Engine, worker: Worker, id: SagaId) -> Duration {
    let (stop, begun) = (CancellationToken::new(), tokio::time::Instant::now());
    let rest = async {
        engine.wait_for_rest(id).await.unwrap();
        stop.cancel();
        begun.elapsed()
    };
    let (worked, took) = tokio::join!(worker.run(Until::Stopped, stop.clone()), rest);
    worked.unwrap();
    took
}

#[tokio::test(start_paused = true)]
async fn a_tenants_thousand_sagas_do_not_starve_anothers_one() {
    let engine = engine();
    for _ in 0..1_000 {
        engine.start_saga(order("many")).await.unwrap();
    }
    let one = engine.start_saga(order("one")).await.unwrap().id;
    let worker = enlisted(&engine, 2).await;
    let took = time_until(&engine, worker, one).await;
    assert!(took < Duration::from_secs(10), "{took:?}, of 500 s that all take");
}
