//! A worker as a process of its own.

use std::process::{Command, Stdio};

/// The command of a worker on this store; its bodies write its number down.
pub(crate) fn worker(store: &str, number: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walkback"));
    command.args(["--store", store, "work"]).env("KILL_TEST_WORKER", number.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Has such a worker work until there is nothing left to do.
pub(crate) async fn until_idle(mut worker: Command) {
    let mut worker = worker.arg("--until-idle").spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || worker.wait().unwrap()).await.unwrap();
    assert!(ended.success(), "{ended}");
}
