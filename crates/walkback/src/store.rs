//! Where runs are kept: four small traits, which every store implements and one conformance
//! suite checks.
//!
//! The only write to a run takes a [`Claim`], and only a store makes one. Everybody else (operators,
//! signals) proves that the ledger is as long as they read it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::desired::{Observed, Provisioned, RecordChange, Resource, Survey};
use crate::id::{ClaimId, SagaId};
use crate::json::Json;
use crate::ledger::{Row, RowHash};
use crate::machine::{Lock, Status};
use crate::plan::{Plan, StepIdx};
use crate::time::Timestamp;

mod budget;
mod finding;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod sent;
#[cfg(feature = "sqlite")]
mod sqlite;
mod worker;

pub(crate) use budget::Bucket;
pub use budget::{Booking, Turn};
pub use finding::{Finding, Grade};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{Pragmas, SqliteStore};
pub(crate) use worker::serves;
pub use worker::{Enlisted, Lease, News, Wanted, WorkerId, WorkerInfo, WorkerSeen};

/// What a store's methods return.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Everything an engine needs of a store.
pub trait Store: Runs + Coordination + Records + Upkeep {}

impl<S: Runs + Coordination + Records + Upkeep> Store for S {}

/// Runs and their ledgers.
pub trait Runs: Send + Sync {
    /// Accepts a run: its spec, its first rows and its head in one commit; for `owner`, if one is
    /// given, under the first claim of the run, with this id. If its key is taken, or the owner does
    /// not work here, nothing is written; and if its id is, that is an error.
    fn start(&self, run: NewRun, owner: Option<(WorkerId, ClaimId)>) -> Answer<'_, Started>;

    /// Adds rows to a run under a claim, in one commit with the new head and the records.
    fn append<'a>(&'a self, claim: &'a Claim, transition: Transition) -> Answer<'a, Appended>;

    /// Adds rows to a run without a claim: applied only if the ledger is as long as
    /// `transition.expected_len`. Its owner, if it has one, is nudged; or it loses the run, if
    /// `transition.release` says so: for a claim whose making had no answer.
    fn append_unclaimed(&self, id: SagaId, transition: Transition) -> Answer<'_, Appended>;

    /// Everything about one run.
    fn load(&self, id: SagaId) -> Answer<'_, Option<StoredRun>>;

    /// A run's head alone.
    fn head(&self, id: SagaId) -> Answer<'_, Option<Head>>;

    /// A run's rows from `from` on.
    fn rows(&self, id: SagaId, from: u64) -> Answer<'_, Vec<Row>>;

    /// The ids of the runs that fit `filter`, newest first.
    fn list(&self, filter: Filter) -> Answer<'_, Vec<SagaId>>;

    /// The runs after `after` in the order of their ids, as many as `limit`: to read a whole store
    /// without holding it in memory.
    fn scan(&self, after: Option<SagaId>, limit: usize) -> Answer<'_, Vec<StoredRun>>;
}

/// Who works on what.
pub trait Coordination: Send + Sync {
    /// Makes this process a worker of the store. Where only one can work at a time and one does:
    /// who it is.
    fn enlist(&self, worker: &WorkerInfo) -> Answer<'_, Enlisted>;

    /// Ends what `enlist` began: the worker gets no more runs, and those it owns are orphaned.
    fn retire(&self, worker: WorkerId) -> Answer<'_, ()>;

    /// Claims due runs nobody owns, by priority and then by how long they are due. A worker that is
    /// not enlisted any more is told so.
    fn claim(&self, wanted: Wanted) -> Answer<'_, Vec<Claimed>>;

    /// What others have done that concerns this worker since it asked last.
    fn news(&self, wanted: Wanted) -> Answer<'_, News>;

    /// The runs of this worker, with their claims.
    fn owned(&self, worker: WorkerId) -> Answer<'_, Vec<(SagaId, ClaimId)>>;

    /// The runs that hold these keys, in the order of the keys.
    fn holders(&self, keys: Vec<String>) -> Answer<'_, Vec<Holder>>;

    /// Forgets what this run does not hold or wait for any more, and makes due whoever waits next for
    /// it. Nobody who was not woken waits for ever: a run that waits for a lock looks again by itself.
    fn let_go(&self, saga: SagaId) -> Answer<'_, ()>;

    /// The runs for which the hook is to be called, and when, the soonest first; as many as `limit`.
    fn calls(&self, limit: usize) -> Answer<'_, Vec<(SagaId, Timestamp)>>;

    /// Books calls at the expense of a budget that all processes share.
    fn book(&self, booking: Booking) -> Answer<'_, Turn>;

    /// Who works here, as far as is known.
    fn workers(&self) -> Answer<'_, Vec<WorkerSeen>>;

    /// Returns when others may have written; not at all where nobody tells.
    fn hinted(&self) -> Answer<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// How long a worker may go at most without asking for news.
    fn look_most(&self) -> Duration {
        Duration::from_millis(200)
    }
}

