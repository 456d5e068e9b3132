//! T6: a primary dies under load and its replica takes over, again and again; by hand, and by Patroni on demand.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use walkback::engine::Enlistment;
use walkback::store::PostgresStore;
use walkback::testing::postgres::{Patroni, Server, free_port};
use walkback::verify::verify;
use walkback::worker::Until;
use walkback::{Engine, Error, Order, Registry, SagaId, Status};

/// Primaries that die.
const FAILOVERS: usize = 3;
/// Starts that must have been acknowledged before the next one dies.
const BETWEEN: usize = 200;
/// Patroni's twenty seconds, and what a node takes to come back, by far.
const LONG: Duration = Duration::from_mins(3);

/// Servers, each the replica of the one before.
struct Chain {
    ports: Vec<u16>,
    primary: Server,
}

impl Chain {
    fn new(failovers: usize) -> Self {
        let primary = Server::start(&[]).unwrap();
        let (_, first) = primary.socket();
        let others = (0..failovers).map(|_| free_port().unwrap());
        Self { ports: std::iter::once(first).chain(others).collect(), primary }
    }

    /// Whichever of them is the primary.
    fn url(&self) -> String {
        let hosts: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("postgres://walkback@{}/postgres", hosts.join(","))
    }

    /// The next replica of the primary.
    fn replica(&self, nth: usize) -> Server {
        self.primary.replica(self.ports[nth]).unwrap()
    }

    /// The primary dies, and the replica is the primary.
    fn fail_over(&mut self, replica: Server) {
        self.primary.control(&["-m", "immediate", "stop"]).unwrap();
        replica.control(&["promote"]).unwrap();
        self.primary = replica;
    }
}

/// Whoever starts sagas, and a worker that takes them, in one process.
struct Load {
    engine: Engine,
    acknowledged: Arc<AtomicUsize>,
    starters: JoinSet<Vec<(String, SagaId)>>,
    working: JoinSet<Result<(), Error>>,
    stop: CancellationToken,
    end: CancellationToken,
}

impl Load {
    async fn on(url: &str) -> Self {
        let store = PostgresStore::connect(url).await.unwrap();
        let engine = Engine::new(Registry::with_builtins(), store).unwrap();
        let (stop, end) = (CancellationToken::new(), CancellationToken::new());
        let (mut working, mut starters) = (JoinSet::new(), JoinSet::new());
        if let Enlistment::Working(worker) = engine.enlist().await.unwrap() {
            working.spawn(worker.run(Until::Stopped, end.clone()));
        }
        let acknowledged = Arc::<AtomicUsize>::default();
        for starter in 0..4 {
            let (engine, acknowledged) = (engine.clone(), Arc::clone(&acknowledged));
            starters.spawn(start_all(engine, starter, acknowledged, stop.clone()));
        }
        Self { engine, acknowledged, starters, working, stop, end }
    }

