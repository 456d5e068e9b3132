//! Whose turn it is: one tenant's many sagas do not keep out another's one, and who serves other queues
//! is no reason to wait.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]
#![expect(clippy::panic, reason = "a test reports by panic")]

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::engine::Enlistment;
use walkback::store::Lease;
use walkback::testing::VirtualClock;
use walkback::worker::{Until, Worker};
use walkback::{
    Attempt, Context, DynamicStep, Effect, Engine, Json, MemoryStore, Options, Order, Registry,
    SagaId, Status, StepError,
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
    engine_on(MemoryStore::new(), Registry::new().dynamic(Busy))
}

fn engine_on(store: MemoryStore, registry: Registry) -> Engine {
    Engine::with_clock(registry, store, VirtualClock::new()).unwrap()
}

/// A worker of these queues.
async fn serving(engine: &Engine, queue: &str) -> Worker {
    let enlisted = engine.enlist_for(Lease::Usual, [queue.to_owned()]).await.unwrap();
    let Enlistment::Working(worker) = enlisted else { panic!("taken") };
    worker
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

#[tokio::test(start_paused = true)]
async fn a_saga_that_only_workers_of_other_queues_know_parks_until_one_of_its_queue_comes() {
    let store = MemoryStore::new();
    let knows = engine_on(store.clone(), Registry::new().dynamic(Busy));
    let does_not = engine_on(store, Registry::with_builtins());
    let id = knows.start_saga(order("one").queue("mail")).await.unwrap().id;
    let stop = CancellationToken::new();
    let (elsewhere, here) = (serving(&knows, "dns").await, serving(&does_not, "mail").await);
    let rest = async {
        let rest = tokio::time::timeout(Duration::from_mins(5), knows.wait_for_rest(id)).await;
        stop.cancel();
        rest
    };
    let (at_rest, first, second) = tokio::join!(
        rest,
        elsewhere.run(Until::Stopped, stop.clone()),
        here.run(Until::Stopped, stop.clone()),
    );
    first.and(second).unwrap();
    assert_eq!(at_rest.unwrap().unwrap(), Status::Parked);
    // One that knows it and has nothing to do with its queue leaves it as it is.
    serving(&knows, "dns").await.run(Until::Idle, CancellationToken::new()).await.unwrap();
    assert_eq!(knows.wait_for_rest(id).await.unwrap(), Status::Parked);
    serving(&knows, "mail").await.run(Until::Idle, CancellationToken::new()).await.unwrap();
    assert_eq!(knows.wait_for_rest(id).await.unwrap(), Status::Completed);
}
