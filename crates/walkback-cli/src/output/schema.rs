//! A JSON schema in a few words.

use serde_json::Value;

/// `region: string, size?: string`: the fields of an object, those that may be missing marked.
pub(crate) fn fields(schema: &Value) -> String {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let fields: Vec<String> = fields
        .map(|(name, field)| {
            let mark = if required.contains(&name.as_str()) { "" } else { "?" };
            format!("{name}{mark}: {}", kind(field))
        })
        .collect();
    fields.join(", ")
}

fn kind(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_may_be_missing_are_marked() {
        let schema = serde_json::json!({
            "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": ["integer", "null"]}}
        });
        assert_eq!(fields(&schema), "a: string, b?: integer or null");
    }
}
