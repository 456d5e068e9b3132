//! What a registry knows, for people and programs.

use serde::Serialize;
use serde_json::Value;

use crate::engine::{NoUndoView, OptionsView};
use crate::recipe::{Facts, StepRef};
use crate::registry::Registry;

/// A step that a process knows.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each tells of something else")]
pub struct StepDescription {
    /// Its name.
    pub step: String,
    /// Whether its data has no fixed shape: it reads the whole context and puts named outputs.
    pub dynamic: bool,
    /// The schema of what it reads from the context, by field name.
    pub input_schema: Option<Value>,
    /// The schema of what it adds to the context.
    pub output_schema: Option<Value>,
    /// The schema of the parameters that a list of steps gives it.
    pub parameters_schema: Option<Value>,
    /// Whether it can be undone.
    pub undo: bool,
    /// Why not, if it cannot.
    pub no_undo: Option<NoUndoView>,
    /// Whether it can look for what an attempt of unknown outcome made.
    pub probe: bool,
    /// Whether a run only goes forward from its start on.
    pub pivot: bool,
    /// How long, how often, where a list of steps says nothing else.
    pub options: OptionsView,
}

/// A kind of saga that a process knows.
#[derive(Clone, Debug, Serialize)]
pub struct KindDescription {
    /// Its name.
    pub kind: String,
    /// The schema of its order form, if that has a fixed shape.
    pub input_schema: Option<Value>,
}

impl Registry {
    /// Every step, by name.
    ///
    /// ```
    /// let steps = walkback::Registry::with_builtins().describe_steps();
    /// assert!(steps.iter().any(|step| step.step == "echo" && step.dynamic));
    /// ```
    pub fn describe_steps(&self) -> Vec<StepDescription> {
        self.all_steps()
            .map(|step| {
                let used = StepRef::new(step.name());
                let options = step.options(&used);
                let (input, output) = step.schemas();
                let dynamic = step.dynamic();
                let undo = step.has_undo(&used);
                let facts = Facts { undo, ..Facts::default() };
                StepDescription {
                    step: step.name().to_owned(),
                    dynamic,
                    input_schema: input.filter(|_| !dynamic).cloned(),
                    output_schema: output.cloned(),
                    parameters_schema: input.filter(|_| dynamic).cloned(),
                    undo,
                    no_undo: NoUndoView::of(facts, options.no_undo),
                    probe: step.has_probe(&used),
                    pivot: options.pivot,
                    options: options.into(),
                }
            })
            .collect()
    }

    /// Every kind, by name.
    ///
    /// ```
    /// assert!(walkback::Registry::with_builtins().describe_kinds().is_empty());
    /// ```
    pub fn describe_kinds(&self) -> Vec<KindDescription> {
        let describe = |(name, kind): (&String, &super::Kind)| KindDescription {
            kind: name.clone(),
            input_schema: kind.form.as_ref().map(|form| form.schema().clone()),
        };
        self.all_kinds().map(describe).collect()
    }
}
