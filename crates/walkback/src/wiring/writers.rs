//! Every field has one writer, every scope a name of its own.

use std::collections::BTreeMap;

use crate::limits;
use crate::plan::StepIdx;
use crate::wiring::list::List;

/// Every name in the list that two things have.
pub(crate) fn check(list: &List<'_>, mistakes: &mut Vec<String>) {
    let mut first: BTreeMap<(Option<&str>, &str), StepIdx> = BTreeMap::new();
    let mut used: BTreeMap<(Option<&str>, &str), StepIdx> = BTreeMap::new();
    for idx in 0..list.plan.len() {
        pivot(list, idx, mistakes);
        scope_is_a_name(list, idx, mistakes);
        if list.typed(idx).is_none() {
            continue;
        }
        let (scope, step) = (list.plan.scope(idx), list.plan.step(idx).step.as_str());
        if used.insert((scope, step), idx).is_some() {
            twice(list, idx, mistakes);
            continue;
        }
        for (field, _) in list.outputs(idx) {
            let before = first.insert((scope, field), idx);
            let path = scope.map_or_else(|| field.clone(), |scope| format!("{scope}.{field}"));
            let puts = format!("{} of saga `{}` puts out `{path}`", list.label(idx), list.saga);
            if let Some(other) = before {
                let other = list.label(other);
                mistakes.push(format!("{puts}, as {other} does: expected another scope for one"));
            } else if scope.is_none() && list.known.has(field) {
                mistakes.push(format!("{puts}, which the input has already: expected a scope"));
            }
        }
    }
    for scope in (0..list.plan.len()).filter_map(|idx| list.plan.scope(idx)) {
        let saga = list.saga;
        if let Some(other) = first.get(&(None, scope)) {
            let other = list.label(*other);
            mistakes.push(format!(
                "scope `{scope}` of saga `{saga}` is also a field that {other} puts out: expected \
                 another name"
            ));
        } else if list.known.has(scope) {
            mistakes.push(format!(
                "scope `{scope}` of saga `{saga}` is also a field of the input: expected another \
                 name"
            ));
        }
    }
}

fn twice(list: &List<'_>, idx: StepIdx, mistakes: &mut Vec<String>) {
    let (step, saga) = (&list.plan.step(idx).step, list.saga);
    mistakes.push(match list.plan.scope(idx) {
        Some(scope) => format!(
            "step `{step}` stands twice in scope `{scope}` of saga `{saga}`: expected a scope of \
             its own for each"
        ),
        None => {
            format!("step `{step}` stands twice in saga `{saga}`: expected a `scope` for each")
        }
    });
}

fn pivot(list: &List<'_>, idx: StepIdx, mistakes: &mut Vec<String>) {
    if list.plan.facts(idx).pivot && list.plan.in_group(idx) {
        let (label, saga) = (list.label(idx), list.saga);
        mistakes.push(format!(
            "{label} of saga `{saga}` is a pivot inside a group: expected it to stand alone"
        ));
    }
}

fn scope_is_a_name(list: &List<'_>, idx: StepIdx, mistakes: &mut Vec<String>) {
    let Some(scope) = list.plan.scope(idx) else { return };
    let name = list.plan.name(idx);
    let reserved = ["inputs", "each", "index"].contains(&scope);
    let odd = scope.is_empty() || scope.len() > limits::NAME_BYTES || scope.contains(['.', '*']);
    if reserved || odd {
        mistakes.push(format!(
            "step `{name}` of saga `{}` has the scope `{scope}`: expected a name without `.` and \
             `*` that is not `inputs`, `each` or `index`, of at most {} bytes",
            list.saga,
            limits::NAME_BYTES
        ));
    }
}
