//! How the command ends, for scripts.

use std::process::ExitCode;

use walkback::Status;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Completed, or the command did what it says.
    Done = 0,
    /// Rolled back, or a check found something.
    RolledBack = 1,
    /// Bad usage or input.
    Usage = 2,
    /// Needs or waits for a person.
    Person = 3,
    /// The store, or the account, cannot be used.
    Store = 4,
    /// The command does not fit the run's status.
    DoesNotFit = 5,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl Exit {
    /// The code as the system takes it.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<Status> for Exit {
    fn from(status: Status) -> Self {
        match status {
            Status::RolledBack => Self::RolledBack,
            Status::Failed | Status::Parked => Self::Person,
            Status::Pending | Status::Running | Status::Compensating | Status::Completed => {
                Self::Done
            }
        }
    }
}
