//! Cancel, pause, hold, deadline, signal and approval, each raced against what would end the saga
//! without them: whoever is committed first has won, and the answer says so.

#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::engine::{Asked, Enlistment, Operation};
use walkback::testing::{Chance, Faults, Faulty, VirtualClock};
use walkback::worker::Until;
use walkback::{Engine, Json, MemoryStore, Order, Registry, SagaId, Status, Steps};

/// Races of every day; `WALKBACK_RACES=N` runs more.
const SEEDS: u64 = 10_000;

/// What is raced: the steps, and the request.
const RACES: [(&str, &str); 6] = [
    ("cancel", r#"["echo", {"sleep": {"for": "6ms"}}]"#),
    ("pause", r#"["echo", {"sleep": {"for": "6ms"}}, "echo"]"#),
    ("hold", r#"[{"fail": {"hold_on_failure": "6ms"}}]"#),
    ("deadline", r#"["echo", {"sleep": {"for": "6ms"}}]"#),
    ("signal", r#"[{"wait_for": {"signal": "go", "within": "6ms"}}]"#),
    ("approve", r#"[{"approve": {"within": "6ms"}}]"#),
];

fn operation(name: &str) -> Option<Operation> {
    Some(match name {
        "cancel" => Operation::Cancel,
        "pause" => Operation::Pause,
        "hold" => Operation::Hold { time: Duration::from_hours(1) },
        "signal" => {
            Operation::Signal { name: "go".to_owned(), payload: Json::empty_object(), id: None }
        }
        "approve" => Operation::Approve { step: None },
        _ => return None,
    })
}

/// One race: what was raced, and whether the request won.
async fn race(seed: u64) -> (&'static str, bool) {
    let mut chance = Chance::new(seed);
    let (name, steps) = chance.of(&RACES);
    let (clock, store) = (VirtualClock::new(), MemoryStore::new());
    // Every call of the store takes some time, so that others get in between.
    let way = |seed| Faulty::new(Arc::new(store.clone()), Faults::paced(None, seed));
    let engine = |seed| Engine::with_clock(Registry::with_builtins(), way(seed), clock).unwrap();
    let (works, asks) = (engine(chance.below(u64::MAX)), engine(chance.below(u64::MAX)));
    let steps: Steps = serde_json::from_str(steps).unwrap();
    let mut order = Order::list("race", steps);
    if name == "deadline" {
        order = order.deadline(Duration::from_micros(chance.below(30_000)));
    }
    let id = works.start_saga(order).await.unwrap().id;
    let Enlistment::Working(worker) = works.enlist().await.unwrap() else { panic!("taken") };
    let stop = CancellationToken::new();
    let after = Duration::from_micros(chance.below(30_000));
    let asked = async {
        let Some(operation) = operation(name) else {
            asks.wait_for_rest(id).await.unwrap();
            stop.cancel();
            return None;
        };
        tokio::time::sleep(after).await;
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        let answer = asks.operate(id, &operation, &asked).await;
        // A saga that is held for an hour, or paused, is at rest; all others come to it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        Some(answer.is_ok_and(|changed| changed))
    };
    let (ended, answer) = tokio::join!(worker.run(Until::Stopped, stop.clone()), asked);
    ended.unwrap();
    (name, judge(seed, name, answer, id, &asks).await)
}

/// The answer, the ledger and the end agree. Says whether the request won.
async fn judge(seed: u64, name: &str, answer: Option<bool>, id: SagaId, engine: &Engine) -> bool {
    let report = walkback::verify::verify(engine.store(), None, None).await.unwrap();
    assert!(report.is_clean(), "seed {seed}, {name}: {report}");
    let rows = engine.ledger(id, 0).await.unwrap();
    let at = |kind: &str| rows.iter().position(|row| row.kind == kind);
    let row = match name {
        "cancel" => "cancel_requested",
        "pause" => "pause_requested",
        "hold" => "hold_set",
        "deadline" => "deadline_passed",
        "signal" => "signal_received",
        _ => "step_completed",
    };
    let recorded = at(row).is_some();
    let status = engine.show_saga(id).await.unwrap().status;
    let told = || format!("seed {seed}, {name}: {answer:?}, {status:?}, {:?}", kinds(&rows));
    if let Some(accepted) = answer {
        assert_eq!(accepted, recorded, "{}", told());
    }
    let lost_to = |kind: &str| at(kind).is_some_and(|other| other < at(row).unwrap_or(usize::MAX));
    let expected = match (name, recorded) {
        ("cancel" | "deadline" | "pause", false) | ("approve", true) => Status::Completed,
        // The last body was under way: with it everything was done.
        ("pause", true) if rows.last().is_some_and(|row| row.step_idx == Some(2)) => {
            Status::Completed
        }
        ("pause" | "hold", true) => Status::Parked,
        // A signal that comes when its wait is over but not yet recorded as such is in time.
        ("signal", true) if !lost_to("step_failed") => Status::Completed,
        // A cancel or a deadline that was first; all else whose wait was over first.
        _ => Status::RolledBack,
    };
    assert_eq!(status, expected, "{}", told());
    recorded
}

fn kinds(rows: &[walkback::ledger::Row]) -> Vec<&str> {
    rows.iter().map(|row| &*row.kind).collect()
}

#[test]
fn the_order_of_commits_decides_every_race() {
    let more = std::env::var("WALKBACK_RACES").ok().and_then(|text| text.parse().ok());
    let mut won: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    for seed in 0..more.unwrap_or(SEEDS) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let (name, wins) = runtime.block_on(race(seed));
        won.entry(name).or_default()[usize::from(wins)] += 1;
    }
    eprintln!("lost and won: {won:?}");
    assert_eq!(won.len(), RACES.len());
    assert!(won.values().flatten().all(|times| *times > 100), "a race has no two ends: {won:?}");
}
