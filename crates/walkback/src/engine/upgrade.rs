//! Whether this binary can go on with everything that is in flight, asked before it is deployed.

use serde::Serialize;

use crate::context::Context;
use crate::engine::{Engine, Inner};
use crate::error::Error;
use crate::id::SagaId;
use crate::json::Json;
use crate::machine::Status;
use crate::plan::StepIdx;
use crate::run::Run;
use crate::store::Filter;
use crate::wiring;

/// What a binary would leave behind.
#[derive(Clone, Debug, Serialize)]
pub struct UpgradeCheck {
    /// Sagas in flight: those that move, are parked, or have something left.
    pub checked: usize,
    /// What this binary could not go on with.
    pub orphans: Vec<Orphan>,
}

/// A step of a saga in flight with which a binary could not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// The saga.
    pub saga_id: SagaId,
    /// The recipe by name.
    pub kind: String,
    /// How far it is.
    pub status: &'static str,
    /// The step; nothing, if the saga cannot be read at all.
    pub step_idx: Option<StepIdx>,
    /// Its name.
    pub step: Option<String>,
    /// Its scope.
    pub scope: Option<String>,
    /// Why, and what was expected.
    pub why: String,
}

impl Engine {
    /// Whether this binary knows every step of every saga in flight, can still read what is stored of
    /// it, and can still undo what had an undo when it was started. Reads only; ask it before a
    /// deploy, with the new binary, against the store that the old one works on.
    ///
    /// ```
    /// use walkback::{Engine, MemoryStore, Order, Registry, step_fn};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
    /// let store = MemoryStore::new();
    /// let old = Engine::new(Registry::with_builtins(), store.clone())?;
    /// old.start_saga(Order::steps(["echo"])).await?;
    /// let new = Engine::new(Registry::new(), store)?;
    /// let found = new.upgrade_check().await?;
    /// assert_eq!(found.orphans[0].step.as_deref(), Some("echo"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn upgrade_check(&self) -> Result<UpgradeCheck, Error> {
        let mut found = UpgradeCheck { checked: 0, orphans: Vec::new() };
        let statuses = vec![
            Status::Pending,
            Status::Running,
            Status::Compensating,
            Status::Parked,
            Status::Failed,
        ];
        let filter = Filter { statuses, limit: usize::MAX, ..Filter::default() };
        for id in self.find_sagas(filter).await? {
            let Some(stored) = self.0.store.load(id).await? else { continue };
            if stored.head.status == Status::Failed && !stored.head.attention {
                continue;
            }
            found.checked += 1;
            let (kind, status) = (stored.spec.kind.to_string(), stored.head.status.name());
            let orphan = |step_idx, step, scope, why| {
                let kind = kind.clone();
                Orphan { saga_id: id, kind, status, step_idx, step, scope, why }
            };
            match self.0.fold(stored) {
                Ok(run) => {
                    let plan = run.state.plan();
                    for (idx, why) in self.0.orphaned(&run) {
                        let scope = plan.scope(idx).map(str::to_owned);
                        let name = Some(plan.name(idx).to_owned());
                        found.orphans.push(orphan(Some(idx), name, scope, why));
                    }
                }
                Err(error) => found.orphans.push(orphan(None, None, None, error.to_string())),
            }
        }
        Ok(found)
    }
}

impl Inner {
    /// The steps of a run with which this binary could not go on, and why.
    fn orphaned(&self, run: &Run) -> Vec<(StepIdx, String)> {
        let (state, plan) = (&run.state, run.state.plan());
        let inputs = Context::of_run(&run.spec.inputs, state).to_json();
        let mut found = Vec::new();
        for idx in 0..plan.len() {
            let used = plan.step(idx);
            let Some(step) = self.registry.find(&used.step) else {
                let names = self.registry.step_names();
                found.push((idx, wiring::unknown("step", &used.step, names)));
                continue;
            };
            let (runs, undoes) = (state.may_still_run(idx), state.may_still_undo(idx));
            if (runs || undoes) && plan.facts(idx).undo && !step.has_undo(used) {
                let why = "it had an undo when the saga was started, and has none any more: \
                           expected a `compensate`";
                found.push((idx, why.to_owned()));
            }
            if !runs && !undoes {
                continue;
            }
            found.extend(step.check(used).into_iter().map(|why| (idx, why)));
            let complete = plan.before(idx).iter().all(|before| state.step(*before).passed());
            if complete || undoes {
                let context = Context::of_step(&run.spec.inputs, state, idx);
                let output: Option<&Json> = state.step(idx).output.as_ref();
                if let Err(error) = step.reads(&context, output) {
                    found.push((idx, error.to_string()));
                }
            } else {
                // What comes before it is not all there: its types must tell.
                let mistakes = wiring::recheck(&self.registry, plan, &inputs, idx);
                found.extend(mistakes.into_iter().map(|why| (idx, why)));
            }
        }
        found
    }
}
