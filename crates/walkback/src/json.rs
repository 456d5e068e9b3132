//! JSON text that is kept byte for byte as it came (promise I17).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::limits::JSON_DEPTH;

/// Valid JSON text of at most 64 levels, cheap to clone, equal when its bytes are equal.
///
/// ```
/// let json = walkback::Json::parse(r#"{"n": 1.50}"#).unwrap();
/// assert_eq!(json.as_str(), r#"{"n": 1.50}"#);
/// assert!(walkback::Json::parse("{").is_err());
/// ```
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    /// If it is no JSON, holds what could not be read back, or is too deep.
    pub fn parse(text: impl Into<String>) -> Result<Self, JsonError> {
        let text = text.into();
        let depth = depth(&text);
        if depth > JSON_DEPTH {
            return Err(JsonError::TooDeep(depth));
        }
        serde_json::from_str::<Value>(&text).map_err(JsonError::Malformed)?;
        Ok(Self(RawValue::from_string(text).map_err(JsonError::Malformed)?.into()))
    }

    /// The JSON of `value`, parsed back as what is to be kept must be readable.
    ///
    /// # Errors
    /// If it cannot be encoded, or not read back.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Self::parse(serde_json::to_string(value).map_err(JsonError::Malformed)?)
    }

    /// `{}`.
    pub fn empty_object() -> Self {
        Self(RawValue::from_string("{}".to_owned()).unwrap_or_default().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Decodes the text.
    ///
    /// # Errors
    /// If it does not have the shape of a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }

    /// The text as a tree of values; numbers beyond 64 bits lose precision there.
    pub fn value(&self) -> Value {
        self.decode().unwrap_or_default()
    }

    /// The members of the object, each as text; `None` if this is no object.
    pub fn members(&self) -> Option<Vec<(String, Json)>> {
        let map: Members = self.decode().ok()?;
        Some(map.0)
    }
}

/// An object's members in their order; of a name that stands twice the last wins, as in `Value`.
struct Members(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Json)> = Vec::new();
                while let Some((name, json)) = map.next_entry::<String, Json>()? {
                    members.retain(|(known, _)| *known != name);
                    members.push((name, json));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Why a text is not accepted as JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or holds a number or character that could not be read back.
    #[error("malformed JSON: {0}")]
    Malformed(#[source] serde_json::Error),
    /// It has more levels than are allowed.
    #[error("JSON is {0} levels deep; at most {JSON_DEPTH} are allowed")]
    TooDeep(usize),
}

/// The deepest nesting in `text`, counted on bytes so that no recursion can overflow.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}
