//! What JSON a schema lets through, as far as wiring looks.

use std::collections::BTreeMap;

use serde_json::Value;

/// Schemas that refer to themselves are looked at so many levels deep.
const LEVELS: usize = 8;

/// The types of JSON, with the words for one of it and for many.
const TYPES: [(&str, &str, &str); 7] = [
    ("string", "a string", "strings"),
    ("integer", "an integer", "integers"),
    ("number", "a number", "numbers"),
    ("boolean", "a boolean", "booleans"),
    ("array", "a list", "lists"),
    ("object", "an object", "objects"),
    ("null", "null", "nulls"),
];
const INTEGER: u8 = 1 << 1;
const NUMBER: u8 = 1 << 2;
const ANY: u8 = (1 << 7) - 1;

/// The types a value may have, and the shapes of what is in it; everything unsaid may be anything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    types: u8,
    items: Option<Box<Shape>>,
    fields: BTreeMap<String, Shape>,
}

/// Where two shapes differ, in words.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Empty, or `.field` of an object.
    pub(crate) at: String,
    pub(crate) wanted: String,
    pub(crate) given: String,
}

impl Shape {
    pub(crate) const ANY: Self = Self { types: ANY, items: None, fields: BTreeMap::new() };

    /// What `schema`, a part of `root`, lets through.
    pub(crate) fn of(schema: &Value, root: &Value) -> Self {
        Self::at(schema, root, 0)
    }

    fn at(schema: &Value, root: &Value, level: usize) -> Self {
        let Some(map) = schema.as_object().filter(|_| level < LEVELS) else { return Self::ANY };
        if let Some(target) = map.get("$ref") {
            let target = target.as_str().and_then(|path| root.pointer(path.strip_prefix('#')?));
            return target.map_or(Self::ANY, |target| Self::at(target, root, level + 1));
        }
        if let Some(Value::Array(forms)) = map.get("anyOf").or_else(|| map.get("oneOf")) {
            let forms = forms.iter().map(|form| Self::at(form, root, level + 1));
            return forms.reduce(Self::or).unwrap_or(Self::ANY);
        }
        if let Some([only]) = map.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            return Self::at(only, root, level + 1);
        }
        let of_values = |values: &[Value]| values.iter().map(bit).fold(0, |all, b| all | b);
        let types = match (map.get("type"), map.get("const"), map.get("enum")) {
            (Some(Value::String(name)), ..) => named(name),
            (Some(Value::Array(names)), ..) => {
                names.iter().filter_map(Value::as_str).map(named).fold(0, |all, b| all | b)
            }
            (_, Some(only), _) => bit(only),
            (_, _, Some(Value::Array(values))) => of_values(values),
            _ => ANY,
        };
        let items = map.get("items").map(|items| Box::new(Self::at(items, root, level + 1)));
        let fields = crate::erased::properties(schema)
            .map(|(name, field)| (name.clone(), Self::at(field, root, level + 1)))
            .collect();
        Self { types, items, fields }
    }

    /// The shape of this one value.
    pub(crate) fn of_value(value: &Value) -> Self {
        let (mut items, mut fields) = (None, BTreeMap::new());
        match value {
            Value::Array(all) => {
                items = all.iter().map(Self::of_value).reduce(Self::or).map(Box::new);
            }
            Value::Object(map) => {
                fields = map.iter().map(|(name, v)| (name.clone(), Self::of_value(v))).collect();
            }
            _ => {}
        }
        Self { types: bit(value), items, fields }
    }

    /// A list of these.
    pub(crate) fn list(items: impl Iterator<Item = Self>) -> Self {
        let items = items.reduce(Self::or).map(Box::new);
        Self { types: named("array"), items, fields: BTreeMap::new() }
    }

    /// The same for a value that is there.
    pub(crate) fn without_null(mut self) -> Self {
        if self.types != ANY {
            self.types &= !named("null");
        }
        self
    }

    /// Either of the two.
    fn or(self, other: Self) -> Self {
        let same = self.items == other.items && self.fields == other.fields;
        let bare = |shape: &Self| shape.items.is_none() && shape.fields.is_empty();
        let (items, fields) = match (bare(&self), bare(&other)) {
            (true, _) => (other.items, other.fields),
            (_, true) => (self.items, self.fields),
            _ if same => (self.items, self.fields),
            _ => (None, BTreeMap::new()),
        };
        Self { types: self.types | other.types, items, fields }
    }

    /// Why something of this shape cannot be read where `wanted` is.
    pub(crate) fn mismatch(&self, wanted: &Self) -> Option<Mismatch> {
        let fits = if wanted.types & NUMBER == 0 { wanted.types } else { wanted.types | INTEGER };
        let items = match (&self.items, &wanted.items) {
            (Some(given), Some(wanted)) => given.mismatch(wanted).is_some(),
            _ => false,
        };
        if self.types != ANY && (self.types & !fits != 0 || items) {
            let (wanted, given) = (wanted.words(), self.words());
            return Some(Mismatch { at: String::new(), wanted, given });
        }
        self.fields.iter().find_map(|(name, given)| {
            let inner = given.mismatch(wanted.fields.get(name)?)?;
            Some(Mismatch { at: format!(".{name}{}", inner.at), ..inner })
        })
    }

    /// `a string or null`.
    fn words(&self) -> String {
        let words = self.names().map(|(name, one, _)| match &self.items {
            Some(items) if name == "array" && items.types != ANY => {
                let many: Vec<_> = items.names().map(|(.., many)| many).collect();
                format!("a list of {}", many.join(" or "))
            }
            _ => one.to_owned(),
        });
        words.collect::<Vec<_>>().join(" or ")
    }

    fn names(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let has = |&(at, _): &(usize, _)| self.types & (1 << at) != 0;
        TYPES.into_iter().enumerate().filter(has).map(|(_, words)| words)
    }
}

/// The words for one value of this type of JSON schema.
pub(crate) fn words_of(name: &str) -> &'static str {
    TYPES.iter().find(|(known, ..)| *known == name).map_or("something else", |(_, one, _)| one)
}

fn named(name: &str) -> u8 {
    TYPES.iter().position(|(known, ..)| *known == name).map_or(ANY, |at| 1 << at)
}

fn bit(value: &Value) -> u8 {
    named(match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    })
}
