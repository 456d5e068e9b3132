//! The declared shape of a JSON object, and every way in which a value is not like it.

use std::fmt;
use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationError, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use serde_json::Value;

use crate::erased::properties;
use crate::wiring::names::unknown;
use crate::wiring::shape::words_of;

/// A JSON schema that is ready to check values. Nothing is ever fetched for it.
#[derive(Clone)]
pub(crate) struct Form {
    schema: Arc<Value>,
    validator: Arc<jsonschema::Validator>,
}

/// One way in which a value is not as its form says; it never shows the value, which may be secret.
pub(crate) struct Violation {
    /// `site.region`; empty for the whole.
    pub(crate) at: String,
    /// `is missing`.
    pub(crate) text: String,
}

impl Form {
    /// # Errors
    /// If it is no JSON schema, or refers to something outside it.
    pub(crate) fn new(schema: Value) -> Result<Self, String> {
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string())?;
        Ok(Self { schema: Arc::new(schema), validator: Arc::new(validator) })
    }

    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }

    /// Every one at once, by path.
    pub(crate) fn violations(&self, value: &Value) -> Vec<Violation> {
        let errors = self.validator.iter_errors(value);
        let mut violations: Vec<_> = errors.flat_map(|error| self.in_words(&error)).collect();
        violations.sort_by(|a, b| a.at.cmp(&b.at));
        violations
    }

    /// A text of another form than expected, told by an example where the form has one.
    fn unlike_example(&self, error: &ValidationError<'_>) -> Option<String> {
        let ValidationErrorKind::Pattern { .. } = error.kind() else { return None };
        let path = error.schema_path().as_str();
        let schema = self.schema.pointer(path.rsplit_once('/')?.0)?;
        let about = schema["description"].as_str()?.trim_end_matches('.');
        Some(format!("is not of the form of `{}` ({about})", schema["examples"][0].as_str()?))
    }

    fn in_words(&self, error: &ValidationError<'_>) -> Vec<Violation> {
        let at =
            error.instance_path().segments().fold(String::new(), |at, segment| match segment {
                LocationSegment::Index(index) => format!("{at}[{index}]"),
                LocationSegment::Property(name) if at.is_empty() => name.into_owned(),
                LocationSegment::Property(name) => format!("{at}.{name}"),
            });
        let below =
            |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        let text = match error.kind() {
            ValidationErrorKind::Required { property } => {
                let at = below(property.as_str().unwrap_or_default());
                return vec![Violation { at, text: "is missing".to_owned() }];
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = || properties(&self.schema).map(|(name, _)| name.as_str());
                let text = |name: &str| {
                    if !at.is_empty() {
                        return "is not expected there".to_owned();
                    }
                    unknown("field", name, known()).replacen(&format!("field `{name}` "), "", 1)
                };
                let violation = |name: &String| Violation { at: below(name), text: text(name) };
                return unexpected.iter().map(violation).collect();
            }
            ValidationErrorKind::Type { kind } => {
                let types = match kind {
                    TypeKind::Single(one) => words_of(one.as_str()).to_owned(),
                    TypeKind::Multiple(set) => set
                        .iter()
                        .map(|one| words_of(one.as_str()))
                        .collect::<Vec<_>>()
                        .join(" or "),
                };
                format!("is {}: expected {types}", crate::recipe::kind_of(error.instance()))
            }
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().into_iter().flatten();
                let options = options.filter(|option| !option.is_null()).map(|o| format!("`{o}`"));
                format!("is none of {}", options.collect::<Vec<_>>().join(", ").replace('"', ""))
            }
            ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
                "has none of the forms it may have".to_owned()
            }
            _ => self.unlike_example(error).unwrap_or_else(|| {
                error.masked_with("it").to_string().trim_start_matches("it ").to_owned()
            }),
        };
        vec![Violation { at, text }]
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => write!(f, "it {}", self.text),
            at => write!(f, "`{at}` {}", self.text),
        }
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.schema.fmt(f)
    }
}
