//! What people ask of a saga: every way out of trouble, each recorded with who asked and why.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::context::Context;
use crate::desired::{Change, Provisioned, RecordChange};
use crate::engine::{Engine, Inner};
use crate::error::{Error, Mistakes};
use crate::json::Json;
use crate::limits;
use crate::machine::{
    By, Class, Effect, Event, Failure, Forward, Lock, Request, Status, Verdict, Wait, after_failure,
};
use crate::plan::StepIdx;
use crate::registry::Kind;
use crate::run::Run;
use crate::store::{Appended, Holder};
use crate::{SagaId, wiring};

mod check;

pub(in crate::engine) use check::check_asked;
use check::{check_context, check_signal, may_decide, mistake};

/// Who asks for something, and why; both go into the ledger.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// Something that a person asks of a saga. Which of them fits which status is the table of
/// `docs/promises.md`. A step is named by its index, by `scope.step`, or by its name where only one
/// step of the saga has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Stop and walk back.
    Cancel,
    /// Stop where it is, without walking back.
    Pause,
    /// Go on; with edited data, if it goes forward.
    Resume {
        /// Fields of the inputs that have other values from here on.
        set: Option<Json>,
    },
    /// Try again what is parked, or what an undo left over.
    Retry {
        /// Only this step; all if none is named.
        step: Option<String>,
    },
    /// Undo a completed saga.
    Rollback,
    /// Hold a held saga for so long from now.
    Hold {
        /// How long.
        time: Duration,
    },
    /// This step is done, by hand.
    Complete {
        /// The step.
        step: String,
        /// What it would have put out.
        output: Json,
    },
    /// This step need not run.
    Skip {
        /// The step.
        step: String,
    },
    /// What this step left is removed, by hand.
    Resolve {
        /// The step.
        step: String,
    },
    /// What this step left is left on purpose.
    Abandon {
        /// The step.
        step: String,
    },
    /// A signal, kept until a step takes it.
    Signal {
        /// What waits for it by this name.
        name: String,
        /// An object, the output of the step that takes it.
        payload: Json,
        /// Two signals with one id are one.
        id: Option<String>,
    },
    /// Approve a step that waits for it.
    Approve {
        /// The step; the one that waits, if none is named.
        step: Option<String>,
    },
    /// Deny a step that waits for approval: it fails.
    Deny {
        /// The step; the one that waits, if none is named.
        step: Option<String>,
    },
}

/// What somebody who holds no claim writes.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) event: Event,
    pub(crate) records: Vec<RecordChange>,
    /// Refused, if what the run made is by now somebody else's too (rule S13).
    pub(crate) sole_owner: bool,
    /// What the run has to hold; refused, if that is others'.
    pub(crate) locks: Vec<Lock>,
}

impl From<Event> for Outside {
    fn from(event: Event) -> Self {
        Self { event, records: Vec::new(), sole_owner: false, locks: Vec::new() }
    }
}

impl Engine {
    /// Does what somebody asks of a saga, if it fits how the saga stands when it is committed:
    /// durable when this returns. Says whether that changed anything; not, if it was so already.
    ///
    /// ```
    /// use walkback::engine::{Asked, Operation};
    /// use walkback::{Engine, MemoryStore, Order, Registry, Status};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// let id = engine.start_saga(Order::steps(["echo"])).await?.id;
    /// engine.work_until_idle().await?;
    /// let asked = Asked { actor: "ada".to_owned(), reason: Some("ordered twice".to_owned()) };
    /// assert!(engine.operate(id, &Operation::Rollback, &asked).await?);
    /// engine.work_until_idle().await?;
    /// assert_eq!(engine.show_saga(id).await?.status, Status::RolledBack);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If it does not fit, naming what does; every mistake in what was asked at once; if there is no
    /// saga of this id or the store cannot be used. Nothing is written then.
    pub async fn operate(
        &self,
        id: SagaId,
        operation: &Operation,
        asked: &Asked,
    ) -> Result<bool, Error> {
        check_asked(asked)?;
        loop {
            let run = self.0.load(id).await?;
            let request = request_of(&run, operation)?;
            match run.state.permits(&request) {
                Verdict::AlreadySo => return Ok(false),
                Verdict::Refused => return Err(does_not_fit(&run, &request)),
                Verdict::Fits => {}
            }
            match request {
                Request::Rollback => self.check_rollback(&run).await?,
                Request::Retry(_) => self.check_locks(&run).await?,
                _ => {}
            }
            let outside = self.outside(&run, operation, &request, asked)?;
            self.0.check_versions(&outside.records).await?;
            if self.0.write_unclaimed(run, outside, Some(asked)).await? == Appended::Applied {
                return Ok(true);
            }
        }
    }

