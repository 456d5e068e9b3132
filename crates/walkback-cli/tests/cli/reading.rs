//! What is shown of sagas: tables for people, documents for programs.

use serde_json::json;

use crate::desk::Desk;

fn finished() -> (Desk, String) {
    let desk = Desk::new();
    let ran = desk.run(&["run", "--steps", "echo,echo,fail", "--label", "a=b", "--json"]);
    let id = ran.json()["id"].as_str().unwrap().to_owned();
    (desk, id)
}

#[test]
fn show_is_a_table_for_people() {
    let (desk, id) = finished();
    insta::assert_snapshot!(desk.run(&["show", &id]).stable());
}

#[test]
fn list_is_a_table_for_people() {
    let (desk, _) = finished();
    insta::assert_snapshot!(desk.run(&["list"]).stable());
}

#[test]
fn list_is_filtered_and_paged_newest_first() {
    let desk = Desk::new();
    let start = |label: &str| {
        desk.run(&["start", "--steps", "echo", "--label", label]).out.trim().to_owned()
    };
    let ids = [start("n=1"), start("n=2"), start("n=1")];
    let list = |args: &[&str]| -> Vec<String> {
        let listed = desk.run(&[&["list", "--json"], args].concat()).json();
        let ids = listed.as_array().unwrap().iter().map(|saga| saga["id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    };
    assert_eq!(list(&[]), [&*ids[2], &ids[1], &ids[0]]);
    assert_eq!(list(&["--limit", "1", "--after", &ids[2]]), [&*ids[1]]);
    assert_eq!(list(&["--label", "n=1"]), [&*ids[2], &ids[0]]);
    assert_eq!(list(&["--status", "pending", "--kind", "adhoc"]).len(), 3);
    assert_eq!(list(&["--status", "failed"]), [""; 0]);
    let page = desk.run(&["list", "--limit", "2"]);
    assert!(page.err.contains(&format!("--after {}", ids[1])), "{page:?}");
}

#[test]
fn the_list_has_neither_steps_nor_context() {
    let (desk, id) = finished();
    let saga = &desk.run(&["list", "--json"]).json()[0];
    assert_eq!(saga["id"], *id);
    assert!(saga.get("steps").is_none() && saga.get("context").is_none());
    assert_eq!(saga["labels"], json!({"a": "b"}));
}

#[test]
fn the_ledger_is_a_table_or_a_line_of_json_for_each_row() {
    let (desk, id) = finished();
    insta::assert_snapshot!(desk.run(&["ledger", &id]).stable());
    let rows = desk.run(&["ledger", &id, "--json"]).json_lines();
    for (seq, row) in rows.iter().enumerate() {
        assert_eq!(row["seq"], seq);
        assert_eq!(row["saga_id"], *id);
    }
    for pair in rows.windows(2) {
        assert_eq!(pair[0]["hash"], pair[1]["previous_hash"]);
    }
    let output = &rows[2]["payload"]["output"];
    assert_eq!(*output, json!({"echoed_at_step_0": "hello"}));
    assert!(rows[1]["fence"].as_u64().unwrap() > 0 && rows[1]["claim"].is_string());
}

#[test]
fn watch_ends_at_rest_with_the_code_of_the_run() {
    let (desk, id) = finished();
    let watched = desk.run(&["watch", &id, "--json"]);
    assert_eq!(watched.code, 1, "{watched:?}");
    assert_eq!(watched.out, desk.run(&["ledger", &id, "--json"]).out);
    let people = desk.run(&["watch", &id]);
    assert_eq!(people.code, 1);
    assert!(people.out.contains("rolled back"), "{people:?}");
}

#[test]
fn what_is_over_cannot_be_cancelled() {
    let (desk, id) = finished();
    let cancel = desk.run(&["cancel", &id]);
    assert_eq!((cancel.code, cancel.out.as_str()), (5, ""), "{cancel:?}");
    assert!(cancel.err.contains("`cancel` does not fit"), "{cancel:?}");
}

#[test]
fn a_plan_shows_the_way_forward_and_back_and_stores_nothing() {
    let desk = Desk::new();
    let ran = desk.run(&["plan", "--steps", "echo,fail,echo"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.out);
    let plan = desk.run(&["plan", "--steps", "echo,fail,echo", "--json"]).json();
    assert_eq!(plan["walk_back"][1]["no_undo"], json!({"why": "read_only"}));
    assert_eq!(plan["steps"][0]["options"]["retry"]["attempts"], 5);
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 0);
}

#[test]
fn steps_and_kinds_are_what_the_binary_knows() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.run(&["steps"]).out);
    let steps = desk.run(&["steps", "--json"]).json();
    let sleep = steps.as_array().unwrap().iter().find(|step| step["step"] == "sleep").unwrap();
    assert_eq!(sleep["parameters_schema"]["required"], json!(["for"]));
    let kinds = desk.run(&["kinds", "--json"]);
    assert_eq!(kinds.code, 0);
    let kinds = kinds.json();
    let names: Vec<_> = kinds.as_array().unwrap().iter().map(|kind| &kind["kind"]).collect();
    assert_eq!(names, ["offboard", "provision", "resume_service", "suspend"]);
}

#[test]
fn a_reader_that_has_enough_is_no_mistake() {
    let (desk, id) = finished();
    let binary = env!("CARGO_BIN_EXE_walkback");
    let script = format!("{binary} ledger {id} | head -n 1; echo done");
    let mut shell = std::process::Command::new("sh");
    let output = shell.arg("-c").arg(script).current_dir(desk.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
