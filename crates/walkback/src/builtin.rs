//! The steps that every binary knows.

mod command;
mod echo;
mod fail;
mod sleep;
mod waiting;

pub(crate) use waiting::{any_of, deciders, goes_on, signal_of};

use crate::registry::Registry;

/// Adds them.
pub(crate) fn add(registry: Registry) -> Registry {
    registry
        .dynamic(echo::Echo)
        .dynamic(fail::Fail)
        .dynamic(sleep::Sleep)
        .dynamic(waiting::WaitFor)
        .dynamic(waiting::Approve)
        .dynamic(command::Command::default())
}
