//! A list of steps, drawn by chance.

use std::time::Duration;

use serde_json::{Value, json};

use crate::testing::Does;
use crate::testing::chance::Chance;
use crate::testing::simulation::rival::any_lock;
use crate::{Order, Steps};

/// What most steps do.
const USUAL: [Does; 14] = [
    Does::Make,
    Does::Probed,
    Does::Keep,
    Does::Stuck,
    Does::Shaky,
    Does::Flaky,
    Does::Slow,
    Does::Refuse,
    Does::Break,
    Does::Busy,
    Does::Lingering,
    Does::Puzzled,
    Does::Once,
    Does::Sleepy,
];

/// A list of steps, and what each does.
pub(super) struct Shape {
    list: Value,
    /// What each step does in the world; nothing, if it waits for somebody.
    does: Vec<Option<Does>>,
    locks: bool,
}

impl Shape {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let mut shape = Self { list: Value::Null, does: Vec::new(), locks: false };
        let pivot = chance.once_in(5).then(|| chance.below(4));
        let mut entries = Vec::new();
        for place in 0..=chance.below(4) {
            if pivot == Some(place) {
                let mut step = shape.step(chance);
                step["pivot"] = true.into();
                entries.push(step);
            } else if chance.once_in(4) {
                entries.push(Value::Array(
                    (0..2 + chance.below(2)).map(|_| shape.step(chance)).collect(),
                ));
            } else {
                entries.push(shape.step(chance));
            }
        }
        shape.list = entries.into();
        shape
    }

    /// A step, with options of its own now and then.
    fn step(&mut self, chance: &mut Chance) -> Value {
        let scope = format!("s{}", self.does.len());
        if chance.once_in(7) {
            self.does.push(None);
            let within = chance.of(&["1ms", "5ms", "1h"]);
            return match chance.below(3) {
                0 => json!({"step": "approve", "scope": scope, "with": {"within": within}}),
                1 => json!({"step": "wait_for", "scope": scope, "with": {"signal": "go"}}),
                _ => json!({"step": "wait_for", "scope": scope,
                            "with": {"signal": "go", "within": within, "otherwise": "go_on"}}),
            };
        }
        let does = match chance.below(20_000) {
            0 => Does::Endless,
            1..1_000 => Does::Deadly,
            1_000..7_000 => Does::Make,
            _ => chance.of(&USUAL),
        };
        self.does.push(Some(does));
        let mut step = json!({"step": does.name(), "scope": scope});
        if chance.once_in(6) {
            step["hold_on_failure"] = chance.of(&["2ms", "1h"]).into();
        }
        if chance.once_in(6) {
            step["on_undo_failure"] = "halt".into();
        }
        if chance.once_in(6) {
            step["settle"] = "20ms".into();
        }
        if chance.once_in(12) {
            step["lock"] = any_lock(chance);
            self.locks = true;
        }
        step
    }

    /// Whether a step wants what others may hold.
    pub(super) fn locks(&self) -> bool {
        self.locks
    }

    /// What one of the steps does, drawn by chance.
    pub(super) fn any(&self, chance: &mut Chance) -> Option<Does> {
        self.does[chance.index(self.does.len())]
    }

    /// Whether a step fills the ledger.
    pub(super) fn is_endless(&self) -> bool {
        self.does.contains(&Some(Does::Endless))
    }

    pub(super) fn len(&self) -> usize {
        self.does.len()
    }

    /// Whether the step makes something in the world.
    pub(super) fn makes(&self, idx: usize) -> bool {
        self.does[idx].is_some_and(|does| does != Does::Refuse)
    }

    /// Whether what it makes is not undone.
    pub(super) fn stays(&self, idx: usize) -> bool {
        self.does[idx] == Some(Does::Keep)
    }

    pub(super) fn order(&self, chance: &mut Chance) -> Order {
        // Every list that can be drawn is one.
        let list: Steps = serde_json::from_value(self.list.clone()).unwrap_or_default();
        let order = Order::list("simulated", list);
        match chance.below(8) {
            0 => order.deadline(Duration::from_millis(chance.below(8))),
            1 => order.begin_in(Duration::from_millis(chance.below(4))),
            _ => order,
        }
    }
}