/// What runs have provisioned, and what the provider says exists.
pub trait Records: Send + Sync {
    /// What `saga` (or every run) has provisioned, what is closed included.
    fn provisioned(&self, saga: Option<SagaId>) -> Answer<'_, Vec<Provisioned>>;

    /// Every run's open rows for what `saga` has a row open for, its own among them.
    fn owners(&self, saga: SagaId) -> Answer<'_, Vec<Provisioned>>;

    /// Takes in what a provider says exists.
    fn observe(&self, survey: Survey) -> Answer<'_, Observed>;

    /// Everything that was provisioned or seen, what is gone included, by provider, kind and id.
    fn resources(&self) -> Answer<'_, Vec<Resource>>;
}

/// Keeping a store fit: how it is, and runs that nobody needs any more.
pub trait Upkeep: Send + Sync {
    /// Brings the tables to this program's version, unless they are; says which that is. None where
    /// there are no tables.
    fn migrate(&self) -> Answer<'_, Option<usize>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// How the store itself is: its version, durability, health, size.
    fn examine(&self) -> Answer<'_, Vec<Finding>>;

    /// Everything about those of these runs that are there, each with what it has provisioned, in this order. No id
    /// is there twice.
    fn archive(&self, ids: Vec<SagaId>) -> Answer<'_, Vec<(StoredRun, Vec<Provisioned>)>>;

    /// Removes a run whole and leaves its stone, in one commit; refused, unless the run still is as
    /// the stone says, is completed or rolled back, and nobody owns it nor it anything live.
    fn prune(&self, stone: Tombstone) -> Answer<'_, Appended>;

    /// What is left of a run that was pruned.
    fn tombstone(&self, id: SagaId) -> Answer<'_, Option<Tombstone>>;
}

/// What is left of a run that was pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The run.
    pub id: SagaId,
    /// The recipe by name.
    pub kind: Arc<str>,
    /// How it ended.
    pub status: Status,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Timestamp,
    /// Rows that its ledger had.
    pub len: u64,
    /// The hash of the last of them: an export can be checked against it.
    pub hash: RowHash,
    /// When it was pruned.
    pub pruned_at: Timestamp,
    /// By whom.
    pub pruned_by: String,
    /// Why, if that was said.
    pub reason: Option<String>,
}

/// The right to write to a run. Only a store makes one.
#[derive(Debug, Clone)]
pub struct Claim {
    saga: SagaId,
    id: ClaimId,
    fence: u64,
    /// Where the store keeps the run, if it counts that way.
    place: i64,
}

impl Claim {
    fn new(saga: SagaId, id: ClaimId, fence: u64, place: i64) -> Self {
        Self { saga, id, fence, place }
    }

    /// The same claim under another id and fence, to show that a store refuses it.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn forged(&self, id: ClaimId, fence: u64) -> Self {
        Self { id, fence, ..self.clone() }
    }

    /// The run it is for.
    pub fn saga(&self) -> SagaId {
        self.saga
    }

    /// What makes it one of a kind.
    pub fn id(&self) -> ClaimId {
        self.id
    }

    /// What a row says of who wrote it: the claim, and its fence.
    pub(crate) fn by(&self) -> (ClaimId, u64) {
        (self.id, self.fence)
    }

    /// The counter: one more than that of the claim before it.
    pub fn fence(&self) -> u64 {
        self.fence
    }
}

/// What a run was started with; it never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its id.
    pub id: SagaId,
    /// The recipe by name.
    pub kind: Arc<str>,
    /// The list of steps as stored, with their facts.
    pub steps: Arc<str>,
    /// What it was started with, byte for byte.
    pub inputs: Json,
    /// The idempotency key of the start.
    pub key: Option<String>,
    /// For finding it again.
    pub labels: BTreeMap<String, String>,
    /// Which workers may take it.
    pub queue: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
    /// When it is cancelled if it is not done.
    pub deadline: Option<Timestamp>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A run to be accepted.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// What it is.
    pub spec: Spec,
    /// Its first rows.
    pub rows: Vec<Row>,
    /// Its head after them.
    pub head: Head,
    /// What a worker has to know to take it.
    pub needs: Needs,
}

/// The names of the steps that a run uses, as a number: workers that lack one of them leave alone
/// whatever needs the same (rule S15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs(pub i64);

impl Needs {
    /// What the plan's runs need.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut names: Vec<&str> = (0..plan.len()).map(|idx| &*plan.step(idx).step).collect();
        names.sort_unstable();
        names.dedup();
        Self(number(&names.join("\n")))
    }
}

/// Whom a run is for, as a number: its queue, and its label [`Party::LABEL`] if it has one. Where more is due than a worker takes, each party gets its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party(pub i64);

impl Party {
    /// The label that says whom a run is for.
    pub const LABEL: &str = "tenant";

    pub(crate) fn of(spec: &Spec) -> Self {
        let tenant = spec.labels.get(Self::LABEL).map_or("", String::as_str);
        Self(number(&format!("{}\n{tenant}", spec.queue)))
    }

