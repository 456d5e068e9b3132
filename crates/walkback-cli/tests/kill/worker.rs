//! A worker process that can be killed.

use std::path::Path;
use std::process::{Child, Command};

use crate::process;

pub(crate) struct Worker(Child);

impl Worker {
    fn command(folder: &Path, number: usize) -> Command {
        process::worker(&format!("sqlite:{}", folder.join("kill.db").display()), number)
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
        process::until_idle(Self::command(folder, number)).await;
    }
}
