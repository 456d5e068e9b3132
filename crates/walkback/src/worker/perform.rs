//! One body, from its call to its end: its time, its token, its threads.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::attempt::{Attempt, Facts};
use crate::context::Context;
use crate::engine::Inner;
use crate::erased::{AnyStep, Body, Done};
use crate::error::{Kind, StepError};
use crate::id::{ClaimId, Phase, SagaId};
use crate::json::Json;
use crate::machine::{self, Class, Made};
use crate::options::Options;
use crate::plan::StepIdx;
use crate::run::Run;
use crate::step::{Effect, Probe};
use crate::store::{Claim, StoreError};
use crate::time::Timestamp;

/// How long a body that was told to stop may take to return before it is dropped.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);
/// A body that begins later than this after its commit was asked for may have outlived its claim.
const STALL: Duration = Duration::from_secs(1);

/// What is to be performed: a body of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(super) step: StepIdx,
    pub(super) phase: Phase,
    /// For a probe: whether it goes before an undo.
    pub(super) back: bool,
}

/// How a body ended, and what its program wrote to its standard error.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) stderr: Option<String>,
}

impl Ended {
    /// A body whose task ended before it.
    pub(super) fn without_a_word(phase: Phase, error: JoinError) -> Self {
        let what = match error.try_into_panic() {
            Ok(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                format!("panicked: {}", text.unwrap_or_default())
            }
            Err(error) => format!("was dropped: {error}"),
        };
        let error = StepError::transient(format_args!("the body {what}"));
        Self { outcome: Outcome::failed(phase, error), stderr: None }
    }
}

/// How a body ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Executed(Result<Done, StepError>),
    Probed(Result<Probe<Done>, StepError>),
    Compensated(Result<(), StepError>),
}

impl Outcome {
    /// The outcome of a body of this phase that ended in `error`.
    pub(super) fn failed(phase: Phase, error: StepError) -> Self {
        match phase {
            Phase::Execute => Self::Executed(Err(error)),
            Phase::Probe => Self::Probed(Err(error)),
            Phase::Compensate => Self::Compensated(Err(error)),
        }
    }

    /// Whether the body may have done something.
    pub(super) fn is_felt(&self) -> bool {
        let goes_on = |error: &StepError| matches!(error.kind, Kind::NotYet(_));
        self.error().is_none_or(|error| error.effect != machine::Effect::Clean || goes_on(error))
    }

    /// Whether nothing follows from it but that the body has to be done again.
    pub(super) fn came_to_nothing(&self) -> bool {
        self.error().is_some_and(|error| {
            error.kind == Kind::Failed(Class::Transient) && error.effect != machine::Effect::Clean
        })
    }

    fn error(&self) -> Option<&StepError> {
        match self {
            Self::Executed(ended) => ended.as_ref().err(),
            Self::Probed(ended) => ended.as_ref().err(),
            Self::Compensated(ended) => ended.as_ref().err(),
        }
    }
}

/// Whether a run is ours still when its body begins, which is some time after that was committed.
pub(super) struct Ours {
    engine: Arc<Inner>,
    saga: SagaId,
    claim: ClaimId,
    /// When the commit was asked for.
    asked_at: Timestamp,
}

impl Ours {
    pub(super) fn new(engine: Arc<Inner>, claim: &Claim, asked_at: Timestamp) -> Self {
        Self { engine, saga: claim.saga(), claim: claim.id(), asked_at }
    }

    /// Asks the store if so much time has passed that this process may have been stopped: others may
    /// have taken over since, and a body that begins now would be late.
    async fn still(&self) -> Result<bool, StoreError> {
        if self.engine.clock.now().since(self.asked_at) <= STALL {
            return Ok(true);
        }
        let stored = self.engine.store.load(self.saga).await?;
        Ok(stored.is_some_and(|stored| stored.owner == Some(self.claim)))
    }
}

/// A body that is ready to be awaited.
pub(super) struct Performance {
    attempt: Attempt,
    context: Context,
    step: Arc<dyn AnyStep>,
    made: Effect<Json>,
    limit: Duration,
    stop: CancellationToken,
    threads: TaskTracker,
    phase: Phase,
    has_probe: bool,
    /// Whether the code still has the undo that it had when the run was accepted.
    has_undo: bool,
}