    /// Waits until so many more starts are acknowledged.
    async fn more(&self, starts: usize) {
        let enough = self.acknowledged.load(Ordering::SeqCst) + starts;
        while self.acknowledged.load(Ordering::SeqCst) < enough {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Nothing is started any more; what became of every start that was acknowledged.
    async fn ends(&mut self) -> Vec<(String, Result<Status, Error>)> {
        self.stop.cancel();
        let (mut ends, mut awaited) = (Vec::new(), JoinSet::new());
        while let Some(started) = self.starters.join_next().await {
            let engine = self.engine.clone();
            awaited.spawn(async move {
                let mut ends = Vec::new();
                for (key, id) in started.unwrap() {
                    ends.push((key, engine.wait_for_rest(id).await));
                }
                ends
            });
        }
        while let Some(some) = awaited.join_next().await {
            ends.extend(some.unwrap());
        }
        self.end.cancel();
        while let Some(ended) = self.working.join_next().await {
            ended.unwrap().unwrap();
        }
        ends
    }
}

fn order(key: &str) -> Order {
    Order::steps(["echo", "echo"]).key(key)
}

/// Starts sagas until it is told to stop; answers those whose start was acknowledged.
async fn start_all(
    engine: Engine,
    starter: usize,
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
) -> Vec<(String, SagaId)> {
    let mut started = Vec::new();
    for nth in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let key = format!("{starter}-{nth}");
        if let Ok(start) = engine.start_saga(order(&key)).await {
            acknowledged.fetch_add(1, Ordering::SeqCst);
            started.push((key, start.id));
        }
    }
    started
}

async fn check(url: &str) {
    let store = PostgresStore::connect(url).await.unwrap();
    let report = verify(&store, None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_failovers_lose_nothing_that_was_acknowledged() {
    let mut chain = Chain::new(FAILOVERS);
    let mut load = Load::on(&chain.url()).await;
    for nth in 1..=FAILOVERS {
        let replica = chain.replica(nth);
        let sql = "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()";
        chain.primary.tell(sql).unwrap();
        load.more(BETWEEN).await;
        chain.fail_over(replica);
    }
    load.more(BETWEEN).await;
    let ends = load.ends().await;
    for (key, end) in &ends {
        assert!(matches!(end, Ok(Status::Completed)), "{key}: {end:?}");
    }
    check(&chain.url()).await;
    eprintln!("{} acknowledged starts, {FAILOVERS} failovers, none is lost", ends.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_has_not_got_is_lost_and_named() {
    let mut chain = Chain::new(1);
    let mut load = Load::on(&chain.url()).await;
    let replica = chain.replica(1);
    load.more(BETWEEN).await;
    // From here on it gets nothing any more, as it could be with any asynchronous replica.
    replica.tell("ALTER SYSTEM SET primary_conninfo = ''; SELECT pg_reload_conf()").unwrap();
    while chain.primary.tell("SELECT count(*) FROM pg_stat_replication").unwrap().trim() != "0" {
        sleep(Duration::from_millis(20)).await;
    }
    load.more(BETWEEN).await;
    chain.fail_over(replica);
    load.more(BETWEEN).await;
    let ends = load.ends().await;
    let lost = lost(&load, &ends).await;
    check(&chain.url()).await;
    eprintln!("{} acknowledged starts, {lost} are lost, and named", ends.len());
    assert!(lost >= BETWEEN / 2, "{lost}");
}

/// How many are lost: those are said not to be there, and can be ordered again; all the others are complete.
async fn lost(load: &Load, ends: &[(String, Result<Status, Error>)]) -> usize {
    let mut lost = 0;
    for (key, end) in ends {
        match end {
            Ok(Status::Completed) => {}
            Err(Error::NotFound(_)) => {
                lost += 1;
                assert!(load.engine.start_saga(order(key)).await.unwrap().created, "{key}");
            }
            other => assert_eq!(format!("{other:?}"), "", "{key}"),
        }
    }
    lost
}

/// How often Patroni has to fail over, if it is there: once, or `WALKBACK_FAILOVERS`.
fn demanded() -> Option<usize> {
    if !Patroni::is_installed() {
        eprintln!(
            "Patroni and etcd are not installed (scripts/patroni does that): nothing is tried"
        );
        return None;
    }
    Some(std::env::var("WALKBACK_FAILOVERS").map_or(1, |text| text.parse().unwrap()))
}

/// Waits until there is what is expected.
async fn until<T>(expected: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let coming = async {
        loop {
            if let Some(found) = is() {
                return found;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(LONG, coming).await.expect(expected)
}

/// Waits until the cluster has a primary that every other node follows.
async fn settled(cluster: &Patroni) -> usize {
    until("a cluster that comes together", || cluster.settled()).await
}

/// The primary goes, in each of the ways in turn, and another one is there.
async fn goes(cluster: &Patroni, primary: usize, way: usize) {
    match way % 3 {
        // Its machine dies, and is back when another one has taken over.
        0 => cluster.kill(primary).unwrap(),
        // Its machine stands still, and goes on as if it were the primary.
        1 => cluster.signal(primary, "STOP").unwrap(),
        _ => cluster.crash(primary).unwrap(),
    }
    until("another primary", || cluster.primary().filter(|now| *now != primary)).await;
    match way % 3 {
        0 => cluster.boot(primary),
        1 => cluster.signal(primary, "CONT").unwrap(),
        _ => {}
    }
}

/// Answers how many starts were acknowledged, and how many of them are lost.
async fn patroni_fails_over(failovers: usize, synchronous: bool) -> (usize, usize) {
    let cluster = Patroni::start(synchronous).unwrap();
    settled(&cluster).await;
    let mut load = Load::on(&cluster.url()).await;
    for nth in 0..failovers {
        let primary = settled(&cluster).await;
        load.more(BETWEEN).await;
        if !synchronous {
            cluster.cut_off(primary).unwrap();
            load.more(BETWEEN).await;
        }
        goes(&cluster, primary, nth).await;
        eprintln!("failover {} of {failovers}", nth + 1);
    }
    load.more(BETWEEN).await;
    let ends = load.ends().await;
    let lost = lost(&load, &ends).await;
    check(&cluster.url()).await;
    eprintln!("{} acknowledged starts, {failovers} failovers: {lost} lost", ends.len());
    (ends.len(), lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patroni_fails_over_and_loses_nothing_that_was_acknowledged() {
    let Some(failovers) = demanded() else { return };
    let (acknowledged, lost) = patroni_fails_over(failovers, true).await;
    assert!(acknowledged >= BETWEEN * failovers && lost == 0, "{lost} of {acknowledged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_patroni_loses_is_named() {
    let Some(failovers) = demanded() else { return };
    let (_, lost) = patroni_fails_over(failovers, false).await;
    assert!(lost >= failovers, "{lost}");
}
