//! A worker process that can be killed, and stopped for a while.

use std::process::{Child, Command};
use std::time::Duration;

use tokio::time::Instant;

use crate::process;

pub(crate) struct Worker {
    process: Child,
    pub(crate) number: usize,
    /// Until when it stands still.
    still: Option<Instant>,
}

fn command(url: &str, number: usize) -> Command {
    let mut command = process::worker(url, number);
    command.arg("--fast");
    command
}

/// Sends a signal by its name.
fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.unwrap().success(), "kill -{name}");
}

impl Worker {
    pub(crate) fn spawn(url: &str, number: usize) -> Self {
        Self { process: command(url, number).spawn().unwrap(), number, still: None }
    }

    /// Ends it with kill -9.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops it; a thread lets it go on after so long. Not if it stands still already.
    #[expect(clippy::disallowed_methods, reason = "a thread that does nothing but wait")]
    pub(crate) fn stop(&mut self, time: Duration) -> bool {
        if self.is_still() {
            return false;
        }
        self.still = Some(Instant::now() + time);
        let process = self.process.id();
        signal(process, "STOP");
        std::thread::spawn(move || {
            std::thread::sleep(time);
            // It may have been killed; it has not been waited for before that.
            Command::new("kill").args(["-CONT", &process.to_string()]).status().ok();
        });
        true
    }

    /// Whether it stands still.
    pub(crate) fn is_still(&self) -> bool {
        self.still.is_some_and(|until| until > Instant::now())
    }

    /// Lets it go on now.
    pub(crate) fn go_on(&self) {
        signal(self.process.id(), "CONT");
    }

    /// Asks it to hand over and end.
    pub(crate) fn end(mut self) {
        signal(self.process.id(), "TERM");
        let ended = self.process.wait().unwrap();
        // One that was only just spawned may not listen yet, and is ended by the signal itself.
        assert!(ended.code().is_none_or(|code| code == 130), "{ended}");
    }

    /// Works until there is nothing left to do.
    pub(crate) async fn until_idle(url: &str, number: usize) {
        process::until_idle(command(url, number)).await;
    }
}
