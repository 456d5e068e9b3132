//! `command`: what a program is told, what it says, and that nothing of it is left.

use std::process::Command;

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::running::Running;

/// A definition of one `command` step that runs these shell scripts.
fn define(desk: &Desk, scripts: &[(&str, &str)], more: &Value) {
    let mut step = json!({"name": "do_it"});
    let members = step.as_object_mut().unwrap();
    members.extend(
        scripts.iter().map(|(phase, script)| ((*phase).to_owned(), json!(["sh", "-c", script]))),
    );
    members.extend(more.as_object().cloned().unwrap_or_default());
    let definition = json!({"kind": "site", "steps": [{"command": step}]});
    desk.write("saga.json", &definition.to_string());
}

fn run(desk: &Desk, scripts: &[(&str, &str)], more: &Value) -> Value {
    define(desk, scripts, more);
    desk.run(&["run", "--file", "saga.json", "--input", r#"{"size": 2}"#, "--json"]).json()
}

/// Retries at once, so that a test waits for nothing.
fn tries(attempts: u32) -> Value {
    json!({"retry": {"attempts": attempts, "backoff": ["1ms", "1ms"]}})
}

fn read(desk: &Desk, file: &str) -> String {
    std::fs::read_to_string(desk.path().join(file)).unwrap()
}

#[test]
fn a_program_is_told_the_context_and_prints_its_output() {
    let desk = Desk::new();
    let tell = "cat > $WALKBACK_PHASE.json; env | grep ^WALKBACK_ | sort > $WALKBACK_PHASE.env";
    let execute = format!("{tell}; echo a remark >&2; echo '{{\"made\": [1.50]}}'");
    let compensate = format!("{tell}; exit 1");
    let scripts = [("execute", &*execute), ("compensate", &*compensate)];
    let saga = run(&desk, &scripts, &json!({"compensate_retry": {"attempts": 1}}));
    assert_eq!(saga["steps"][0]["output"].to_string(), r#"{"made":[1.5]}"#);
    let id = saga["id"].as_str().unwrap();
    let ledger = desk.run(&["ledger", id, "--json"]).json_lines();
    assert_eq!(ledger[2]["payload"]["stderr"], "a remark");
    let told = read(&desk, "execute.env");
    let names: Vec<_> = told.lines().map(|line| line.split('=').next().unwrap()).collect();
    let expected = [
        "ATTEMPT",
        "EFFECT",
        "EXECUTE_KEY",
        "IDEMPOTENCY_KEY",
        "PHASE",
        "SAGA_ID",
        "STEP",
        "STEP_IDX",
    ];
    assert_eq!(names, expected.map(|name| format!("WALKBACK_{name}")));
    for line in [
        &*format!("WALKBACK_SAGA_ID={id}"),
        "WALKBACK_STEP=do_it",
        "WALKBACK_ATTEMPT=1",
        "WALKBACK_EFFECT=unknown",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    let input: Value = serde_json::from_str(&read(&desk, "execute.json")).unwrap();
    assert_eq!(input["size"], 2, "{input}");
}

#[test]
fn an_undo_is_told_what_was_made_and_under_which_key() {
    let desk = Desk::new();
    let scripts = [
        ("execute", "echo $WALKBACK_IDEMPOTENCY_KEY > key; echo '{\"made\": 7}'"),
        ("compensate", "cat > told.json; echo $WALKBACK_EXECUTE_KEY $WALKBACK_EFFECT > told"),
    ];
    define(&desk, &scripts, &json!({}));
    let mut definition: Value = serde_json::from_str(&read(&desk, "saga.json")).unwrap();
    definition["steps"].as_array_mut().unwrap().push(json!("fail"));
    desk.write("saga.json", &definition.to_string());
    let ran = desk.run(&["run", "--file", "saga.json", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(read(&desk, "told"), format!("{} known\n", read(&desk, "key").trim()));
    let told: Value = serde_json::from_str(&read(&desk, "told.json")).unwrap();
    assert_eq!(told["output"], json!({"made": 7}), "{told}");
}

#[test]
fn exit_codes_say_what_is_certain() {
    let ended = |code: u8, attempts: u32| {
        let desk = Desk::new();
        let execute = format!("exit {code}");
        let scripts = [("execute", &*execute), ("compensate", "touch undone")];
        let saga = run(&desk, &scripts, &tries(attempts));
        let step = &saga["steps"][0];
        let undone = desk.path().join("undone").exists();
        (step["status"].as_str().unwrap().to_owned(), step["attempts"].as_u64().unwrap(), undone)
    };
    assert_eq!(ended(0, 3), ("completed".to_owned(), 1, false));
    assert_eq!(ended(69, 3), ("failed".to_owned(), 1, false));
    assert_eq!(ended(75, 3), ("compensated".to_owned(), 3, true));
    assert_eq!(ended(1, 2), ("compensated".to_owned(), 2, true));
}

#[test]
fn what_is_no_program_or_no_object_is_said() {
    let desk = Desk::new();
    let definition = json!({"kind": "k", "steps": [{"command": {"name": "x", "execute": ["./no-such-program"]}}]});
    desk.write("saga.json", &definition.to_string());
    let saga = desk.run(&["run", "--file", "saga.json", "--json"]).json();
    let error = saga["steps"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("not started: "), "{error}");
    assert_eq!(
        (&saga["status"], &saga["steps"][0]["attempts"]),
        (&json!("rolled_back"), &json!(1))
    );
    let saga = run(&desk, &[("execute", "echo hello"), ("compensate", "true")], &tries(3));
    let error = saga["steps"][0]["error"].as_str().unwrap();
    assert!(error.contains("no JSON object: expected one, or nothing"), "{error}");
    assert_eq!(saga["steps"][0]["attempts"], 1);
}

#[test]
fn a_probe_finds_out_what_an_attempt_did() {
    let end = |probe: &str| {
        let desk = Desk::new();
        let execute =
            "echo x >> tries; [ $(wc -l < tries) -gt 1 ] && echo '{\"by\": \"second\"}' || exit 75";
        let scripts = [("execute", execute), ("probe", probe), ("compensate", "true")];
        let saga = run(&desk, &scripts, &tries(5));
        assert_eq!(saga["status"], "completed", "{saga}");
        let by = saga["steps"][0]["output"]["by"].as_str().unwrap().to_owned();
        (by, read(&desk, "tries").lines().count())
    };
    assert_eq!(end("echo '{\"by\": \"probe\"}'"), ("probe".to_owned(), 1));
    assert_eq!(end("exit 3"), ("second".to_owned(), 2));
    assert_eq!(end("exit 1"), ("second".to_owned(), 2));
}

/// Deaf to SIGTERM, and with a child of its own, whose number it writes down.
const STUBBORN: &str = "trap '' TERM; sleep 3600 & echo $! > child; echo begun > told; wait; wait";
/// Succeeds only if that child is gone.
const ALONE: &str = "kill -0 $(cat child) 2>/dev/null && exit 1; touch undone";

#[test]
fn a_program_whose_time_is_over_is_gone_with_its_group_before_the_undo() {
    let desk = Desk::new();
    let more =
        json!({"timeout": "300ms", "retry": {"attempts": 1}, "compensate_retry": {"attempts": 1}});
    let saga = run(&desk, &[("execute", STUBBORN), ("compensate", ALONE)], &more);
    assert_eq!(saga["status"], "rolled_back", "{saga}");
    assert!(desk.path().join("undone").exists());
    let error = desk.run(&["ledger", saga["id"].as_str().unwrap()]).out;
    assert!(error.contains("timed out after 300ms"), "{error}");
}

/// A pipe in which the program says that it has begun.
fn pipe(desk: &Desk) {
    assert!(Command::new("mkfifo").arg(desk.path().join("told")).status().unwrap().success());
}

/// Starts the definition, and a worker; returns once the program has begun.
fn begun(desk: &Desk) -> (String, Running) {
    let started = desk.run(&["start", "--file", "saga.json", "--json"]).json();
    let worker = Running::begin(desk, &["work"]);
    assert_eq!(read(desk, "told"), "begun\n");
    (started["id"].as_str().unwrap().to_owned(), worker)
}

#[test]
fn a_cancelled_program_is_gone_with_its_group_before_the_undo() {
    let desk = Desk::new();
    pipe(&desk);
    let more = json!({"timeout": "1h", "compensate_retry": {"attempts": 1}});
    define(&desk, &[("execute", STUBBORN), ("compensate", ALONE)], &more);
    let (id, worker) = begun(&desk);
    assert_eq!(desk.run(&["cancel", &id]).code, 0);
    let watched = desk.run(&["watch", &id]);
    assert_eq!(watched.code, 1, "{watched:?}");
    assert!(desk.path().join("undone").exists());
    worker.signal("TERM");
    worker.end();
}

#[test]
fn a_program_dies_with_its_worker_and_before_the_next_one_begins() {
    let desk = Desk::new();
    pipe(&desk);
    let execute = format!("if [ -f child ]; then {ALONE}; exit; fi; {STUBBORN}");
    define(&desk, &[("execute", &execute), ("compensate", "true")], &json!({"timeout": "1h"}));
    let (id, worker) = begun(&desk);
    worker.signal("KILL");
    worker.end();
    assert_eq!(desk.run(&["work", "--until-idle"]).code, 0);
    let saga = desk.run(&["show", &id, "--json"]).json();
    // The one that was killed counts no attempt; a second body that was not alone would.
    assert_eq!((&saga["status"], &saga["steps"][0]["attempts"]), (&json!("completed"), &json!(1)));
    assert!(desk.path().join("undone").exists());
}
