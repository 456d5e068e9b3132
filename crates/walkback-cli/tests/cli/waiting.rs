//! Sagas that wait for a person, or that a person cancels.

use serde_json::json;

use crate::desk::Desk;
use crate::running::Running;

#[test]
fn a_saga_that_is_held_needs_a_person_and_says_so() {
    let desk = Desk::new();
    let id = desk.start(r#"["echo", {"step": "fail", "hold_on_failure": "1h"}]"#).to_string();
    desk.run(&["work", "--until-idle", "--log-level", "off", "--queue", "none"]);
    // Beside it, a saga of this command's own: its worker takes what is due.
    assert_eq!(desk.run(&["run", "--steps", "echo"]).code, 0);
    let watched = desk.run(&["watch", &id]);
    assert_eq!(watched.code, 3, "{watched:?}");
    assert!(watched.out.contains("is parked and waits for a person"), "{watched:?}");
    assert!(watched.out.contains("held, step 1 `fail`"), "{watched:?}");
    let listed = desk.run(&["list", "--status", "parked"]);
    assert!(listed.out.contains("held at step 1"), "{listed:?}");
    let shown = desk.run(&["show", &id, "--json"]).json();
    assert_eq!(shown["parked"]["reason"], "held");
    assert!(shown["parked"]["legal"].as_array().unwrap().contains(&json!("cancel")));
}

#[test]
fn what_could_not_be_undone_is_named_with_the_commands_that_end_it() {
    let desk = Desk::new();
    let stubborn = r#"{"command": {"name": "stubborn", "execute": ["true"], "compensate": ["false"],
        "compensate_retry": {"attempts": 1}}}"#;
    let id = desk.start(&format!(r#"["echo", {stubborn}, "fail"]"#)).to_string();
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    let watched = desk.run(&["watch", &id]);
    assert_eq!(watched.code, 3, "{watched:?}");
    assert!(watched.out.contains("left by step 1 `stubborn`"), "{watched:?}");
    assert!(watched.out.contains(&format!("walkback resolve {id} 1")), "{watched:?}");
    let saga = desk.run(&["show", &id, "--json"]).json();
    assert_eq!(saga["status"], "failed");
    assert_eq!(saga["residue"][0]["step"], "stubborn");
    assert_eq!(saga["steps"][0]["status"], "compensated");
}

#[test]
fn a_cancel_is_recorded_with_who_and_why() {
    let desk = Desk::new();
    let id = desk.run(&["start", "--steps", "echo"]).out.trim().to_owned();
    let cancel = desk.run(&["cancel", &id, "--reason", "a mistake", "--json"]);
    assert_eq!((cancel.code, cancel.json()), (0, json!({"id": id, "changed": true})));
    let rows = desk.run(&["ledger", &id, "--json"]).json_lines();
    let row = rows.iter().find(|row| row["kind"] == "cancel_requested").unwrap();
    assert_eq!((&row["actor"], &row["payload"]["reason"]), (&json!("ada"), &json!("a mistake")));
    assert_eq!(desk.run(&["show", &id, "--json"]).json()["status"], "rolled_back");
}

#[test]
fn work_until_idle_says_what_it_waits_for() {
    let desk = Desk::new();
    let id = desk.start(r#"[{"sleep": {"for": "1h"}}]"#).to_string();
    let mut work = Running::begin(&desk, &["work", "--until-idle"]);
    let said = work.line();
    assert!(said.starts_with(&format!("waits for adhoc {id}, which goes on in 59m")), "{said}");
    assert_eq!(desk.run(&["cancel", &id]).code, 0);
    assert_eq!(work.end(), (Some(0), String::new()));
}
