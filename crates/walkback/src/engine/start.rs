//! Accepting a run: every check first, then one commit.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit};
use tracing::warn;

use crate::engine::carry::Carried;
use crate::engine::{Engine, Start, lock, news};
use crate::error::{Error, Mistakes};
use crate::id::{ClaimId, SagaId};
use crate::json::Json;
use crate::ledger::Writer;
use crate::limits;
use crate::machine::{Event, Status};
use crate::recipe::{Facts, Steps};
use crate::registry::{Kind, Registry};
use crate::run::Run;
use crate::saga::{Begin, Order, What};
use crate::store::{Needs, NewRun, Spec, Started, WorkerId, serves};
use crate::wiring;
use crate::worker::{Begun, Draft, Order as WorkerOrder};

impl Engine {
    /// Starts a saga: it is durable when this returns (promise I1). A key that is known gives the
    /// run that has it, whatever became of that.
    ///
    /// # Errors
    /// Every mistake in the order at once, or a key that belongs to a run that was started
    /// differently; nothing is stored then.
    pub async fn start_saga(&self, order: impl Into<Order>) -> Result<Start, Error> {
        self.start_as(SagaId::new(), order.into()).await
    }

    /// Starts a saga and waits until it is at rest, whoever works on it.
    ///
    /// # Errors
    /// As [`Engine::start_saga`].
    pub async fn start_and_wait(&self, order: impl Into<Order>) -> Result<(Start, Status), Error> {
        let id = SagaId::new();
        let mut rest = self.0.rest_of(id);
        let started = self.start_as(id, order.into()).await;
        if let Ok(Start { created: true, .. }) = started {
            tokio::select! {
                Ok(status) = &mut rest => return Ok((started?, status)),
                () = self.0.look_again() => {}
            }
        }
        self.0.forget_waiters(id);
        let started = started?;
        Ok((started, self.wait_for_rest(started.id).await?))
    }

    pub(crate) async fn start_as(&self, id: SagaId, order: Order) -> Result<Start, Error> {
        let (kind, steps, inputs) = self.resolve(&order)?;
        let stored: Arc<str> =
            serde_json::to_string(&steps).map_err(|e| mistake(e.to_string()))?.into();
        let now = self.0.clock.now();
        let starts_at = order.begin.map(|begin| match begin {
            Begin::At(moment) => moment,
            Begin::In(time) => now.plus(time),
        });
        let spec = Spec {
            id,
            kind: kind.into(),
            steps: stored,
            inputs,
            key: order.key,
            labels: order.labels,
            queue: order.queue.into(),
            priority: order.priority,
            deadline: order.deadline.map(|after| starts_at.unwrap_or(now).plus(after)),
            created_at: now,
        };
        let plan = self.0.plan(&spec.steps).map_err(|e| mistake(e.to_string()))?;
        let mut run = Run::new(spec.clone(), plan);
        let writer = Writer { claim: ClaimId::NONE, fence: 0, at: now, actor: None, remark: None };
        let mut rows = vec![run.record(&Event::Accepted, &writer)?];
        if let Some(until) = starts_at {
            rows.push(run.record(&Event::StartDelayed { until }, &writer)?);
        }
        let needs = Needs::of(run.state.plan());
        let new = NewRun { spec, rows, head: run.head(), needs };
        // A run that was accepted for a worker is to reach it, whatever becomes of the caller.
        let (engine, unwatched) = (self.clone(), Arc::downgrade(&self.0.unwatched));
        Carried::new(unwatched, async move { engine.accept(run, new).await }).await
    }

    /// Commits the run: with the intent of its first bodies, if a worker of this process has room for
    /// it and they may begin now, and otherwise for whoever claims it.
    async fn accept(&self, run: Run, new: NewRun) -> Result<Start, Error> {
        if let Some(place) = self.place_for(&run) {
            let begun = self.accept_here(run.clone(), new.clone(), place).await?;
            if let Some(start) = begun {
                return Ok(start);
            }
        }
        let id = run.spec.id;
        match self.0.start_until_known(new, None).await? {
            Some(Started::Exists(known)) => same_start(&self.0.registry, &run.spec, &known),
            _ => Ok(self.created(id)),
        }
    }

    /// A run was accepted that nobody owns.
    fn created(&self, id: SagaId) -> Start {
        if let Some(local) = &*lock(&self.0.local) {
            // A worker that is just leaving has no use for it.
            local.orders.send(WorkerOrder::Look(None)).ok();
        }
        Start { id, created: true }
    }

    /// Where this process could work on the run at once.
    fn place_for(&self, run: &Run) -> Option<Place> {
        let (worker, room) = {
            let local = lock(&self.0.local);
            let local = local.as_ref()?;
            let served = serves(&local.queues, &run.spec.queue);
            (local.id, Arc::clone(&local.room).try_acquire_owned().ok().filter(|_| served)?)
        };
        // A suspect of S15 may be running alone.
        let quiet = Arc::clone(&self.0.quiet).try_read_owned().ok()?;
        self.0.knows(run).then_some(Place { worker, room, quiet })
    }

