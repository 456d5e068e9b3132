//! What can go wrong: for those who write steps, and for those who call the engine.

use std::fmt;
use std::time::Duration;

use crate::limits::cut;
use crate::machine::{Class, Effect};
use crate::store::{StoreError, Tombstone};

pub use crate::id::BadSagaId;
pub use crate::json::JsonError;

/// How an `execute`, `compensate` or `probe` ends that did not succeed (rule S3).
///
/// Without a word more it is transient and unknown: it may have done something, and trying again
/// could help. Any error turns into that by `?`.
///
/// ```
/// use std::time::Duration;
/// use walkback::StepError;
/// let taken = StepError::permanent("the name `web-1` is taken").clean();
/// let busy = StepError::transient("busy").clean().retry_after(Duration::from_secs(30));
/// let booting = StepError::not_yet(Duration::from_secs(5));
/// assert_eq!(taken.to_string(), "the name `web-1` is taken");
/// ```
#[derive(Debug)]
pub struct StepError {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) effect: Effect,
    pub(crate) retry_after: Option<Duration>,
}

/// What follows, as far as the step can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Failed(Class),
    NotYet(Duration),
    /// Somebody has to send a signal.
    Signal {
        name: String,
        within: Option<Duration>,
    },
    /// Somebody has to approve.
    Approval {
        within: Option<Duration>,
    },
    CannotDecode,
}

impl StepError {
    pub(crate) fn new(kind: Kind, text: impl fmt::Display) -> Self {
        Self { kind, text: cut(text.to_string()), effect: Effect::Unknown, retry_after: None }
    }

    /// Trying again could help.
    pub fn transient(text: impl fmt::Display) -> Self {
        Self::new(Kind::Failed(Class::Transient), text)
    }

    /// Trying again would not help.
    pub fn permanent(text: impl fmt::Display) -> Self {
        Self::new(Kind::Failed(Class::Permanent), text)
    }

    /// It is under way on the far side: look again in `wait`, which frees the worker and counts no
    /// attempt.
    pub fn not_yet(wait: Duration) -> Self {
        Self::new(Kind::NotYet(wait), format_args!("not yet; look again in {wait:?}"))
    }

    /// It certainly did nothing.
    #[must_use]
    pub fn clean(mut self) -> Self {
        self.effect = Effect::Clean;
        self
    }

    /// It may have done something, or what came before it in the same body has: the opposite of
    /// [`StepError::clean`].
    #[must_use]
    pub fn unknown(mut self) -> Self {
        self.effect = Effect::Unknown;
        self
    }

    /// Whether trying again would not help.
    pub fn is_permanent(&self) -> bool {
        self.kind == Kind::Failed(Class::Permanent)
    }

    /// The far side asked us to wait so long.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What has to come first is in `kind`; nothing was done yet.
    pub(crate) fn waiting(kind: Kind) -> Self {
        Self::new(kind, "waits for somebody").clean()
    }

    pub(crate) fn cannot_decode(what: &str, error: &serde_json::Error) -> Self {
        Self::new(Kind::CannotDecode, format_args!("{what} cannot be decoded: {error}")).clean()
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<E: std::error::Error> From<E> for StepError {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::transient(text)
    }
}

/// Mistakes found together, each a sentence that names the thing and says what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl Mistakes {
    /// Nothing, if there are none.
    pub(crate) fn none_or(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Mistakes(self)) }
    }
}

/// Why a call of the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input or the list of steps is wrong; nothing was stored.
    #[error("{0}")]
    Mistakes(Mistakes),
    /// A run with this key exists and was started differently.
    #[error("key `{key}` belongs to saga {id}, which was started with {differs}: use another key")]
    KeyTaken {
        /// The key.
        key: String,
        /// The run that has it.
        id: crate::SagaId,
        /// What differs.
        differs: &'static str,
    },
    /// No such run.
    #[error("there is no saga {0} in this store")]
    NotFound(crate::SagaId),
    /// It was pruned.
    #[error("{}", pruned(.0))]
    Pruned(Box<Tombstone>),
    /// The command does not fit how the run stands.
    #[error("`{command}` does not fit saga {id}, which is {status}{hint}: legal now: {}", listed(.legal))]
    DoesNotFit {
        /// The command.
        command: &'static str,
        /// The run.
        id: crate::SagaId,
        /// How it stands.
        status: &'static str,
        /// Why, where the status alone does not tell.
        hint: &'static str,
        /// The commands that fit.
        legal: Vec<&'static str>,
    },
    /// What the run made is by now somebody else's, or was changed or removed since (rule S13).
    #[error("`rollback` does not fit saga {id}: its {what} {}", owned(.owner.as_ref(), *.gone))]
    NotTheOwner {
        /// The run.
        id: crate::SagaId,
        /// What it made.
        what: String,
        /// Who owns it by now, or has removed it; nobody, if it was changed.
        owner: Option<crate::SagaId>,
        /// Whether it was removed.
        gone: bool,
    },
    /// What the run held is by now locked by another (rule S13).
    #[error(
        "`rollback` does not fit saga {id}: `{key}`, which it held, is locked by saga {owner}: expected \
         it to end first"
    )]
    Locked {
        /// The run.
        id: crate::SagaId,
        /// The lock.
        key: String,
        /// Who holds it by now.
        owner: crate::SagaId,
    },
    /// Somebody works on the store, and must not while this is done.
    #[error("{who} works on this store: expected no worker until this has ended")]
    StillWorking {
        /// Its process and host.
        who: String,
    },
    /// The stored run is damaged.
    #[error("saga {id} in the store is damaged: {why}")]
    Damaged {
        /// The run.
        id: crate::SagaId,
        /// What is wrong.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

fn pruned(stone: &Tombstone) -> String {
    let Tombstone { id, status, finished_at, pruned_at, pruned_by, .. } = stone;
    let ended = status.name();
    format!("saga {id} was pruned at {pruned_at} by {pruned_by}: it was {ended} at {finished_at}")
}

fn owned(owner: Option<&crate::SagaId>, gone: bool) -> String {
    match owner {
        Some(owner) if gone => format!("was removed by saga {owner}"),
        Some(owner) => format!(
            "is by now owned by saga {owner}: roll that back first, or, where it cannot be, offboard it instead"
        ),
        None if gone => "was removed".to_owned(),
        None => "was changed since it was made: offboard it instead".to_owned(),
    }
}

fn listed(legal: &[&str]) -> String {
    if legal.is_empty() { "nothing".to_owned() } else { legal.join(", ") }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
