//! What a body knows of its own attempt.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::desired::Provisioned;
use crate::error::StepError;
use crate::id::{Phase, SagaId, idempotency_key};
use crate::machine::Status;
use crate::plan::StepIdx;
use crate::progress::Progress;
use crate::store::Store;

/// One try at executing, probing or compensating a step. A cheap handle, passed by value.
#[derive(Clone)]
pub struct Attempt(Arc<Facts>);

pub(crate) struct Facts {
    pub(crate) saga: SagaId,
    pub(crate) step: StepIdx,
    pub(crate) name: Arc<str>,
    pub(crate) phase: Phase,
    pub(crate) round: u32,
    pub(crate) number: u32,
    pub(crate) waited: Duration,
    pub(crate) unknown_for: Duration,
    pub(crate) stop: CancellationToken,
    pub(crate) threads: TaskTracker,
    pub(crate) progress: Progress,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stderr: Mutex<String>,
}

impl Attempt {
    pub(crate) fn new(facts: Facts) -> Self {
        Self(Arc::new(facts))
    }

    /// The key of this body: the same for every attempt, on every machine.
    pub fn idempotency_key(&self) -> String {
        idempotency_key(self.0.saga, self.0.step, self.0.phase, self.0.round)
    }

    /// The key that `execute` runs under, in every phase: what was made carries it, so that it can
    /// be found again.
    pub fn execute_key(&self) -> String {
        idempotency_key(self.0.saga, self.0.step, Phase::Execute, self.0.round)
    }

    /// The run.
    pub fn saga_id(&self) -> SagaId {
        self.0.saga
    }

    /// The step's place in the run.
    pub fn step_idx(&self) -> StepIdx {
        self.0.step
    }

    /// The step's name as tables show it.
    pub fn step_name(&self) -> &str {
        &self.0.name
    }

    /// Which body this is.
    pub fn phase(&self) -> Phase {
        self.0.phase
    }

    /// The attempt's number, from one; those ended by a crash or a hand-over are not counted.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// How long ago the step's first attempt began.
    pub fn waited(&self) -> Duration {
        self.0.waited
    }

    /// How long ago the newest outcome of the step came about: it was done, that is not known, or it said that
    /// it is not done yet; without any, how long ago its first attempt began. Until the far side surely shows
    /// what is new, that something is not to be found there tells nothing.
    pub fn unknown_for(&self) -> Duration {
        self.0.unknown_for
    }

    /// A name for what the step makes, minted from the run: `prefix` and 12 characters of the
    /// execute key, so that a second try finds it again.
    ///
    /// ```text
    /// attempt.resource_name("web")    web-3f09c1b2a47d
    /// ```
    pub fn resource_name(&self, prefix: &str) -> String {
        format!("{prefix}-{}", &self.execute_key()[..12])
    }

    /// Tags for what the step makes: `saga:<run>` and `saga-op:<execute key>`, in characters that
    /// every cloud takes.
    pub fn tags(&self) -> [String; 2] {
        [format!("saga:{}", self.0.saga), format!("saga-op:{}", self.execute_key())]
    }

    /// Cancelled when the body should stop: its time is over, the run has turned or the worker
    /// leaves. What it returns then is still recorded.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Keeps what a program wrote to its standard error with the attempt.
    pub(crate) fn keep_stderr(&self, text: &str) {
        text.trim_end()
            .clone_into(&mut self.0.stderr.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn take_stderr(&self) -> Option<String> {
        let text =
            std::mem::take(&mut *self.0.stderr.lock().unwrap_or_else(PoisonError::into_inner));
        Some(text).filter(|text| !text.is_empty())
    }

    /// What `saga` has provisioned and still wants, in the order of its making: what a saga that
    /// changes or removes it goes by.
    ///
    /// # Errors
    /// If the store cannot be read: transient, and nothing was done.
    pub async fn provisioned(&self, saga: SagaId) -> Result<Vec<Provisioned>, StepError> {
        let rows = self.0.store.provisioned(Some(saga)).await;
        let rows = rows.map_err(|error| StepError::transient(error).clean())?;
        Ok(rows.into_iter().filter(|row| row.closed_at.is_none()).collect())
    }

    /// How far `saga` is; nothing, if there is none of this id.
    ///
    /// # Errors
    /// If the store cannot be read: transient, and nothing was done.
    pub async fn status_of(&self, saga: SagaId) -> Result<Option<Status>, StepError> {
        let head = self.0.store.head(saga).await;
        let head = head.map_err(|error| StepError::transient(error).clean())?;
        Ok(head.map(|head| head.status))
    }

    /// Says how far it is, `done` of `total`; shown by live views, not stored.
    pub fn progress(&self, done: u64, total: u64) {
        self.0.progress.set(self.0.saga, self.0.step, (done, total));
    }

    /// Runs blocking code on a thread that the engine knows of, so that nothing is undone beside
    /// it: a thread cannot be stopped, only awaited.
    ///
    /// # Errors
    /// If the code panics: transient, unknown.
    pub async fn blocking<T: Send + 'static>(
        &self,
        code: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StepError> {
        Ok(self.0.threads.spawn_blocking(code).await?)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { saga, step, name, phase, number, .. } = &*self.0;
        write!(f, "Attempt {number} to {} step {step} `{name}` of {saga}", phase.name())
    }
}
