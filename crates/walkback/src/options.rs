//! What a step says of itself: how long, how often, and what it leaves behind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often something is tried, and how long to wait in between (rule S4).
///
/// The wait before try n is drawn evenly from zero to `min * 2^(n-1)`, at most `max`.
///
/// ```
/// use std::time::Duration;
/// use walkback::Retry;
/// const OFTEN: Retry = Retry::attempts(8).backoff(Duration::from_secs(2), Duration::from_mins(1));
/// assert_eq!(OFTEN.max_attempts(), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    attempts: u32,
    min: Duration,
    max: Duration,
}

impl Retry {
    /// `attempts` tries in all (at least one), 1 s to 60 s apart.
    pub const fn attempts(attempts: u32) -> Self {
        let attempts = if attempts == 0 { 1 } else { attempts };
        Self { attempts, min: Duration::from_secs(1), max: Duration::from_mins(1) }
    }

    /// The same with other waits: `min` before the first retry, never more than `max`.
    #[must_use]
    pub const fn backoff(self, min: Duration, max: Duration) -> Self {
        Self { attempts: self.attempts, min, max }
    }

    pub(crate) const fn with_attempts(self, attempts: u32) -> Self {
        Self::attempts(attempts).backoff(self.min, self.max)
    }

    /// Tries in all.
    pub const fn max_attempts(&self) -> u32 {
        self.attempts
    }

    /// The longest wait after `failures` failed tries; the engine draws from zero to this.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.min.saturating_mul(1 << doublings).min(self.max)
    }
}

/// What happens when a step has failed for good (rules S6, S11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// Walk back at once.
    WalkBack,
    /// Park for so long first, so that someone can look; then walk back.
    Hold(Duration),
}

/// What happens when an undo has failed for good (rule S8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUndoFailure {
    /// Record the residue and walk on.
    Continue,
    /// Park until a person decides.
    Halt,
}

/// Why a step has no `compensate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoUndo {
    /// It changes nothing.
    ReadOnly,
    /// What it made is left on purpose, for this reason.
    Retained(&'static str),
    /// It cannot be undone, for this reason.
    Irreversible(&'static str),
}

/// A step's options; every one has a default.
///
/// ```
/// use std::time::Duration;
/// use walkback::{Options, Retry};
/// const OPTIONS: Options =
///     Options::new().timeout(Duration::from_secs(30)).retry(Retry::attempts(8)).not_repeatable();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
    pub(crate) compensate_timeout: Duration,
    pub(crate) compensate_retry: Retry,
    pub(crate) settle: Duration,
    pub(crate) repeatable: bool,
    pub(crate) pivot: bool,
    pub(crate) on_failure: OnFailure,
    pub(crate) on_undo_failure: OnUndoFailure,
    pub(crate) no_undo: Option<NoUndo>,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// The defaults of rule S4: 5 attempts of 60 s, 1 s to 60 s apart; 12 attempts of 60 s to
    /// undo, 1 s to 5 min apart; repeatable under its key; no settle delay.
    pub const fn new() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            timeout: minute,
            retry: Retry::attempts(5),
            compensate_timeout: minute,
            compensate_retry: Retry::attempts(12)
                .backoff(Duration::from_secs(1), Duration::from_mins(5)),
            settle: Duration::ZERO,
            repeatable: true,
            pivot: false,
            on_failure: OnFailure::WalkBack,
            on_undo_failure: OnUndoFailure::Continue,
            no_undo: None,
        }
    }

    /// How long one `execute` or `probe` may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often `execute` is tried.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How long one `compensate` may take.
    #[must_use]
    pub const fn compensate_timeout(mut self, timeout: Duration) -> Self {
        self.compensate_timeout = timeout;
        self
    }

    /// How often `compensate` is tried.
    #[must_use]
    pub const fn compensate_retry(mut self, retry: Retry) -> Self {
        self.compensate_retry = retry;
        self
    }

    /// How long after an unknown outcome a probe's "absent" begins to count: as long as the far
    /// side's lists may lag behind.
    #[must_use]
    pub const fn settle(mut self, delay: Duration) -> Self {
        self.settle = delay;
        self
    }

    /// Running it again under the same key could make a second one. After an unknown outcome
    /// that a probe cannot clear up, the run parks instead of trying again.
    #[must_use]
    pub const fn not_repeatable(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// From here on the run only goes forward (rule S10). Not allowed inside a group.
    #[must_use]
    pub const fn pivot(mut self) -> Self {
        self.pivot = true;
        self
    }

    /// When it has failed for good: park for `duration` before walking back (rule S11).
    #[must_use]
    pub const fn hold_on_failure(mut self, duration: Duration) -> Self {
        self.on_failure = OnFailure::Hold(duration);
        self
    }

    /// When its undo has failed for good: park instead of walking on (rule S8).
    #[must_use]
    pub const fn halt_on_undo_failure(mut self) -> Self {
        self.on_undo_failure = OnUndoFailure::Halt;
        self
    }

    /// It changes nothing, so it needs no `compensate`.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.no_undo = Some(NoUndo::ReadOnly);
        self
    }

    /// What it made stays on purpose, for `reason`.
    #[must_use]
    pub const fn retained(mut self, reason: &'static str) -> Self {
        self.no_undo = Some(NoUndo::Retained(reason));
        self
    }

    /// It cannot be undone, for `reason`.
    #[must_use]
    pub const fn irreversible(mut self, reason: &'static str) -> Self {
        self.no_undo = Some(NoUndo::Irreversible(reason));
        self
    }
}
