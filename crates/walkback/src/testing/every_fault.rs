//! T14: a saga with everything that can go wrong with it, one thing at a time.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::{Enlistment, SagaView};
use crate::machine::Status;
use crate::store::{Coordination, MemoryStore, Runs, StoredRun};
use crate::testing::crash::must;
use crate::testing::{Fault, Faults, Faulty, VirtualClock};
use crate::verify::verify;
use crate::worker::Until;
use crate::{Engine, Order, Registry, SagaId};

/// How long a saga may take before it counts as one that never ends.
const PATIENCE: Duration = Duration::from_hours(48);
/// The key of the saga that is tried.
const KEY: &str = "the one";
/// How often people look.
const ROUND: Duration = Duration::from_mins(1);
/// Processes that a saga may need.
const LIVES: usize = 8;

/// A cloud on which sagas work, and which can fail at any of its calls. Each trial has a new one.
pub trait Cloud: Send + Sync {
    /// What can go wrong with a call.
    type Fault: Copy + Debug + Send + Sync;

    /// An empty one, by this clock.
    fn new(clock: VirtualClock) -> Self;

    /// What can go wrong with its calls.
    fn faults() -> Vec<Self::Fault>;

    /// This goes wrong with the call of this number, counted from one.
    fn fail(&self, nth: u64, fault: Self::Fault);

    /// Whether it has gone wrong.
    fn struck(&self) -> bool;

    /// The steps as a process with this life knows them: a place before and after each call at which
    /// it may die ([`Faults::point`]).
    fn registry(&self, life: &Arc<Faults>) -> Registry;

    /// What people do now for the saga, asked once a minute and when it is at rest: approve it, or
    /// retry what stands still. Says whether they did something, so that it may go on.
    fn attend(&self, _: &Engine, _: SagaId) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }
}

/// An order, by the ids of the sagas before it.
pub type Ordered<'a> = dyn Fn(&[SagaId]) -> Order + Sync + 'a;

/// What is tried: sagas that are done first, with nothing wrong, and the order of the one that is tried
/// by their ids.
pub struct Trial<'a> {
    /// The sagas before it; each comes to rest before the next one begins.
    pub before: &'a [&'a Ordered<'a>],
    /// Of the calls of the store one in so many is tried; one: every call.
    pub one_in: usize,
    /// Its order.
    pub order: &'a Ordered<'a>,
}

/// How a saga ended.
#[derive(Clone, Debug)]
pub struct End {
    /// What went wrong, for people.
    pub fault: String,
    /// How it ended.
    pub status: Status,
    /// Everything about it.
    pub saga: SagaView,
}

/// Runs the saga of `order`, after those before it, once with nothing wrong, once for every fault at
/// every call of the cloud, once for every death before and after these, and once for every death and
/// every lost answer at the calls of the store (one in `one_in`); each must come to rest and keep every
/// promise that the oracle knows, and then `check` judges cloud and end. Says how many trials there
/// were. On a runtime whose time is paused.
///
/// # Panics
/// If a saga does not come to rest, or breaks a promise; the message names the fault.
pub async fn every_fault<C: Cloud>(order: &Trial<'_>, mut check: impl FnMut(&C, &End)) -> u64 {
    let mut trials = 0;
    let mut judge = |cloud: &C, end: End| {
        check(cloud, &end);
        trials += 1;
    };
    let clock = VirtualClock::new();
    let registry = C::new(clock).registry(&Faults::none());
    must(Engine::with_clock(registry, MemoryStore::new(), clock));
    let (cloud, end) = trial::<C>(clock, order, "nothing", &Faults::none(), |_| {}).await;
    judge(&cloud, end);
    for fault in C::faults() {
        for nth in 1.. {
            let name = format!("{fault:?} at call {nth} of the cloud");
            let fails = |cloud: &C| cloud.fail(nth, fault);
            let clock = VirtualClock::new();
            let (cloud, end) = trial::<C>(clock, order, &name, &Faults::none(), fails).await;
            if !cloud.struck() {
                break;
            }
            judge(&cloud, end);
        }
    }
    let all = Fault::ALL.into_iter().filter(|fault| *fault != Fault::LoseRace);
    for (which, fault) in all.enumerate() {
        let one_in = if fault == Fault::DieInBody { 1 } else { order.one_in.max(1) };
        for nth in (1 + (which % one_in) as u64..).step_by(one_in) {
            let life = Faults::new(fault, nth);
            let name = format!("{fault:?} at place {nth} of the process");
            let clock = VirtualClock::new();
            let (cloud, end) = trial::<C>(clock, order, &name, &life, |_| {}).await;
            if !life.fired() {
                break;
            }
            judge(&cloud, end);
        }
    }
    trials
}

