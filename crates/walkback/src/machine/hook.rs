//! Telling people that the run needs one: when, and what became of it.

use crate::machine::{Applied, ParkReason, State};
use crate::time::Timestamp;

/// The newest call of the hook, while the run needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Called {
    /// Why the run stood still; nothing, if it had ended with something left.
    parked: Option<ParkReason>,
    pub(crate) tries: u32,
    /// When to try again; nothing, if people know.
    pub(crate) retry_at: Option<Timestamp>,
}

impl State {
    pub(super) fn hook_called(
        &mut self,
        parked: Option<ParkReason>,
        tries: u32,
        retry_at: Option<Timestamp>,
    ) -> Applied {
        if !self.needs_attention() {
            return Err("the run needs nobody");
        }
        self.called = Some(Called { parked, tries, retry_at });
        // A hook that fails for a year must not use up what the run itself may write.
        self.rows_granted += 1;
        Ok(())
    }

    /// What became of telling people why the run needs one now; nothing, if nobody tried yet.
    pub(crate) fn called(&self) -> Option<&Called> {
        let parked = self.parked().map(|parked| parked.reason);
        self.called.as_ref().filter(|called| called.parked == parked)
    }

    /// When the hook is to be called: at once, or later if it failed; never, if people know or
    /// nobody has to.
    pub(crate) fn call_at(&self) -> Option<Timestamp> {
        if !self.needs_attention() {
            return None;
        }
        self.called().map_or(Some(Timestamp::default()), |called| called.retry_at)
    }
}
