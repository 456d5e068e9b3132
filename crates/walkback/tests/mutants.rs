//! T13: every guard of every statement that writes is there for a reason that a conformance case knows.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use walkback::testing::{Hunt, Mutant, hunt};

#[path = "stores/fresh.rs"]
mod fresh;
use fresh::{postgres, sqlite};

/// Guards that nobody can miss: each with a part of its statement, and why it is there.
const SPARE: [(&str, &str, &str); 4] = [
    ("(name, value) IN", "DELETE FROM run_labels", "finds them by their index"),
    ("run_no = ?1", "DELETE FROM run_labels", "the same, inside"),
    ("l.held", "DELETE FROM run_locks", "asked just before, by the `CASE` around it"),
    ("nudged", "SET nudged = 0", "finds them by their index"),
];

fn judge(store: &str, hunt: &Hunt) {
    let is_spare = |mutant: &&Mutant| {
        let (guard, statement) = (mutant.guard(), mutant.statement());
        SPARE.iter().any(|(spare, part, _)| guard.starts_with(spare) && statement.contains(part))
    };
    let (spare, missed): (Vec<&Mutant>, Vec<&Mutant>) = hunt.survivors.iter().partition(is_spare);
    eprintln!("{store}: {} guards removed, {} of them spare", hunt.mutants, spare.len());
    let missed: Vec<String> = missed.iter().map(ToString::to_string).collect();
    assert!(missed.is_empty(), "no case misses\n{}", missed.join("\n"));
    assert!(hunt.mutants > 10, "guards are found by reading the statements");
}

/// What a case says when it fails is of no interest here.
fn hush() {
    std::panic::set_hook(Box::new(|panic| {
        let is_ours = std::thread::current().name().is_some_and(|name| name != "main");
        if is_ours && panic.location().is_some_and(|at| at.file().ends_with("tests/mutants.rs")) {
            eprintln!("{panic}");
        }
    }));
}

#[test]
fn every_guard_that_is_missing_is_missed() {
    hush();
    // On a server each case takes a schema, which is slow to make: `WALKBACK_MUTANTS=2/6` hunts there, for
    // the third of six shares.
    let Ok(share) = std::env::var("WALKBACK_MUTANTS") else {
        return judge("sqlite", &hunt(sqlite, (0, 1)));
    };
    let (nth, of) = share.split_once('/').unwrap();
    judge("postgres", &hunt(postgres, (nth.parse().unwrap(), of.parse().unwrap())));
}