    /// Cancels a saga: durable when this returns, and from then on it walks back. Says whether
    /// that changed anything: a saga that walks back already goes on doing so.
    ///
    /// # Errors
    /// If it is over, or past a pivot; the commands that fit are named.
    pub async fn cancel_saga(&self, id: SagaId, asked: &Asked) -> Result<bool, Error> {
        self.operate(id, &Operation::Cancel, asked).await
    }

    /// What is written for a request that fits.
    fn outside(
        &self,
        run: &Run,
        operation: &Operation,
        request: &Request,
        asked: &Asked,
    ) -> Result<Outside, Error> {
        let now = self.0.clock.now();
        Ok(match (request, operation) {
            (Request::Cancel, _) => Event::CancelRequested.into(),
            (Request::Pause, _) => Event::PauseRequested.into(),
            (Request::Resume, Operation::Resume { set }) => {
                if let Some(set) = set {
                    self.0.check_edits(run, set)?;
                }
                Event::Resumed { set: set.clone() }.into()
            }
            (Request::Complete(step), Operation::Complete { output, .. }) => {
                may_decide(run, *step, asked)?;
                self.0.completed_by_hand(run, *step, output)?
            }
            (Request::Signal(id), Operation::Signal { name, payload, .. }) => {
                check_signal(name, payload, id.as_deref())?;
                let (name, payload, id) = (name.clone(), payload.clone(), id.clone());
                Event::SignalReceived { name, payload, id }.into()
            }
            (Request::Hold, Operation::Hold { time }) => {
                Event::HoldSet { until: now.plus(*time) }.into()
            }
            (Request::Approve(step), _) => {
                may_decide(run, *step, asked)?;
                let by = serde_json::json!({"approved_by": asked.actor, "reason": asked.reason});
                let output = Json::of(&by).map_err(|error| mistake(error.to_string()))?;
                check_context(run, &output)?;
                Event::StepCompleted { step: *step, output, by: By::Approval }.into()
            }
            (Request::Deny(step), _) => {
                may_decide(run, *step, asked)?;
                self.0.denied(run, *step, asked).into()
            }
            (Request::Resolve(step), _) => Outside {
                records: self.0.registry.undone(&run.state, *step, now),
                ..Event::Resolved { step: *step }.into()
            },
            (Request::Rollback, _) => {
                let locks = run.state.locks_to_walk_back();
                Outside { sole_owner: true, locks, ..Event::RollbackRequested.into() }
            }
            (Request::Retry(step), _) => {
                let locks = run.state.locks_to_walk_back();
                Outside { locks, ..Event::RetryRequested { step: *step }.into() }
            }
            (Request::Skip(step), _) => {
                may_decide(run, *step, asked)?;
                Event::StepSkipped { step: *step }.into()
            }
            (Request::Abandon(step), _) => Event::Abandoned { step: *step }.into(),
            (Request::Resume | Request::Complete(_) | Request::Signal(_) | Request::Hold, _) => {
                return Err(does_not_fit(run, request));
            }
        })
    }

    /// Whether a completed saga can be undone: nobody else owns by now what it made, or has changed or removed
    /// that, or has changed what it changed, or holds what it has to lock (rule S13).
    pub(crate) async fn check_rollback(&self, run: &Run) -> Result<(), Error> {
        let id = run.spec.id;
        let forbids = |row: &Provisioned, owner| {
            let what = format!("{} `{}`", row.what.kind, row.what.external_id);
            Error::NotTheOwner { id, what, owner, gone: row.closed_at.is_some() }
        };
        let own = self.0.store.provisioned(Some(id)).await?;
        if let Some(row) = own.iter().find(|row| row.closed_at.is_some()) {
            return Err(forbids(row, row.changed_by));
        }
        for row in self.0.store.owners(id).await? {
            if row.forbids_rollback(id) {
                let other = (row.saga_id != id).then_some(row.saga_id);
                return Err(forbids(&row, other.or(row.changed_by)));
            }
        }
        let changes = self.0.registry.changed(&run.state);
        let rows = self.0.rows_of(&changes).await?;
        for change in changes {
            let row = rows.iter().rfind(|row| row.is_row_of(&change));
            if let Some(row) = row.filter(|row| !row.was_changed(&change, id)) {
                return Err(forbids(row, row.changed_by));
            }
        }
        self.check_locks(run).await
    }

