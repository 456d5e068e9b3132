//! Help, as a customer reads it.

use crate::desk::Desk;

#[test]
fn help_of_the_command_and_of_every_verb() {
    let desk = Desk::new();
    let help = |args: &[&str]| {
        let ran = desk.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        ran.out
    };
    insta::assert_snapshot!("walkback", help(&["--help"]));
    for verb in [
        "run",
        "start",
        "work",
        "list",
        "show",
        "ledger",
        "watch",
        "cancel",
        "pause",
        "resume",
        "retry",
        "rollback",
        "hold",
        "complete",
        "skip",
        "resolve",
        "abandon",
        "signal",
        "approve",
        "deny",
        "explain",
        "attention",
        "diff",
        "plan",
        "kinds",
        "steps",
        "verify",
        "prune",
        "provisioned",
        "resources",
        "sync",
        "simulate",
        "upgrade-check",
        "backup",
        "doctor",
        "migrate",
        "restored",
        "workers",
        "completions",
    ] {
        insta::assert_snapshot!(verb, help(&[verb, "--help"]));
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let ran = Desk::new().run(&["--version"]);
    assert_eq!((ran.code, ran.out), (0, format!("walkback {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn there_are_completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Desk::new().run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.out.contains("walkback"), "{shell}");
    }
}
