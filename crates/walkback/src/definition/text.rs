//! YAML or JSON text as a value.

use serde_json::Value;

use crate::limits::{DEFINITION_BYTES, JSON_DEPTH};

/// JSON is read as the YAML that it is, so that both have the same rules: no key twice, no more
/// levels than are allowed, and a mistake says where it is.
pub(super) fn value(text: &str) -> Result<Value, String> {
    let most = DEFINITION_BYTES;
    let too_large = |bytes| format!("has {bytes} bytes; at most {most} are allowed");
    if text.len() > most {
        return Err(format!("the definition {}", too_large(text.len())));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: JSON_DEPTH },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let value: Value =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| in_words(&error))?;
    // What is written once and referred to often counts as often.
    let size = value.to_string().len();
    if size > most {
        return Err(format!("the definition, written out, {}", too_large(size)));
    }
    Ok(value)
}

fn in_words(error: &serde_saphyr::Error) -> String {
    let text = match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{key}` stands twice: expected each field once")
        }
        other => other.to_string(),
    };
    let text = text.lines().next().unwrap_or_default();
    match error.location() {
        Some(at) => {
            let text = text.split(" at line ").next().unwrap_or(text).trim_start_matches("error: ");
            format!("line {}, column {}: {text}", at.line(), at.column())
        }
        None => text.to_owned(),
    }
}
