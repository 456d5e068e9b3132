//! Which store, and what is wrong with it: exit 4 where it cannot be used.

use crate::desk::Desk;

#[test]
fn the_store_is_the_option_then_the_environment_then_the_config_then_the_default() {
    let desk = Desk::new();
    let start = ["start", "--steps", "echo"];
    let there = |name: &str| desk.path().join(name).exists();
    assert_eq!(desk.run(&start).code, 0);
    assert!(there("walkback.db"));
    desk.write("xdg/walkback/config.toml", "store = \"sqlite:mine.db\"\n");
    assert_eq!(desk.run(&start).code, 0);
    assert!(there("xdg/walkback/mine.db"));
    desk.write("walkback.toml", "store = \"sqlite:here.db\"\n");
    assert_eq!(desk.run(&start).code, 0);
    assert!(there("here.db"));
    let env = desk.command(&start).env("WALKBACK_STORE", "sqlite:env.db").output().unwrap();
    assert!(env.status.success() && there("env.db"));
    let mut both = desk.command(&["start", "--steps", "echo", "--store", "sqlite:said.db"]);
    assert!(both.env("WALKBACK_STORE", "sqlite:other.db").output().unwrap().status.success());
    assert!(there("said.db") && !there("other.db"));
}

#[test]
fn a_store_of_another_form_is_bad_usage() {
    let desk = Desk::new();
    let refused = |store: &str, expected: &str| {
        let ran = desk.run(&["list", "--store", store]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(expected), "{ran:?}");
        ran.err
    };
    let said = refused("postgres://ada:secret@db:port/walkback", "expected `postgres://");
    assert!(!said.contains("secret"), "{said}");
    refused("walkback.db", "did you mean `sqlite:walkback.db`?");
    refused("sqlite:", "names no file");
    refused("redis:x", "`redis:` is no kind of store");
}

#[test]
fn a_config_file_with_a_mistake_is_named() {
    let desk = Desk::new();
    desk.write("walkback.toml", "stor = 1\n");
    let ran = desk.run(&["list"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("config file `walkback.toml`"), "{ran:?}");
    assert!(ran.err.contains("stor"), "{ran:?}");
}

#[test]
fn what_is_no_database_cannot_be_used() {
    let desk = Desk::new();
    desk.write("notes.txt", "this is no database, but long enough to look at\n");
    let ran = desk.run(&["list", "--store", "sqlite:notes.txt"]);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
    assert!(ran.err.starts_with("error: store `"), "{ran:?}");
    let ran = desk.run(&["list", "--store", "sqlite:no/such/folder/walkback.db"]);
    assert_eq!(ran.code, 4, "{ran:?}");
}

#[test]
fn what_cannot_be_written_cannot_be_used() {
    let desk = Desk::new();
    // A folder in which nobody may make a file, not even root.
    let ran = desk.run(&["start", "--steps", "echo", "--store", "sqlite:/proc/walkback.db"]);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
    let expected = "error: store `sqlite:/proc/walkback.db` cannot be used: ";
    assert!(ran.err.starts_with(expected), "{ran:?}");
    assert!(ran.err.contains("expected a file and a folder that can be written"), "{ran:?}");
}

#[test]
fn other_programs_databases_and_newer_schemas_are_left_alone() {
    let desk = Desk::new();
    let refused = |file: &str, expected: &str| {
        let before = std::fs::read(desk.path().join(file)).unwrap();
        let ran = desk.run(&["list", "--store", &format!("sqlite:{file}")]);
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
        assert!(ran.err.contains(expected), "{ran:?}");
        assert_eq!(std::fs::read(desk.path().join(file)).unwrap(), before);
    };
    let change = |file: &str, sql: &str| {
        let connection = rusqlite::Connection::open(desk.path().join(file)).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    change("other.db", "CREATE TABLE books (title TEXT)");
    refused("other.db", "this is another program's database");
    assert_eq!(desk.run(&["start", "--steps", "echo", "--store", "sqlite:newer.db"]).code, 0);
    change("newer.db", "PRAGMA user_version = 99");
    refused("newer.db", "its schema has version 99");
}

#[test]
fn a_mistyped_name_is_no_empty_store() {
    let desk = Desk::new();
    for command in ["list", "attention", "verify", "doctor", "provisioned"] {
        let ran = desk.run(&[command, "--store", "sqlite:walkbak.db"]);
        assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");
        assert!(
            ran.err.contains("there is no store `walkbak.db`: expected the file of one"),
            "{ran:?}"
        );
    }
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 0);
    // Whoever names none has just not begun.
    assert_eq!(desk.run(&["list"]).code, 0);
}

#[test]
fn a_store_in_memory_is_gone_with_its_process() {
    let desk = Desk::new();
    let ran = desk.run(&["run", "--steps", "echo", "--store", "memory:", "--json"]);
    assert_eq!(ran.json()["status"], "completed");
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 0);
}

#[test]
fn a_backup_is_a_store_of_its_own() {
    let desk = Desk::new();
    let run = desk.run(&["run", "--steps", "echo", "--json"]);
    let backup = desk.run(&["backup", "copy.db"]);
    assert_eq!(backup.code, 0, "{backup:?}");
    let id = run.json()["id"].as_str().unwrap().to_owned();
    let shown = desk.run(&["show", &id, "--json", "--store", "sqlite:copy.db"]);
    assert_eq!(shown.out, run.out);
    assert_eq!(desk.run(&["backup", "copy.db"]).code, 2);
    assert_eq!(desk.run(&["backup", "m.db", "--store", "memory:"]).code, 2);
}
