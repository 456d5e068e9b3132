//! Small sagas: every structure of up to four steps, with every kind of step in it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::options::{Options, Retry};
use crate::plan::{Plan, StepIdx};

/// What a step of the model is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Plain,
    NoUndo,
    Probe,
    Once,
    OnceProbe,
    NoUndoProbe,
    Pivot,
    Hold,
    Halt,
    Signal,
    Approval,
    Locked,
}

use Kind::{
    Approval, Halt, Hold, Locked, NoUndo, NoUndoProbe, Once, OnceProbe, Pivot, Plain, Probe, Signal,
};

/// Every kind; the ones that only differ in small ways come last.
pub(super) const KINDS: [Kind; 12] = [
    Plain,
    Probe,
    Once,
    Pivot,
    Hold,
    Halt,
    Locked,
    OnceProbe,
    NoUndo,
    NoUndoProbe,
    Signal,
    Approval,
];

/// Every structure, by its number of steps: a dot is a step, brackets are by turns a list and a
/// group, as in a file.
pub(super) const STRUCTURES: [&[&str]; 5] = [
    &[],
    &["[.]"],
    &["[.,.]", "[[.,.]]"],
    &["[.,.,.]", "[[.,.],.]", "[.,[.,.]]", "[[.,.,.]]", "[[[.,.],.]]"],
    &["[.,.,.,.]", "[[.,.],[.,.]]", "[.,[.,.],.]", "[[[.,.],[.,.]]]", "[[[.,[.,.]],.]]"],
];

impl Kind {
    pub(super) fn undo(self) -> bool {
        !matches!(self, NoUndo | NoUndoProbe | Signal | Approval)
    }

    pub(super) fn probe(self) -> bool {
        matches!(self, Probe | OnceProbe | NoUndoProbe)
    }

    pub(super) fn repeatable(self) -> bool {
        !matches!(self, Once | OnceProbe)
    }

    /// Whether it only waits for somebody.
    pub(super) fn waits(self) -> bool {
        matches!(self, Signal | Approval)
    }

    pub(super) fn options(self) -> Options {
        let own = Options::new()
            .retry(Retry::attempts(2))
            .compensate_retry(Retry::attempts(if self == Plain { 2 } else { 1 }));
        match self {
            Hold => own.hold_on_failure(Duration::ZERO),
            Halt => own.halt_on_undo_failure(),
            _ => own,
        }
    }

    /// The step as it is stored; `pivot` is whether a pivot may be one.
    fn stored(self, pivot: bool) -> String {
        let facts = json!({
            "undo": self.undo(),
            "probe": self.probe(),
            "repeatable": self.repeatable(),
            "pivot": pivot && self == Pivot,
        });
        let lock = if self == Locked { json!(["k"]) } else { json!([]) };
        json!({"step": format!("{self:?}"), "lock": lock, "facts": facts}).to_string()
    }
}

/// One saga.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) structure: &'static str,
    pub(super) kinds: Vec<Kind>,
    /// For each step, the steps that must be done before it: one bit each.
    pub(super) before: Vec<u8>,
    pub(super) deadline: bool,
}

impl Shape {
    pub(super) fn new(structure: &'static str, kinds: &[Kind]) -> Self {
        let dots: Vec<usize> = structure.match_indices('.').map(|(at, _)| at).collect();
        assert_eq!(dots.len(), kinds.len());
        let earlier = |&step: &StepIdx, other: &StepIdx| {
            *other < step
                && in_a_list(&structure[dots[*other]..dots[step]], structure, dots[*other])
        };
        let before = (0..kinds.len())
            .map(|step| (0..kinds.len()).filter(|other| earlier(&step, other)).fold(0, with))
            .collect();
        let deadline = kinds.iter().map(|kind| *kind as usize).sum::<usize>().is_multiple_of(2);
        Self { structure, kinds: kinds.to_vec(), before, deadline }
    }

    /// Whether `first` must be done before `then` may start.
    pub(super) fn precedes(&self, first: StepIdx, then: StepIdx) -> bool {
        self.before[then] & (1 << first) != 0
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(super) fn plan(&self, pivots: bool) -> Arc<Plan> {
        let mut kinds = self.kinds.iter();
        let stored: String = self
            .structure
            .chars()
            .map(|mark| match mark {
                '.' => kinds.next().expect("a kind for each dot").stored(pivots),
                other => other.to_string(),
            })
            .collect();
        Arc::new(Plan::parse(&stored).expect("a shape is a list of steps"))
    }
}

fn with(mask: u8, step: StepIdx) -> u8 {
    mask | 1 << step
}

/// Whether the brackets that hold two steps both are a list's: the depth of the shallowest point
/// between the two is odd. `between` starts at the first of them, which stands at `at`.
fn in_a_list(between: &str, structure: &str, at: usize) -> bool {
    let step = |depth: i32, mark: char| match mark {
        '[' => depth + 1,
        ']' => depth - 1,
        _ => depth,
    };
    let start = structure[..at].chars().fold(0, step);
    let depths = between.chars().scan(start, |depth, mark| {
        *depth = step(*depth, mark);
        Some(*depth)
    });
    depths.min().unwrap_or(start) % 2 == 1
}

/// Every saga of `steps` steps: all kinds in all places up to two steps; beyond, every kind in
/// every place among plain ones, beside one other special step that moves along.
pub(super) fn shapes(steps: usize) -> Vec<Shape> {
    let mut kinds: Vec<Vec<Kind>> = vec![vec![]];
    if steps <= 2 {
        for _ in 0..steps {
            kinds = kinds.iter().flat_map(|row| KINDS.map(|kind| extended(row, kind))).collect();
        }
    } else {
        kinds.clear();
        for (nth, kind) in KINDS.into_iter().enumerate() {
            for place in 0..steps {
                let mut row = vec![Plain; steps];
                row[place] = kind;
                row[(place + 1) % steps] = KINDS[(nth + place) % KINDS.len()];
                kinds.push(row);
            }
        }
    }
    let of = |&structure: &&'static str| {
        let fits = |row: &&Vec<Kind>| !pivot_in_group(structure, row);
        kinds.iter().filter(fits).map(|row| Shape::new(structure, row)).collect::<Vec<_>>()
    };
    STRUCTURES[steps].iter().flat_map(of).collect()
}

fn extended(row: &[Kind], kind: Kind) -> Vec<Kind> {
    row.iter().copied().chain([kind]).collect()
}

/// No pivot inside a group (rule S10).
fn pivot_in_group(structure: &str, kinds: &[Kind]) -> bool {
    let shape = Shape::new(
        STRUCTURES[kinds.len()].iter().find(|known| **known == structure).expect("known"),
        kinds,
    );
    let plan = shape.plan(true);
    kinds.iter().enumerate().any(|(idx, kind)| *kind == Pivot && plan.in_group(idx))
}
