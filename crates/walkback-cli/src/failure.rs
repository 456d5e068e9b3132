//! Why a command did not do what it was asked: lines for people, a code for scripts.

use std::io;
use std::process::ExitCode;

use walkback::{Error, error::JsonError, error::Mistakes, store::StoreError};

use crate::exit::Exit;
use crate::output::table::wrap;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    lines: Vec<String>,
}

impl Failure {
    /// One reason.
    pub(crate) fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { exit, lines: vec![line.into()] }
    }

    /// Mistakes of whoever called, all of them.
    pub(crate) fn usage(lines: Vec<String>) -> Self {
        Self { exit: Exit::Usage, lines }
    }

    /// Writes the reasons as a warning of what goes on all the same.
    pub(crate) fn warn(&self, then: &str) {
        eprintln!("warning: {}; {then}", self.lines.join("; "));
    }

    /// Writes every reason on a line of its own.
    pub(crate) fn report(&self) -> ExitCode {
        for line in self.lines.iter().flat_map(|line| line.lines()) {
            complain(line);
        }
        self.exit.into()
    }
}

/// Says what is wrong, on a terminal in lines that break between words.
pub(crate) fn complain(line: &str) {
    let line = format!("error: {line}");
    let width =
        terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0));
    let lines = width.map(|width| wrap(&line, width.max(20)).join("\n"));
    eprintln!("{}", lines.unwrap_or(line));
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Mistakes(Mistakes(lines)) => return Self::usage(lines.clone()),
            Error::KeyTaken { .. } | Error::NotFound(_) | Error::Pruned(_) => Exit::Usage,
            Error::DoesNotFit { .. }
            | Error::NotTheOwner { .. }
            | Error::Locked { .. }
            | Error::StillWorking { .. } => Exit::DoesNotFit,
            Error::Damaged { .. } | Error::Store(_) => Exit::Store,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::Store, error.to_string())
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() {
            return io::Error::from(error).into();
        }
        Self::new(Exit::Store, format!("a document cannot be written as JSON: {error}"))
    }
}

/// Of the terminal and the pipes: a reader that has enough (`walkback list | head`) is no mistake.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, lines: Vec::new() };
        }
        Self::new(Exit::Usage, format!("input or output: {error}"))
    }
}
