//! A list of steps as the checks read it: who puts out what, and what a step finds at a path.

use std::sync::Arc;

use serde_json::Value;

use crate::erased::{AnyStep, properties};
use crate::plan::{Plan, StepIdx};
use crate::registry::Registry;
use crate::wiring::known::Known;
use crate::wiring::samples::requires;
use crate::wiring::shape::Shape;

/// A list of steps of a saga, with what is known of its inputs.
pub(crate) struct List<'a> {
    pub(crate) saga: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) known: &'a Known<'a>,
    steps: Vec<Option<&'a Arc<dyn AnyStep>>>,
    left_out: &'a [String],
}

/// What a step finds where it reads.
pub(crate) enum Found {
    /// This, and whose it is: "the input has".
    Value(Value, &'static str),
    /// Something of this shape, and whose it is: "step `a` puts out".
    Shape(Shape, String),
    /// It may be there, and may be anything.
    Anything,
    /// Nothing for sure; why not.
    Nothing(String),
}

impl<'a> List<'a> {
    pub(crate) fn new(
        registry: &'a Registry,
        saga: &'a str,
        plan: &'a Plan,
        known: &'a Known<'a>,
        left_out: &'a [String],
    ) -> Self {
        let steps = (0..plan.len()).map(|idx| registry.find(&plan.step(idx).step)).collect();
        Self { saga, plan, known, steps, left_out }
    }

    /// The step's code, if its data has types.
    pub(crate) fn typed(&self, idx: StepIdx) -> Option<&'a Arc<dyn AnyStep>> {
        self.steps[idx].filter(|step| !step.dynamic())
    }

    /// `` step `web.create_droplet` ``.
    pub(crate) fn label(&self, idx: StepIdx) -> String {
        let name = self.plan.name(idx);
        match self.plan.scope(idx) {
            Some(scope) => format!("step `{scope}.{name}`"),
            None => format!("step `{name}`"),
        }
    }

    /// The fields that a typed step puts out.
    pub(crate) fn outputs(&self, idx: StepIdx) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.typed(idx).and_then(|step| step.schemas().1).into_iter().flat_map(properties)
    }

    /// What step `idx` finds at `path`. [`Context::field`](crate::Context) reads by the same rules.
    pub(crate) fn find(&self, idx: StepIdx, path: &str) -> Found {
        let element = path == "each" || path.starts_with("each.");
        if element && !self.known.is_actual() {
            return Found::Anything;
        }
        if let Some(field) = path.strip_prefix("inputs.") {
            let why = || Found::Nothing("which the input does not have".to_owned());
            return self.known.find(field).unwrap_or_else(why);
        }
        let (scopes, field) = match path.split_once('.') {
            Some((scope, field)) => (vec![Some(scope)], field),
            None => match self.plan.scope(idx) {
                Some(own) => (vec![Some(own), None], path),
                None => (vec![None], path),
            },
        };
        let before = self.plan.before(idx);
        let writer = scopes.iter().find_map(|scope| {
            let mut writers =
                before.iter().rev().filter(|&&other| self.plan.scope(other) == *scope);
            writers.find_map(|&other| self.output(other, field))
        });
        let dynamic = |&other: &StepIdx| {
            self.typed(other).is_none() && scopes.contains(&self.plan.scope(other))
        };
        match writer.or_else(|| self.known.find(path)) {
            Some(found) => found,
            None if before.iter().any(dynamic) => Found::Anything,
            None => Found::Nothing(self.why_nothing(idx, &before, &scopes, field)),
        }
    }

    /// What step `idx` finds when it collects these paths into a list.
    pub(crate) fn collect(&self, idx: StepIdx, paths: &[&str]) -> Found {
        let mut shapes = Vec::new();
        for path in paths {
            let found = match path.split_once("*.") {
                Some((prefix, field)) => self.wildcard(idx, prefix, field),
                None => vec![self.find(idx, path)],
            };
            for found in found {
                match found {
                    Found::Value(value, _) => shapes.push(Shape::of_value(&value)),
                    Found::Shape(shape, _) => shapes.push(shape),
                    Found::Anything => shapes.push(Shape::ANY),
                    Found::Nothing(why) => return Found::Nothing(format!("of `{path}`, {why}")),
                }
            }
        }
        Found::Shape(Shape::list(shapes.into_iter()), "it collects".to_owned())
    }

    fn wildcard(&self, idx: StepIdx, prefix: &str, field: &str) -> Vec<Found> {
        let fits = |&other: &StepIdx| {
            self.plan.scope(other).is_some_and(|scope| scope.starts_with(prefix))
        };
        let before = self.plan.before(idx);
        let scopes: Vec<_> = before.iter().copied().filter(fits).collect();
        let mut found: Vec<_> =
            scopes.iter().filter_map(|&other| self.output(other, field)).collect();
        if scopes.iter().any(|&other| self.typed(other).is_none()) {
            found.push(Found::Anything);
        }
        let left_out = self.left_out.iter().any(|base| format!("{base}_").starts_with(prefix));
        if found.is_empty() && !left_out {
            let everyone: Vec<_> = (0..self.plan.len()).filter(fits).collect();
            let scopes: Vec<_> = everyone.iter().map(|&other| self.plan.scope(other)).collect();
            found.push(Found::Nothing(self.why_nothing(idx, &before, &scopes, field)));
        }
        found
    }

    fn output(&self, idx: StepIdx, field: &str) -> Option<Found> {
        let root = self.typed(idx)?.schemas().1?;
        let (_, schema) = properties(root).find(|(name, _)| *name == field)?;
        Some(if requires(root, field) {
            Found::Shape(Shape::of(schema, root), format!("{} puts out", self.label(idx)))
        } else {
            Found::Nothing(format!("which {} may leave out", self.label(idx)))
        })
    }

    fn why_nothing(
        &self,
        idx: StepIdx,
        before: &[StepIdx],
        scopes: &[Option<&str>],
        field: &str,
    ) -> String {
        let puts = |&other: &StepIdx| self.outputs(other).any(|(name, _)| name == field);
        let fits = |&other: &StepIdx| other != idx && scopes.contains(&self.plan.scope(other));
        let elsewhere = (0..self.plan.len()).filter(|other| !before.contains(other));
        if let Some(other) = elsewhere.filter(fits).find(puts) {
            let after = self.plan.before(other).contains(&idx);
            let place = if after { "after" } else { "beside" };
            let other = self.label(other);
            return format!("which only {other} {place} it provides: it may not be there yet");
        }
        let unscoped = scopes.contains(&None);
        let within = before.iter().filter(|other| unscoped && puts(other));
        let paths: Vec<_> = within
            .filter_map(|&other| Some(format!("`{}.{field}`", self.plan.scope(other)?)))
            .take(4)
            .collect();
        if paths.is_empty() {
            return "which nothing before it provides".to_owned();
        }
        let paths = paths.join(" or ");
        format!("which is provided within a scope only: expected `from` with {paths}")
    }
}