impl Performance {
    pub(super) fn new(
        engine: &Inner,
        run: &Run,
        start: Start,
        step: &Arc<dyn AnyStep>,
        options: &Options,
        stop: CancellationToken,
    ) -> Self {
        let now = engine.clock.now();
        let state = run.state.step(start.step);
        let threads = TaskTracker::new();
        let back = start.phase == Phase::Compensate;
        let attempt = Attempt::new(Facts {
            saga: run.spec.id,
            step: start.step,
            name: run.state.plan().name(start.step).into(),
            phase: start.phase,
            round: state.round,
            number: if back { state.undo_attempts } else { state.attempts.max(1) },
            waited: state.started_at.map(|at| now.since(at)).unwrap_or_default(),
            unknown_for: state
                .unknown_since
                .max(state.finished_at)
                .or(state.started_at)
                .map(|at| now.since(at))
                .unwrap_or_default(),
            stop: stop.clone(),
            threads: threads.clone(),
            progress: engine.progress.clone(),
            store: Arc::clone(&engine.store),
            stderr: std::sync::Mutex::default(),
        });
        let made = match state.made() {
            Made::Known(output) => Effect::Known(output.clone()),
            _ => Effect::Unknown,
        };
        Self {
            attempt,
            context: Context::of_step(&run.spec.inputs, &run.state, start.step),
            step: Arc::clone(step),
            made,
            limit: if back { options.compensate_timeout } else { options.timeout },
            stop,
            threads,
            phase: start.phase,
            has_probe: step.has_probe(run.state.plan().step(start.step)),
            has_undo: step.has_undo(run.state.plan().step(start.step)),
        }
    }

    /// Runs the body to its end, or nothing if the run is no longer ours. It may take its time, and
    /// when told to stop a little more; then it is dropped. Threads it left are awaited as long as
    /// they live.
    pub(super) async fn perform(self, ours: Ours) -> Result<Option<Ended>, StoreError> {
        if !ours.still().await? {
            return Ok(None);
        }
        let attempt = self.attempt.clone();
        debug!("begins");
        let outcome = self.outcome().await;
        match outcome.error() {
            None => debug!("ends"),
            Some(error) => debug!(%error, "ends"),
        }
        Ok(Some(Ended { outcome, stderr: attempt.take_stderr() }))
    }

    async fn outcome(self) -> Outcome {
        let (step, attempt, context) = (self.step, self.attempt, self.context);
        let time = Time { limit: self.limit, stop: self.stop, threads: self.threads };
        match self.phase {
            Phase::Execute => Outcome::Executed(time.limit(step.execute(attempt, context)).await),
            // What changes nothing is done to see what it comes to.
            Phase::Probe if !self.has_probe => {
                let done = time.limit(step.execute(attempt, context)).await;
                Outcome::Probed(done.map(Probe::Present))
            }
            Phase::Probe => Outcome::Probed(time.limit(step.probe(attempt, context)).await),
            Phase::Compensate if !self.has_undo => {
                let error =
                    "it had an undo when the saga was started, and has none in this program";
                Outcome::Compensated(Err(StepError::new(Kind::CannotDecode, error)))
            }
            Phase::Compensate => {
                Outcome::Compensated(time.limit(step.compensate(attempt, context, self.made)).await)
            }
        }
    }
}

struct Time {
    limit: Duration,
    stop: CancellationToken,
    threads: TaskTracker,
}

impl Time {
    async fn limit<T>(self, mut body: Body<T>) -> Result<T, StepError> {
        if let Ok(result) = tokio::time::timeout(self.limit, &mut body).await {
            return result;
        }
        self.stop.cancel();
        let timed_out = format!("timed out after {:?}", self.limit);
        if let Ok(result) = tokio::time::timeout(STOP_GRACE, &mut body).await {
            return result
                .map_err(|error| StepError { text: format!("{timed_out}: {error}"), ..error });
        }
        drop(body);
        self.threads.close();
        self.threads.wait().await;
        Err(StepError::transient(timed_out))
    }
}
