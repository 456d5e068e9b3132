//! A run's steps as a tree: what must be done before what. Pure data.

use std::hash::{Hash, Hasher};

use crate::limits;
use crate::recipe::{Entry, Facts, StepRef, Steps};

/// Steps that an error names at most.
const SHOWN: usize = 10;

/// A step's place in its run, counted depth first from zero.
pub type StepIdx = usize;

/// A list of steps as the machine reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    root: Node,
    steps: Vec<StepRef>,
}

/// The structure: what follows one another, and what goes together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Step(StepIdx),
    Sequence(Vec<Node>),
    Group(Vec<Node>),
}

impl Plan {
    /// The plan of a list whose facts are set.
    pub(crate) fn new(list: &Steps) -> Self {
        let mut steps = Vec::new();
        let root = Node::Sequence(nodes(&list.0, true, &mut steps));
        Self { root, steps }
    }

    /// Reads a list as it is stored.
    pub(crate) fn parse(stored: &str) -> Result<Self, serde_json::Error> {
        Ok(Self::new(&serde_json::from_str(stored)?))
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is no step at all.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The name of step `idx` as tables show it.
    pub fn name(&self, idx: StepIdx) -> &str {
        self.steps[idx].display_name()
    }

    /// The scope of step `idx`, if it has one.
    pub fn scope(&self, idx: StepIdx) -> Option<&str> {
        self.steps[idx].scope.as_deref()
    }

    /// The step that a person means: by index, by `scope.step`, or by a name that only one has.
    ///
    /// # Errors
    /// What was expected, with the steps that there are.
    pub(crate) fn find(&self, text: &str) -> Result<StepIdx, String> {
        if let Some(idx) = text.parse().ok().filter(|idx| *idx < self.len()) {
            return Ok(idx);
        }
        let full = |idx: StepIdx| match self.scope(idx) {
            Some(scope) => format!("{scope}.{}", self.name(idx)),
            None => self.name(idx).to_owned(),
        };
        let fits = |idx: &StepIdx| full(*idx) == text || self.name(*idx) == text;
        let found: Vec<_> = (0..self.len()).filter(fits).collect();
        let list = |steps: &mut dyn Iterator<Item = StepIdx>| {
            let shown: Vec<_> = steps.map(|idx| format!("{idx} `{}`", full(idx))).collect();
            let more = shown.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            shown.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ") + &more
        };
        match found[..] {
            [idx] => Ok(idx),
            [] => Err(format!(
                "there is no step `{text}`: expected one of {}",
                list(&mut (0..self.len()))
            )),
            _ => Err(format!(
                "several steps are called `{text}`: expected an index, one of {}",
                list(&mut found.into_iter())
            )),
        }
    }

    pub(crate) fn step(&self, idx: StepIdx) -> &StepRef {
        &self.steps[idx]
    }

    /// Whether any step needs a lock.
    pub(crate) fn has_locks(&self) -> bool {
        self.steps.iter().any(|step| !step.lock.is_empty())
    }

    pub(crate) fn facts(&self, idx: StepIdx) -> Facts {
        self.steps[idx].facts
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Ledger rows that the walk back of this plan may need and that going forward leaves alone.
    pub(crate) fn reserve(&self) -> u64 {
        limits::LEDGER_ROWS_RESERVE + 2 * self.steps.len() as u64
    }

    /// The steps that are done before step `idx` may start, in their order.
    pub(crate) fn before(&self, idx: StepIdx) -> Vec<StepIdx> {
        let mut before = Vec::new();
        let mut node = &self.root;
        while let Node::Sequence(children) | Node::Group(children) = node {
            let Some(at) = children.iter().position(|child| child.contains(idx)) else { break };
            if matches!(node, Node::Sequence(_)) {
                children[..at].iter().for_each(|child| child.collect(&mut before));
            }
            node = &children[at];
        }
        before
    }

    /// Whether step `idx` stands beside others in a group.
    pub(crate) fn in_group(&self, idx: StepIdx) -> bool {
        let Node::Sequence(children) = &self.root else { return false };
        !children.contains(&Node::Step(idx))
    }
}

impl Node {
    pub(crate) fn contains(&self, idx: StepIdx) -> bool {
        match self {
            Self::Step(own) => *own == idx,
            Self::Sequence(children) | Self::Group(children) => {
                children.iter().any(|child| child.contains(idx))
            }
        }
    }

    fn collect(&self, steps: &mut Vec<StepIdx>) {
        match self {
            Self::Step(own) => steps.push(*own),
            Self::Sequence(children) | Self::Group(children) => {
                for child in children {
                    child.collect(steps);
                }
            }
        }
    }
}

fn nodes(entries: &[Entry], in_sequence: bool, steps: &mut Vec<StepRef>) -> Vec<Node> {
    let mut nodes = Vec::with_capacity(entries.len());
    for entry in entries {
        nodes.push(match entry {
            Entry::Step(step) => {
                steps.push((**step).clone());
                Node::Step(steps.len() - 1)
            }
            Entry::Many(members) if in_sequence => Node::Group(self::nodes(members, false, steps)),
            Entry::Many(members) => Node::Sequence(self::nodes(members, true, steps)),
        });
    }
    nodes
}

/// A run never changes its plan, so that a run's hash need not cover it.
impl Hash for Plan {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Eq for Plan {}
