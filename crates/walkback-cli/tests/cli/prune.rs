//! `prune`: says how many first, keeps each in a file, and leaves what somebody needs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::operator::jammed;

fn ran(desk: &Desk, steps: &str, label: &str) -> String {
    let ran = desk.run(&["run", "--steps", steps, "--label", label, "--json"]);
    ran.json()["id"].as_str().unwrap().to_owned()
}

fn lines(desk: &Desk, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(desk.path().join(file)).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn what_nobody_needs_goes_into_the_file_and_out_of_the_store() {
    let desk = Desk::new();
    let (done, back) = (ran(&desk, "echo", "tenant=a"), ran(&desk, "echo,fail", "tenant=a"));
    let stuck = jammed(&desk);
    let ledger = desk.run(&["ledger", &done, "--json"]).json_lines();
    let prune = ["prune", "--older-than", "0s", "--export", "old.jsonl"];
    let asked = desk.run(&prune);
    assert_eq!((asked.code, &*asked.out), (2, ""));
    assert_eq!(asked.err, "error: 2 sagas would be pruned: say --yes to do it\n");
    assert!(!desk.path().join("old.jsonl").exists());
    desk.write("old.jsonl", "{\"cut\": \"off");
    let pruned = desk.run(&[&prune[..], &["--yes", "--reason", "old", "--json"]].concat());
    assert_eq!((pruned.code, pruned.json()), (0, json!({"count": 2, "pruned": 2})));
    let kept = lines(&desk, "old.jsonl");
    let ids: BTreeSet<_> = kept.iter().map(|saga| saga["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&*done, &*back].into());
    let saga = kept.iter().find(|saga| saga["id"] == done).unwrap();
    assert_eq!(saga["ledger"], json!(ledger));
    assert_eq!(saga["ledger_head"], ledger[ledger.len() - 1]["hash"]);
    assert_eq!((&saga["reason"], &saga["labels"]), (&json!("old"), &json!({"tenant": "a"})));
    let left = desk.run(&["list", "--json"]).json();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &json!(stuck)));
    let shown = desk.run(&["show", &back]);
    assert_eq!((shown.code, &*shown.out), (2, ""));
    assert!(shown.err.starts_with(&format!("error: saga {back} was pruned at ")), "{shown:?}");
    assert!(shown.err.contains("it was rolled_back at "), "{shown:?}");
    assert_eq!(desk.run(&["verify"]).code, 0);
}

#[test]
fn only_what_is_old_and_fits_goes() {
    let desk = Desk::new();
    ran(&desk, "echo", "tenant=a");
    let other = ran(&desk, "echo", "tenant=b");
    let young = desk.run(&["prune", "--older-than", "30d", "--yes"]);
    assert_eq!((young.code, &*young.out), (0, "0 of 0 sagas pruned\n"));
    let one = desk.run(&["prune", "--older-than", "0s", "--label", "tenant=a", "--yes"]);
    assert_eq!((one.code, &*one.out), (0, "1 of 1 saga pruned\n"));
    assert_eq!(desk.run(&["list", "--json"]).json()[0]["id"], other);
}

#[test]
fn what_cannot_be_kept_stays() {
    let desk = Desk::new();
    ran(&desk, "echo", "tenant=a");
    let prune = ["prune", "--older-than", "0s", "--yes", "--export", "absent/old.jsonl"];
    let failed = desk.run(&prune);
    assert_eq!(failed.code, 2, "{failed:?}");
    assert!(failed.err.contains("error: --export `absent/old.jsonl`: No such file"), "{failed:?}");
    assert_eq!(desk.count(), 1);
    let unsaid = desk.run(&["prune"]);
    assert_eq!(unsaid.code, 2, "{unsaid:?}");
    assert!(unsaid.err.contains("--older-than"), "{unsaid:?}");
}
