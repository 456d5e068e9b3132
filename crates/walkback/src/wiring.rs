//! Sagas that could never work, found before they start.

use std::collections::BTreeMap;

use crate::json::Json;
use crate::limits;
use crate::recipe::{Entry, Facts, StepRef, Steps};
use crate::registry::Registry;

/// Every mistake of a registry that can be seen before any order comes.
pub(crate) fn check_registry(registry: &Registry) -> Vec<String> {
    let mut mistakes = registry.mistakes.clone();
    for step in registry.all_steps() {
        let used = StepRef::new(step.name());
        let declared = step.options(&used).no_undo.is_some();
        if !step.dynamic() && !step.has_undo(&used) && !declared {
            mistakes.push(format!(
                "step `{}` has no `compensate` and does not say why: expected one, or \
                 `read_only`, `retained` or `irreversible` in its options",
                step.name()
            ));
        }
    }
    mistakes
}

/// The list of steps of a kind for these inputs.
pub(crate) fn steps_of_kind(
    registry: &Registry,
    kind: &str,
    inputs: &Json,
) -> Result<Steps, Vec<String>> {
    let Some(known) = registry.find_kind(kind) else {
        let names = registry.all_kinds().map(|(name, _)| name.as_str());
        return Err(vec![unknown("kind", kind, names)]);
    };
    (known.steps)(inputs).map_err(|mistake| vec![mistake])
}

/// The list with the facts of every step set, if it could work.
///
/// # Errors
/// Every mistake at once.
pub(crate) fn resolve(
    registry: &Registry,
    mut list: Steps,
    _inputs: &Json,
) -> Result<Steps, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut count = 0;
    for entry in &mut list.0 {
        set_facts(registry, entry, &mut count, &mut mistakes);
    }
    if count == 0 && mistakes.is_empty() {
        mistakes.push("the list of steps is empty: expected at least one".to_owned());
    }
    if count > limits::STEPS {
        mistakes.push(format!("{count} steps; at most {} are allowed", limits::STEPS));
    }
    if mistakes.is_empty() { Ok(list) } else { Err(mistakes) }
}

fn set_facts(
    registry: &Registry,
    entry: &mut Entry,
    count: &mut usize,
    mistakes: &mut Vec<String>,
) {
    let used = match entry {
        Entry::Step(used) => used,
        Entry::Many(members) => {
            members.iter_mut().for_each(|member| set_facts(registry, member, count, mistakes));
            return;
        }
    };
    *count += 1;
    let Some(step) = registry.find(&used.step) else {
        mistakes.push(unknown("step", &used.step, registry.step_names()));
        return;
    };
    mistakes.extend(
        step.check(used).into_iter().map(|m| format!("step `{}`: {m}", used.display_name())),
    );
    let options = step.options(used);
    used.facts = Facts {
        undo: step.has_undo(used),
        probe: step.has_probe(used),
        repeatable: options.repeatable,
        pivot: options.pivot,
        read_only: options.no_undo == Some(crate::NoUndo::ReadOnly),
    };
}

/// `` step `ech` is unknown: did you mean `echo`? known are … ``
fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let by_distance: BTreeMap<(usize, &str), ()> =
        known.map(|other| ((distance(name, other), other), ())).collect();
    let nearest = by_distance.keys().next().filter(|(far, _)| *far <= 2);
    let hint = nearest.map(|(_, near)| format!(": did you mean `{near}`?")).unwrap_or_default();
    let mut names: Vec<_> = by_distance.keys().map(|(_, other)| format!("`{other}`")).collect();
    names.sort();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("{what} `{name}` is unknown{hint} known are {names}")
        .replace("unknown known", "unknown: known")
}

/// Edits that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let change = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(before + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
