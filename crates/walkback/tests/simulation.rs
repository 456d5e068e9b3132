//! T4: workers that die and stop, clocks that disagree, people who ask for anything, from one seed.

#![expect(clippy::panic, reason = "a test reports by panic")]
#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use walkback::testing::{Planted, Simulated, simulate};

/// Seeds of every day; `WALKBACK_SEEDS=N` tries more, `WALKBACK_SEED=N` one alone.
const SEEDS: u64 = 20_000;
/// Threads that share them.
const THREADS: u64 = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One simulation, in time of its own.
fn simulated(seed: u64, planted: Option<Planted>) -> Result<Simulated, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed, planted))
}

fn played(seed: u64) -> Simulated {
    simulated(seed, None).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn every_promise_holds_whatever_happens() {
    if let Some(seed) = number("WALKBACK_SEED") {
        eprintln!("{:#?}", played(seed));
        return;
    }
    let (seeds, next) = (number("WALKBACK_SEEDS").unwrap_or(SEEDS), AtomicU64::new(0));
    let share = || {
        let (mut all, mut ends, mut days_off) = (Simulated::default(), [0_u64; 7], 0_u64);
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds {
                return (all, ends, days_off);
            }
            let one = played(seed);
            all.covered.extend(one.covered);
            all.died += one.died;
            all.stopped += one.stopped;
            all.asked += one.asked;
            all.late += one.late;
            days_off += u64::from(one.days_off);
            ends[one.status.map_or(0, |status| status as usize)] += 1;
        }
    };
    let shares: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(share)).collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|share| share.unwrap_or_else(|_| panic!("a seed failed"))).collect()
    });
    let covered: BTreeSet<String> =
        shares.iter().flat_map(|(share, ..)| share.covered.iter().cloned()).collect();
    let sum = |of: fn(&Simulated) -> u32| {
        shares.iter().map(|(share, ..)| u64::from(of(share))).sum::<u64>()
    };
    let ended = |status: usize| shares.iter().map(|(_, ends, _)| ends[status]).sum::<u64>();
    eprintln!(
        "{seeds} seeds: {} completed, {} failed, {} rolled back; {} processes died, {} were stopped, \
         {} commands of people; {} kinds and forms of events; {} with clocks a day off, \
         {} left by one that was late and died",
        ended(4),
        ended(5),
        ended(6),
        sum(|s| s.died),
        sum(|s| s.stopped),
        sum(|s| s.asked),
        covered.len(),
        shares.iter().map(|(.., days_off)| days_off).sum::<u64>(),
        sum(|s| s.late)
    );
    eprintln!("{}", covered.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    let missing: Vec<_> = EXPECTED.iter().filter(|name| !covered.contains(**name)).collect();
    assert!(missing.is_empty() || seeds < SEEDS, "never happened: {missing:?}");
}

/// Every kind and form of event that this world can bring about. Beside these there is only a body
/// that ignores its time, which needs a thread of its own: `tests/operator/stubborn.rs`.
const EXPECTED: [&str; 57] = [
    "abandoned",
    "accepted",
    "came_late",
    "cancel_requested",
    "deadline_passed",
    "handed_over",
    "hold_ended",
    "hold_set",
    "hook_delivered parked false",
    "hook_delivered parked true",
    "hook_failed",
    "locks_taken",
    "parked ledger_full",
    "parked no_capable_worker",
    "parked poison",
    "pause_requested",
    "resolved",
    "restored",
    "resumed edited false",
    "resumed edited true",
    "retry_requested",
    "rollback_requested",
    "signal_received",
    "start_delayed",
    "step_completed Approval",
    "step_completed Execute",
    "step_completed Expiry",
    "step_completed Hand",
    "step_completed Probe",
    "step_completed Signal",
    "step_failed Clean HoldUntil",
    "step_failed Clean Park",
    "step_failed Clean RetryAt",
    "step_failed Clean WalkBack",
    "step_failed Unknown HoldUntil",
    "step_failed Unknown Park",
    "step_failed Unknown RetryAt",
    "step_failed Unknown WalkBack",
    "step_parked unknown_outcome",
    "step_probed Absent",
    "step_probed AbsentTooSoon",
    "step_probed CannotTell",
    "step_skipped",
    "step_started",
    "step_waits Approval",
    "step_waits Lock",
    "step_waits Signal",
    "step_waits Until",
    "taken_over",
    "undo_completed",
    "undo_failed Park",
    "undo_failed Residue",
    "undo_failed RetryAt",
    "undo_probed found false",
    "undo_probed found true",
    "undo_started",
    "undo_waits",
];

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..300 {
        let (once, again) = (played(seed), played(seed));
        assert_eq!(once.rows, again.rows, "seed {seed}");
    }
}

#[test]
fn planted_bugs_are_found() {
    for planted in Planted::ALL {
        let found = (0..2_000).find_map(|seed| simulated(seed, Some(planted)).err());
        let Some(found) = found else { panic!("{planted:?} was not found in 2,000 seeds") };
        eprintln!("{planted:?}: {}", found.lines().next().unwrap_or_default());
    }
}
