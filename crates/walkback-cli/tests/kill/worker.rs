//! A worker process that can be killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Worker(Child);

impl Worker {
    fn command(folder: &Path, number: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walkback"));
        let store = format!("sqlite:{}", folder.join("kill.db").display());
        command.args(["--store", &store, "work"]).env("KILL_TEST_WORKER", number.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub(crate) fn spawn(folder: &Path, number: usize) -> Self {
        Self(Self::command(folder, number).spawn().unwrap())
    }

    /// Ends it with kill -9.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Works until there is nothing left to do.
    pub(crate) async fn until_idle(folder: &Path, number: usize) {
        let mut worker = Self::command(folder, number).arg("--until-idle").spawn().unwrap();
        let ended = tokio::task::spawn_blocking(move || worker.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "{ended}");
    }
}