/// One saga in one cloud with one thing that goes wrong.
async fn trial<C: Cloud>(
    clock: VirtualClock,
    order: &Trial<'_>,
    name: &str,
    first: &Arc<Faults>,
    fails: impl FnOnce(&C),
) -> (C, End) {
    let (cloud, store) = (C::new(clock), MemoryStore::new());
    let scene = Scene { cloud: &cloud, store: &store, clock };
    let mut before = Vec::new();
    for (nth, order) in order.before.iter().enumerate() {
        let key = format!("before {nth}");
        scene.life(&Faults::none(), &order(&before).key(&key)).await;
        before.extend(scene.found(&key).await.map(|run| run.spec.id));
    }
    fails(&cloud);
    let order = (order.order)(&before).key(KEY);
    let mut life = Arc::clone(first);
    for _ in 0..LIVES {
        scene.life(&life, &order).await;
        life = Faults::none();
        let run = scene.found(KEY).await;
        if let Some(run) = run.filter(|run| run.head.status.at_rest()) {
            let report = must(verify(&store, None, None).await);
            assert!(report.is_clean(), "{name}: {report}");
            let saga = must(scene.engine(&life).show_saga(run.spec.id).await);
            let end = End { fault: name.to_owned(), status: saga.status, saga };
            return (cloud, end);
        }
    }
    fail(&format!("{name}: no rest: {:#?}", must(store.scan(None, 1).await)))
}

/// What a trial has.
struct Scene<'a, C> {
    cloud: &'a C,
    store: &'a MemoryStore,
    clock: VirtualClock,
}

impl<C: Cloud> Scene<'_, C> {
    /// A process with this life; its registry was checked before the first trial.
    fn engine(&self, life: &Arc<Faults>) -> Engine {
        let faulty = Faulty::new(Arc::new(self.store.clone()), Arc::clone(life));
        Engine::of(self.cloud.registry(life), Arc::new(faulty), Arc::new(self.clock))
    }

    /// One life of a process, until it dies or the saga of `order` is at rest.
    async fn life(&self, life: &Arc<Faults>, order: &Order) {
        let engine = self.engine(life);
        tokio::select! {
            biased;
            () = life.died().cancelled() => {}
            () = live(self.cloud, &engine, order) => {}
            () = tokio::time::sleep(PATIENCE) => {}
        }
        drop(engine);
        if let Some(worker) = life.worker() {
            must(self.store.retire(worker).await);
        }
    }

    /// The run of this key.
    async fn found(&self, key: &str) -> Option<StoredRun> {
        let mut runs = must(self.store.scan(None, usize::MAX).await).into_iter();
        runs.find(|run| run.spec.key.as_deref() == Some(key))
    }
}

/// One life: starts the saga, works on it, and waits until it is at rest.
async fn live<C: Cloud>(cloud: &C, engine: &Engine, order: &Order) {
    let Ok(Enlistment::Working(worker)) = engine.enlist().await else { return };
    // Nobody else writes: each look at the store would be one more place to die at.
    let worker = worker.looking(Duration::from_hours(1));
    let stop = CancellationToken::new();
    let client = async {
        loop {
            match engine.start_saga(order.clone()).await {
                Ok(started) => attended(cloud, engine, started.id).await,
                Err(crate::Error::Store(_)) => continue,
                Err(error) => fail(&error.to_string()),
            }
            return stop.cancel();
        }
    };
    // A process whose worker fails is at its end.
    tokio::select! {
        _ = worker.run(Until::Stopped, stop.clone()) => {}
        () = async { client.await; std::future::pending().await } => {}
    }
}

/// Waits until the saga is at rest, and people have nothing more to do for it.
async fn attended<C: Cloud>(cloud: &C, engine: &Engine, id: SagaId) {
    loop {
        let rest = async { while engine.wait_for_rest(id).await.is_err() {} };
        let rested = tokio::time::timeout(ROUND, rest).await.is_ok();
        if !cloud.attend(engine, id).await && rested {
            return;
        }
    }
}

#[expect(clippy::panic, reason = "testing code reports by panic")]
fn fail(why: &str) -> ! {
    panic!("{why}")
}
