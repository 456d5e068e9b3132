//! The operator's verbs: what they say, what they record, and their exit codes.

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::running::Running;

/// A saga whose undo of step 0 fails for good while the file `jam` is there.
pub(crate) fn jammed(desk: &Desk) -> String {
    desk.write("jam", "");
    let undo = json!(["sh", "-c", "test ! -e jam"]);
    let step = json!({"name": "make", "execute": ["true"], "compensate": undo,
                      "compensate_retry": {"attempts": 1}});
    let saga = json!({"kind": "site", "steps": [{"command": step}, "fail"]});
    desk.write("saga.json", &saga.to_string());
    let ran = desk.run(&["run", "--file", "saga.json", "--json"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    ran.json()["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn done(desk: &Desk, args: &[&str], said: &str) {
    let ran = desk.run(args);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(said), "expected `{said}` in {ran:?}");
}

fn show(desk: &Desk, id: &str) -> Value {
    desk.run(&["show", id, "--json"]).json()
}

#[test]
fn an_undo_that_was_mended_is_retried_to_the_end() {
    let desk = Desk::new();
    let id = jammed(&desk);
    std::fs::remove_file(desk.path().join("jam")).unwrap();
    done(&desk, &["retry", &id, "make", "--reason", "unjammed"], "goes on");
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    assert_eq!(show(&desk, &id)["status"], "rolled_back");
    let ledger = desk.run(&["ledger", &id, "--json"]).json_lines();
    let asked = ledger.iter().find(|row| row["kind"] == "retry_requested").unwrap();
    assert_eq!((&asked["actor"], &asked["payload"]["reason"]), (&json!("ada"), &json!("unjammed")));
}

#[test]
fn a_residue_is_resolved_or_abandoned() {
    let desk = Desk::new();
    let (first, second) = (jammed(&desk), jammed(&desk));
    done(&desk, &["resolve", &first, "0", "--actor", "grace"], "has that residue resolved");
    assert_eq!(show(&desk, &first)["status"], "rolled_back");
    done(&desk, &["abandon", &second, "make"], "leaves that residue on purpose");
    let again = desk.run(&["abandon", &second, "make"]);
    assert_eq!((again.code, again.out.starts_with("no change: ")), (0, true), "{again:?}");
    assert_eq!(show(&desk, &second)["status"], "failed");
    assert_eq!(desk.run(&["list", "--attention", "--json"]).json(), json!([]));
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let desk = Desk::new();
    let id = jammed(&desk);
    let before = desk.run(&["ledger", &id]).out;
    for args in [
        &["pause", &*id][..],
        &["resume", &id],
        &["cancel", &id],
        &["rollback", &id],
        &["skip", &id, "0"],
        &["complete", &id, "0", "--output", "{}"],
        &["hold", &id, "1h"],
        &["signal", &id, "go"],
        &["approve", &id],
        &["deny", &id, "1"],
    ] {
        let ran = desk.run(args);
        assert_eq!((ran.code, &*ran.out), (5, ""), "{ran:?}");
        let expected = format!(
            "error: `{}` does not fit saga {id}, which is failed: legal now: retry, resolve, abandon\n",
            args[0]
        );
        assert_eq!(ran.err, expected);
    }
    assert_eq!(desk.run(&["ledger", &id]).out, before);
}

#[test]
fn a_saga_is_paused_edited_and_goes_on() {
    let desk = Desk::new();
    let id = desk.start(r#"["echo", "echo"]"#).to_string();
    done(&desk, &["pause", &id], "pauses: `resume` lets it go on");
    done(&desk, &["complete", &id, "0", "--output", r#"{"by": "hand"}"#], "goes on");
    let wrong = desk.run(&["resume", &id, "--set", "message"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    done(&desk, &["resume", &id, "--set", "message=bye", "--set", "n=7"], "goes on");
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    let saga = show(&desk, &id);
    let expected = json!({"by": "hand", "echoed_at_step_1": "bye", "message": "bye", "n": 7});
    assert_eq!((&saga["status"], &saga["context"]), (&json!("completed"), &expected));
    done(&desk, &["rollback", &id], "walks back, as was asked");
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    assert_eq!(desk.run(&["watch", &id]).code, 1);
}

#[test]
fn a_saga_that_waits_is_signalled_and_approved() {
    let desk = Desk::new();
    let steps = r#"[{"wait_for": {"signal": "paid"}}, {"approve": {"by": "grace"}}]"#;
    let id = desk.start(steps).to_string();
    done(&desk, &["signal", &id, "paid", r#"{"amount": 3}"#, "--id", "p1"], "has the signal");
    done(&desk, &["signal", &id, "paid", "--id", "p1"], "no change");
    assert_eq!(desk.run(&["signal", &id, "paid", "[1]"]).code, 2);
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    assert_eq!(show(&desk, &id)["waiting_for"]["what"], "approval");
    let refused = desk.run(&["approve", &id]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("`ada` may not decide on step 1 `approve`: expected `grace`"));
    done(&desk, &["approve", &id, "--actor", "grace"], "has the approval");
    let saga = show(&desk, &id);
    assert_eq!((&saga["status"], &saga["context"]["amount"]), (&json!("completed"), &json!(3)));
}

#[test]
fn many_are_counted_first_and_asked_with_yes() {
    let desk = Desk::new();
    for _ in 0..3 {
        desk.run(&["start", "--steps", "echo", "--label", "team=a"]);
    }
    desk.run(&["run", "--steps", "echo", "--label", "team=b"]);
    let all = ["cancel", "--all", "--label", "team=a"];
    let counted = desk.run(&all);
    assert_eq!((counted.code, &*counted.out), (2, ""), "{counted:?}");
    assert_eq!(counted.err, "error: this would be asked of 3 sagas: say --yes to do it\n");
    assert_eq!(
        desk.run(&["list", "--status", "completed", "--json"]).json().as_array().unwrap().len(),
        4
    );
    let refused = desk.run(&["cancel", "--all", "--yes", "--json"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert_eq!((&refused.json()["count"], &refused.json()["changed"]), (&json!(4), &json!(0)));
    let back = desk.run(&["rollback", "--all", "--label", "team=a", "--yes", "--reason", "test"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert!(back.out.starts_with("3 of 3 sagas: "), "{back:?}");
    assert_eq!(desk.run(&["pause", "0192"]).code, 2);
    assert_eq!(desk.run(&["pause"]).code, 2);
    let both = desk.run(&["pause", "01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e", "--all"]);
    assert_eq!(both.code, 2, "{both:?}");
}

#[test]
fn attention_names_the_cause_and_the_command_that_ends_it() {
    let desk = Desk::new();
    let none = desk.run(&["attention"]);
    assert_eq!((none.code, &*none.err), (0, "nothing needs a person\n"));
    let id = jammed(&desk);
    let ran = desk.run(&["attention"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    insta::assert_snapshot!(ran.stable());
    let found = desk.run(&["attention", "--kind", "site", "--json"]).json();
    let command = found[0]["next"][0]["command"].as_str().unwrap();
    assert_eq!(command, format!("walkback retry {id}"));
    std::fs::remove_file(desk.path().join("jam")).unwrap();
    let args: Vec<_> = command.split(' ').skip(1).collect();
    assert_eq!(desk.run(&args).code, 0);
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    assert_eq!(desk.run(&["attention", "--json"]).json(), json!([]));
}

#[test]
fn explain_says_what_is_waited_for_and_what_can_be_done() {
    let desk = Desk::new();
    let steps = r#"["echo", {"approve": {"by": ["grace", "alan"], "within": "2d"}}]"#;
    let id = desk.start(steps).to_string();
    let pending = desk.run(&["explain", &id]);
    assert!(pending.out.contains("waits for a worker that serves queue `default`"), "{pending:?}");
    assert!(
        pending.out.contains("nobody works on this store: `walkback work` does"),
        "{pending:?}"
    );
    let worker = Running::begin(&desk, &["work"]);
    while desk.run(&["show", &id, "--json"]).json()["waiting_for"].is_null() {}
    let site = r#"{"site": "01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e"}"#;
    let suspends = desk.run(&["start", "suspend", "--input", site]).out.trim().to_owned();
    let without = "no worker of its queue knows step 0 `read_site` and all before: perhaps";
    // A worker that does not know it has it for a moment, until it has seen that.
    let explained = || desk.run(&["explain", &suspends]).out;
    while explained().contains("one works on it now") {}
    assert!(explained().contains(without), "{}", explained());
    worker.signal("TERM");
    worker.end();
    let ran = desk.run(&["explain", &id]);
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.stable());
    let refused = desk.run(&["explain", "01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e"]);
    assert_eq!(refused.code, 2, "{refused:?}");
}

#[test]
fn a_plan_of_a_cancel_is_what_the_cancel_does() {
    let desk = Desk::new();
    let steps =
        r#"["echo", ["echo", {"step": "echo", "scope": "b"}], {"sleep": {"for": "1h"}}, "echo"]"#;
    let id = desk.start(steps).to_string();
    let worker = Running::begin(&desk, &["work"]);
    while desk.run(&["show", &id, "--json"]).json()["waiting_for"].is_null() {}
    worker.signal("TERM");
    worker.end();
    let planned = desk.run(&["plan", "--cancel", &id, "--json"]).json();
    let undone: Vec<_> = planned["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["undo"] == true)
        .map(|step| step["step_idx"].clone())
        .collect();
    assert_eq!(json!(undone), json!([2, 1, 0]));
    let shown = desk.run(&["plan", "--cancel", &id]);
    insta::assert_snapshot!(shown.stable());
    assert_eq!(desk.run(&["cancel", &id]).code, 0);
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    let statuses: Vec<_> = show(&desk, &id)["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["status"].clone())
        .collect();
    assert_eq!(
        json!(statuses),
        json!(["compensated", "compensated", "compensated", "failed", "pending"])
    );
    let over = desk.run(&["plan", "--cancel", &id]);
    assert_eq!(over.code, 5, "{over:?}");
    assert_eq!(desk.run(&["plan", "--cancel", &id, "--steps", "echo"]).code, 2);
}

#[test]
fn a_saga_is_shown_as_it_was_and_compared() {
    let desk = Desk::new();
    let id = desk.run(&["run", "--steps", "echo,fail", "--json"]).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let at = |seq: &str| desk.run(&["show", &id, "--at", seq, "--json"]).json();
    assert_eq!((&at("0")["status"], &at("2")["status"]), (&json!("pending"), &json!("running")));
    assert_eq!(at("6"), show(&desk, &id));
    let beyond = desk.run(&["show", &id, "--at", "7"]);
    assert_eq!(beyond.code, 2, "{beyond:?}");
    assert!(beyond.err.contains("has no row 7: expected one from 0 to 6"), "{beyond:?}");
    let changes = desk.run(&["diff", &id, "2", "4", "--json"]).json();
    let status = json!({"at": "status", "from": "running", "to": "compensating"});
    assert!(changes.as_array().unwrap().contains(&status), "{changes}");
    let same = desk.run(&["diff", &id, "3", "3"]);
    assert_eq!((same.code, &*same.out, &*same.err), (0, "", "no difference\n"));
    assert!(
        desk.run(&["diff", &id, "5", "6"])
            .out
            .contains("status  \"compensating\" → \"rolled_back\"")
    );
}

#[test]
fn a_start_is_delayed_by_a_time_or_to_a_moment() {
    let desk = Desk::new();
    let start = ["start", "--steps", "echo"];
    let delayed = |how: &[&str]| desk.run(&[&start[..], how].concat());
    assert_eq!(delayed(&["--in", "2d"]).code, 0);
    assert_eq!(delayed(&["--at", "2999-01-01T00:00:00Z", "--deadline", "1h"]).code, 0);
    assert_eq!(delayed(&["--at", "2020-01-01T00:00:00+02:00"]).code, 0);
    for (how, expected) in [
        (&["--at", "tomorrow"][..], "`tomorrow` is no moment: expected one like"),
        (&["--in", "soon"], "`soon` is no duration"),
        (&["--in", "1h", "--at", "2999-01-01T00:00:00Z"], "cannot be used with"),
    ] {
        let refused = delayed(how);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains(expected), "{refused:?}");
    }
    let listed = desk.run(&["list"]);
    assert!(listed.out.contains("step 0 begins in 1d 23h"), "{listed:?}");
    let worker = Running::begin(&desk, &["work"]);
    let completed = ["list", "--status", "completed", "--json"];
    while desk.run(&completed).json().as_array().unwrap().is_empty() {}
    worker.signal("TERM");
    worker.end();
    assert_eq!(
        desk.run(&["list", "--status", "pending", "--json"]).json().as_array().unwrap().len(),
        2
    );
}
