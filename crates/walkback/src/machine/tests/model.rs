//! T1: the machine explored against a model. Every interleaving of small sagas, and for each
//! planted bug the shortest way to where it shows.
//!
//! ```text
//! cargo test -p walkback --lib model                                  what CI runs
//! cargo test -p walkback --lib planted -- --nocapture                 the planted bugs
//! WALKBACK_MODEL_STATES=100000000 cargo test -p walkback --lib --release \
//!     every_promise -- --nocapture                                    as many states as one likes
//! ```

use stateright::{Checker, Model, Property};

mod bug;
mod node;
mod shape;
mod world;

use bug::Bug;
use node::{Action, Budget, Node};
use shape::{Kind, Shape, shapes};

/// What CI explores at least.
const STATES: usize = 1_000_000;
/// A prime: sagas are taken this far apart, so that those explored differ.
const STRIDE: usize = 67;
const PROMISE: &str = "every promise holds";

/// The machine within its world, from every start of some shapes.
struct Explorer {
    shapes: Vec<Shape>,
    budget: Budget,
    bug: Option<Bug>,
}

impl Explorer {
    fn broken(&self, node: &Node) -> Option<&'static str> {
        node.world.broken.or_else(|| node.world.judge(&self.shapes[node.shape], &node.saga))
    }

    /// Explores everything; the number of states, or the shortest way to a broken promise.
    fn explore(self, threads: usize) -> Result<usize, (usize, String)> {
        let checker = self.checker().threads(threads).spawn_bfs().join();
        let Some(path) = checker.discovery(PROMISE) else {
            return Ok(checker.unique_state_count());
        };
        let (node, actions) = (path.last_state(), path.clone().into_actions());
        let promise = checker.model().broken(node).expect("a promise is broken here");
        let shape = &checker.model().shapes[node.shape];
        let told = format!("{promise}, in {} of {:?}: {actions:#?}", shape.structure, shape.kinds);
        Err((actions.len(), told))
    }
}

impl Model for Explorer {
    type State = Node;
    type Action = Action;

    fn init_states(&self) -> Vec<Node> {
        let start = |(index, shape)| Node::new(index, shape, self.budget, self.bug);
        self.shapes.iter().enumerate().map(start).collect()
    }

    fn actions(&self, node: &Node, actions: &mut Vec<Action>) {
        actions.extend(node.actions(&self.shapes[node.shape], self.bug));
    }

    fn next_state(&self, node: &Node, action: Action) -> Option<Node> {
        Some(node.after(&self.shapes[node.shape], &action, self.bug))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(PROMISE, |explorer: &Self, node| explorer.broken(node).is_none())]
    }
}

/// What is explored: sagas of so many steps, and what may go wrong in each. Each row gets its share
/// of the states that are wanted.
const ROWS: [(usize, Budget); 11] = [
    (1, budget(1, 2, 1, 1)),
    (2, budget(2, 0, 0, 0)),
    (3, budget(0, 0, 0, 0)),
    (2, budget(1, 1, 0, 0)),
    (2, budget(0, 1, 1, 1)),
    (3, budget(1, 0, 0, 0)),
    (3, budget(0, 1, 0, 0)),
    (4, budget(0, 0, 0, 0)),
    (2, budget(1, 1, 1, 0)),
    (2, budget(1, 0, 0, 1)),
    (3, budget(0, 0, 0, 1)),
];

const fn budget(claims: u8, people: u8, waits: u8, stops: u8) -> Budget {
    Budget { claims, people, waits, stops }
}

#[test]
fn every_promise_holds_in_every_interleaving_of_small_sagas() {
    let wanted = std::env::var("WALKBACK_MODEL_STATES").ok().and_then(|text| text.parse().ok());
    let wanted = wanted.unwrap_or(STATES);
    let mut states = 0;
    for (done, row) in ROWS.into_iter().enumerate() {
        states += explore_row(row, wanted.saturating_sub(states) / (ROWS.len() - done));
    }
    eprintln!("{states} states explored");
    assert!(states >= wanted.min(STATES));
}

/// Explores whole sagas, of mixed structures and kinds, until `share` states are reached or no saga
/// is left; the number of states.
fn explore_row((steps, budget): (usize, Budget), share: usize) -> usize {
    let all = shapes(steps);
    let mixed = (0..all.len()).map(|nth| nth * STRIDE % all.len());
    let (mut states, mut sagas) = (0, 0);
    for saga in mixed {
        let explorer = Explorer { shapes: vec![all[saga].clone()], budget, bug: None };
        match explorer.explore(2) {
            Ok(found) => states += found,
            Err((_, told)) => panic!("{told}"),
        }
        sagas += 1;
        if states >= share {
            break;
        }
    }
    eprintln!("{sagas} of {} sagas of {steps} steps, {budget:?}: {states} states", all.len());
    states
}

#[test]
fn every_planted_bug_is_found() {
    let missed: Vec<_> =
        Bug::ALL.into_iter().filter(|(bug, breaks)| !found(*bug, breaks)).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Whether `bug` shows, by the promise that it breaks, in a step alone or beside a plain one.
fn found(bug: Bug, breaks: &str) -> bool {
    let pairs = shapes(2).into_iter().filter(|shape| shape.kinds[0] == Kind::Plain);
    let timeless = |shape| Shape { deadline: false, ..shape };
    let shapes = shapes(1).into_iter().chain(pairs).map(timeless).collect();
    let explorer = Explorer { shapes, budget: budget(1, 1, 1, 1), bug: Some(bug) };
    match explorer.explore(1) {
        Ok(states) => eprintln!("{bug:?}: not found in {states} states"),
        Err((events, told)) => {
            let promise = told.lines().next().unwrap_or_default();
            eprintln!("{bug:?}: found after {events} events: {promise}");
            return told.starts_with(breaks);
        }
    }
    false
}
