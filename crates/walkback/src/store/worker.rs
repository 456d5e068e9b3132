//! Who works on a store: what workers say of themselves, ask for, and are told.

use std::sync::Arc;
use std::time::Duration;

use crate::id::SagaId;
use crate::store::{Needs, Party};
use crate::time::Timestamp;

/// What a worker would like to claim.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who asks.
    pub worker: WorkerId,
    /// Its queues; none means all.
    pub queues: Arc<[String]>,
    /// What it cannot take.
    pub cannot: Arc<[Needs]>,
    /// At most so many.
    pub limit: usize,
    /// More is due than that: every party gets its turn, beginning behind this one. Without, whatever is
    /// due longest comes first.
    pub turns_after: Option<Party>,
    /// The time now, for stores that have no clock of their own.
    pub now: Timestamp,
}

/// What others have done that concerns a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Its runs to which somebody else has written since the last ask.
    pub nudged: Vec<SagaId>,
    /// When the next run that nobody owns is due, of those that it wants.
    pub next_due: Option<Timestamp>,
    /// When the hook is to be called next, for whichever run.
    pub next_call: Option<Timestamp>,
    /// Whether other workers own runs, which may come to this one yet.
    pub others_work: bool,
    /// Whether the store was out of reach since the last ask. A replica that took over may not have what
    /// was done last.
    pub was_away: bool,
}

/// The number of a worker, random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub u64);

/// Who a worker is, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct WorkerInfo {
    /// Its number.
    #[serde(skip)]
    pub id: Option<WorkerId>,
    /// Its process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
    /// Since when it works.
    pub since: Timestamp,
    /// The version of its program's walkback.
    pub version: String,
    /// The steps that it knows.
    pub steps: Vec<String>,
    /// The queues that it serves; none means all.
    pub queues: Vec<String>,
    /// How soon it counts as dead.
    #[serde(skip)]
    pub lease: Lease,
}

/// Whether whoever serves `queues` serves this one: none named means all.
pub(crate) fn serves(queues: &[String], queue: &str) -> bool {
    queues.is_empty() || queues.iter().any(|served| served == queue)
}

/// How long a worker may be silent before the others take its runs over, where several work on one
/// store: by that store's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lease {
    /// Six seconds: whoever stalls for less keeps its runs.
    #[default]
    Usual,
    /// Two seconds, for four times as many signs of life.
    Fast,
}

impl Lease {
    /// The time itself.
    pub const fn time(self) -> Duration {
        match self {
            Self::Usual => Duration::from_secs(6),
            Self::Fast => Duration::from_secs(2),
        }
    }
}

/// A worker, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WorkerSeen {
    /// Who it is.
    #[serde(flatten)]
    pub info: WorkerInfo,
    /// When it last said that it lives.
    pub seen_at: Timestamp,
    /// How many runs it has.
    pub runs: u64,
    /// Whether it has been silent for longer than it may: it is dead, or cut off, and what it has goes to the
    /// next worker that lives.
    pub silent: bool,
}

/// Whether this process may work.
#[derive(Clone, Debug)]
pub enum Enlisted {
    /// It may.
    Working,
    /// Somebody else does.
    Taken(Option<WorkerInfo>),
}
