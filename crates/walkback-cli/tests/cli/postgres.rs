//! The same commands on a PostgreSQL server: the same results, and what goes wrong there.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use walkback::testing::postgres::{Pooler, Server};

use crate::desk::{Desk, Ran};

/// What is said one after another; `ID` is the saga that the last `start` or `run` made.
const COMMANDS: &[&[&str]] = &[
    &["list"],
    &["run", "--steps", "echo,echo,echo", "--input", r#"{"message":"hello"}"#, "--key", "k"],
    &["run", "--steps", "echo,echo,echo", "--input", r#"{"message":"hello"}"#, "--key", "k"],
    &["run", "--steps", "echo,echo", "--key", "k"],
    &["show", "ID"],
    &["ledger", "ID"],
    &["diff", "ID", "1", "3"],
    &["cancel", "ID"],
    &["rollback", "ID", "--reason", "ordered twice"],
    &["work", "--until-idle"],
    &["show", "ID"],
    &["explain", "ID"],
    &["run", "--steps", "echo,fail", "--label", "tenant=a"],
    &["retry", "ID"],
    &["start", "--steps", "echo", "--label", "tenant=b", "--priority", "3"],
    &["pause", "ID"],
    &["attention"],
    &["explain", "ID"],
    &["resume", "ID", "--set", r#"{"message":"again"}"#],
    &["work", "--until-idle"],
    &["show", "ID"],
    &["start", "--steps", "echo,nothing"],
    &["start", "--steps", "echo", "--input", "[1]"],
    &["list", "--label", "tenant=b"],
    &["list", "--status", "rolled_back"],
    &["plan", "--steps", "echo,fail"],
    &["kinds"],
    &["steps"],
    &["start", "--steps", "echo,wait_for,approve", "--input", r#"{"signal": "paid"}"#],
    &["work", "--until-idle"],
    &["hold", "ID", "1h"],
    &["explain", "ID"],
    &["signal", "ID", "paid", r#"{"amount": 3}"#],
    &["approve", "ID"],
    &["work", "--until-idle"],
    &["approve", "ID", "--reason", "seen"],
    &["work", "--until-idle"],
    &["watch", "ID"],
    &["start", "--steps", "echo,approve"],
    &["work", "--until-idle"],
    &["deny", "ID", "--reason", "no"],
    &["work", "--until-idle"],
    &["show", "ID"],
    &["start", "--steps", "echo,wait_for", "--input", r#"{"signal": "paid"}"#],
    &["work", "--until-idle"],
    &["complete", "ID", "1", "--output", "{}"],
    &["skip", "ID", "1"],
    &["work", "--until-idle"],
    &["show", "ID"],
    &["resolve", "ID", "1"],
    &["abandon", "ID", "1", "--reason", "kept"],
    &["start", "--steps", "echo", "--label", "tenant=c"],
    &["restored", "--reason", "a burnt disk"],
    &["restored", "--yes", "--reason", "a burnt disk"],
    &["attention"],
    &["resume", "ID"],
    &["work", "--until-idle"],
    &["show", "ID"],
    &["workers"],
    &["upgrade-check"],
    &["provisioned"],
    &["resources"],
    &["prune", "--older-than", "0s", "--yes"],
    &["show", "ID"],
    &["list"],
];

/// Says everything; answers what was said to it.
fn say_all(desk: &Desk) -> Vec<(i32, String, String)> {
    let mut id = String::new();
    let mut said = Vec::new();
    for command in COMMANDS {
        let args: Vec<&str> =
            command.iter().map(|word| if *word == "ID" { &*id } else { word }).collect();
        let ran = desk.run(&args);
        if matches!(command[0], "start" | "run") && ran.code < 2 {
            let listed = desk.run(&["list", "--json"]).json();
            listed[0]["id"].as_str().unwrap().clone_into(&mut id);
        }
        said.push((ran.code, ran.stable(), crate::desk::stable(&ran.err)));
    }
    said
}

#[test]
fn every_command_says_the_same_on_a_server_as_on_a_file() {
    says_the_same_as_a_file(&Desk::with_store(&Server::shared().place()));
}

/// Nothing has to be said of the pooler, to a worker or to `run`.
#[test]
fn every_command_says_the_same_through_a_pooler() {
    let server = Server::start(&["fsync=off"]).unwrap();
    if !Pooler::is_installed() {
        eprintln!("PgBouncer is not installed: nothing is tried");
        return;
    }
    let pooler = Pooler::before(&server, 2).unwrap();
    says_the_same_as_a_file(&Desk::with_store(&pooler.place(&server).unwrap()));
}

fn says_the_same_as_a_file(server: &Desk) {
    let file = Desk::new();
    for ((command, file), server) in COMMANDS.iter().zip(say_all(&file)).zip(say_all(server)) {
        let plain = |text: String| {
            let place = "postgres://walkback@127.0.0.1:";
            let words = text.split(' ').map(|word| match word.find(place) {
                Some(_) => "STORE",
                None if word.contains("sqlite:walkback.db") => "STORE",
                None if word.len() > 2 && word.bytes().all(|b| b.is_ascii_digit()) => "PROCESS",
                None => word,
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let (file, server) =
            ((file.0, plain(file.1), plain(file.2)), (server.0, plain(server.1), plain(server.2)));
        assert_eq!(file, server, "{command:?}");
    }
    assert_eq!(server.run(&["verify"]).code, 0);
    let backup = server.run(&["backup", "copy.db"]);
    assert!(backup.code == 2 && backup.err.contains("pg_dump"), "{backup:?}");
}

fn refused(url: &str, part: &str) {
    let ran = Desk::with_store(url).run(&["start", "--steps", "echo"]);
    assert_eq!(ran.code, 4, "{url}: {ran:?}");
    assert!(ran.err.contains(part), "{url}: {}", ran.err);
    assert!(!ran.err.contains("secret"), "{}", ran.err);
}

#[test]
fn what_is_wrong_with_a_server_is_said_without_the_password() {
    let server = Server::start(&["fsync=off"]).unwrap();
    let (_, port) = server.socket();
    let at = |user: &str, database: &str| format!("postgres://{user}@127.0.0.1:{port}/{database}");
    let rules = server.folder().join("data/pg_hba.conf");
    let trusting = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("host all ada all scram-sha-256\n{trusting}")).unwrap();
    server.control(&["reload"]).unwrap();
    server
        .tell(
            "CREATE ROLE ada LOGIN PASSWORD 'right'; CREATE ROLE bob LOGIN CONNECTION LIMIT 0; \
             CREATE ROLE eve LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0; \
             CREATE DATABASE standby; ALTER DATABASE standby SET default_transaction_read_only = on; \
             CREATE DATABASE newer",
        )
        .unwrap();
    refused(&at("ada:secret", "postgres"), "expected another user or password");
    refused(&at("ada", "postgres"), "password");
    refused(&at("walkback", "nowhere"), "expected a database that exists");
    let expected = "expected a server that takes this connection";
    let full = format!("too many connections for role \"bob\" (53300): {expected}");
    refused(&at("bob", "postgres"), &full);
    refused(
        &at("eve", "postgres"),
        "permission denied for schema public (42501)): expected `walkback migrate` by the owner",
    );
    refused(&at("walkback", "latin"), "LATIN1: expected UTF8");
    refused(&at("walkback", "standby"), "read-only, a replica perhaps: expected the primary");
    let nobody = format!("Connection refused (os error 111): {expected}");
    refused("postgres://walkback:secret@127.0.0.1:1/postgres", &nobody);
    refused(&(at("walkback", "postgres") + "?sslmode=require"), "TLS");
    let newer = Desk::with_store(&at("walkback", "newer"));
    assert_eq!(newer.run(&["start", "--steps", "echo"]).code, 0);
    let sql = "INSERT INTO walkback_schema VALUES (99)";
    walkback::testing::postgres::tell(&at("walkback", "newer"), sql).unwrap();
    refused(&at("walkback", "newer"), "expected a newer walkback");
    let bad = Desk::new().run(&["list", "--store", "postgres://u:secret@h/d?colour=red"]);
    assert!(bad.code == 2 && bad.err.contains("colour") && !bad.err.contains("secret"), "{bad:?}");
}

/// With programs of an older version (`scripts/servers`) this is one; any other one is made to say so, by
/// a function that is found before its own.
#[test]
fn a_server_that_is_too_old_is_refused() {
    let server = Server::start(&["fsync=off"]).unwrap();
    let version: u32 = server.tell("SHOW server_version_num").unwrap().trim().parse().unwrap();
    let (mut url, mut named) = (server.url().to_owned(), "12.");
    if version >= 130_000 {
        server
            .tell(
                "CREATE SCHEMA old; CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql AS $$ \
                 SELECT CASE $1 WHEN 'server_version_num' THEN '120022' WHEN 'server_version' THEN '12.22' \
                 ELSE pg_catalog.current_setting($1) END $$",
            )
            .unwrap();
        url += "?options=-csearch_path%3Dold,pg_catalog,public";
        named = "12.22";
    }
    refused(&url, &format!("the server is PostgreSQL {named}"));
    refused(&url, ": expected 13 or newer");
    assert_eq!(server.tell("SELECT to_regclass('walkback_schema')").unwrap().trim(), "");
}

fn working(desk: &Desk, args: &[&str]) -> Child {
    let mut command = desk.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn status(desk: &Desk, id: &str) -> String {
    let shown = desk.run(&["show", id, "--json"]);
    shown.json()["status"].as_str().unwrap().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "another process's doing is waited for")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_mins(1), "waited in vain: {what}");
        pause(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// Starts a saga whose only step takes this long.
fn start(desk: &Desk, seconds: &str) -> String {
    desk.write(
        "slow.yaml",
        &format!("kind: slow\nsteps:\n- command:\n    execute: [sleep, '{seconds}']\n"),
    );
    let ran: Ran = desk.run(&["start", "--file", "slow.yaml", "--json"]);
    ran.json()["id"].as_str().unwrap_or_else(|| panic!("{ran:?}")).to_owned()
}

#[test]
fn workers_go_on_when_the_server_was_away() {
    let server = Server::start(&["fsync=off"]).unwrap();
    let desk = Desk::with_store(server.url());
    let mut worker = working(&desk, &["work", "--fast"]);
    let id = start(&desk, "3");
    wait_until("it runs", || status(&desk, &id) == "running");
    server.control(&["-m", "fast", "stop"]).unwrap();
    pause(Duration::from_secs(5));
    server.control(&["start"]).unwrap();
    wait_until("it completes", || status(&desk, &id) == "completed");
    assert!(worker.try_wait().unwrap().is_none(), "the worker ended with its server");
    let rows = desk.run(&["ledger", &id, "--json"]).json_lines();
    let kinds: Vec<&Value> = rows.iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["accepted", "step_started", "step_completed"], "nobody was taken for dead");
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(desk.run(&["verify"]).code, 0);
}

/// Shown by a trigger that refuses as a full disk does.
#[test]
fn a_worker_waits_for_room_where_the_servers_disk_is_full() {
    let url = Server::shared().place();
    let desk = Desk::with_store(&url);
    let mut worker = working(&desk, &["work"]);
    let id = start(&desk, "2");
    wait_until("it runs", || status(&desk, &id) == "running");
    let fill = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                'BEGIN RAISE disk_full; END'; \
                CREATE TRIGGER refuse BEFORE INSERT ON ledger_rows EXECUTE FUNCTION refuse()";
    walkback::testing::postgres::tell(&url, fill).unwrap();
    let refused = desk.run(&["start", "--steps", "echo"]);
    assert_eq!(refused.code, 4, "who only asks is told: {refused:?}");
    assert!(refused.err.contains("the disk is full; nothing was written"), "{refused:?}");
    pause(Duration::from_secs(4));
    assert!(worker.try_wait().unwrap().is_none(), "the worker ended");
    walkback::testing::postgres::tell(&url, "DROP TRIGGER refuse ON ledger_rows").unwrap();
    wait_until("it completes", || status(&desk, &id) == "completed");
    let rows = desk.run(&["ledger", &id, "--json"]).json_lines();
    let kinds: Vec<&Value> = rows.iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["accepted", "step_started", "step_completed"], "nothing was done twice");
    assert_eq!(desk.run(&["list", "--json"]).json().as_array().unwrap().len(), 1);
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(desk.run(&["verify"]).code, 0);
}

#[test]
fn a_dead_worker_is_told_from_one_that_works_though_nobody_is_left_to_bury_it() {
    let desk = Desk::with_store(&Server::shared().place());
    let mut worker = working(&desk, &["work", "--fast"]);
    let id = start(&desk, "60");
    wait_until("it runs", || status(&desk, &id) == "running");
    worker.kill().unwrap();
    worker.wait().unwrap();
    let listed = || desk.run(&["workers", "--json"]).json()[0].clone();
    wait_until("it is silent", || listed()["silent"] == true);
    assert_eq!(listed()["runs"], 1);
    let explained = desk.run(&["explain", &id]);
    let why =
        "the worker that has it is silent, and nobody works on this store: `walkback work` does";
    assert!(explained.out.contains(why), "{explained:?}");
    let examined = desk.run(&["doctor"]);
    assert!(
        examined.out.contains("none, and workers that fell silent have 1 sagas"),
        "{examined:?}"
    );
}

#[test]
fn a_dead_workers_sagas_are_taken_over_and_a_leaving_ones_at_once() {
    let desk = Desk::with_store(&Server::shared().place());
    let mut first = working(&desk, &["work"]);
    wait_until("it is listed", || {
        desk.run(&["workers", "--json"]).json().as_array().unwrap().len() == 1
    });
    let id = start(&desk, "2");
    wait_until("it runs", || status(&desk, &id) == "running");
    let mut second = working(&desk, &["work", "--no-listen"]);
    let listed = || desk.run(&["workers", "--json"]).json();
    wait_until("both are listed", || listed().as_array().unwrap().len() == 2);
    let shown = listed();
    assert_eq!(shown[0]["pid"].as_u64(), Some(u64::from(first.id())), "{shown}");
    assert_eq!((&shown[0]["runs"], &shown[1]["runs"]), (&1.into(), &0.into()));
    assert!(shown[0]["steps"].as_array().unwrap().contains(&"command".into()), "{shown}");
    first.kill().unwrap();
    first.wait().unwrap();
    let taken = |id: &str, kind: &str| {
        let rows = desk.run(&["ledger", id, "--json"]).json_lines();
        rows.iter().any(|row| row["kind"] == kind)
    };
    let took = wait_until("it is taken over", || taken(&id, "taken_over"));
    assert!(took < Duration::from_secs(10), "{took:?}");
    wait_until("it completes", || status(&desk, &id) == "completed");
    let id = start(&desk, "30");
    wait_until("it runs", || status(&desk, &id) == "running");
    let mut third = working(&desk, &["work"]);
    wait_until("it is listed", || listed().as_array().unwrap().len() == 2);
    let left = std::process::Command::new("kill").arg(second.id().to_string()).status();
    assert!(left.unwrap().success());
    assert_eq!(second.wait().unwrap().code(), Some(130));
    let begun_again = || {
        let rows = desk.run(&["ledger", &id, "--json"]).json_lines();
        rows.iter().filter(|row| row["kind"] == "step_started").count() == 2
    };
    let took = wait_until("somebody else has it", begun_again);
    assert!(took < Duration::from_secs(4), "its lease was waited for: {took:?}");
    third.kill().unwrap();
    third.wait().unwrap();
}

#[test]
fn a_worker_that_is_told_to_leave_does_not_wait_for_a_server_that_is_away() {
    let server = Server::start(&["fsync=off"]).unwrap();
    let desk = Desk::with_store(server.url());
    let mut worker = working(&desk, &["work"]);
    let id = start(&desk, "3");
    wait_until("it runs", || status(&desk, &id) == "running");
    server.control(&["-m", "immediate", "stop"]).unwrap();
    let told = std::process::Command::new("kill").arg(worker.id().to_string()).status();
    assert!(told.unwrap().success());
    let left = wait_until("it has left", || worker.try_wait().unwrap().is_some());
    assert!(left < Duration::from_secs(15), "a supervisor would have killed it: {left:?}");
    server.control(&["start"]).unwrap();
    let mut next = working(&desk, &["work"]);
    wait_until("another one completes it", || status(&desk, &id) == "completed");
    next.kill().unwrap();
    next.wait().unwrap();
    assert_eq!(desk.run(&["verify"]).code, 0);
}

/// The SQL of the roles, as the document has it.
fn roles() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md");
    let text = std::fs::read_to_string(file).unwrap();
    let block = text.split("```sql\n").find(|block| block.starts_with("CREATE ROLE")).unwrap();
    block.split("```").next().unwrap().to_owned()
}

#[test]
fn the_roles_of_the_document_can_do_what_they_are_for_and_no_more() {
    let server = Server::start(&["fsync=off"]).unwrap();
    let (_, port) = server.socket();
    assert_eq!(Desk::with_store(server.url()).run(&["list"]).code, 0, "it has tables now");
    server.tell(&roles()).unwrap();
    let as_role = |role: &str| {
        let login = format!("CREATE ROLE {role} LOGIN IN ROLE walkback_{role}");
        server.tell(&login).unwrap();
        Desk::with_store(&format!("postgres://{role}@127.0.0.1:{port}/postgres"))
    };
    let (worker, api) = (as_role("worker"), as_role("api"));
    let (reader, janitor) = (as_role("reader"), as_role("janitor"));
    api.write("locks.yaml", "kind: locks\nsteps: [{echo: {lock: a}}, fail]\n");
    for steps in [["--steps", "echo,echo"], ["--file", "locks.yaml"]] {
        let start = ["start", steps[0], steps[1], "--label", "a=b", "--key", steps[1]];
        assert_eq!(api.run(&start).code, 0);
    }
    let work = worker.run(&["work", "--until-idle"]);
    assert_eq!(work.code, 0, "{work:?}");
    let id =
        api.run(&["start", "--steps", "echo", "--json"]).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(api.run(&["cancel", &id]).code, 0);
    let again = worker.run(&["run", "--steps", "echo"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(reader.run(&["list", "--json"]).json().as_array().unwrap().len(), 4);
    assert_eq!(reader.run(&["verify"]).code, 0);
    assert_eq!(reader.run(&["start", "--steps", "echo"]).code, 4);
    assert_eq!(reader.run(&["doctor"]).code, 1, "nothing is kept over a loss of power");
    let refused = worker.run(&["prune", "--older-than", "0s", "--yes"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    for part in ["ledger_rows WHERE seq = 1", "run_heads", "run_specs"] {
        let torn = server.tell(&format!("SET ROLE janitor; DELETE FROM {part}"));
        let said = torn.expect_err(part);
        assert!(said.contains("deleted whole, or not at all"), "{part}: {said}");
    }
    let pruned = janitor.run(&["prune", "--older-than", "0s", "--yes"]);
    assert_eq!(pruned.code, 0, "{pruned:?}");
    assert_eq!(reader.count(), 0);
}

/// The row of `doctor` about this.
fn found(ran: &Ran, what: &str) -> Value {
    let json = ran.json();
    json.as_array().unwrap().iter().find(|found| found["what"] == what).unwrap().clone()
}

#[test]
fn the_doctor_says_what_a_server_could_lose() {
    let server = Server::start(&[]).unwrap();
    let desk = Desk::with_store(server.url());
    let well = desk.run(&["doctor", "--json"]);
    assert_eq!(well.code, 0, "{well:?}");
    assert_eq!(found(&well, "durability")["grade"], "good");
    server.tell("ALTER SYSTEM SET synchronous_commit = off; SELECT pg_reload_conf()").unwrap();
    let ill = desk.run(&["doctor", "--json"]);
    assert_eq!(ill.code, 1, "{ill:?}");
    let durability = found(&ill, "durability");
    assert_eq!(durability["grade"], "bad");
    assert!(durability["found"].as_str().unwrap().contains("synchronous_commit=off"), "{ill:?}");
    assert_eq!(desk.run(&["start", "--steps", "echo"]).code, 0);
    server.tell("UPDATE run_heads SET due_at = NULL").unwrap();
    let lost = found(&desk.run(&["doctor", "--json"]), "queue");
    assert_eq!(lost["grade"], "bad", "{lost}");
    server.tell("UPDATE run_heads SET wake_at = NULL").unwrap();
    let lost = found(&desk.run(&["doctor", "--json"]), "limbo");
    assert_eq!(lost["grade"], "bad", "{lost}");
}

#[test]
fn a_role_that_may_not_migrate_says_who_may() {
    let server = Server::start(&["fsync=off"]).unwrap();
    let (_, port) = server.socket();
    let owner = Desk::with_store(server.url());
    assert_eq!(owner.run(&["migrate"]).out.lines().count(), 1);
    server.tell(&roles()).unwrap();
    server.tell("CREATE ROLE worker LOGIN IN ROLE walkback_worker").unwrap();
    server
        .tell(
            "DROP TABLE run_locks, lock_keys, shared_budgets; DROP INDEX runs_by_party; \
             ALTER TABLE run_heads DROP COLUMN party; ALTER TABLE workers DROP COLUMN queues; \
             DELETE FROM walkback_schema WHERE version > 1",
        )
        .unwrap();
    let worker = Desk::with_store(&format!("postgres://worker@127.0.0.1:{port}/postgres"));
    let refused = worker.run(&["list"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.err.contains("expected `walkback migrate` by the owner"), "{refused:?}");
    let migrated = owner.run(&["migrate", "--json"]);
    assert_eq!((migrated.code, &migrated.json()["version"]), (0, &4.into()));
    assert_eq!(worker.run(&["list"]).code, 0);
}
