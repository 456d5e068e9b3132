//! What a look at a store, or at the runs in it, has found.

use serde::Serialize;

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Worth a look: a promise may depend on it.
    Look,
    /// A promise is not kept, or soon will not be.
    Bad,
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub what: &'static str,
    /// How good it is.
    pub grade: Grade,
    /// How it is; and, unless it is good, what was expected.
    pub found: String,
}

impl Finding {
    /// It is as it should be.
    pub fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, grade: Grade::Good, found: found.into() }
    }

    /// It is worth a look.
    pub fn look(what: &'static str, found: impl Into<String>) -> Self {
        Self { grade: Grade::Look, ..Self::good(what, found) }
    }

    /// It must be mended.
    pub fn bad(what: &'static str, found: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, ..Self::good(what, found) }
    }
}
