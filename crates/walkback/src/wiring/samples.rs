//! Orders made up from a kind's form, so that its lists of steps can be checked before any comes.

use serde_json::{Map, Value, json};

use crate::erased::properties;

/// Forms that refer to themselves are filled in so many levels deep.
const LEVELS: usize = 16;

/// The smallest order: only what is required, zero and empty. And a full one.
pub(crate) fn of(form: &Value) -> [Value; 2] {
    [false, true].map(|full| Maker { root: form, full }.value(form, 0))
}

struct Maker<'a> {
    root: &'a Value,
    full: bool,
}

impl Maker<'_> {
    fn value(&self, schema: &Value, level: usize) -> Value {
        if level > LEVELS {
            return Value::Null;
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return target.map_or(Value::Null, |target| self.value(target, level + 1));
        }
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        let list = |keyword| schema.get(keyword).and_then(Value::as_array);
        if let Some(first) = list("enum").and_then(|all| all.first()) {
            return first.clone();
        }
        let forms = list("anyOf").or_else(|| list("oneOf")).or_else(|| list("allOf"));
        if let Some(form) = forms.and_then(|forms| forms.first()) {
            return self.value(form, level + 1);
        }
        self.of_type(schema, level)
    }

    fn of_type(&self, schema: &Value, level: usize) -> Value {
        let least = |keyword, or| schema.get(keyword).and_then(Value::as_i64).unwrap_or(or);
        let number = i64::from(self.full);
        match type_of(schema) {
            // A text may have to be of a form, which its default is.
            Some("string") if schema.get("default").is_some_and(Value::is_string) => {
                schema["default"].clone()
            }
            Some("string") => {
                let text = if self.full { "text" } else { "" };
                let least = usize::try_from(least("minLength", 0)).unwrap_or(0).min(1_000);
                json!(format!("{text:x<least$}"))
            }
            Some("integer" | "number") => json!(number.max(least("minimum", number))),
            Some("boolean") => json!(self.full),
            Some("array") => {
                let count = usize::try_from(least("minItems", number).max(number)).unwrap_or(0);
                let fixed = schema.get("prefixItems").and_then(Value::as_array);
                let item = || schema.get("items").map(|items| self.value(items, level + 1));
                match fixed {
                    Some(fixed) => fixed.iter().map(|item| self.value(item, level + 1)).collect(),
                    None => (0..count.min(100)).filter_map(|_| item()).collect(),
                }
            }
            Some("object") => self.object(schema, level),
            None if schema.get("properties").is_some() => self.object(schema, level),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, level: usize) -> Value {
        let given = properties(schema).filter(|(name, _)| self.full || requires(schema, name));
        let members = given.map(|(name, field)| (name.clone(), self.value(field, level + 1)));
        Value::Object(members.collect::<Map<_, _>>())
    }
}

/// Whether an object of this schema always has a member of this name.
pub(crate) fn requires(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().any(|known| known.as_str() == Some(name))
}

/// Its type, or the first that is not null.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}
