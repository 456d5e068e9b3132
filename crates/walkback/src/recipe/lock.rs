//! The locks of a step entry as data: keys with fields of the context in them.

use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, Serialize};

use crate::time::Span;

/// What a step must hold before it begins: a key, with fields of the context in braces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockRef {
    /// `droplet:{droplet_id}`.
    pub(crate) key: String,
    /// How many runs may hold it, if it is a limit and no lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at_most: Option<NonZeroU32>,
    /// How long to wait for it at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) within: Option<Span>,
}

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    /// The value at this path.
    Field(&'a str),
}

impl LockRef {
    pub(crate) fn new(key: &str, at_most: Option<NonZeroU32>) -> Self {
        Self { key: key.to_owned(), at_most, within: None }
    }

    /// The key's parts.
    ///
    /// # Errors
    /// If its braces do not fit, in words.
    pub(crate) fn parts(&self) -> Result<Vec<Part<'_>>, String> {
        let mistake = || {
            let key = &self.key;
            format!("lock `{key}`: expected fields in braces, as in `droplet:{{droplet_id}}`")
        };
        let (mut parts, mut rest) = (Vec::new(), self.key.as_str());
        while let Some((text, after)) = rest.split_once('{') {
            let (field, after) = after.split_once('}').ok_or_else(mistake)?;
            if text.contains('}') || field.trim().is_empty() || field.contains('{') {
                return Err(mistake());
            }
            parts.extend([Part::Text(text), Part::Field(field.trim())]);
            rest = after;
        }
        if rest.contains('}') || self.key.is_empty() {
            return Err(mistake());
        }
        parts.push(Part::Text(rest));
        Ok(parts)
    }
}

/// Reads one lock or a list of them, each a key or an object.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LockRef>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum One {
        Key(String),
        Whole(LockRef),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(One),
        Many(Vec<One>),
    }
    let written = Written::deserialize(deserializer).map_err(|_| {
        serde::de::Error::custom(
            "`lock` is none: expected a key such as `droplet:{droplet_id}`, an object with `key` and, \
             if wanted, `at_most` and `within`, or a list of these",
        )
    })?;
    let whole = |one| match one {
        One::Key(key) => LockRef::new(&key, None),
        One::Whole(lock) => lock,
    };
    Ok(match written {
        Written::One(one) => vec![whole(one)],
        Written::Many(many) => many.into_iter().map(whole).collect(),
    })
}
