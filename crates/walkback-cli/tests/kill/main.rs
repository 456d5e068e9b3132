//! The kill test: many runs at once, and a worker that is killed with -9 again and again.
//!
//! Every body appends to a record outside the store, so that the judge need not trust the engine.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use walkback::{Engine, Order, Registry, SagaId, SqliteStore, Status, Steps, store::Filter};

mod process;
mod record;
mod script;
mod worker;

use record::Record;
use script::body;
use worker::Worker;

/// Runs in flight at once.
const AT_ONCE: usize = 44;
/// Kills with a body under way.
const KILLS: usize = 150;

/// One of four kinds: with groups and lists in them; every second one fails at its end.
fn order(folder: &Path, number: usize) -> Order {
    let step = |name: &str| body(folder, name);
    let mut steps = Steps::new().then(step("first"));
    if number % 4 < 2 {
        steps = steps.then_all([step("left"), step("middle"), step("right")]).then(step("after"));
    } else {
        let list = |name: &str| Steps::new().then(step(name)).then(step("next"));
        steps = steps.then_lists([list("one"), list("two")]);
    }
    if number % 2 == 1 {
        steps = steps.then("fail");
    }
    Order::list("kill", steps).label("number", number.to_string())
}

async fn in_flight(engine: &Engine) -> usize {
    let statuses = vec![Status::Pending, Status::Running, Status::Compensating];
    let filter = Filter { statuses, limit: usize::MAX, ..Filter::default() };
    engine.list_sagas(filter).await.unwrap().len()
}

/// The runs that have a body under way, as their ledgers say, and how long those are.
async fn under_way(engine: &Engine) -> Vec<(SagaId, u64)> {
    let statuses = vec![Status::Running, Status::Compensating];
    let filter = Filter { statuses, limit: usize::MAX, ..Filter::default() };
    let mut found = Vec::new();
    for saga in engine.list_sagas(filter).await.unwrap() {
        let mut open = 0;
        let rows = engine.ledger(saga.id, 0).await.unwrap();
        for row in &rows {
            match &*row.kind {
                "step_started" | "undo_started" => open += 1,
                "step_completed" | "step_failed" | "undo_completed" | "undo_failed" => open -= 1,
                "taken_over" | "handed_over" => open = 0,
                _ => {}
            }
        }
        if open > 0 {
            found.push((saga.id, rows.len() as u64));
        }
    }
    found
}

/// Those of these runs whose ledger has no outcome behind the given length.
async fn without_progress(engine: &Engine, runs: &[(SagaId, u64)]) -> Vec<SagaId> {
    let mut without = Vec::new();
    for &(id, len) in runs {
        let rows = engine.ledger(id, len).await.unwrap();
        let ended = |kind: &str| kind.ends_with("_completed") || kind.ends_with("_failed");
        if !rows.iter().any(|row| ended(&row.kind)) {
            without.push(id);
        }
    }
    without
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_run_ends_whole_however_often_its_worker_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    script::write_script(folder.path());
    let store = SqliteStore::open(folder.path().join("kill.db")).unwrap();
    let engine = Engine::new(Registry::with_builtins(), store.clone()).unwrap();
    let mut record = Record::new(folder.path());
    let mut started = 0;
    let mut fell: BTreeMap<&'static str, usize> = BTreeMap::new();
    for kill in 0..KILLS {
        let suspects = under_way(&engine).await;
        record.mark(kill);
        let worker = Worker::spawn(folder.path(), kill);
        // Progress for every run that the last kill hit, so that none becomes poison (rule S15).
        for _ in in_flight(&engine).await..AT_ONCE {
            engine.start_saga(order(folder.path(), started)).await.unwrap();
            started += 1;
        }
        let mut stuck = without_progress(&engine, &suspects).await;
        for _ in 0..6_000 {
            if stuck.is_empty() {
                break;
            }
            pause(5).await;
            stuck = without_progress(&engine, &suspects).await;
        }
        assert!(stuck.is_empty(), "no progress: {stuck:?}");
        pause(kill as u64 * 7919 % 60).await;
        while record.under_way().is_empty() {
            // It was faster than the pause: more work.
            engine.start_saga(order(folder.path(), started)).await.unwrap();
            started += 1;
            pause(20).await;
        }
        worker.kill();
        for (_, phase) in record.under_way() {
            *fell.entry(phase).or_default() += 1;
        }
    }
    let runs = in_flight(&engine).await;
    Worker::until_idle(folder.path(), KILLS).await;
    println!("{KILLS} kills with a body under way, {started} runs, {runs} in flight at the last");
    println!("the bodies they fell on: {fell:?}");
    judge(&engine, &record, folder.path()).await;
}

async fn judge(engine: &Engine, record: &Record, folder: &Path) {
    let sagas = engine.list_sagas(Filter { limit: usize::MAX, ..Filter::default() }).await.unwrap();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for saga in &sagas {
        *ends.entry(saga.status.name()).or_default() += 1;
        let failing = saga.labels["number"].parse::<usize>().unwrap() % 2 == 1;
        let expected = if failing { Status::RolledBack } else { Status::Completed };
        assert_eq!(saga.status, expected, "{}: {saga:?}", saga.id);
        let left = script::made(folder, saga.id);
        let steps = engine.list_step_results(saga.id).await.unwrap();
        let bodies = if failing { 0 } else { steps.len() };
        assert_eq!(left, bodies, "{} left files behind, or made too few", saga.id);
    }
    println!("ends: {ends:?}; record: {} lines", record.len());
    assert_eq!(record.overlaps(), Vec::<String>::new(), "bodies of one run overlapped");
    let effects = std::fs::File::open(folder.join("effects.jsonl")).unwrap();
    let effects = Box::new(std::io::BufReader::new(effects));
    let report = walkback::verify::verify(engine.store(), None, Some(effects)).await.unwrap();
    assert!(report.is_clean(), "{report}");
    println!("verify: {} runs, {} rows, nothing found", report.runs, report.rows);
}
