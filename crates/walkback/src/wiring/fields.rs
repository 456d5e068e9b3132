//! Every field that a step reads is there, before it, and of the type it wants.

use serde_json::{Map, Value};

use crate::erased::properties;
use crate::plan::StepIdx;
use crate::recipe::Source;
use crate::wiring::list::{Found, List};
use crate::wiring::names::unknown;
use crate::wiring::samples::requires;
use crate::wiring::shape::Shape;

/// Every mistake in what the steps of the list read; their undo reads the same.
pub(crate) fn check(list: &List<'_>, mistakes: &mut Vec<String>) {
    for idx in 0..list.plan.len() {
        let (label, saga) = (list.label(idx), list.saga);
        let named = |mistake: &String| format!("{label} of saga `{saga}` {mistake}");
        mistakes.extend(check_step(list, idx).iter().map(named));
    }
}

/// Every mistake in what step `idx` reads.
pub(super) fn check_step(list: &List<'_>, idx: StepIdx) -> Vec<String> {
    let schema = list.typed(idx).and_then(|step| step.schemas().0);
    let mut reader = Reader { list, idx, given: Map::new(), mistakes: Vec::new() };
    reader.both_ways();
    match schema {
        Some(schema) => reader.typed(schema),
        None => reader.dynamic(),
    }
    reader.mistakes
}

struct Reader<'a> {
    list: &'a List<'a>,
    idx: StepIdx,
    /// The fields whose values are known already.
    given: Map<String, Value>,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn both_ways(&mut self) {
        let step = self.list.plan.step(self.idx);
        for field in step.from.keys().filter(|field| step.with.contains_key(*field)) {
            self.mistakes
                .push(format!("is given `{field}` by `from` and by `with`: expected one of them"));
        }
    }

    /// Its data has no fixed shape: what is mapped must be there.
    fn dynamic(&mut self) {
        for (field, source) in &self.list.plan.step(self.idx).from {
            if let Found::Nothing(why) = self.mapped(source) {
                self.mistakes.push(format!("reads `{field}` {}", from(source, &why)));
            }
        }
    }

    fn typed(&mut self, schema: &Value) {
        let step = self.list.plan.step(self.idx);
        let names = || properties(schema).map(|(name, _)| name.as_str());
        for field in step.from.keys().chain(step.with.keys()) {
            if !names().any(|name| name == field) {
                let text = unknown("field", field, names());
                let (is, has) = (format!("field `{field}` is unknown"), "has no input field");
                self.mistakes.push(text.replacen(&is, &format!("{has} `{field}`"), 1));
            }
        }
        for (field, wanted) in properties(schema) {
            let source = step.from.get(field);
            let found = match (source, step.with.get(field)) {
                (Some(source), _) => self.mapped(source),
                (None, Some(value)) => Found::Value(value.clone(), "`with` has"),
                (None, None) => self.list.find(self.idx, field),
            };
            match (found, source) {
                (Found::Nothing(why), Some(source)) => {
                    self.mistakes.push(format!("reads `{field}` {}", from(source, &why)));
                }
                (Found::Nothing(why), None) if requires(schema, field) => {
                    self.mistakes.push(format!("needs `{field}`, {why}"));
                }
                (found, _) => self.fits(field, &Shape::of(wanted, schema), found),
            }
        }
        self.values();
    }

    fn mapped(&self, source: &Source) -> Found {
        let paths: Vec<&str> = match source {
            Source::One(path) if !path.contains("*.") => return self.list.find(self.idx, path),
            Source::One(path) => vec![path],
            Source::Several(paths) => paths.iter().map(String::as_str).collect(),
        };
        self.list.collect(self.idx, &paths)
    }

    fn fits(&mut self, field: &str, wanted: &Shape, found: Found) {
        let (shape, whose) = match &found {
            Found::Value(value, whose) => (Shape::of_value(value), *whose),
            Found::Shape(shape, whose) => (shape.clone(), whose.as_str()),
            Found::Anything | Found::Nothing(_) => return,
        };
        if let Some(mismatch) = shape.mismatch(wanted) {
            let (at, wanted, given) = (mismatch.at, mismatch.wanted, mismatch.given);
            self.mistakes.push(format!("needs `{field}{at}` as {wanted}, but {whose} {given}"));
        } else if let Found::Value(value, _) = found {
            self.given.insert(field.to_owned(), value);
        }
    }

    /// What is known already is checked whole: ranges, patterns, the names of variants.
    fn values(&mut self) {
        if self.given.is_empty() {
            return;
        }
        let Some(form) = self.list.typed(self.idx).and_then(|step| step.form()) else { return };
        let given = Value::Object(std::mem::take(&mut self.given));
        for violation in form.violations(&given) {
            let of_whole = violation.at.is_empty() || violation.text == "is missing";
            if !of_whole || violation.at.contains(['.', '[']) {
                self.mistakes.push(format!("cannot take what it is given: {violation}"));
            }
        }
    }
}

/// `` from `network.vpc_id`, which nothing before it provides ``.
fn from(source: &Source, why: &str) -> String {
    match source {
        Source::One(path) if !path.contains("*.") => format!("from `{path}`, {why}"),
        _ => why.to_owned(),
    }
}
