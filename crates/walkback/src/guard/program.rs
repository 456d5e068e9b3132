//! What a caller hands in and gets back: the program, how it ended, and what can go wrong.

use std::{error::Error, fmt, io, path::PathBuf};

/// A program to run, with everything it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The program and its arguments. The first is looked up on `PATH` unless it has a slash.
    pub argv: Vec<String>,
    /// The directory it starts in; the worker's own one if `None`. Must be valid UTF-8.
    pub cwd: Option<PathBuf>,
    /// Variables set on top of the worker's own environment, the last of a name winning.
    pub env: Vec<(String, String)>,
    /// What it reads from its standard input, followed by the end of the file. Held in memory by
    /// worker and guard. If empty, the standard input is `/dev/null`.
    pub stdin: Vec<u8>,
    /// The run that it belongs to; names the lock that `Guards::wait_for_guards` waits for.
    pub run: String,
    /// How many bytes of its standard output are kept, from the start. The rest is read and
    /// dropped, and [`Ended::stdout_overflow`] is set.
    pub stdout_limit: usize,
    /// How many bytes of its standard error are kept, from the end.
    pub stderr_limit: usize,
}

/// What is known of a program whose process group is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub status: Status,
    /// What it wrote to its standard output, at most [`Program::stdout_limit`] bytes.
    pub stdout: Vec<u8>,
    /// Whether it wrote more than that, so that [`Ended::stdout`] is only its beginning.
    pub stdout_overflow: bool,
    /// The last [`Program::stderr_limit`] bytes of its standard error, after a line that says how
    /// many were cut, if any were. Bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its first process exited by itself, with this code.
    Exited(i32),
    /// Its first process was ended by this signal, which this module did not send.
    Signalled(i32),
    /// It was not started, and it is certain that nothing of it ran; with the reason.
    NotStarted(String),
    /// It was ended because the caller asked to stop. It may have done all, some, or none of its
    /// work.
    Stopped,
}

/// Why it cannot be said how a program ended.
///
/// No program is left running, whichever it is. [`RunError::nothing_ran`] tells whether one may
/// have run, which decides whether the step may simply be tried again.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The guard could not be started or spoken to. Nothing ran.
    NoGuard(io::Error),
    /// What was started as the guard did not answer as one. Nothing ran.
    NotAGuard {
        /// The file that was executed.
        exe: PathBuf,
        /// How that process ended and the last it wrote to its standard error.
        detail: String,
    },
    /// The guard could not prepare for the program, for this reason. Nothing ran.
    Refused(String),
    /// The guard vanished while a program may have been running. The program may have done
    /// anything up to all of its work.
    Lost(String),
}

impl RunError {
    /// Whether it is certain that no part of the program ran.
    pub fn nothing_ran(&self) -> bool {
        match self {
            Self::NoGuard(_) | Self::NotAGuard { .. } | Self::Refused(_) => true,
            Self::Lost(_) => false,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGuard(error) => write!(f, "cannot start a guard process: {error}"),
            Self::NotAGuard { exe, detail } => write!(
                f,
                "`{}` did not answer as a guard process: its `main` must first call \
                 `guard_main_if_asked()` ({detail})",
                exe.display()
            ),
            Self::Refused(reason) => write!(f, "the guard process could not prepare: {reason}"),
            Self::Lost(reason) => {
                write!(f, "the guard process was lost, the program may have run: {reason}")
            }
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoGuard(error) => Some(error),
            _ => None,
        }
    }
}
