//! Sagas that could never work, found before they start.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::erased::AnyStep;
use crate::json::Json;
use crate::limits;
use crate::plan::{Plan, StepIdx};
use crate::recipe::{Facts, StepRef, Steps};
use crate::registry::{Kind, Registry};

mod expand;
mod fields;
mod form;
mod known;
mod list;
mod locks;
mod names;
mod samples;
mod shape;
mod writers;

pub(crate) use form::Form;
use known::Known;
pub(crate) use names::unknown;

/// Every mistake of a registry that can be seen before any order comes.
pub(crate) fn check_registry(registry: &Registry) -> Vec<String> {
    let mut mistakes = registry.mistakes.clone();
    for step in registry.all_steps().filter(|step| !step.dynamic()) {
        check_step(&**step, &mut mistakes);
    }
    for (name, kind) in registry.all_kinds() {
        check_kind(registry, name, kind, &mut mistakes);
    }
    check_aliases(registry, &mut mistakes);
    let mut seen = std::collections::BTreeSet::new();
    mistakes.retain(|mistake| seen.insert(mistake.clone()));
    mistakes
}

fn check_aliases(registry: &Registry, mistakes: &mut Vec<String>) {
    for (before, now) in registry.all_aliases() {
        if registry.step_names().any(|name| name == before) {
            mistakes.push(format!("alias `{before}` is a step itself: expected a name of no step"));
        } else if !registry.step_names().any(|name| name == now) {
            let unknown = unknown("step", now, registry.step_names());
            mistakes.push(format!("alias `{before}`: {unknown}"));
        }
    }
}

fn check_step(step: &dyn AnyStep, mistakes: &mut Vec<String>) {
    let name = step.name();
    let used = StepRef::new(name);
    if !step.has_undo(&used) && step.options(&used).no_undo.is_none() {
        mistakes.push(format!(
            "step `{name}` has no `compensate` and does not say why: expected one, or \
             `read_only`, `retained` or `irreversible` in its options"
        ));
    }
    let (input, output) = step.schemas();
    for (what, schema) in [("input", input), ("output", output)] {
        let kind = schema.and_then(|schema| schema.get("type")).and_then(Value::as_str);
        if !matches!(kind, Some("object" | "null")) {
            let is = kind.map_or("something without fields of its own", shape::words_of);
            mistakes.push(format!(
                "the {what} of step `{name}` is {is}: expected a struct with named fields, or `()`"
            ));
        }
    }
}

/// Asks a kind for the lists of made-up orders, as no others are there yet.
fn check_kind(registry: &Registry, name: &str, kind: &Kind, mistakes: &mut Vec<String>) {
    let orders = match &kind.form {
        Some(form) => samples::of(form.schema()).map(|order| (Known::sample(form, &order), order)),
        None => [false, true].map(|all_hold| (Known::nothing(None, all_hold), Value::Null)),
    };
    for (known, order) in orders {
        let Ok(json) = Json::of(&order) else { continue };
        // An order that its type does not accept, or panics on, tells nothing of real ones.
        let steps = catch_unwind(AssertUnwindSafe(|| (kind.steps)(&json)));
        if let Ok(Ok(steps)) = steps
            && let Err(found) = resolve(registry, name, steps, &known)
        {
            let saga = format!("saga `{name}`");
            let named = |mistake: String| {
                if mistake.contains(&saga) { mistake } else { format!("{saga}: {mistake}") }
            };
            mistakes.extend(found.into_iter().map(named));
        }
    }
}

/// The list of steps of an order, as it is stored.
///
/// # Errors
/// Every mistake at once.
pub(crate) fn accept(
    registry: &Registry,
    name: &str,
    kind: &Kind,
    inputs: &Json,
) -> Result<Steps, Vec<String>> {
    let form = kind.form.as_ref();
    let violations = form.map(|form| form.violations(&inputs.value())).unwrap_or_default();
    if violations.is_empty() {
        let steps = (kind.steps)(inputs).map_err(|mistake| vec![mistake])?;
        return resolve(registry, name, steps, &Known::actual(form, inputs));
    }
    let mut mistakes: Vec<_> = violations.iter().map(|v| format!("input: {v}")).collect();
    if let Ok(steps) = (kind.steps)(inputs)
        && let Err(found) = resolve(registry, name, steps, &Known::nothing(form, true))
    {
        mistakes.extend(found);
    }
    Err(mistakes)
}

/// The list without conditions and with the facts of every step set, if it could work.
///
/// # Errors
/// Every mistake at once.
fn resolve(
    registry: &Registry,
    saga: &str,
    list: Steps,
    known: &Known<'_>,
) -> Result<Steps, Vec<String>> {
    let mut mistakes = Vec::new();
    let expand::Expanded { mut list, left_out } = expand::expand(saga, list, known, &mut mistakes);
    let mut count = 0;
    list.for_each_mut(&mut |used| {
        count += 1;
        set_facts(registry, used, &mut mistakes);
    });
    if count == 0 && mistakes.is_empty() && known.is_actual() {
        mistakes.push("the list of steps is empty: expected at least one".to_owned());
    }
    if count > limits::STEPS {
        mistakes.push(format!("{count} steps; at most {} are allowed", limits::STEPS));
    } else {
        let plan = Plan::new(&list);
        let list = list::List::new(registry, saga, &plan, known, &left_out);
        fields::check(&list, &mut mistakes);
        locks::check(&list, &mut mistakes);
        writers::check(&list, &mut mistakes);
    }
    if mistakes.is_empty() { Ok(list) } else { Err(mistakes) }
}

/// What is still wrong with step `idx` of a list that was accepted once, perhaps by another
/// version, as far as types tell.
pub(crate) fn recheck(
    registry: &Registry,
    plan: &Plan,
    inputs: &Json,
    idx: StepIdx,
) -> Vec<String> {
    let known = Known::actual(None, inputs);
    let list = list::List::new(registry, "", plan, &known, &[]);
    fields::check_step(&list, idx)
}

fn set_facts(registry: &Registry, used: &mut StepRef, mistakes: &mut Vec<String>) {
    let Some(step) = registry.find(&used.step) else {
        mistakes.push(unknown("step", &used.step, registry.step_names()));
        return;
    };
    used.step = registry.current_name(&used.step).to_owned();
    mistakes.extend(
        step.check(used).into_iter().map(|m| format!("step `{}`: {m}", used.display_name())),
    );
    let options = step.options(used);
    used.facts = Facts {
        undo: step.has_undo(used),
        probe: step.has_probe(used),
        repeatable: options.repeatable,
        pivot: options.pivot,
        read_only: options.no_undo == Some(crate::options::NoUndo::ReadOnly),
    };
}
