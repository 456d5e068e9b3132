//! T12: whatever a power cut leaves of the files, the store holds what anybody was told, and goes on.

#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::ledger::RowHash;
use walkback::testing::Chance;
use walkback::verify::verify;
use walkback::worker::Until;
use walkback::{Engine, Order, Registry, SagaId, SqliteStore};
use walkback_powercut::{Image, Op, Trace, install};

/// States of every day; `WALKBACK_POWER_CUTS=N` tries more.
const CUTS: usize = 2_000;
/// Sagas of a trace.
const SAGAS: usize = 40;
/// Of so many states the worker goes on from one.
const GOES_ON: usize = 10;
/// Threads that share the states.
const THREADS: usize = 2;
/// Pages of log after which it is copied into the file: few, so that this happens often.
const OFTEN: (&str, &str) = ("wal_autocheckpoint", "30");

/// Something that somebody was told: this saga has a ledger of this length, with this last row.
struct Told {
    saga: SagaId,
    len: usize,
    hash: RowHash,
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

fn engine(store: &SqliteStore) -> Engine {
    Engine::new(Registry::with_builtins(), store.clone()).unwrap()
}

/// Some sagas complete, some walk back, some are paused; whoever asked is told, and what they were
/// told is written down with the trace.
async fn work(folder: &Path, pragmas: &[(&str, &str)]) -> (Vec<Op>, Vec<Told>) {
    let trace = Trace::begin(folder);
    let store = SqliteStore::open_weakened(&folder.join("walkback.db"), pragmas).unwrap();
    let engine = engine(&store);
    let told = Mutex::new(Vec::new());
    // All that can be read may be told to somebody.
    let tell = async |id: SagaId| {
        let rows = engine.ledger(id, 0).await.unwrap();
        let mut told = told.lock().unwrap();
        let hash = rows.last().unwrap().hash(id);
        told.push(Told { saga: id, len: rows.len(), hash });
        trace.told(told.len() - 1);
    };
    let Enlistment::Working(worker) = engine.enlist().await.unwrap() else { panic!("taken") };
    let stop = CancellationToken::new();
    let ask = async {
        for nth in 0..SAGAS {
            let input = format!(r#"{{"message": "{}"}}"#, "x".repeat(nth * 131 % 9_000));
            let steps = if nth % 3 == 0 { ["echo", "echo", "fail"] } else { ["echo"; 3] };
            let order = Order::steps(steps).input(input);
            let id = engine.start_saga(order).await.unwrap().id;
            tell(id).await;
            if nth % 5 == 0 {
                let asked = Asked { actor: "ada".to_owned(), reason: None };
                let pauses = engine.operate(id, &Operation::Pause, &asked).await.is_ok();
                if pauses {
                    tell(id).await;
                }
            }
            engine.wait_for_rest(id).await.unwrap();
            tell(id).await;
        }
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(worker.run(Until::Stopped, stop.clone()), ask);
    ended.unwrap();
    drop((engine.clone(), store));
    let told = std::mem::take(&mut *told.lock().unwrap());
    (trace.end(), told)
}

/// What is wrong with the store after a cut: what was told and is not there, or what the oracle says.
async fn check(image: &Image, told: &[Told], goes_on: bool) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    image.write(folder.path()).unwrap();
    let file = folder.path().join("walkback.db");
    let store = SqliteStore::open(file).map_err(|error| format!("damaged: {error}"))?;
    let engine = engine(&store);
    for told in image.told().iter().map(|at| &told[*at]) {
        let rows = engine.ledger(told.saga, 0).await.map_err(|error| format!("lost: {error}"))?;
        let row = rows.get(told.len - 1).ok_or_else(|| {
            format!("lost: {} has {} rows, told were {}", told.saga, rows.len(), told.len)
        })?;
        if row.hash(told.saga) != told.hash {
            return Err(format!("lost: row {} of {} is another", told.len - 1, told.saga));
        }
    }
    if goes_on {
        engine.work_until_idle().await.map_err(|error| format!("stuck: {error}"))?;
    }
    let report = verify(&store, None, None).await.map_err(|error| format!("damaged: {error}"))?;
    if report.is_clean() { Ok(()) } else { Err(format!("damaged: {report}")) }
}

/// Cuts the power so often, and says what went wrong.
fn cut(ops: &[Op], told: &[Told], cuts: usize) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let share = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let nth = next.fetch_add(1, Ordering::SeqCst);
            if nth >= cuts {
                return;
            }
            let mut chance = Chance::new(nth as u64);
            let at = usize::try_from(chance.below(ops.len() as u64 + 1)).unwrap();
            let image = Image::after(ops, at, &mut |below| chance.below(below));
            let goes_on = nth % GOES_ON == 0;
            if let Err(why) = runtime.block_on(check(&image, told, goes_on)) {
                let fate = image.fate();
                let text = format!("cut {nth}, behind {at} of {} ({fate}): {why}", ops.len());
                wrong.lock().unwrap().push(text);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..THREADS).for_each(|_| drop(scope.spawn(share)));
    });
    wrong.into_inner().unwrap()
}

fn traced(pragmas: &[(&str, &str)]) -> (Vec<Op>, Vec<Told>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(work(folder.path(), pragmas))
}

fn count(ops: &[Op], what: fn(&Op) -> bool) -> usize {
    ops.iter().filter(|op| what(op)).count()
}

/// One test, as there is one file layer and one trace at a time.
#[test]
fn a_power_cut_loses_nothing_that_was_told() {
    install();
    let cuts = number("WALKBACK_POWER_CUTS").unwrap_or(CUTS);
    let (ops, told) = traced(&[OFTEN]);
    let (writes, syncs) = (
        count(&ops, |op| matches!(op, Op::Write(..))),
        count(&ops, |op| matches!(op, Op::Sync(_))),
    );
    let copies = count(&ops, |op| matches!(op, Op::Sync(path) if path.ends_with("walkback.db")));
    assert!(copies > 5, "the log was copied into the file {copies} times: too seldom to show much");
    let wrong = cut(&ops, &told, cuts);
    eprintln!(
        "{cuts} power cuts in {writes} writes, {syncs} syncs ({copies} of the file), {} told: {} wrong",
        told.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The control: without a sync for each commit some of what was told is lost, and nothing else.
    let (ops, told) = traced(&[OFTEN, ("synchronous", "NORMAL")]);
    let wrong = cut(&ops, &told, cuts / 10);
    let lost = wrong.iter().filter(|why| why.contains("lost: ")).count();
    eprintln!("with synchronous=NORMAL, {} power cuts: {lost} lost something", cuts / 10);
    assert!(lost > 0, "the control loses nothing: this test could not fail");
    assert_eq!(lost, wrong.len(), "{}", wrong.join("\n"));
}
