//! A command that goes on while the test does something else.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::desk::Desk;

/// A command that runs, and what it said on stderr first.
pub(crate) struct Running {
    pub(crate) child: Child,
    err: BufReader<std::process::ChildStderr>,
    pub(crate) first: String,
}

impl Running {
    pub(crate) fn begin(desk: &Desk, args: &[&str]) -> Self {
        let mut command = desk.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        err.read_line(&mut first).unwrap();
        Self { child, err, first }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The next line on stderr.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.err.read_line(&mut line).unwrap();
        line
    }

    /// The exit code, and the rest of stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.err.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}