    /// Accepts the run and begins it here, in one commit. Nothing is said, and nothing stored, if it
    /// has nothing to begin now, or this process is no worker any more.
    async fn accept_here(
        &self,
        mut run: Run,
        mut new: NewRun,
        place: Place,
    ) -> Result<Option<Start>, Error> {
        let (id, claim) = (run.spec.id, ClaimId::random());
        let asked_at = self.0.clock.now();
        let mut draft = Draft::new(&mut run, &self.0.registry, (claim, 1), asked_at);
        let starts = draft.begin(&[])?;
        // Locks are taken by a claim that is known to hold.
        if starts.is_empty() || !draft.locks.is_empty() {
            return Ok(None);
        }
        let begun = draft.rows;
        let news = news(&begun);
        new.rows.extend(begun);
        new.head = run.head();
        let Place { worker, room, quiet } = place;
        match self.0.start_until_known(new, Some((worker, claim))).await? {
            Some(Started::Exists(known)) => {
                same_start(&self.0.registry, &run.spec, &known).map(Some)
            }
            Some(Started::Created(Some(claim))) => {
                self.0.committed(&run, &news);
                if let Some(local) = &*lock(&self.0.local) {
                    let begun = Begun { claim, run, starts, asked_at, quiet, room };
                    // If the worker is just leaving, the run is orphaned and goes to the next.
                    local.orders.send(WorkerOrder::Drive(Box::new(begun))).ok();
                }
                Ok(Some(Start { id, created: true }))
            }
            Some(Started::Created(None) | Started::NotEnlisted) => Ok(None),
            // The claim is lost: the run is let go, so that it is claimed like any other.
            None => {
                if let Err(error) = self.0.let_go(id, claim).await {
                    warn!(saga = %id, %error, "a saga that was started cannot be let go yet");
                }
                Ok(Some(self.created(id)))
            }
        }
    }

    /// The kind, the list of steps with their facts, and the inputs of an order.
    ///
    /// # Errors
    /// Every mistake at once.
    pub(crate) fn resolve(&self, order: &Order) -> Result<(String, Steps, Json), Error> {
        let mut mistakes = check_order(order);
        let inputs = match &order.input {
            Ok(inputs) => inputs.clone(),
            Err(mistake) => {
                mistakes.push(mistake.clone());
                Json::empty_object()
            }
        };
        mistakes.extend(check_inputs(&inputs));
        let registry = &self.0.registry;
        let (name, kind) = match &order.what {
            What::Steps { kind, steps } => (kind, Some(Kind::of_list(None, steps.clone()))),
            What::Definition(definition) => {
                (&definition.name(), Some(definition.clone().into_kind()))
            }
            What::Kind(name) => (name, registry.find_kind(name).cloned()),
        };
        match kind.map(|kind| wiring::accept(registry, name, &kind, &inputs)) {
            Some(Ok(steps)) if mistakes.is_empty() => return Ok((name.clone(), steps, inputs)),
            Some(Ok(_)) => {}
            Some(Err(found)) => mistakes.extend(found),
            None => {
                let known = registry.all_kinds().map(|(name, _)| name.as_str());
                mistakes.push(wiring::unknown("kind", name, known));
            }
        }
        Err(Error::Mistakes(Mistakes(mistakes)))
    }
}

fn mistake(text: String) -> Error {
    Error::Mistakes(Mistakes(vec![text]))
}

fn check_inputs(inputs: &Json) -> Vec<String> {
    let mut mistakes = Vec::new();
    let (size, most) = (inputs.as_str().len(), limits::INPUT_BYTES);
    if size > most {
        mistakes.push(format!("input has {size} bytes; at most {most} are allowed"));
    }
    if !inputs.as_str().starts_with('{') {
        let kind = crate::recipe::kind_of(&inputs.value());
        mistakes.push(format!("input is {kind}: expected a JSON object"));
    }
    mistakes
}

fn check_order(order: &Order) -> Vec<String> {
    let most = limits::NAME_BYTES;
    let kind = match &order.what {
        What::Kind(kind) | What::Steps { kind, .. } => kind,
        What::Definition(definition) => &definition.name(),
    };
    let names = [("kind", Some(kind)), ("key", order.key.as_ref()), ("queue", Some(&order.queue))];
    let labels =
        order.labels.iter().flat_map(|(n, v)| [("label", Some(n)), ("label's value", Some(v))]);
    let mut mistakes = Vec::new();
    for (what, name) in names.into_iter().chain(labels) {
        let size = name.map_or(1, String::len);
        if size > most {
            mistakes.push(format!("{what} has {size} bytes; at most {most} are allowed"));
        } else if size == 0 && what != "label's value" {
            mistakes.push(format!("{what} is empty: expected a name"));
        }
        mistakes.extend(name.and_then(|name| limits::no_nul(what, name)));
    }
    if order.labels.len() > limits::LABELS {
        let most = limits::LABELS;
        mistakes.push(format!("{} labels; at most {most} are allowed", order.labels.len()));
    }
    mistakes
}

/// Room in the worker of this process.
struct Place {
    worker: WorkerId,
    room: OwnedSemaphorePermit,
    /// The right to run bodies beside others.
    quiet: OwnedRwLockReadGuard<()>,
}

/// The known run, if it was started the same; keys are for saying one thing twice, not two things.
/// What the engine adds to a list, and what a step was called when it was stored, make no difference.
fn same_start(registry: &Registry, asked: &Spec, known: &Spec) -> Result<Start, Error> {
    let list = |stored: &str| {
        let mut steps: Steps = serde_json::from_str(stored).unwrap_or_default();
        steps.for_each_mut(&mut |used| {
            used.step = registry.current_name(&used.step).to_owned();
            used.facts = Facts::default();
        });
        steps
    };
    let differs = if asked.kind != known.kind {
        "another kind"
    } else if list(&asked.steps) != list(&known.steps) {
        "other steps"
    } else if asked.inputs.value() != known.inputs.value() {
        "another input"
    } else {
        return Ok(Start { id: known.id, created: false });
    };
    let key = asked.key.clone().unwrap_or_default();
    Err(Error::KeyTaken { key, id: known.id, differs })
}
