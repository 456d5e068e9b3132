//! Mistakes of whoever calls: exit 2, every mistake on a line of its own, nothing stored.

use crate::desk::Desk;

#[track_caller]
fn refused(desk: &Desk, args: &[&str], expected: &[&str]) {
    let ran = desk.run(args);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.out, "", "{ran:?}");
    for text in expected {
        assert!(ran.err.contains(text), "expected `{text}` in {ran:?}");
    }
    assert_eq!(desk.count(), 0);
}

#[test]
fn every_mistake_is_named_on_its_own_line() {
    let desk = Desk::new();
    let args = ["run", "--steps", "ech,frobnicate", "--input", r#"{"a":"#];
    refused(
        &desk,
        &args,
        &[
            "error: input: malformed JSON: EOF while parsing a value at line 1 column 5\n",
            "error: step `ech` is unknown: did you mean `echo`?",
            "error: step `frobnicate` is unknown",
        ],
    );
}

#[test]
fn an_input_must_be_an_object_of_a_size_and_a_depth() {
    let desk = Desk::new();
    let run = |input: &str, expected: &str| {
        desk.write("input.json", input);
        refused(&desk, &["start", "--steps", "echo", "--input", "@input.json"], &[expected]);
    };
    run("[1]", "input is a list: expected a JSON object");
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(300_000));
    run(&large, "at most 262144 are allowed");
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    run(&deep, "101 levels deep; at most 64 are allowed");
    run("{\"a\": 1,\n \"b\": }", "line 2 column 7");
}

#[test]
fn a_missing_file_is_named() {
    let desk = Desk::new();
    let expected = "input: file `no.json` cannot be read";
    refused(&desk, &["run", "--steps", "echo", "--input", "@no.json"], &[expected]);
    refused(&desk, &["run", "--file", "no.yaml"], &["no.yaml"]);
    refused(
        &desk,
        &["bench", "--dir", "nowhere"],
        &["'nowhere' for '--dir <DIR>'", "it is no folder"],
    );
}

#[test]
fn labels_durations_and_numbers_are_checked() {
    let desk = Desk::new();
    refused(&desk, &["run", "--steps", "echo", "--label", "a"], &["expected `name=value`"]);
    refused(&desk, &["run", "--steps", "echo", "--deadline", "soon"], &["`soon` is no duration"]);
    refused(&desk, &["run", "--steps", "echo", "--priority", "high"], &["--priority"]);
    refused(&desk, &["work", "--concurrency", "0"], &["expected a number from 1 on"]);
    refused(&desk, &["list", "--status", "done"], &["completed", "rolled_back"]);
}

#[test]
fn exactly_one_thing_is_started() {
    let desk = Desk::new();
    refused(&desk, &["run"], &["--steps", "--file", "KIND"]);
    refused(&desk, &["run", "web_site", "--steps", "echo"], &["cannot be used with"]);
    refused(&desk, &["run", "web_site", "--kind", "other"], &["cannot be used with"]);
    refused(&desk, &["run", "web_site"], &["kind `web_site` is unknown"]);
}

#[test]
fn a_saga_that_is_not_there_is_named() {
    let desk = Desk::new();
    let id = "01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e";
    for verb in ["show", "ledger", "watch", "cancel"] {
        refused(&desk, &[verb, id], &[&format!("there is no saga {id} in this store")]);
        refused(&desk, &[verb, "web-7"], &["`web-7` is no saga id"]);
    }
}
