//! T13: every guard of every statement that writes is there for a reason that a conformance case knows.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use walkback::testing::{Hunt, Mutant, hunt};

#[path = "stores/fresh.rs"]
mod fresh;
use fresh::{postgres, sqlite};

/// Guards that nobody can miss: each with a part of its statement, and why it is there.
const SPARE: &[(&str, &str, &str)] = &[
    ("(name, value) IN", "DELETE FROM run_labels", "finds them by their index"),
    ("run_no = ?1", "DELETE FROM run_labels", "the same, inside"),
    ("l.held", "DELETE FROM run_locks", "asked just before, by the `CASE` around it"),
    ("nudged", "SET nudged = 0", "finds them by their index"),
];

/// The same of a server: there also against what comes between two statements, where no case can.
const SPARE_ON_A_SERVER: &[(&str, &str, &str)] = &[
    ("due_at IS NOT NULL", "WITH RECURSIVE priorities", "finds priorities by their index"),
    ("lower.due_at IS NOT NULL", "WITH RECURSIVE priorities", "the same, the lower ones"),
    ("(head.priority BETWEEN", "WITH RECURSIVE priorities", "finds one priority's by their index"),
    ("head.id = ANY", "WITH wanted AS MATERIALIZED", "looks each up"),
    ("behind.nth < $5", "WITH RECURSIVE priorities", "does not leap further than `LIMIT` lets it"),
    ("before.nth < $5", "WITH RECURSIVE priorities", "the same"),
    ("NOT dead", "working AS MATERIALIZED", "between its death and the end of its row"),
    ("id IN (SELECT worker FROM new)", "INSERT INTO run_specs", "locks no other worker"),
    ("key = ANY ($1)", "DELETE FROM lock_keys", "who wants a key makes its row again"),
    ("NOT EXISTS", "DELETE FROM lock_keys", "the same"),
    ("l.key = k.key", "DELETE FROM lock_keys", "the same"),
    ("l.held", "DELETE FROM run_locks l", "asked just before, by the `CASE` around it"),
    ("l.id = $1", "DELETE FROM run_locks l", "what others hold no longer can go as well"),
    ("l.name = one.key", "DELETE FROM run_labels", "finds them by their index"),
    ("l.value = one.value", "DELETE FROM run_labels", "the same"),
    ("resource_no", "SELECT FROM cloud_resources", "locks no other thing"),
    ("saga_id = $1", "SELECT FROM cloud_resources", "the same, inside"),
    ("closed_at IS NULL", "SELECT FROM cloud_resources", "the same"),
    ("NOT EXISTS", "DELETE FROM workers", "against a claim that its owner just made"),
    ("h.owner = w.id", "DELETE FROM workers", "the dead are only kept for longer"),
    ("h.id = told.id", "SET nudged = false", "against a nudge since they were read"),
    ("h.owner = $1", "SET nudged = false", "against another owner since then"),
    ("h.ledger_len = told.ledger_len", "SET nudged = false", "against a nudge since then"),
];

fn judge(store: &str, hunt: &Hunt, spare: &[(&str, &str, &str)]) {
    let is_spare = |mutant: &&Mutant| {
        let (guard, statement) = (mutant.guard(), mutant.statement());
        spare.iter().any(|(spare, part, _)| guard.starts_with(spare) && statement.contains(part))
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
        return judge("sqlite", &hunt(sqlite, (0, 1)), SPARE);
    };
    let (nth, of) = share.split_once('/').unwrap();
    let share = (nth.parse().unwrap(), of.parse().unwrap());
    judge("postgres", &hunt(postgres, share), SPARE_ON_A_SERVER);
}