    /// Whether nobody else holds what a saga that has ended must hold to be undone.
    async fn check_locks(&self, run: &Run) -> Result<(), Error> {
        let id = run.spec.id;
        let in_the_way = self.0.in_the_way(id, &run.state.locks_to_walk_back()).await?;
        in_the_way
            .into_iter()
            .next()
            .map_or(Ok(()), |Holder { key, saga: owner }| Err(Error::Locked { id, key, owner }))
    }
}

impl Inner {
    /// The rows of every run of which these change one.
    async fn rows_of(&self, changes: &[Change]) -> Result<Vec<Provisioned>, Error> {
        let sagas: BTreeSet<SagaId> = changes.iter().map(|change| change.saga_id).collect();
        let mut rows = Vec::new();
        for saga in sagas {
            rows.extend(self.store.provisioned(Some(saga)).await?);
        }
        Ok(rows)
    }

    /// The first of these changes that comes too late, for people.
    pub(crate) async fn moved_on(&self, changes: &[Change]) -> Result<Option<String>, Error> {
        let rows = self.rows_of(changes).await?;
        for change in changes {
            if !rows.iter().any(|row| row.takes(change)) {
                let (step, saga, version) = (change.step_idx, change.saga_id, change.spec_version);
                let by = rows.iter().rfind(|row| row.is_row_of(change));
                let by = by.and_then(|row| row.changed_by).map(|by| format!(", by saga {by}"));
                let by = by.unwrap_or_default();
                return Ok(Some(format!(
                    "what step {step} of saga {saga} made has moved on from version {version}{by}"
                )));
            }
        }
        Ok(None)
    }

    /// Whether what is to be changed by hand is as it is thought to be.
    async fn check_versions(&self, records: &[RecordChange]) -> Result<(), Error> {
        let swaps: Vec<_> = records.iter().filter_map(RecordChange::swap).cloned().collect();
        let moved = self.moved_on(&swaps).await?;
        moved.map_or(Ok(()), |why| Err(mistake(why)))
    }

    /// A step that a person did: its output must be one that the step could have put out.
    fn completed_by_hand(&self, run: &Run, step: StepIdx, output: &Json) -> Result<Outside, Error> {
        let used = run.state.plan().step(step);
        let name = run.state.plan().name(step);
        let known = self.registry.find(&used.step).ok_or_else(|| {
            mistake(format!(
                "this program does not know step `{}`, so that its output cannot be checked: \
                 expected one that does",
                used.step
            ))
        })?;
        let context = Context::of_step(&run.spec.inputs, &run.state, step);
        let done = known.adopt(&context, output).map_err(|found| {
            let named = found.into_iter().map(|m| format!("output of step {step} `{name}`: {m}"));
            Mistakes(named.collect())
        })?;
        check_context(run, &done.output)?;
        let at = self.clock.now();
        let opened = done.provisions.map(|what| RecordChange::Open { step, what, at });
        let swaps = done.changes.into_iter().map(|change| RecordChange::Swap { change, at });
        let records = opened.into_iter().chain(swaps).collect();
        let event = Event::StepCompleted { step, output: done.output, by: By::Hand };
        Ok(Outside { records, ..event.into() })
    }

