//! The machine is pure: it imports data, and knows no clock, no store, no task and no dice.

use crate::Breach;
use crate::code::{line, words};
use crate::workspace::Source;

const PLACE: &str = "crates/walkback/src/machine";
const FORBIDDEN: [&str; 13] = [
    "tokio",
    "sqlx",
    "rusqlite",
    "async",
    "SystemTime",
    "Instant",
    "rand",
    "tracing",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
];
/// The modules of the crate that it may use: data, all of them.
const DATA: [&str; 6] = ["json", "limits", "machine", "options", "plan", "time"];

fn is_machine(path: &str) -> bool {
    let rest = path.strip_prefix(PLACE).and_then(|rest| rest.strip_suffix(".rs"));
    let own = |rest: &str| rest.is_empty() || rest.starts_with('/');
    rest.is_some_and(|rest| own(rest) && rest != "/tests" && !rest.starts_with("/tests/"))
}

/// What a file of the machine must not contain; nothing for other files.
pub(crate) fn impure(source: &Source) -> Vec<Breach> {
    if !is_machine(&source.path) {
        return Vec::new();
    }
    let text = &source.text;
    let told = |at, what: &str| format!("{}:{}: `{what}`", source.path, line(text, at));
    let forbidden =
        FORBIDDEN.into_iter().flat_map(|word| words(text, word).map(move |at| (at, word)));
    let imports = words(text, "crate").filter_map(|at| {
        let module =
            text[at + 5..].strip_prefix("::")?.split(|c: char| !c.is_alphanumeric()).next()?;
        (!DATA.contains(&module)).then_some((at, module))
    });
    forbidden.chain(imports).map(|(at, what)| told(at, what)).collect()
}

#[test]
fn what_is_not_data_is_found_in_the_machine() {
    let planted = |line: &str| Source::new("crates/walkback/src/machine/walk.rs", line);
    for line in ["use std::time::Instant;", "async fn f() {}", "use crate::store::Claim;"] {
        assert_eq!(impure(&planted(line)).len(), 1, "{line}");
    }
    assert!(impure(&planted("use crate::plan::Plan; // a random brand")).is_empty());
}

#[test]
fn the_machine_is_machine_rs_and_its_folder_without_the_tests() {
    assert!(is_machine("crates/walkback/src/machine.rs"));
    assert!(is_machine("crates/walkback/src/machine/event.rs"));
    for other in ["machine/tests.rs", "machine/tests/model.rs", "machinery.rs", "run.rs"] {
        assert!(!is_machine(&format!("crates/walkback/src/{other}")), "{other}");
    }
}
