//! What a run would do, without starting it: the way forward, and the way back.

use serde::Serialize;

use crate::engine::Engine;
use crate::error::Error;
use crate::json::Json;
use crate::options::{NoUndo, OnFailure, OnUndoFailure, Options, Retry};
use crate::plan::{Node, Plan, StepIdx};
use crate::recipe::Facts;
use crate::saga::Order;
use crate::time::Span;

/// What a run of an order would do.
#[derive(Clone, Debug, Serialize)]
pub struct PlanView {
    /// The recipe by name.
    pub kind: String,
    /// What it would be started with.
    pub inputs: Json,
    /// The steps, in the order of their places.
    pub steps: Vec<PlannedStep>,
    /// The way back if everything were done: the reverse of the structure. A step that fails is
    /// undone first, then what stands behind it here.
    pub walk_back: Vec<PlannedUndo>,
}

/// A step of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStep {
    /// Its place.
    pub step_idx: StepIdx,
    /// Its name.
    pub step: String,
    /// Its scope.
    pub scope: Option<String>,
    /// The groups around it, the outermost first.
    pub groups: Vec<Place>,
    /// Whether it can be undone.
    pub undo: bool,
    /// Why not, if it cannot.
    pub no_undo: Option<NoUndoView>,
    /// Whether it can look for what an attempt of unknown outcome made.
    pub probe: bool,
    /// Whether the run only goes forward from its start on.
    pub pivot: bool,
    /// How long, how often.
    pub options: OptionsView,
}

/// A place in a group: members run together, the steps of one member one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The group, counted from zero in the order of the list.
    pub group: usize,
    /// The member of the group, counted from zero.
    pub member: usize,
}

/// A step of the way back.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedUndo {
    /// The step.
    pub step_idx: StepIdx,
    /// Its name.
    pub step: String,
    /// Its scope.
    pub scope: Option<String>,
    /// Whether `compensate` runs; if not, the step is passed over.
    pub undo: bool,
    /// Why not.
    pub no_undo: Option<NoUndoView>,
    /// Whether the run would not walk back from here any more: the step is a pivot, or stands
    /// behind one.
    pub past_pivot: bool,
}

/// Why a step has no undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoUndoView {
    /// `read_only`, `retained`, `irreversible` or `not_given`.
    pub why: &'static str,
    /// What its author said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// A step's options as people and programs read them.
#[derive(Clone, Debug, Serialize)]
pub struct OptionsView {
    /// How long one `execute` or `probe` may take.
    pub timeout: Span,
    /// How often `execute` is tried.
    pub retry: RetryView,
    /// How long one `compensate` may take.
    pub compensate_timeout: Span,
    /// How often `compensate` is tried.
    pub compensate_retry: RetryView,
    /// How long after an unknown outcome a probe's "absent" begins to count.
    pub settle: Span,
    /// Whether it may run again under the same key after an unknown outcome.
    pub repeatable: bool,
    /// How long it holds for a look before it walks back.
    pub hold_on_failure: Option<Span>,
    /// What follows an undo that fails for good.
    pub on_undo_failure: OnUndoFailure,
}

/// How often something is tried.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RetryView {
    /// Tries in all.
    pub attempts: u32,
    /// The longest wait before the first retry, and before any.
    pub backoff: (Span, Span),
}

impl Engine {
    /// What a run of `order` would do; nothing is stored.
    ///
    /// ```
    /// use walkback::{Engine, MemoryStore, Order, Registry};
    /// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
    /// let plan = engine.plan(Order::steps(["echo", "fail"]))?;
    /// assert_eq!(plan.walk_back[1].step, "echo");
    /// # Ok::<(), walkback::Error>(())
    /// ```
    ///
    /// # Errors
    /// Every mistake in the order at once, as its start would find them.
    pub fn plan(&self, order: impl Into<Order>) -> Result<PlanView, Error> {
        let (kind, list, inputs) = self.resolve(&order.into())?;
        let plan = Plan::new(&list);
        let mut walk = Walk::default();
        walk.visit(plan.root());
        let steps: Vec<_> = walk
            .places
            .iter()
            .enumerate()
            .map(|(idx, path)| self.planned(&plan, idx, path))
            .collect();
        let pivot = (0..plan.len()).find(|idx| plan.facts(*idx).pivot);
        let undo = |step: &PlannedStep| PlannedUndo {
            step_idx: step.step_idx,
            step: step.step.clone(),
            scope: step.scope.clone(),
            undo: step.undo,
            no_undo: step.no_undo.clone(),
            past_pivot: pivot.is_some_and(|pivot| step.step_idx >= pivot),
        };
        let walk_back = steps.iter().rev().map(undo).collect();
        Ok(PlanView { kind, inputs, steps, walk_back })
    }

    fn planned(&self, plan: &Plan, idx: StepIdx, groups: &[Place]) -> PlannedStep {
        let (used, facts) = (plan.step(idx), plan.facts(idx));
        let options = self.registry().options(used);
        PlannedStep {
            step_idx: idx,
            step: plan.name(idx).to_owned(),
            scope: plan.scope(idx).map(str::to_owned),
            groups: groups.to_vec(),
            undo: facts.undo,
            no_undo: NoUndoView::of(facts, options.no_undo),
            probe: facts.probe,
            pivot: facts.pivot,
            options: options.into(),
        }
    }
}

impl NoUndoView {
    pub(crate) fn of(facts: Facts, declared: Option<NoUndo>) -> Option<Self> {
        let (why, reason) = match declared {
            _ if facts.undo => return None,
            Some(NoUndo::ReadOnly) => ("read_only", None),
            Some(NoUndo::Retained(reason)) => ("retained", Some(reason)),
            Some(NoUndo::Irreversible(reason)) => ("irreversible", Some(reason)),
            None => ("not_given", None),
        };
        Some(Self { why, reason })
    }
}

impl From<Options> for OptionsView {
    fn from(options: Options) -> Self {
        let hold = match options.on_failure {
            OnFailure::Hold(duration) => Some(Span(duration)),
            OnFailure::WalkBack => None,
        };
        Self {
            timeout: Span(options.timeout),
            retry: options.retry.into(),
            compensate_timeout: Span(options.compensate_timeout),
            compensate_retry: options.compensate_retry.into(),
            settle: Span(options.settle),
            repeatable: options.repeatable,
            hold_on_failure: hold,
            on_undo_failure: options.on_undo_failure,
        }
    }
}

impl From<Retry> for RetryView {
    fn from(retry: Retry) -> Self {
        let (first, most) = (retry.ceiling(1), retry.ceiling(u32::MAX));
        Self { attempts: retry.max_attempts(), backoff: (Span(first), Span(most)) }
    }
}

/// Collects the groups around every step, depth first, as steps are counted.
#[derive(Default)]
struct Walk {
    groups: usize,
    path: Vec<Place>,
    places: Vec<Vec<Place>>,
}

impl Walk {
    fn visit(&mut self, node: &Node) {
        match node {
            Node::Step(_) => self.places.push(self.path.clone()),
            Node::Sequence(children) => children.iter().for_each(|child| self.visit(child)),
            Node::Group(members) => {
                let group = self.groups;
                self.groups += 1;
                for (member, node) in members.iter().enumerate() {
                    self.path.push(Place { group, member });
                    self.visit(node);
                    self.path.pop();
                }
            }
        }
    }
}