    /// The party whose turn was last, of those that were served from `after` on, round about.
    pub(crate) fn last_of(after: Self, served: impl Iterator<Item = Self> + Clone) -> Option<Self> {
        served.clone().filter(|party| *party <= after).max().or_else(|| served.max())
    }
}

fn number(text: &str) -> i64 {
    let hash = Sha256::digest(text);
    hash.iter().take(8).fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// The one narrow row of a run that changes: what its ledger says, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How far it is.
    pub status: Status,
    /// The lowest step that is not done.
    pub current_step: StepIdx,
    /// Every step in short, as a JSON list: status letter, attempts, then `.` undo attempts and
    /// `@` the first row of its round where these are not zero.
    pub steps: String,
    /// Whether a cancel was accepted.
    pub cancel_requested: bool,
    /// Why it walks back, as JSON.
    pub error: Option<String>,
    /// Why it stands still.
    pub parked: Option<String>,
    /// Whether a person has to look at it.
    pub attention: bool,
    /// When there is something to do for it, if there will be by itself.
    pub wake_at: Option<Timestamp>,
    /// When the hook is to be called for it: it needs a person, and nobody was told so yet.
    pub call_at: Option<Timestamp>,
    /// When its first step began.
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    /// Rows in its ledger.
    pub len: u64,
    /// The hash of the last row.
    pub hash: RowHash,
}

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// What it was started with.
    pub spec: Spec,
    /// Its head.
    pub head: Head,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Who owns it now: the claim's id, if somebody does.
    pub owner: Option<ClaimId>,
}

/// What one commit adds to one run.
#[derive(Clone, Debug)]
pub struct Transition {
    /// How long the ledger must be for it to be applied.
    pub expected_len: u64,
    /// The rows to add; none, to change only the owner.
    pub rows: Vec<Row>,
    /// The head after them.
    pub head: Head,
    /// Rows of `cloud_provisioned` to open, change or close.
    pub records: Vec<RecordChange>,
    /// What it takes, or waits for; refused if that is not free, or is.
    pub locks: Locks,
    /// Whether the owner lets go.
    pub release: bool,
    /// Whether it leaves the run as it found it: its last owner died, and nobody has taken over.
    pub orphan: bool,
    /// Whether it is refused if another run has a row open for something that this run has a row
    /// open for, or such a row of its own has been changed since (rule S13).
    pub sole_owner: bool,
}

impl Transition {
    /// One that neither releases the run nor asks who owns what it made.
    pub fn new(expected_len: u64, rows: Vec<Row>, head: Head, records: Vec<RecordChange>) -> Self {
        let (release, orphan, sole_owner) = (false, false, false);
        let locks = Locks::default();
        Self { expected_len, rows, head, records, locks, release, orphan, sole_owner }
    }
}

/// What a transition does about locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locks {
    /// These are the run's from here on; each must be free, or its own already.
    pub take: Vec<Lock>,
    /// The run waits for these; each must be held by others.
    pub wait_for: Vec<Lock>,
}

impl Locks {
    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.take.is_empty() && self.wait_for.is_empty()
    }
}

/// A run that holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The key.
    pub key: String,
    /// The run.
    pub saga: SagaId,
}

/// Whether a transition was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It was.
    Applied,
    /// The claim, the length or a version was no longer true; nothing was written.
    Refused,
}

/// What became of a start.
#[derive(Clone, Debug)]
pub enum Started {
    /// It was accepted; the claim is there if an owner was named.
    Created(Option<Claim>),
    /// A run with this key is there already.
    Exists(Box<Spec>),
    /// The owner does not work here any more.
    NotEnlisted,
}

/// A run that was claimed.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The right to write to it.
    pub claim: Claim,
    /// The run.
    pub run: StoredRun,
    /// Whether its last owner died.
    pub orphaned: bool,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In one of these states; none means all.
    pub statuses: Vec<Status>,
    /// Of this kind.
    pub kind: Option<String>,
    /// With all these labels.
    pub labels: Vec<(String, String)>,
    /// Standing still for this reason.
    pub parked: Option<String>,
    /// Only those that a person has to look at.
    pub attention: bool,
    /// Only those that may be pruned: completed or rolled back before this moment, and without
    /// anything live that is theirs.
    pub prunable_before: Option<Timestamp>,
    /// Older than this one.
    pub after: Option<SagaId>,
    /// At most so many.
    pub limit: usize,
}

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened or used at all.
    #[error("store `{place}` cannot be used: {why}")]
    Unusable {
        /// Which store.
        place: String,
        /// What is wrong with it, and what was expected.
        why: String,
    },
    /// The disk has no room left.
    #[error("store `{place}`: the disk is full; nothing was written")]
    Full {
        /// Which store.
        place: String,
    },
    /// The worker is none any more: it has left, or was taken for dead and others have its runs.
    #[error("store `{place}`: this worker is not enlisted any more; others have its sagas")]
    NotEnlisted {
        /// Which store.
        place: String,
    },
    /// A call failed; whether it was committed has to be read back.
    #[error("store `{place}`: {why}")]
    Failed {
        /// Which store.
        place: String,
        /// What the database said.
        why: String,
    },
}
