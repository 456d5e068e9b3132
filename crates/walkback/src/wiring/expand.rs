//! `when` and `for_each`: a list of steps with its conditions decided and its copies made.

use serde_json::Value;

use crate::limits;
use crate::recipe::{Entry, Source, StepRef, Steps, kind_of};
use crate::wiring::known::Known;

/// A list without conditions, and the scopes that those entries would have had which it leaves out.
pub(crate) struct Expanded {
    pub(crate) list: Steps,
    pub(crate) left_out: Vec<String>,
}

/// Decides every condition and makes every copy.
pub(crate) fn expand(
    saga: &str,
    list: Steps,
    known: &Known<'_>,
    mistakes: &mut Vec<String>,
) -> Expanded {
    let mut expander = Expander { saga, known, mistakes, count: 0, left_out: Vec::new() };
    let list = Steps(expander.entries(list.0, true));
    Expanded { list, left_out: expander.left_out }
}

struct Expander<'a> {
    saga: &'a str,
    known: &'a Known<'a>,
    mistakes: &'a mut Vec<String>,
    count: usize,
    left_out: Vec<String>,
}

impl Expander<'_> {
    fn entries(&mut self, entries: Vec<Entry>, in_sequence: bool) -> Vec<Entry> {
        let mut expanded = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                Entry::Many(members) => {
                    let members = self.entries(members, !in_sequence);
                    if !members.is_empty() {
                        expanded.push(Entry::Many(members));
                    }
                }
                Entry::Step(step) => self.step(*step, in_sequence, &mut expanded),
            }
        }
        expanded
    }

    fn step(&mut self, mut step: StepRef, in_sequence: bool, expanded: &mut Vec<Entry>) {
        let (when, for_each) = (step.when.take(), step.for_each.take());
        if when.is_some_and(|condition| !self.holds(&step, &condition)) {
            self.left_out.push(base(&step).to_owned());
            return;
        }
        let Some(path) = for_each else {
            self.count += 1;
            return expanded.push(Entry::Step(Box::new(step)));
        };
        let Some(elements) = self.elements(&step, &path) else { return };
        if elements.is_empty() {
            self.left_out.push(base(&step).to_owned());
        }
        self.count += elements.len();
        let copies = elements.into_iter().enumerate();
        let copies = copies.map(|(index, element)| {
            Entry::Step(Box::new(self.copy(&step, index, element.as_ref())))
        });
        let copies: Vec<Entry> = copies.collect();
        match in_sequence {
            true if copies.is_empty() => {}
            true => expanded.push(Entry::Many(copies)),
            false => expanded.extend(copies),
        }
    }

    /// Whether the field holds something.
    fn holds(&mut self, step: &StepRef, condition: &str) -> bool {
        let (negated, path) = match condition.trim().strip_prefix("not ") {
            Some(path) => (true, path.trim()),
            None => (false, condition.trim()),
        };
        let Some(field) = self.field(step, "when", path) else { return true };
        self.known.holds(&field) != negated
    }

    /// An element for each copy; none of them is known of an order that nobody made.
    fn elements(&mut self, step: &StepRef, path: &str) -> Option<Vec<Option<Value>>> {
        let field = self.field(step, "for_each", path)?;
        let actual = self.known.is_actual();
        let (count, list) = match self.known.value(&field) {
            None if self.known.is_nothing() => (1, None),
            None | Some(Value::Null) => (0, None),
            Some(Value::Array(list)) => (list.len(), Some(list)),
            Some(Value::Number(number)) if number.is_u64() => {
                let count = number.as_u64().and_then(|count| usize::try_from(count).ok());
                (count.unwrap_or(usize::MAX), None)
            }
            Some(other) => {
                let kind = match other {
                    Value::Number(number) => number.to_string(),
                    other => kind_of(other).to_owned(),
                };
                let text = format!(
                    "reads `for_each: {path}`, which is {kind}: expected a count or a list"
                );
                self.mistake(step, &text);
                return None;
            }
        };
        if count > limits::STEPS - self.count.min(limits::STEPS) {
            let most = limits::STEPS;
            let text =
                format!("would stand {count} times: at most {most} steps are allowed in all");
            self.mistake(step, &text);
            return None;
        }
        let element = |index| match list {
            Some(list) => list.get(index).cloned(),
            None => Some(Value::from(index)),
        };
        Some((0..count).map(|index| element(index).filter(|_| actual)).collect())
    }

    /// The name of the inputs' field at `path`.
    fn field(&mut self, step: &StepRef, what: &str, path: &str) -> Option<String> {
        let field = path.strip_prefix("inputs.").unwrap_or(path);
        if field.is_empty() || field.contains(|c: char| c == '.' || c.is_whitespace()) {
            let also = if what == "when" { " or `not inputs.FIELD`" } else { "" };
            self.mistake(step, &format!("has `{what}: {path}`: expected `inputs.FIELD`{also}"));
            return None;
        }
        let declared = self.known.declared();
        let there = self.known.value(field).is_some() || declared.contains(&field);
        let free = declared.is_empty() && (what == "when" || self.known.is_nothing());
        if !there && !free {
            self.mistake(step, &format!("reads `{what}: {path}`, which the input does not have"));
            return None;
        }
        Some(field.to_owned())
    }

    fn copy(&mut self, step: &StepRef, index: usize, element: Option<&Value>) -> StepRef {
        let mut step = step.clone();
        step.scope = Some(format!("{}_{index}", base(&step)));
        let of_copy = |path: &str| match (path, element) {
            ("index", _) => Some(Value::from(index)),
            ("each", Some(element)) => Some(element.clone()),
            (path, Some(element)) => element.get(path.strip_prefix("each.")?).cloned(),
            _ => None,
        };
        let given = step.from.iter().filter_map(|(field, source)| match source {
            Source::One(path) => Some((field.clone(), of_copy(path)?)),
            Source::Several(_) => None,
        });
        for (field, value) in given.collect::<Vec<_>>() {
            step.from.remove(&field);
            if step.with.insert(field.clone(), value).is_some() {
                let text =
                    format!("is given `{field}` by `from` and by `with`: expected one of them");
                self.mistake(&step, &text);
            }
        }
        step
    }

    fn mistake(&mut self, step: &StepRef, text: &str) {
        self.mistakes.push(format!(
            "step `{}` of saga `{}` {text}",
            step.display_name(),
            self.saga
        ));
    }
}

/// What the scopes of its copies begin with.
fn base(step: &StepRef) -> &str {
    step.scope.as_deref().unwrap_or(step.display_name())
}
