//! What is known of a run's inputs when its list of steps is checked.

use serde_json::{Map, Value};

use crate::erased::properties;
use crate::json::Json;
use crate::wiring::form::Form;
use crate::wiring::list::Found;
use crate::wiring::shape::Shape;

/// The inputs of an order, of a made-up order, or of any order of a kind.
pub(crate) struct Known<'a> {
    form: Option<&'a Form>,
    values: Option<Map<String, Value>>,
    /// Whether `values` stand for others of their types.
    sample: bool,
    /// Whether fields of which nothing is known are taken to hold something.
    all_hold: bool,
}

impl<'a> Known<'a> {
    /// Exactly these.
    pub(crate) fn actual(form: Option<&'a Form>, inputs: &Json) -> Self {
        Self { form, values: inputs.decode().ok(), sample: false, all_hold: false }
    }

    /// An order made up from the form.
    pub(crate) fn sample(form: &'a Form, sample: &Value) -> Self {
        Self {
            form: Some(form),
            values: sample.as_object().cloned(),
            sample: true,
            all_hold: false,
        }
    }

    /// Nothing, so that they may hold anything; conditions take it that all fields hold
    /// something, or that none does.
    pub(crate) fn nothing(form: Option<&'a Form>, all_hold: bool) -> Self {
        Self { form, values: None, sample: true, all_hold }
    }

    /// Whether this is an order that somebody made.
    pub(crate) fn is_actual(&self) -> bool {
        !self.sample
    }

    /// The value of this field; `None` if the order has none.
    pub(crate) fn value(&self, field: &str) -> Option<&Value> {
        self.values.as_ref()?.get(field)
    }

    /// Whether the field holds something: not false, null, zero or empty.
    pub(crate) fn holds(&self, field: &str) -> bool {
        if self.is_nothing() { self.all_hold } else { self.value(field).is_some_and(truthy) }
    }

    /// Whether no more is known than that there are some.
    pub(crate) fn is_nothing(&self) -> bool {
        self.values.is_none()
    }

    /// The fields of the form, if it names any.
    pub(crate) fn declared(&self) -> Vec<&str> {
        let schema = self.form.map(Form::schema);
        schema.into_iter().flat_map(properties).map(|(name, _)| name.as_str()).collect()
    }

    /// Whether the inputs have a field of this name, or may have.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.value(field).is_some() || self.declared().contains(&field)
    }

    /// What a step finds that reads this field.
    pub(crate) fn find(&self, field: &str) -> Option<Found> {
        let schema = self.form.map(Form::schema);
        let declared = schema.and_then(|schema| {
            let (_, field) = properties(schema).find(|(name, _)| *name == field)?;
            Some(Shape::of(field, schema))
        });
        match self.value(field) {
            None if self.is_nothing() => Some(Found::Anything),
            None => None,
            Some(value) if self.sample && !value.is_null() => Some(match declared {
                Some(shape) => Found::Shape(shape.without_null(), "the input has".to_owned()),
                None => Found::Anything,
            }),
            Some(value) => Some(Found::Value(value.clone(), "the input has")),
        }
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
