//! T5: worker processes on one PostgreSQL server, killed with -9 and stopped for longer than their
//! lease again and again, under load.
//!
//! Every body appends to a record outside the store, so that the judge need not trust the engine.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]
#![expect(clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use walkback::engine::Asked;
use walkback::store::{Filter, PostgresStore};
use walkback::testing::Chance;
use walkback::testing::postgres::Server;
use walkback::{
    Engine, Error, Order, Registry, SagaId, Status, Steps, clock::Clock, clock::SystemClock,
    time::Timestamp,
};

#[path = "../kill/process.rs"]
mod process;
#[path = "../kill/script.rs"]
mod script;
mod watch;
mod worker;

use script::body;
use watch::Watch;
use worker::Worker;

/// Workers at once.
const WORKERS: usize = 4;
/// Runs in flight at once.
const AT_ONCE: usize = 16;
/// Kills with a body under way, and stops, for at least a minute; of more kills `WALKBACK_KILLS` says how many.
const KILLS: usize = 55;
const STOPS: usize = 22;
const BETWEEN: Duration = Duration::from_millis(1_050);
const LEAST: Duration = Duration::from_mins(1);
/// How long a worker stands still: longer than its lease.
const STILL: Duration = Duration::from_millis(3_500);

/// One of three kinds: completes, fails at its end, or is cancelled soon after it was started.
fn order(folder: &Path, number: usize) -> Order {
    let step = |name: &str| body(folder, name);
    let steps = Steps::new().then(step("first")).then_all([step("left"), step("right")]);
    let mut steps = steps.then(step("after"));
    if number % 3 == 1 {
        steps = steps.then("fail");
    }
    Order::list("swarm", steps).label("number", number.to_string())
}

/// The runs in flight.
fn in_flight() -> Filter {
    let statuses = vec![Status::Pending, Status::Running, Status::Compensating];
    Filter { statuses, limit: AT_ONCE, ..Filter::default() }
}

/// The load: so many runs in flight, and every third one cancelled.
struct Load {
    engine: Engine,
    started: usize,
    /// Cancelled when the load is topped up next.
    to_cancel: Vec<SagaId>,
}

