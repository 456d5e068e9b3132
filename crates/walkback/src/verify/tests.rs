//! The oracle is shown able to fail: each promise is broken on purpose, and exactly that is found.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::store::{MemoryStore, StoredRun};
use crate::verify::{Report, verify};
use crate::{Engine, Order, Registry};

mod fixed;
mod ledgers;
mod records;

use fixed::Fixed;

/// The runs of a real store: a completed one of three steps, and one that walked back.
async fn real() -> Vec<StoredRun> {
    let engine = Engine::new(Registry::with_builtins(), MemoryStore::new()).unwrap();
    engine.start_saga(Order::steps(["echo", "echo", "echo"]).key("one")).await.unwrap();
    engine.start_saga(Order::steps(["echo", "echo", "fail"]).key("two")).await.unwrap();
    engine.work_until_idle().await.unwrap();
    engine.store().scan(None, 10).await.unwrap()
}

async fn judged(runs: Vec<StoredRun>, record: Option<String>) -> Report {
    let record = record.map(|text| -> Box<dyn std::io::BufRead + Send> {
        Box::new(std::io::Cursor::new(text.into_bytes()))
    });
    verify(&Fixed(Arc::new(runs)), None, record).await.unwrap()
}

fn promises(report: &Report) -> Vec<&'static str> {
    let found: BTreeSet<_> = report.violations.iter().map(|found| found.promise).collect();
    found.into_iter().collect()
}

/// Damages real runs and says which promises are found broken.
async fn damaged(damage: impl FnOnce(&mut Vec<StoredRun>)) -> Vec<&'static str> {
    let mut runs = real().await;
    damage(&mut runs);
    let report = judged(runs, None).await;
    promises(&report)
}

#[tokio::test]
async fn real_runs_are_clean() {
    let report = judged(real().await, None).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.runs, report.late.len()), (2, 0));
}

#[tokio::test]
async fn what_is_beyond_the_limit_is_counted() {
    let mut runs = real().await;
    runs[0].head.current_step = 7;
    let runs: Vec<_> = std::iter::repeat_n(runs.swap_remove(0), 600).collect();
    let report = judged(runs, None).await;
    assert_eq!((report.violations.len(), report.unlisted), (1_000, 199));
    assert!(report.to_string().contains("and 199 more"), "{report}");
}
