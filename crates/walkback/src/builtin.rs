//! The steps that every binary knows.

mod command;
mod echo;
mod fail;
mod sleep;

use crate::registry::Registry;

/// Adds them.
pub(crate) fn add(registry: Registry) -> Registry {
    registry
        .dynamic(echo::Echo)
        .dynamic(fail::Fail)
        .dynamic(sleep::Sleep)
        .dynamic(command::Command::default())
}