impl Load {
    async fn top_up(&mut self, folder: &Path) {
        let asked = Asked { actor: "swarm".to_owned(), reason: None };
        for id in std::mem::take(&mut self.to_cancel) {
            match self.engine.cancel_saga(id, &asked).await {
                Ok(_) | Err(Error::DoesNotFit { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        for _ in self.engine.find_sagas(in_flight()).await.unwrap().len()..AT_ONCE {
            let started = self.engine.start_saga(order(folder, self.started)).await.unwrap();
            if self.started % 3 == 2 {
                self.to_cancel.push(started.id);
            }
            self.started += 1;
        }
    }
}

/// Whether a hit now could make a run poison (rule S15), so that it would park: one of those in
/// flight has died so often since it last came on. The ledger tells, and not the record of the
/// bodies: a run dies with its worker before its body has begun, too.
async fn hurts(engine: &Engine) -> bool {
    /// Five make it poison. One may be on its way when the ledger is read, and on a busy machine one
    /// lives for longer than it says so.
    const MOST: usize = 2;
    for run in engine.find_sagas(in_flight()).await.unwrap() {
        let rows = engine.ledger(run, 0).await.unwrap();
        let kinds = rows.iter().rev().map(|row| &*row.kind);
        let since = kinds.take_while(|kind| !kind.ends_with("_completed"));
        if since.filter(|kind| *kind == "taken_over").count() >= MOST {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_ends_whole_whoever_of_many_is_killed_or_stopped() {
    let folder = tempfile::tempdir().unwrap();
    script::write_script(folder.path());
    let url = Server::shared().place();
    let store = PostgresStore::connect(&url).await.unwrap();
    let engine = Engine::new(Registry::with_builtins(), store).unwrap();
    let mut load = Load { engine: engine.clone(), started: 0, to_cancel: Vec::new() };
    let (mut watch, mut chance) = (Watch::new(folder.path()), Chance::new(5));
    let mut number = 0;
    let mut spawn = || {
        number += 1;
        Worker::spawn(&url, number)
    };
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| spawn()).collect();
    let mut deaths: Vec<(Timestamp, Vec<SagaId>)> = Vec::new();
    let (begun, mut stops) = (Instant::now(), 0);
    let kills = std::env::var("WALKBACK_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    while deaths.len() < kills || stops < STOPS || begun.elapsed() < LEAST {
        let next = Instant::now() + BETWEEN;
        let at = chance.index(WORKERS);
        if stops * KILLS < deaths.len() * STOPS && !hurts(&engine).await && workers[at].stop(STILL)
        {
            stops += 1;
        }
        loop {
            load.top_up(folder.path()).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
            let at = chance.index(WORKERS);
            let hit = watch.under_way(workers[at].number);
            if Instant::now() > next
                && !hit.is_empty()
                && !workers[at].is_still()
                && !hurts(&engine).await
            {
                deaths.push((SystemClock.now(), hit));
                std::mem::replace(&mut workers[at], spawn()).kill();
                break;
            }
        }
    }
    let took = begun.elapsed();
    for worker in workers {
        worker.go_on();
        worker.end();
    }
    Worker::until_idle(&url, number + 1).await;
    println!(
        "{WORKERS} workers, {} kills with a body under way and {stops} stops in {took:?}, {} runs",
        deaths.len(),
        load.started
    );
    takeovers(&engine, &deaths).await;
    judge(&load, folder.path()).await;
}

/// Tells how long it took from a kill to the next row that a worker wrote of the runs that it hit.
async fn takeovers(engine: &Engine, deaths: &[(Timestamp, Vec<SagaId>)]) {
    let mut took: Vec<Duration> = Vec::new();
    for (moment, hit) in deaths {
        for id in hit {
            let rows = engine.ledger(*id, 0).await.unwrap();
            took.extend(
                rows.iter()
                    .find(|row| row.at > *moment && row.fence > 0)
                    .map(|row| row.at.since(*moment)),
            );
        }
    }
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
    println!(
        "from a kill to the run's next row: p50 {:?}, p99 {:?}, {} runs",
        at(50),
        at(99),
        took.len()
    );
}

/// What happened to a saga, as its ledger and as the record say.
async fn story(engine: &Engine, folder: &Path, id: SagaId) -> String {
    let rows = engine.ledger(id, 0).await.unwrap();
    let ledger = rows.iter().map(|row| {
        format!("{} {} {:?} fence {} {}", row.at, row.kind, row.step_idx, row.fence, row.payload)
    });
    let record = std::fs::read_to_string(folder.join("effects.jsonl")).unwrap();
    let record = record.lines().filter(|line| line.contains(&id.to_string())).map(str::to_owned);
    ledger.chain(record).collect::<Vec<_>>().join("\n")
}

async fn judge(load: &Load, folder: &Path) {
    let all = Filter { limit: usize::MAX, ..Filter::default() };
    let sagas = load.engine.list_sagas(all).await.unwrap();
    assert_eq!(sagas.len(), load.started, "starts that were acknowledged are lost");
    let effects = std::fs::File::open(folder.join("effects.jsonl")).unwrap();
    let effects = Box::new(std::io::BufReader::new(effects));
    let report = walkback::verify::verify(load.engine.store(), None, Some(effects)).await.unwrap();
    println!("verify: {} runs, {} rows, {} late", report.runs, report.rows, report.late.len());
    let mut ends: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    let (mut untold, mut told) = (0, 0);
    for saga in &sagas {
        let kind = saga.labels["number"].parse::<usize>().unwrap() % 3;
        *ends.entry((saga.status.name(), kind)).or_default() += 1;
        let rows = load.engine.ledger(saga.id, 0).await.unwrap();
        told += usize::from(rows.iter().any(|row| row.kind == "came_late"));
        let expected = match (kind, saga.cancel_requested) {
            (0 | 2, false) => Status::Completed,
            _ => Status::RolledBack,
        };
        if saga.status != expected {
            let said = story(&load.engine, folder, saga.id).await;
            panic!("{} is {:?} and not {expected:?}:\n{said}", saga.id, saga.status);
        }
        let left = script::made(folder, saga.id);
        let bodies = if expected == Status::Completed { 4 } else { 0 };
        // What came late from a worker that was killed before it could tell can be left; it is named.
        let is_late = left > bodies && report.late.iter().any(|late| late.saga == saga.id);
        untold += usize::from(is_late);
        if left != bodies && !is_late {
            let said = story(&load.engine, folder, saga.id).await;
            panic!("{} made {bodies} files and left {left}:\n{said}", saga.id);
        }
    }
    assert!(report.is_clean(), "{report}");
    println!("runs of which something came late: {told} told and undone, {untold} left");
    println!("ends (by kind: completes, fails, is cancelled): {ends:?}");
}
