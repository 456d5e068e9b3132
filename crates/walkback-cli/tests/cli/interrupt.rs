//! Signals, and two processes on one store.

use crate::desk::Desk;
use crate::running::Running;

#[test]
fn a_worker_hands_over_at_once_and_says_how_to_go_on() {
    for signal in ["INT", "TERM"] {
        let desk = Desk::new();
        let sleep =
            r#"[{"command": {"name": "long", "execute": ["sleep", "3600"], "timeout": "2h"}}]"#;
        let id = desk.start(sleep).to_string();
        let worker = Running::begin(&desk, &["work"]);
        assert!(worker.first.starts_with("working on sqlite:walkback.db"), "{}", worker.first);
        worker.signal(signal);
        let (code, said) = worker.end();
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("`walkback work` goes on with it"), "{said}");
        let saga = desk.run(&["show", &id, "--json"]).json();
        assert!(["pending", "running"].contains(&saga["status"].as_str().unwrap()), "{saga}");
    }
}

#[test]
fn a_second_worker_says_who_works_and_takes_over_when_that_is_gone() {
    let desk = Desk::new();
    let first = Running::begin(&desk, &["work"]);
    let second = Running::begin(&desk, &["work", "--until-idle"]);
    let said = format!("process {} on ", first.child.id());
    assert!(second.first.contains(&said), "{}", second.first);
    assert!(second.first.contains("waiting for its turn"), "{}", second.first);
    first.signal("TERM");
    assert_eq!(first.end().0, Some(130));
    let (code, said) = second.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("working on"), "{said}");
}

#[test]
fn beside_a_worker_a_run_starts_and_watches() {
    let desk = Desk::new();
    let worker = Running::begin(&desk, &["work"]);
    let ran = desk.run(&["run", "--steps", "echo,fail"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("works on this store: watching"), "{ran:?}");
    assert!(ran.out.contains("undo_completed"), "{ran:?}");
    worker.signal("INT");
    assert_eq!(worker.end().0, Some(130));
}
