//! `run` and `start`: the issue's own examples first.

use serde_json::json;

use crate::desk::Desk;

#[test]
fn three_echoes_complete_and_their_outputs_are_in_the_context() {
    let desk = Desk::new();
    let ran = desk.run(&[
        "run",
        "--steps",
        "echo,echo,echo",
        "--input",
        r#"{"message":"hello"}"#,
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let saga = ran.json();
    assert_eq!(saga["status"], "completed");
    assert_eq!(saga["kind"], "adhoc");
    for idx in 0..3 {
        assert_eq!(saga["context"][format!("echoed_at_step_{idx}")], "hello");
    }
}

#[test]
fn a_failing_step_walks_the_saga_back() {
    let desk = Desk::new();
    let ran = desk.run(&["run", "--steps", "echo,echo,fail", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let saga = ran.json();
    assert_eq!(saga["status"], "rolled_back");
    let error = json!({"compensate_from_idx": 1, "reason": "step_failed:fail"});
    assert_eq!(saga["error"], error);
    let statuses: Vec<_> =
        saga["steps"].as_array().unwrap().iter().map(|step| &step["status"]).collect();
    assert_eq!(statuses, ["compensated", "compensated", "failed"]);
}

#[test]
fn run_and_show_give_the_same_document() {
    let desk = Desk::new();
    let ran = desk.run(&["run", "--steps", "echo,fail", "--json", "--label", "a=b"]);
    let id = ran.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(desk.run(&["show", &id, "--json"]).out, ran.out);
}

#[test]
fn without_a_terminal_a_run_prints_a_line_for_each_transition() {
    let desk = Desk::new();
    let ran = desk.run(&["run", "--steps", "echo,fail"]);
    assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
    insta::assert_snapshot!(ran.stable());
}

#[test]
fn start_prints_the_id_and_the_key_finds_it_again() {
    let desk = Desk::new();
    let first = desk.run(&["start", "--steps", "echo", "--key", "k", "--json"]);
    assert_eq!((first.code, &first.json()["created"]), (0, &json!(true)), "{first:?}");
    let second = desk.run(&["start", "--steps", "echo", "--key", "k"]);
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(second.out.trim(), first.json()["id"]);
    assert!(second.err.contains("its key is known"), "{second:?}");
    let other = desk.run(&["start", "--steps", "echo,echo", "--key", "k"]);
    assert_eq!(other.code, 2);
    assert!(other.err.contains("key `k` belongs to saga"), "{other:?}");
}

#[test]
fn started_sagas_are_worked_on_until_idle() {
    let desk = Desk::new();
    let id = desk.run(&["start", "--steps", "echo", "--queue", "mail"]).out;
    let other = desk.run(&["work", "--until-idle", "--queue", "other"]);
    assert_eq!((other.code, other.out.as_str()), (0, ""), "{other:?}");
    assert_eq!(desk.run(&["show", id.trim(), "--json"]).json()["status"], "pending");
    let work = desk.run(&["work", "--until-idle", "--concurrency", "2"]);
    assert_eq!((work.code, work.out.as_str()), (0, ""), "{work:?}");
    assert_eq!(desk.run(&["show", id.trim(), "--json"]).json()["status"], "completed");
}

#[test]
fn the_input_may_come_from_stdin_or_a_file() {
    let desk = Desk::new();
    desk.write("order.json", r#"{"message": "from a file"}"#);
    let ran = desk.run(&["run", "--steps", "echo", "--input", "@order.json", "--json"]);
    assert_eq!(ran.json()["context"]["echoed_at_step_0"], "from a file");
    let args = ["run", "--steps", "echo", "--input", "-", "--json"];
    let ran = desk.run_with_stdin(&args, r#"{"message": "from stdin"}"#);
    assert_eq!(ran.json()["context"]["echoed_at_step_0"], "from stdin");
}

#[test]
fn a_kind_may_be_named_for_a_list_of_steps() {
    let desk = Desk::new();
    let ran = desk.run(&["run", "--steps", "echo", "--kind", "greeting", "--json"]);
    assert_eq!(ran.json()["kind"], "greeting");
}