    /// Edits must leave inputs that the steps could have been started with.
    fn check_edits(&self, run: &Run, set: &Json) -> Result<(), Error> {
        let mut mistakes = Vec::new();
        let layers = [&run.spec.inputs].into_iter().chain(run.state.edits()).chain([set]);
        let members = layers.flat_map(|layer| layer.members().unwrap_or_default());
        let inputs = Json::of(&members.collect::<std::collections::BTreeMap<_, _>>());
        if run.state.in_doubt() {
            mistakes.push(
                "the store was set back, and what the saga did since is not known yet: expected a `resume` \
                 without edits first"
                    .to_owned(),
            );
        }
        if run.state.turned() {
            mistakes
                .push("the saga walks back: its inputs are edited only to go forward".to_owned());
        }
        if set.members().is_none() {
            mistakes.push("the edits are no object: expected fields with their values".to_owned());
        }
        match inputs {
            Ok(inputs) if inputs.as_str().len() > limits::INPUT_BYTES => {
                let (size, most) = (inputs.as_str().len(), limits::INPUT_BYTES);
                mistakes.push(format!(
                    "edited, the inputs have {size} bytes; at most {most} are allowed"
                ));
            }
            Ok(inputs) if mistakes.is_empty() && self.knows(run) => {
                let steps = serde_json::from_str(&run.spec.steps);
                let list = steps.map_err(|error| mistake(error.to_string()))?;
                let form =
                    self.registry.find_kind(&run.spec.kind).and_then(|kind| kind.form.clone());
                let kind = Kind::of_list(form, list);
                let checked = wiring::accept(&self.registry, &run.spec.kind, &kind, &inputs);
                mistakes.extend(checked.err().into_iter().flatten());
            }
            Ok(_) => {}
            Err(error) => mistakes.push(error.to_string()),
        }
        Mistakes(mistakes).none_or()?;
        check_context(run, set)
    }

    /// A denied step fails for good and clean.
    fn denied(&self, run: &Run, step: StepIdx, asked: &Asked) -> Event {
        let failure = Failure {
            effect: Effect::Clean,
            class: Class::Permanent,
            retry_after: None,
            chance: 0,
        };
        let (now, options) = (self.clock.now(), self.registry.options(run.state.plan().step(step)));
        let then = after_failure(&run.state, step, &failure, now, &options);
        let why = asked.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let error = limits::cut(format!("denied by {}{why}", asked.actor));
        Event::StepFailed { step, effect: Effect::Clean, error, then }
    }
}

/// The request that an operation makes of this run.
fn request_of(run: &Run, operation: &Operation) -> Result<Request, Error> {
    let step = |name: &str| run.state.plan().find(name).map_err(mistake);
    let waiting = |name: &Option<String>| match name {
        Some(name) => step(name),
        None => awaiting_approval(run),
    };
    Ok(match operation {
        Operation::Cancel => Request::Cancel,
        Operation::Pause => Request::Pause,
        Operation::Resume { .. } => Request::Resume,
        Operation::Retry { step: None } => Request::Retry(None),
        Operation::Retry { step: Some(name) } => Request::Retry(Some(step(name)?)),
        Operation::Rollback => Request::Rollback,
        Operation::Hold { .. } => Request::Hold,
        Operation::Complete { step: name, .. } => Request::Complete(step(name)?),
        Operation::Skip { step: name } => Request::Skip(step(name)?),
        Operation::Resolve { step: name } => Request::Resolve(step(name)?),
        Operation::Abandon { step: name } => Request::Abandon(step(name)?),
        Operation::Signal { id, .. } => Request::Signal(id.clone()),
        Operation::Approve { step } => Request::Approve(waiting(step)?),
        Operation::Deny { step } => Request::Deny(waiting(step)?),
    })
}

/// The one step that waits for an approval; if none does, one that does not fit.
fn awaiting_approval(run: &Run) -> Result<StepIdx, Error> {
    let (plan, steps) = (run.state.plan(), run.state.steps());
    let awaits =
        |idx: &StepIdx| matches!(&steps[*idx].forward, Forward::Awaiting(Wait::Approval { .. }));
    let waiting: Vec<_> = (0..plan.len()).filter(awaits).collect();
    if waiting.len() > 1 {
        let names = waiting.iter().map(|idx| format!("{idx} `{}`", plan.name(*idx)));
        let names = names.collect::<Vec<_>>().join(", ");
        return Err(mistake(format!("several steps wait for approval: expected one of {names}")));
    }
    Ok(waiting.first().copied().unwrap_or(plan.len()))
}

pub(super) fn does_not_fit(run: &Run, request: &Request) -> Error {
    let status = run.state.status();
    let going = matches!(status, Status::Pending | Status::Running | Status::Parked);
    let pivot = *request == Request::Cancel && going && !run.state.turned();
    let hint = match (request, status) {
        _ if pivot => " and past its pivot",
        (Request::Cancel, Status::Completed) => " (a completed saga is undone by `rollback`)",
        _ => "",
    };
    let (id, status) = (run.spec.id, status.name());
    Error::DoesNotFit { command: request.name(), id, status, hint, legal: run.state.legal() }
}
